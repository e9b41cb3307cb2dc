"""Points of a periodic cell, each moved by whole lattice vectors, which is no motion at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.transforms.law import Parameters
from equiprob.transforms.shifts import AbstractShifts
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LatticeShifts(AbstractShifts):
    """Whole lattice vectors, drawn for each point; made by `lattice_shifts`.

    The parameter lists how many of each lattice vector each point moves by.
    """

    items: int
    max_cells: int = 1
    dimensions: int = 3

    magnitude_label = "cells moved by"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("items", "max_cells", "dimensions"):
            if not isinstance(value := getattr(self, name), int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"lattice_shifts({self.items} items, up to {self.max_cells} cells)"

    @property
    @override
    def n_uniforms(self) -> int:
        return self.items * self.dimensions

    @override
    def parameters(self, uniforms: Array) -> Parameters:
        return np.floor(uniforms * (2 * self.max_cells + 1)) - self.max_cells

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        shape = (*parameters.shape[:-1], self.items, self.dimensions)
        return {"lattice": parameters.reshape(shape)}

    @override
    def restricted(self, max_magnitude: float) -> Self:
        largest = int(max_magnitude + 1e-9)
        if largest < 1:
            raise ValueError(f"{self} has no shifts up to {max_magnitude} other than none")
        return replace(self, max_cells=min(largest, self.max_cells))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        share = (2 * np.floor(max_magnitude + 1e-9) + 1) / (2 * self.max_cells + 1)
        return min(float(share), 1.0) ** self.n_uniforms


@checked
def lattice_shifts(
    items: int,
    max_cells: int = 1,
    *,
    dimensions: int = 3,
    acts_on: Any = None,
    output_action: Any = "invariant",
) -> Transform:
    """Move each point of a periodic cell by whole lattice vectors, as unwrapped atoms are.

    Args:
        items: The number of points, the first axis of a row of the leaf that is ``"wrapped"``.
        max_cells: How many of each lattice vector at most, up or down.
        dimensions: Of space, and how many lattice vectors there are.
        acts_on: How the input transforms. When left out, ``{"positions": "wrapped", "cell":
            "invariant"}``; the rows of the leaf ``cell`` are the lattice vectors.
        output_action: How the output transforms: nothing should change.

    Returns:
        The transform, over all numbers of cells alike. It is no Haar measure: the group is not
        compact.

    Raises:
        ValueError: If a number is not a positive integer.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.lattice_shifts(8))
        lattice_shifts(8 items, up to 1 cells)
    """
    usual = {"positions": "wrapped", "cell": "invariant"}
    law = LatticeShifts(items=items, max_cells=max_cells, dimensions=dimensions)
    return Transform(
        law=law, acts_on=usual if acts_on is None else acts_on, output_action=output_action
    )
