"""How steep is a model where the data are?

The norm of the Jacobian at each row where JAX can differentiate the model, the steepest of the
lines to some neighbours otherwise. Either is a lower bound on the Lipschitz constant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.arguments.arrays import masked_as_nan
from equiprob.arguments.calls import calling
from equiprob.orbits.backend_choice import choose_backend
from equiprob.orbits.failures import naming_rows
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.statistics import is_usable
from equiprob.transforms.transform import Transform

_BATCH = 128
_ITERATIONS = 32


def row_slopes(
    predict: Callable[..., Any],
    x: Any,
    transform: Transform,
    rows: Index,
    neighbours: Index,
    distances: Array,
) -> tuple[Array, str]:
    """Return the slope of a model at some rows ``(row,)``, NaN where it is not finite, and how.

    Args:
        predict: The model, of one output.
        x: Its inputs.
        transform: The transform (which decides how the model can be called).
        rows: The rows.
        neighbours: Nearest neighbours of each ``(row, neighbour)``, for models that JAX cannot
            differentiate.
        distances: And how far they are.

    Raises:
        ValueError: If the model has several outputs.
    """
    x = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), x)
    size = min(_BATCH, len(rows))
    with calling("predict"):
        engine = choose_backend(predict, transform, take_rows(x, rows[:size]), "auto")
    outputs = named_outputs(engine.output, size)
    if len(outputs) > 1:
        raise ValueError(
            f"predict has the outputs {list(outputs)}: pass one, as in "
            f"predict=lambda batch: predict(batch)[{next(iter(outputs))!r}]"
        )
    if engine.name == "jax":
        return _jacobian_norms(predict, x, rows, size), "Jacobian norms"
    return _pair_slopes(predict, x, rows, neighbours, distances), "pair slopes"


def _in_batches(function: Callable[[Any], Any], x: Any, rows: Index, size: int) -> Array:
    """Return a function of batches of exactly `size` rows, over all rows, as ``(row, ...)``."""
    parts = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        with naming_rows(int(part[0]), int(part[-1]) + 1):
            values = np.asarray(function(take_rows(x, np.resize(part, size))), dtype=np.float64)
        parts.append(values[: len(part)])
    return np.concatenate(parts)


def _jacobian_norms(predict: Callable[..., Any], x: Any, rows: Index, size: int) -> Array:
    """Return the spectral norms of the Jacobians ``(row,)``, by power iteration."""

    def output(batch: Any) -> jax.Array:
        return jax.tree.leaves(predict(batch))[0].reshape(size, -1)

    def scaled(batch: Any) -> Any:
        """Scale the rows of a tangent to unit length."""
        squares = sum(jnp.sum(v.reshape(size, -1) ** 2, axis=1) for v in jax.tree.leaves(batch))
        norm = jnp.maximum(jnp.sqrt(squares), jnp.finfo(jnp.float32).tiny)
        return jax.tree.map(lambda v: v / norm.reshape(size, *(1,) * (v.ndim - 1)), batch)

    @jax.jit
    def norms(batch: Any) -> jax.Array:
        # Rows are treated separately: one product with the Jacobian serves all of them.
        values, forward = jax.linearize(output, batch)
        backward = jax.linear_transpose(forward, batch)

        def step(_: Any, tangent: Any) -> Any:
            return scaled(backward(forward(tangent))[0])

        keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(batch)))
        start = jax.tree.unflatten(
            jax.tree.structure(batch),
            [
                jax.random.normal(key, v.shape, v.dtype)
                for key, v in zip(keys, jax.tree.leaves(batch), strict=True)
            ],
        )
        tangent = jax.lax.fori_loop(0, _ITERATIONS, step, scaled(start))
        # A row whose output is not finite has no slope, even where its derivative is finite.
        finite = jnp.isfinite(values).all(axis=1)
        return jnp.where(finite, jnp.linalg.norm(forward(tangent), axis=1), jnp.nan)

    return _in_batches(norms, x, rows, size)


def _pair_slopes(
    predict: Callable[..., Any], x: Any, rows: Index, neighbours: Index, distances: Array
) -> Array:
    """Return the steepest line from each row to one of its neighbours, ``(row,)``."""
    wanted, place = np.unique(np.column_stack([rows, neighbours]), return_inverse=True)
    place = place.reshape(len(rows), -1)

    def leaf(batch: Any) -> Array:
        values = jax.tree.leaves(predict(batch))[0]
        numbers = masked_as_nan(values).astype(np.float64).reshape(len(values), -1)
        return np.where(is_usable(numbers), numbers, np.nan)

    outputs = _in_batches(leaf, x, wanted, min(_BATCH, len(wanted)))
    apart = outputs[place[:, 1:]] - outputs[place[:, :1]]
    return (np.linalg.norm(apart, axis=2) / distances).max(axis=1)
