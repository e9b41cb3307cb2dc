"""Shifts of points, or of images in their frame or around a torus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import LARGEST, require_count, require_size
from equiprob.transforms.law import Parameters
from equiprob.transforms.shifts import AbstractShifts
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Translations(AbstractShifts):
    """Uniform shifts in a box; made by `translations`."""

    max_shift: float
    dimensions: int = 2
    whole: bool = False

    magnitude_label = "largest shift along an axis"
    magnitude_unit = "input units"

    def __post_init__(self) -> None:
        """Check the range and the dimension."""
        require_size("max_shift", self.max_shift, LARGEST)
        require_count("dimensions", self.dimensions, 1)
        if self.whole and self.max_shift != int(self.max_shift):
            raise ValueError(f"with whole=True max_shift must be an integer, got {self.max_shift}")

    def __str__(self) -> str:
        """Name the transform for people."""
        kind = "whole shifts" if self.whole else "shifts"
        return f"translations({kind} up to {self.max_shift:g})"

    @property
    @override
    def n_uniforms(self) -> int:
        return self.dimensions

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        if self.whole:
            return np.floor(uniforms * (2 * self.max_shift + 1)) - self.max_shift
        return (2 * uniforms - 1) * self.max_shift

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"shift": parameters}

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        if self.whole:
            return ()
        names = "xyz" if self.dimensions <= 3 else range(self.dimensions)
        return tuple(
            (f"shift {name}", self.magnitude_unit) for name in list(names)[: self.dimensions]
        )

    @override
    def restricted(self, max_magnitude: float) -> Self:
        largest = np.floor(max_magnitude + 1e-9) if self.whole else max_magnitude
        if largest <= 0:
            raise ValueError(f"{self} has no shifts up to {max_magnitude} other than none")
        return replace(self, max_shift=min(float(largest), self.max_shift))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        if self.whole:
            share = (2 * np.floor(max_magnitude + 1e-9) + 1) / (2 * self.max_shift + 1)
        else:
            share = max_magnitude / self.max_shift
        return min(float(share), 1.0) ** self.dimensions


@checked
def translations(
    max_shift: float,
    *,
    dimensions: int = 2,
    whole: bool = False,
    acts_on: Any = "points",
    output_action: Any = "invariant",
    fill: float = 0.0,
    wrap: bool = False,
) -> Transform:
    """Shift points or images by a random amount, uniform in a box.

    Args:
        max_shift: Shifts along each axis are uniform in [-max_shift, max_shift], in the units of
            the points or in pixels.
        dimensions: The number of axes shifted; 2 for images (x to the right, y upwards).
        whole: Shift by whole numbers only, which images do without interpolation.
        acts_on: How the input transforms: ``"points"``, ``"vectors"`` (which do not move),
            ``"image"``, ``"invariant"``, a function, or a dict of these by leaf.
        output_action: How the output transforms, in the same words.
        fill: What an image reads outside its frame.
        wrap: Images continue on the opposite side instead.

    Returns:
        The transform. Translations are not compact: the law is never marked as a Haar measure.

    Raises:
        ValueError: If `max_shift` is not positive, or not an integer with `whole`.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.translations(2.5))
        translations(shifts up to 2.5)
    """
    law = Translations(max_shift=float(max_shift), dimensions=dimensions, whole=whole)
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill, wrap=wrap)
