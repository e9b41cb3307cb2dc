"""Rounding, or a bug?

What rounding makes of a model and of its action is what a pass in float64 lacks: the difference of
the two displacements, on a few rows. Only models that JAX can trace, and that do not fix their own
precision, have such a pass; elsewhere the change of the output under one rounding of the input
stands in for it (`equiprob.orbits.probe`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.output import Measure
from equiprob.orbits.precision import root_mean_square, rounding_of
from equiprob.orbits.programs import equations, trace, traced_once
from equiprob.transforms.acting import displacement
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

PROBED_ROWS = 32
PROBED_TRANSFORMS = 4

IN_QUESTION = 1000.0
"""Only an error below so many roundings of the input can be one: others need no float64 pass."""

_WIDE = np.dtype(np.float64)

_LEAST = 0.25
"""Roundings of its own size that an output makes at least, whatever the pass in float64 says."""


def float64_floors(
    predict: Callable[[Any], Any],
    transform: Transform,
    x: Any,
    parameters: Parameters,
    measures: list[Measure],
) -> list[float] | None:
    """Return the rms rounding error of the displacements of each output; None without such a pass.

    Args:
        predict: A model that JAX can trace.
        transform: The transform.
        x: A few rows, as the model sees them.
        parameters: ``(row, transformation, n_parameters)``.
        measures: How each output is kept.
    """
    acting = transform.on(x)
    if acting.changes_shape or acting.makes_rows:  # no program serves rows of several shapes
        return None
    low, base = _displacements(predict, transform, _cast(x, None), parameters)
    try:
        with jax.enable_x64(True):
            wide = _cast(x, np.float64)
            if _narrows(trace(predict, wide)[0].jaxpr):
                return None
            high, _ = _displacements(predict, transform, wide, parameters)
    except Exception:  # a model may fail in float64 in ways of its own: it has no such pass then
        return None
    if any(leaf.dtype != np.float64 for leaf in high):
        return None
    floors = []
    for one, other, output, measure in zip(low, high, base, measures, strict=True):
        rows = np.repeat(np.arange(len(output)), parameters.shape[1])
        apart = (one.astype(np.float64) - other).reshape(len(one), -1)
        size = root_mean_square(measure.kept(output.reshape(len(output), -1).astype(np.float64)))
        floor = root_mean_square(measure.at(rows).kept(apart))
        if not (np.isfinite(floor) and np.isfinite(size)):
            return None
        floors.append(max(floor, _LEAST * rounding_of(output.dtype) * size))
    return floors


def _narrows(jaxpr: Any) -> bool:
    """Whether some number in float64 is made shorter: the model computes in its own precision."""

    def dtypes(variables: Any) -> list[Any]:
        shaped = (v.aval for v in variables if hasattr(v.aval, "dtype"))
        return [v.dtype for v in shaped if jnp.issubdtype(v.dtype, jnp.floating)]

    return any(
        np.float64 in dtypes(equation.invars) and set(dtypes(equation.outvars)) - {_WIDE}
        for equation in equations(jaxpr)
    )


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
    predict: Callable[[Any], Any], transform: Transform, x: Any, parameters: Parameters
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return each output's displacements ``(row and transformation, ...)``, and its outputs."""
    n, m = parameters.shape[:2]
    model = traced_once(predict)
    rows = jax.tree.map(lambda leaf: np.repeat(leaf, m, axis=0), x)
    output = jax.eval_shape(model, rows)
    moves = transform.on(x, output).at(parameters.reshape(n * m, -1))
    apart, outputs = jax.jit(partial(displacement, model))(moves, rows)
    each = [np.asarray(leaf)[::m] for leaf in jax.tree.leaves(outputs)]
    return [np.asarray(leaf) for leaf in jax.tree.leaves(apart)], each
