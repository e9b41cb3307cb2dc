"""How does a transformation of the plane act on pictures, masks and feature maps?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, ClassVar, final, override

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.transforms.actions import AbstractLeafAction, Reads, within
from equiprob.transforms.kernels import along
from equiprob.transforms.representations import AbstractRepresentation, Element, Law


@final
@dataclass(frozen=True)
class Grid(AbstractLeafAction):
    """The leaf is an image ``(height, width)`` or ``(height, width, channel)``.

    With `channels_first` it is ``(channel, height, width)``, as PyTorch has it.

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
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        if not self.channels_first:
            return self._moved(element, leaf)
        return jnp.moveaxis(self._moved(element, jnp.moveaxis(leaf, 0, -1)), -1, 0)

    def _moved(self, element: Element, leaf: jax.Array) -> jax.Array:
        """Return the moved image, channels last."""
        height, width = leaf.shape[:2]
        dtype = leaf.dtype if jnp.issubdtype(leaf.dtype, jnp.inexact) else jnp.float32
        row, column = self._source(element, height, width, dtype)
        flat = jnp.asarray(leaf).reshape((-1, *leaf.shape[2:]))
        read = self._nearest if self.nearest else self._interpolated
        pixels = read(flat, row, column, height, width).reshape(leaf.shape)
        return pixels if self.fibre is None else along(within(element, "fibre."), pixels, -1)

    def _nearest(
        self, flat: jax.Array, row: jax.Array, column: jax.Array, height: int, width: int
    ) -> jax.Array:
        """Read the nearest pixels ``(pixel, ...)``; 0, and not `fill`, is outside of a mask."""
        down, across = (jnp.floor(at + 0.5).astype(jnp.int32) for at in (row, column))
        if self.wrap:
            down, across = jnp.mod(down, height), jnp.mod(across, width)
        inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
        read = flat.at[down * width + across].get(mode="clip")
        seen = inside.reshape(inside.shape + (1,) * (flat.ndim - 1))
        return jnp.where(seen, read, jnp.zeros((), flat.dtype))

    def _interpolated(
        self, flat: jax.Array, row: jax.Array, column: jax.Array, height: int, width: int
    ) -> jax.Array:
        """Read between pixels ``(pixel, ...)``."""

        def spread(weight: jax.Array) -> jax.Array:
            return weight.reshape(weight.shape + (1,) * (flat.ndim - 1))

        down, across = self._taps(row, height), self._taps(column, width)
        read = [
            flat.at[place_row * width + place_column].get(mode="promise_in_bounds")
            * spread(weight_row * weight_column)
            for place_row, weight_row in down
            for place_column, weight_column in across
        ]
        pixels = reduce(add, read)
        if self.fill:
            total = [reduce(add, [weight for _, weight in taps]) for taps in (down, across)]
            inside = total[0] * total[1]
            pixels = pixels + self.fill * spread(1 - inside)
        return pixels

    def _taps(self, position: jax.Array, size: int) -> list[tuple[jax.Array, jax.Array]]:
        """Return the pixels along one axis that are read, and their weights: 0 outside the image.

        Weights that fall to 0 there need neither a frame around the image nor a mask.
        """
        first = jnp.floor(position)
        if not self.wrap:
            first = jnp.clip(first, 0, max(size - 2, 0))
        taps = [first, first + 1] if self.wrap else [first, first + 1][:size]
        return [
            (
                (jnp.mod(place, size) if self.wrap else place).astype(jnp.int32),
                jnp.maximum(1 - jnp.abs(position - place), 0),
            )
            for place in taps
        ]

    def _source(
        self, element: Element, height: int, width: int, dtype: Any
    ) -> tuple[jax.Array, jax.Array]:
        """Return the (row, column) each output pixel reads, flattened over pixels."""
        rows, columns = jnp.meshgrid(
            jnp.arange(height, dtype=dtype), jnp.arange(width, dtype=dtype), indexing="ij"
        )
        x = columns.ravel() - (width - 1) / 2
        y = (height - 1) / 2 - rows.ravel()
        if "shift" in element:
            x, y = x - element["shift"][0], y - element["shift"][1]
        if "inverse_matrix" in element:
            m = element["inverse_matrix"]
            x, y = m[0, 0] * x + m[0, 1] * y, m[1, 0] * x + m[1, 1] * y
        return (height - 1) / 2 - y, x + (width - 1) / 2

    @override
    def keeps_size(self, element: Element, law: Law) -> bool:
        turn = element.get("matrix", np.eye(2))
        kept = bool(np.allclose(turn @ np.swapaxes(turn, -1, -2), np.eye(turn.shape[-1])))
        return kept and (self.fibre is None or self.fibre.keeps_size(element, law))

    @override
    def misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        word = "mask" if self.nearest else "image"
        if self.channels_first:
            if len(shape) != 3:
                return "an image with its channels first must be (channel, height, width)"
            if self.fibre is None and _is_photograph(*shape):
                return f"it looks like (height, width, channel): declare it '{word}'"
        elif len(shape) not in (2, 3):
            return "an image row must be (height, width) or (height, width, channel)"
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
