"""How do arrays that describe transformations act on batches of leaves?

Written once against the namespace of the arrays (NumPy's, JAX's or any other that follows the array
standard): leading axes are batch axes, the same for the arrays and the leaf, and there may be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        xp = leaf.__array_namespace__()
        order = _at(arrays["order"], axis, leaf.ndim)
        leaf = xp.take_along_axis(leaf, order, axis=axis)
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
    xp = leaf.__array_namespace__()
    vectors = leaf if axis == -1 else xp.moveaxis(leaf, axis, -1)
    *batch, _, size = matrix.shape
    if size > _MOST_WRITTEN_OUT:
        flat = vectors.reshape((*batch, -1, size))
        turned = (flat @ xp.matrix_transpose(matrix)).reshape(vectors.shape)
    else:
        entry = (*batch, *[1] * (vectors.ndim - 1 - len(batch)))
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
    xp = leaf.__array_namespace__()
    *batch, items = place.shape
    flat = leaf.reshape((*batch, -1))
    names = (flat >= 0) & (flat < items)
    new = xp.take_along_axis(place, xp.where(names, flat, 0), axis=-1)
    return xp.where(names, new.astype(flat.dtype), flat).reshape(leaf.shape)
