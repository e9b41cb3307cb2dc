"""Which declarations do objects of other libraries stand for?

They are told by what they can do, so that none of these libraries is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final, override

import numpy as np

from equiprob.transforms.actions import AbstractLeafAction
from equiprob.transforms.constants import Constant
from equiprob.transforms.grid import Grid
from equiprob.transforms.irreps import irreps
from equiprob.transforms.item_axes import by_element
from equiprob.transforms.representations import (
    AbstractRepresentation,
    Axis,
    Element,
    Law,
)


def foreign_declaration(declared: Any) -> Any:
    """Return a declaration in the words and objects of this package.

    Args:
        declared: Anything. Irreps of e3nn and e3nn-jax are told by their ``D_from_matrix``, field
            types of escnn by their ``gspace`` and ``representation``.

    Returns:
        The declaration, as it was where it is not of another library.

    Raises:
        ValueError: If a field type is of a group that is not finite, or of a space that is neither
            the plane nor a point.
    """
    if isinstance(declared, str | AbstractLeafAction | AbstractRepresentation):
        return declared
    if hasattr(declared, "D_from_matrix"):  # e3nn's Irreps are tuples, too
        return irreps(declared)
    if hasattr(declared, "gspace") and hasattr(declared, "representation"):
        return _field(declared)
    return declared


@final
@dataclass(frozen=True)
class OfMatrix(AbstractRepresentation):
    """Channels on which each matrix of a finite group acts by another one.

    Args:
        base: The matrices of the group, ``(element, d, d)``.
        table: How they act on the channels, ``(element, k, k)``.
    """

    base: Constant
    table: Constant

    reads: ClassVar[tuple[str, ...]] = ("matrix",)

    @override
    def of(self, element: Element, law: Law) -> Axis:
        matrix, base = element["matrix"], self.base.values
        apart = np.abs(matrix[..., None, :, :] - base).max(axis=(-1, -2))
        if (apart.min(axis=-1) > 1e-6).any():
            raise ValueError(
                f"its group of {len(base)} elements lacks some of the transformations; pass the "
                f"group of the field, such as ep.transforms.cyclic({len(base)})"
            )
        return {"matrix": self.table.values[apart.argmin(axis=-1)]}

    @override
    def __str__(self) -> str:
        return f"a field of {self.table.values.shape[-1]} channels"


def _field(field: Any) -> AbstractLeafAction | AbstractRepresentation:
    """Return what an escnn field type stands for: channels first in the plane, or alone."""
    space = field.gspace
    elements = getattr(space.fibergroup, "elements", None)
    if not elements:
        raise ValueError(f"{field} is of a group that is not finite; declare its irreps instead")
    table = np.stack([np.asarray(field.representation(g), np.float64) for g in elements])
    if space.dimensionality == 0:
        return by_element(table)
    if space.dimensionality != 2:
        raise ValueError(f"{field} lives in {space.dimensionality} dimensions; declare an Action")
    base = np.stack([np.asarray(space.basespace_action(g), np.float64) for g in elements])
    return Grid(channels_first=True, fibre=OfMatrix(Constant.of(base), Constant.of(table)))
