"""How does one element of a transformation act on one leaf of one row?

A transform turns its parameter into an *element*: a dict of small arrays (``"matrix"``,
``"shift"``, ``"scale"`` or ``"source"``; ``"parameter"`` for a user's function). The leaf actions
below are the only code that reads elements, so that a new transform never has to know about images,
and a new kind of leaf never has to know about rotations. Everything here is the mathematics of one
row; batching is elsewhere.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, ClassVar, final, override

import jax
import jax.numpy as jnp
import numpy as np

Element = Mapping[str, Any]
"""The arrays that describe one transformation, in the dtype of the leaf they act on."""

Needs = tuple[tuple[str, ...], ...]
"""Sets of element keys."""


class AbstractLeafAction(abc.ABC):
    """The action of one transformation on one leaf of one row."""

    needs: ClassVar[Needs] = ()
    """Sets of element keys, one of which a transform must provide."""

    tolerance: ClassVar[float] = 0.0
    """Relative error of ``g^-1 g x`` that is no mistake (images interpolate)."""

    @property
    def interpolates(self) -> bool:
        """Whether pixels are read between grid points."""
        return False

    @property
    def is_users(self) -> bool:
        """Whether a user's function is called, which JAX may be unable to trace."""
        return False

    def prepare(self, element: Element) -> Element:
        """Return what `apply` reads, computed on the host in float64 for ``(...)`` elements."""
        return element

    @abc.abstractmethod
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        """Return the transformed leaf, of the same shape."""

    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        """Say why a leaf of this row shape cannot be acted on, or return None."""
        return None


@final
@dataclass(frozen=True)
class Invariant(AbstractLeafAction):
    """The leaf does not change."""

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return leaf


_MOST_WRITTEN_OUT = 3
"""Dimensions up to which a product with a matrix is written out: compilers fuse that, and it keeps
full precision where a matrix unit would not."""


def _turned(matrix: jax.Array, vectors: jax.Array) -> jax.Array:
    """Return the product of a matrix with vectors on the last axis."""
    size = matrix.shape[-1]
    if size > _MOST_WRITTEN_OUT:
        return vectors @ matrix.T
    components = (sum(matrix[i, j] * vectors[..., j] for j in range(size)) for i in range(size))
    return jnp.stack(list(components), axis=-1)


@final
@dataclass(frozen=True)
class Vectors(AbstractLeafAction):
    """The last axis is a vector: it turns and reflects, and does not translate."""

    needs: ClassVar[Needs] = (("matrix",), ("scale",), ("shift",))

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        if "scale" in element:
            return leaf * element["scale"]
        return _turned(element["matrix"], leaf) if "matrix" in element else leaf

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        size = next(element[k].shape[-1] for k in ("scale", "matrix", "shift") if k in element)
        if not shape or shape[-1] != size:
            return f"vectors must end in an axis of length {size}"
        return None


@final
@dataclass(frozen=True)
class Points(AbstractLeafAction):
    """The last axis is a position: it turns, reflects and translates."""

    needs: ClassVar[Needs] = (("matrix",), ("scale",), ("shift",))

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        turned = Vectors().apply(element, leaf)
        return turned + element["shift"] if "shift" in element else turned

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        return (Vectors().misfit(shape, element) or "").replace("vectors", "points") or None


@final
@dataclass(frozen=True)
class Columns(AbstractLeafAction):
    """The last axis but one is a vector, such as a cell with its lattice vectors in columns."""

    needs: ClassVar[Needs] = (("matrix",), ("scale",), ("shift",))

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return jnp.swapaxes(Vectors().apply(element, jnp.swapaxes(leaf, -1, -2)), -1, -2)

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        wrong = "it has one axis" if len(shape) < 2 else Vectors().misfit(shape[:-1], element)
        return f"columns must be vectors: {wrong}" if wrong else None


@final
@dataclass(frozen=True)
class Tensors2(AbstractLeafAction):
    """The last two axes are a tensor of order 2, such as a stress: ``T`` becomes ``g T g^T``."""

    needs: ClassVar[Needs] = (("matrix",), ("scale",), ("shift",))

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return Columns().apply(element, Vectors().apply(element, leaf))

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        wrong = Vectors().misfit(shape, element)
        if wrong or len(shape) < 2 or shape[-2] != shape[-1]:
            return "tensors of order 2 must end in two axes of the dimension of the space"
        return None


