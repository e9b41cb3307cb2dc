"""How does a transformation of the plane act on pictures, masks and feature maps?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final, override

import numpy as np

from equiprob.transforms.actions import AbstractLeafAction, Reads, within
from equiprob.transforms.kernels import along, resample
from equiprob.transforms.namespaces import namespace
from equiprob.transforms.representations import AbstractRepresentation, Element, Law


@final
@dataclass(frozen=True)
class Grid(AbstractLeafAction):
    """The leaf is an image ``(height, width)`` or ``(height, width, channel)``.

    With `channels_first` it is ``(channel, height, width)``, as PyTorch has it, or a stack of
    such images, all of which move alike.

    Each output pixel reads the input at the position the inverse transformation sends it to, by
    bilinear interpolation. Positions are measured from the centre of the image, x to the right and
    y upwards, in pixels, so that an image turns the way points do. What lies outside the image
    reads ``fill`` (the corners of a rotated square do), or, with ``wrap``, the opposite side.

    Args:
        fill: What lies outside the image.
        wrap: Whether the image continues on the opposite side instead.
        channels_first: Whether channels come before height and width.
        nearest: Whether each pixel reads the nearest one alone, as the classes of a mask need.
        stride: How many pixels of the input one of these is apart, as in a feature map.
        fibre: What the channels hold, where they move with their pixel.
    """

    fill: float = 0.0
    wrap: bool = False
    channels_first: bool = False
    nearest: bool = False
    stride: float = 1.0
    fibre: AbstractRepresentation | None = None

    tolerance: ClassVar[float] = float("inf")

    @property
    @override
    def requires(self) -> Reads:
        grid = ("matrix", "shift")
        return (grid,) if self.fibre is None else (grid, self.fibre.reads)

    @property
    @override
    def keeps_integers(self) -> bool:
        return self.nearest and (self.fibre is None or self.fibre.keeps_integers)

    @property
    @override
    def interpolates(self) -> bool:
        return True

    @override
    def prepare(self, element: Element, law: Law) -> Element:
        found: dict[str, Any] = {}
        if "shift" in element:
            found["shift"] = element["shift"] / self.stride
        if "matrix" in element:
            found["inverse_matrix"] = np.linalg.inv(element["matrix"])
        fibre = {} if self.fibre is None else self.fibre.of(element, law)
        return found | {f"fibre.{name}": values for name, values in fibre.items()}

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        xp = namespace(leaf)
        alone, shape = leaf.ndim == axes + 2, leaf.shape  # without an axis of channels
        if self.channels_first:
            leaf = leaf.reshape((*shape[:axes], -1, *shape[-2:]))
            leaf = xp.moveaxis(leaf, -3, -1)
        last = leaf[..., None] if alone else leaf
        last = resample(element, last, fill=self.fill, wrap=self.wrap, nearest=self.nearest)
        if self.fibre is not None:
            last = along(within(element, "fibre."), last, -1)
        if self.channels_first:
            last = xp.moveaxis(last, -1, -3)
            return last.reshape((*last.shape[:axes], *shape[axes:]))
        return last[..., 0] if alone else last

    @override
    def keeps_size(self, element: Element, law: Law) -> bool:
        turn = element.get("matrix", np.eye(2))
        kept = bool(np.allclose(turn @ np.swapaxes(turn, -1, -2), np.eye(turn.shape[-1])))
        return kept and (self.fibre is None or self.fibre.keeps_size(element, law))

    @override
    def misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        word = "mask" if self.nearest else "image"
        if self.channels_first:
            if len(shape) < 3:
                return "an image with its channels first must be (channel, height, width)"
            if self.fibre is None and _is_photograph(*shape[-3:]):
                return f"it looks like (height, width, channel): declare it '{word}'"
        elif len(shape) not in (2, 3):
            return (
                f"an image row must be (height, width) or (height, width, channel); declare a "
                f"stack of images, such as a video, '{word}_channels_first', with height and width "
                f"as its last axes"
            )
        elif self.fibre is None and len(shape) == 3 and _is_photograph(*shape[1:], shape[0]):
            return f"it looks like (channel, height, width): declare it '{word}_channels_first'"
        size = element["matrix" if "matrix" in element else "shift"].shape[-1]
        if size != 2:
            return f"a transformation of {size} dimensions cannot act on images"
        return self._fibre_misfit(shape, element, law)

    def _fibre_misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        """Say why the channels cannot be acted on, or return None."""
        if self.fibre is None:
            return None
        if len(shape) != 3:
            return f"it has no channels that could be {self.fibre}"
        try:
            expected = self.fibre.length(element, law)
        except ValueError as error:
            return str(error)
        channels = shape[0 if self.channels_first else -1]
        if expected in (None, channels):
            return None
        return f"{self.fibre} takes {expected} channels, and it has {channels}"

    def __str__(self) -> str:
        """Return the words for it."""
        word = ("mask" if self.nearest else "image") + "_channels_first" * self.channels_first
        stride = "" if self.stride == 1 else f"/{self.stride:g}"
        return f"{word}{stride}" + ("" if self.fibre is None else f" of {self.fibre}")


_MOST_COLOURS = 4
"""Red, green, blue and opacity."""


def _is_photograph(height: int, width: int, channels: int) -> bool:
    """Tell whether these sizes, in this order, are those of a square picture in colours."""
    return channels <= _MOST_COLOURS < height == width
