"""Structures from files that ASE reads, as arrays by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRUCTURES = (".xyz", ".extxyz")
"""Files of structures: XYZ, extended or not."""


def read_structures(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of structures of one size, a row for each.

    ``positions``, ``numbers``, ``cell`` where there is one, further arrays of atoms and numbers of
    structures by their names, and energies, forces and stresses that were written with them.

    Raises:
        ImportError: Without ASE.
        ValueError: If the file cannot be read, or structures have different sizes or entries.
    """
    from equiprob.transforms.extras import require

    io = require("ase.io", extra="ase")
    try:
        frames = io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever the line they stumble over brings
        raise ValueError(f"{path} cannot be read as XYZ: {str(error)[:200]}") from error
    each = [_entries(atoms) for atoms in frames]
    if not each:
        raise ValueError(f"{path} holds no structures")
    shapes = [{name: values.shape for name, values in one.items()} for one in each]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"structure {i} of {path} has {shape}, the first one {shapes[0]}: the command line "
                f"takes structures of one size and with the same entries; others are for "
                f"ep.adapters.from_ase in Python"
            )
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _entries(atoms: Any) -> dict[str, NDArray[Any]]:
    """Return what is known of one structure, as far as it is numbers."""
    found = {name: np.asarray(values) for name, values in atoms.arrays.items()}
    if atoms.cell.rank:
        found["cell"] = np.asarray(atoms.cell)
    found |= {name: np.asarray(value) for name, value in atoms.info.items()}
    if atoms.calc is not None:
        found |= {name: np.asarray(value) for name, value in atoms.calc.results.items()}
    return {name: values for name, values in found.items() if values.dtype.kind in "iuf"}


def inputs_of(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """Return the names of the arrays that say what a structure is."""
    return [name for name in ("positions", "numbers", "cell") if name in arrays]
