"""Vectors and points in other coordinates: in another order of axes, in pixels of a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np

from equiprob.arguments.checked import checked
from equiprob.transforms.representations import (
    GEOMETRIC,
    AbstractRepresentation,
    Array,
    Axis,
    Element,
    Law,
    Points,
    Vectors,
    matrices,
)

_NAMED_AXES = {2: "xy", 3: "xyz", 4: "txyz"}
"""The axes of vectors of so many dimensions, in the order in which laws see them."""


@final
@dataclass(frozen=True)
class Reordered(AbstractRepresentation):
    """Vectors, points or axial vectors with their components in another order, or signs.

    Args:
        inner: What they are in the order x, y, z.
        order: The components as they are kept, such as ``"yzx"``, or ``"x-y"`` for y downwards.
    """

    inner: AbstractRepresentation
    order: str

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        inner = self.inner.of(element, law)
        order, signs = self._components(matrices(element).shape[-1])
        found = {name: values for name, values in inner.items() if name == "sign"}
        if "factor" in inner:
            found["factor"] = inner["factor"][..., order]
        if "matrix" in inner:
            kept = inner["matrix"][..., order, :][..., order]
            found["matrix"] = signs[:, None] * kept * signs
        if "offset" in inner:
            found["offset"] = inner["offset"][..., order] * signs
        return found

    def _components(self, size: int) -> tuple[Array, Array]:
        """Return which component stands where, and with which sign."""
        known = _NAMED_AXES.get(size, "")
        found = re.findall(r"(-?)([a-z])", self.order)
        letters = "".join(letter for _, letter in found)
        if sorted(letters) != sorted(known):
            raise ValueError(
                f"{str(self)!r} must name each of the axes {', '.join(known) or 'x, y, z'} of the "
                f"transformations once"
            )
        order = np.array([known.index(letter) for letter in letters])
        return order, np.array([-1.0 if sign else 1.0 for sign, _ in found])

    @override
    def length(self, element: Element, law: Law) -> int | None:
        length = Vectors().length(element, law)
        self._components(length)  # raises where it names other axes
        return length

    @override
    def __str__(self) -> str:
        return f"{self.inner}[{self.order}]"


@final
@dataclass(frozen=True)
class Pixels(AbstractRepresentation):
    """Places (x, y) in a picture, in pixels from the centre of its top left one, y downwards.

    Args:
        height: Of the picture, in pixels.
        width: Likewise.
    """

    height: int
    width: int

    reads: ClassVar[tuple[str, ...]] = GEOMETRIC

    @override
    def of(self, element: Element, law: Law) -> Axis:
        axis = Reordered(Points(), "x-y").of(element, law)
        centre = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        turned = centre
        if "factor" in axis:
            turned = axis["factor"] * centre
        if "matrix" in axis:
            turned = axis["matrix"] @ centre
        return axis | {"offset": centre - turned + axis.get("offset", 0.0)}

    @override
    def __str__(self) -> str:
        return f"pixels({self.height}, {self.width})"


@checked
def pixels(height: int, width: int) -> Pixels:
    """Declare places in a picture, such as keypoints, that move with its pixels.

    Args:
        height: The height of the picture in pixels.
        width: Its width.

    Returns:
        What ``acts_on`` and ``output_action`` take for such an axis ``(x, y)``: x to the right, y
        downwards, (0, 0) the centre of the top left pixel.
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be positive, got {height} and {width}")
    return Pixels(int(height), int(width))
