"""Rounding, or a bug?

What rounding makes of a model and of its action is what a pass in float64 lacks: the difference of
the two displacements, on a few rows. Only models that JAX can trace, and that do not fix their own
precision, have such a pass; elsewhere the change of the output under one rounding of the input
stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.rows import act_on_row

PROBED_ROWS = 32
PROBED_TRANSFORMS = 4

IN_QUESTION = 1000.0
"""Only an error below so many roundings of the input can be one: others need no float64 pass."""

_LEAST = 0.05
"""A float64 pass that differs by less than this share of an input's rounding was none: the model
computes in a precision of its own."""


def float64_floors(
    predict: Callable[[Any], Any],
    transform: AbstractTransform,
    x: Any,
    parameters: Parameters,
    input_floors: list[float],
    factors: list[NDArray[np.float64] | None],
) -> list[float] | None:
    """Return the rms rounding error of the displacements of each output; None without such a pass.

    Args:
        predict: A model that JAX can trace.
        transform: The transform.
        x: A few rows, as the model sees them.
        parameters: ``(row, transformation, n_parameters)``.
        input_floors: The change of each output under one rounding of the input.
        factors: What each output ``(row, k)`` is multiplied by (0 for padding), or None.
    """
    low = _displacements(predict, transform, _cast(x, None), parameters)
    try:
        with jax.enable_x64(True):
            high = _displacements(predict, transform, _cast(x, np.float64), parameters)
    except Exception:  # a model may fail in float64 in ways of its own: it has no such pass then
        return None
    if any(leaf.dtype != np.float64 for leaf in high):
        return None
    floors = []
    for one, other, least, factor in zip(low, high, input_floors, factors, strict=True):
        difference = (one.astype(np.float64) - other).reshape(len(one), -1)
        if factor is not None:
            each = np.repeat(factor, parameters.shape[1], axis=0)
            zeros = np.zeros(difference.shape)
            difference = np.multiply(difference, each, where=each != 0, out=zeros)
        floor = float(np.sqrt((difference**2).sum(axis=1).mean()))
        if not np.isfinite(floor) or floor < _LEAST * least:
            return None
        floors.append(floor)
    return floors


def is_low_precision(x: Any) -> bool:
    """Whether all floating-point leaves are narrower than float64."""
    kinds = [leaf.dtype for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return bool(kinds) and all(jax.dtypes.canonicalize_dtype(k) != np.float64 for k in kinds)


def _cast(x: Any, dtype: Any) -> Any:
    """Return float leaves in a dtype; in JAX's own where none is given."""

    def leaf(values: Any) -> Any:
        if not jnp.issubdtype(values.dtype, jnp.floating):
            return np.asarray(values)
        return np.asarray(values, dtype or jax.dtypes.canonicalize_dtype(values.dtype))

    return jax.tree.map(leaf, x)


def _displacements(
    predict: Callable[[Any], Any], transform: AbstractTransform, x: Any, parameters: Parameters
) -> list[NDArray[Any]]:
    """Return the displacements of each output, ``(row and transformation, ...)``."""
    n, m = parameters.shape[:2]
    rows = jax.tree.map(lambda leaf: np.repeat(leaf, m, axis=0), x)
    each = parameters.reshape(n * m, -1)
    inward = transform.input_actions(x)
    there = transform.leaf_elements(inward, each, [leaf.dtype for leaf in jax.tree.leaves(x)])
    output = jax.eval_shape(lambda batch: predict(batch), rows)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(output)]
    back, home = transform.inverse_elements(transform.output_actions(output), each, dtypes)

    @jax.jit
    def run(rows: Any, there: Any, home: Any) -> Any:
        moved = jax.vmap(partial(act_on_row, inward))(there, rows)
        returned = jax.vmap(partial(act_on_row, back))(home, predict(moved))
        return jax.tree.map(lambda a, b: a - b, returned, predict(rows))

    return [np.asarray(leaf) for leaf in jax.tree.leaves(run(rows, there, home))]
