"""A function of the rows of structures as a calculator of ASE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from equiprob.adapters.ase_properties import PROPERTIES
from equiprob.adapters.atoms_rows import AtomsRows
from equiprob.transforms.extras import require


def calculator_of(
    predict: Callable[[Any], Any],
    rows: AtomsRows,
    properties: Sequence[str],
    *,
    places: int,
    gives_free_energy: bool,
) -> Any:
    """Return a calculator whose results are those of a function of rows.

    Energy, forces and stress of an average are the averages of theirs: forces stay the gradient of
    the energy, so that structures can be relaxed and moved by it.

    Args:
        predict: ``predict(rows) -> results``, such as ``level.predictor(model)``.
        rows: How structures become arrays.
        properties: What it returns.
        places: For how many atoms rows have places, at least.
        gives_free_energy: Whether forces are the gradient of a free energy, not of the energy.
    """
    ase = require("ase.calculators.calculator", extra="ase")
    is_energy = "energy" in properties and not gives_free_energy

    class PredictedCalculator(ase.Calculator):
        """Results of a function of rows."""

        implemented_properties = list(  # noqa: RUF012 - what ASE calls it
            dict.fromkeys([*properties, *(["free_energy"] * is_energy)])
        )

        def calculate(
            self,
            atoms: Any = None,
            properties: Any = ("energy",),
            system_changes: Any = tuple(ase.all_changes),
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            outputs = predict(rows.arrays([self.atoms], at_least=places))
            n = len(self.atoms)
            for name in properties:
                values = np.asarray(outputs[name])[0]
                values = values[:n] if PROPERTIES[name].of_atoms else values
                self.results[name] = values if values.ndim else float(values)
            if is_energy:
                self.results["free_energy"] = self.results["energy"]

    return PredictedCalculator()
