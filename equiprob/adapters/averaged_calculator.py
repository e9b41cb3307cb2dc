"""A function of the rows of structures as a calculator of ASE."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.adapters.ase_properties import PROPERTIES
from equiprob.transforms.extras import require

if TYPE_CHECKING:
    from equiprob.adapters.ase_calculator import AseModel


def calculator_of(model: AseModel, predict: Callable[[Any], Any]) -> Any:
    """Return a calculator whose results are those of a function of a model's rows.

    Energy, forces and stress of an average are the averages of theirs: forces stay the gradient of
    the energy, so that structures can be relaxed and moved by it.

    Args:
        model: The model.
        predict: ``predict(rows) -> results``, such as ``level.predictor(model)``.
    """
    ase = require("ase.calculators.calculator", extra="ase")
    places = model.x["atoms"].shape[1]

    class PredictedCalculator(ase.Calculator):
        """Results of a function of rows."""

        implemented_properties = list(  # noqa: RUF012 - what ASE calls it
            dict.fromkeys([*model.properties, *(["free_energy"] * _is_energy(model))])
        )

        def calculate(
            self,
            atoms: Any = None,
            properties: Any = ("energy",),
            system_changes: Any = tuple(ase.all_changes),
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            rows = model.rows.arrays([self.atoms], at_least=places)
            outputs = predict(rows)
            n = len(self.atoms)
            for name in model.properties:
                values = np.asarray(outputs[name])[0]
                values = values[:n] if PROPERTIES[name].of_atoms else values
                self.results[name] = values if values.ndim else float(values)
            if _is_energy(model):
                self.results["free_energy"] = self.results["energy"]

    return PredictedCalculator()


def _is_energy(model: AseModel) -> bool:
    """Whether forces are the gradient of the energy, as of potentials without a free energy."""
    has = getattr(model.calculator, "implemented_properties", ())
    return "energy" in model.properties and "free_energy" not in has
