"""How do arrays that describe transformations act on batches of leaves?

Written once for NumPy, JAX and PyTorch. Leading axes are batch axes, as many of the arrays as of
the leaf; where one of them has length 1, it is that of the other. There may be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from equiprob.arguments.tensors import is_torch
from equiprob.transforms.grid_sampling import grid_sampled, has_kernel
from equiprob.transforms.namespaces import namespace, product

_MOST_WRITTEN_OUT = 3
"""Dimensions up to which a product with a matrix is written out: compilers fuse that, and it keeps
full precision where a matrix unit would not."""


def along(arrays: Mapping[str, Any], leaf: Any, axis: int) -> Any:
    """Act along one axis of a leaf: put it in order, multiply, turn, shift, as far as given.

    Args:
        arrays: ``order`` ``(*batch, k)`` (place i takes entry ``order[i]``), ``factor``
            ``(*batch, k)``, ``matrix`` ``(*batch, k, k)``, ``offset`` ``(*batch, k)``, and ``sign``
            ``(*batch,)``, which multiplies the whole leaf.
        leaf: ``(*batch, *row)``.
        axis: The axis, counted from the end: -1 is the last one.

    Returns:
        The leaf, of the same shape.
    """
    if "order" in arrays:
        order = _at(arrays["order"], axis, leaf.ndim)
        leaf = namespace(leaf).take_along_axis(leaf, order, axis=axis)
    if "factor" in arrays:
        leaf = leaf * _at(arrays["factor"], axis, leaf.ndim)
    if "matrix" in arrays:
        leaf = _turned(arrays["matrix"], leaf, axis)
    if "offset" in arrays:
        leaf = leaf + _at(arrays["offset"], axis, leaf.ndim)
    if "sign" in arrays:
        sign = arrays["sign"]
        leaf = leaf * sign.reshape((*sign.shape, *[1] * (leaf.ndim - sign.ndim)))
    return leaf


def _at(values: Any, axis: int, ndim: int) -> Any:
    """Return ``(*batch, k)`` in a shape that lies along one axis of a leaf of `ndim` axes."""
    *batch, size = values.shape
    shape = [*batch, *[1] * (ndim - len(batch))]
    shape[axis] = size
    return values.reshape(shape)


def _turned(matrix: Any, leaf: Any, axis: int) -> Any:
    """Return the product of matrices ``(*batch, k, k)`` with the vectors on an axis of a leaf."""
    xp = namespace(leaf)
    vectors = leaf if axis == -1 else xp.moveaxis(leaf, axis, -1)
    *batch, _, size = matrix.shape
    axes = len(batch)
    if size > _MOST_WRITTEN_OUT:
        flat = product(vectors.reshape((*vectors.shape[:axes], -1, size)), matrix.mT)
        turned = flat.reshape((*flat.shape[:axes], *vectors.shape[axes:]))
    else:
        entry = (*batch, *[1] * (vectors.ndim - 1 - axes))
        parts = [
            sum(matrix[..., i, j].reshape(entry) * vectors[..., j] for j in range(size))
            for i in range(size)
        ]
        turned = xp.stack(parts, axis=-1)
    return turned if axis == -1 else xp.moveaxis(turned, -1, axis)


def relabel(place: Any, leaf: Any) -> Any:
    """Let integers that name items follow them; others, such as the -1 of padding, stay.

    Args:
        place: Where each item moves to, ``(*batch, items)``.
        leaf: Integers ``(*batch, *row)``.
    """
    xp = namespace(leaf)
    *batch, items = place.shape
    axes = len(batch)
    flat = leaf.reshape((*leaf.shape[:axes], -1))
    names = (flat >= 0) & (flat < items)
    new = xp.take_along_axis(place, xp.where(names, flat, 0), axis=-1)
    moved = xp.where(names, xp.astype(new, flat.dtype), flat)
    return moved.reshape((*moved.shape[:axes], *leaf.shape[axes:]))


def resample(
    arrays: Mapping[str, Any],
    leaf: Any,
    *,
    fill: float = 0.0,
    wrap: bool = False,
    nearest: bool = False,
) -> Any:
    """Read pictures where the inverse transformation sends each of their pixels.

    Args:
        arrays: ``shift`` ``(*batch, 2)``, in pixels, and ``inverse_matrix`` ``(*batch, 2, 2)``, or
            one of them. Positions are measured from the centre, x to the right and y upwards.
        leaf: ``(*batch, height, width, channel)``.
        fill: What is read outside the picture, where it is interpolated; 0 otherwise.
        wrap: Whether the picture continues on the opposite side instead.
        nearest: Whether each pixel reads the nearest one, rather than between four.

    Returns:
        The pictures, of the same shape.
    """
    xp, (height, width) = namespace(leaf), leaf.shape[-3:-1]
    row, column = _sources(arrays, leaf)
    if is_torch(leaf) and not nearest and has_kernel(leaf):
        return grid_sampled(row, column, leaf, fill=fill, wrap=wrap)
    flat = leaf.reshape((*leaf.shape[:-3], height * width, leaf.shape[-1]))
    # Every place lies within: to know it saves JAX a comparison.
    known = {"mode": "promise_in_bounds"} if hasattr(leaf, "at") else {}

    def read(down: Any, across: Any) -> Any:
        places = (down * width + across)[..., None]
        return xp.take_along_axis(flat, places, axis=-2, **known)

    if nearest:
        down, inside_down = _nearest(xp, row, height, wrap=wrap)
        across, inside_across = _nearest(xp, column, width, wrap=wrap)
        pixels = read(down, across)
        inside = (inside_down & inside_across)[..., None]
        pixels = xp.where(inside, pixels, xp.zeros_like(pixels))
    else:
        downs, acrosses = _taps(xp, row, height, wrap=wrap), _taps(xp, column, width, wrap=wrap)
        pixels = reduce(
            add,
            [
                read(down, across) * (weight_down * weight_across)[..., None]
                for down, weight_down in downs
                for across, weight_across in acrosses
            ],
        )
        if fill:
            total = [reduce(add, [weight for _, weight in taps]) for taps in (downs, acrosses)]
            pixels = pixels + fill * (1 - total[0] * total[1])[..., None]
    return pixels.reshape((*pixels.shape[:-2], height, width, leaf.shape[-1]))


def _sources(arrays: Mapping[str, Any], leaf: Any) -> tuple[Any, Any]:
    """Return the row and the column ``(*batch, pixel)`` that each pixel reads."""
    xp, (height, width) = namespace(leaf), leaf.shape[-3:-1]
    dtype = next(iter(arrays.values())).dtype
    # A grid: broadcasting one axis over the other takes XLA a tenth longer.
    sides = [xp.arange(size, dtype=dtype) for size in (height, width)]
    down, across = xp.meshgrid(*sides, indexing="ij")
    x = across.reshape(-1) - (width - 1) / 2
    y = (height - 1) / 2 - down.reshape(-1)
    if "shift" in arrays:
        shift = arrays["shift"]
        x, y = x - shift[..., :1], y - shift[..., 1:]
    if "inverse_matrix" in arrays:
        m = arrays["inverse_matrix"][..., None]
        x, y = m[..., 0, 0, :] * x + m[..., 0, 1, :] * y, m[..., 1, 0, :] * x + m[..., 1, 1, :] * y
    return (height - 1) / 2 - y, x + (width - 1) / 2


def _nearest(xp: Any, position: Any, size: int, *, wrap: bool) -> tuple[Any, Any]:
    """Return the nearest pixel along one axis, and whether there is one."""
    place = xp.floor(position + 0.5)
    if wrap:
        place = xp.remainder(place, size)
    inside = (place >= 0) & (place < size)
    return xp.astype(xp.clip(place, 0, size - 1), xp.int32), inside


def _taps(xp: Any, position: Any, size: int, *, wrap: bool) -> list[tuple[Any, Any]]:
    """Return the pixels along one axis that are read, and their weights: 0 outside the picture.

    Weights that fall to 0 there need neither a frame around the picture nor a mask.
    """
    first = xp.floor(position)
    if not wrap:
        first = xp.clip(first, 0, max(size - 2, 0))
    taps = [first, first + 1] if wrap else [first, first + 1][:size]
    return [
        (
            xp.astype(xp.remainder(place, size) if wrap else place, xp.int32),
            xp.clip(1 - xp.abs(position - place), 0, None),
        )
        for place in taps
    ]