@final
@dataclass(frozen=True)
class Permuted(AbstractLeafAction):
    """The first axis of the row is a list of items that changes its order."""

    needs: ClassVar[Needs] = (("source",),)

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return leaf[element["source"]]

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        size = element["source"].shape[-1]
        if not shape or shape[0] != size:
            return f"a permuted leaf must have {size} items on its first axis after the row"
        return None


@final
@dataclass(frozen=True)
class Image(AbstractLeafAction):
    """The leaf is an image ``(height, width)`` or ``(height, width, channel)``.

    With `channels_first` it is ``(channel, height, width)``, as PyTorch has it.

    Each output pixel reads the input at the position the inverse transformation sends it to, by
    bilinear interpolation. Positions are measured from the centre of the image, x to the right and
    y upwards, in pixels, so that an image turns the way points do. What lies outside the image
    reads ``fill`` (the corners of a rotated square do), or, with ``wrap``, the opposite side.
    """

    fill: float = 0.0
    wrap: bool = False
    channels_first: bool = False

    needs: ClassVar[Needs] = (("matrix",), ("shift",))
    tolerance: ClassVar[float] = float("inf")

    @property
    @override
    def interpolates(self) -> bool:
        return True

    @override
    def prepare(self, element: Element) -> Element:
        if "matrix" not in element:
            return element
        return {**element, "inverse_matrix": np.linalg.inv(element["matrix"])}

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        if not self.channels_first:
            return self._moved(element, leaf)
        return jnp.moveaxis(self._moved(element, jnp.moveaxis(leaf, 0, -1)), -1, 0)

    def _moved(self, element: Element, leaf: jax.Array) -> jax.Array:
        """Return the moved image, channels last."""
        height, width = leaf.shape[:2]
        row, column = self._source(element, height, width, leaf.dtype)
        flat = jnp.asarray(leaf).reshape((-1, *leaf.shape[2:]))

        def spread(weight: jax.Array) -> jax.Array:
            return weight.reshape(weight.shape + (1,) * (leaf.ndim - 2))

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
        return pixels.reshape(leaf.shape)

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
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        if self.channels_first:
            if len(shape) != 3:
                return "an image with its channels first must be (channel, height, width)"
            if _is_photograph(*shape):
                return "it looks like (height, width, channel): declare it 'image'"
        elif len(shape) not in (2, 3):
            return "an image row must be (height, width) or (height, width, channel)"
        elif len(shape) == 3 and _is_photograph(*shape[1:], shape[0]):
            return "it looks like (channel, height, width): declare it 'image_channels_first'"
        size = element["matrix" if "matrix" in element else "shift"].shape[-1]
        return None if size == 2 else f"a transformation of {size} dimensions cannot act on images"


_MOST_COLOURS = 4
"""Red, green, blue and opacity."""


def _is_photograph(height: int, width: int, channels: int) -> bool:
    """Tell whether these sizes, in this order, are those of a square picture in colours."""
    return channels <= _MOST_COLOURS < height == width


@final
@dataclass(frozen=True)
class Action(AbstractLeafAction):
    """A user's own action, on one leaf or on one output of one row.

    Args:
        function: ``function(parameter, row) -> row``; `parameter` is the transform's parameter
            vector (radians for angles), `row` one row of the leaf. It may be compiled once and
            used again, so arrays it captures must not be changed.
        inverse: ``inverse(parameter, row) -> row``, which undoes `function`. Only outputs need it.
    """

    function: Callable[[Any, Any], Any]
    inverse: Callable[[Any, Any], Any] | None = None

    tolerance: ClassVar[float] = 0.5

    @property
    @override
    def is_users(self) -> bool:
        return True

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return self.function(element["parameter"], leaf)


NAMED_ACTIONS: dict[str, AbstractLeafAction] = {
    "invariant": Invariant(),
    "vectors": Vectors(),
    "points": Points(),
    "columns": Columns(),
    "tensors2": Tensors2(),
    "permuted": Permuted(),
    "image": Image(),
    "image_channels_first": Image(channels_first=True),
}
