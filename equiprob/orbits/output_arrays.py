"""What may a model return, and what may it be compared with?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_array
from equiprob.arguments.names import check_names
from equiprob.orbits.output import DEFAULT_OUTPUT
from equiprob.orbits.statistics import LARGEST, is_usable
from equiprob.orbits.table import describe_rows


def named_outputs(output: Any, n: int) -> dict[Any, Any]:
    """Return the outputs (or their shapes) of `n` rows by name, in the order of JAX's leaves.

    Raises:
        TypeError: If they are not floating-point arrays, one or a flat dict of them.
        ValueError: If they do not hold `n` rows.
    """
    if isinstance(output, Mapping):
        leaves = jax.tree_util.tree_flatten_with_path(output)[0]
        if not leaves or any(len(path) != 1 for path, _ in leaves):
            raise TypeError("predict returned a nested or empty dict; return a flat dict of arrays")
        named = {path[0].key: leaf for path, leaf in leaves}
        check_names("an output's name", named)
    else:
        named = {DEFAULT_OUTPUT: output}
    for name, leaf in named.items():
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise TypeError(
                f"predict returned {type(leaf).__name__} for {name!r}, which is not an array of "
                f"numbers; return one array (row, ...) or a dict of named arrays"
            )
        if not leaf.shape or leaf.shape[0] != n:
            raise ValueError(
                f"predict changed the batch: given {n} rows it returned shape {leaf.shape} for "
                f"{name!r}; return one output for each row, rows first"
            )
        if not all(leaf.shape[1:]):
            raise ValueError(
                f"predict returned shape {leaf.shape} for {name!r}, in which there is no number; "
                f"return at least one for each row"
            )
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise TypeError(
                f"predict returned {leaf.dtype} for {name!r}; return the real and the imaginary "
                f"part, np.stack([z.real, z.imag], axis=-1), and declare how both change"
            )
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            others = f", or leave out all but one of {list(named)}" if len(named) > 1 else ""
            raise TypeError(
                f"predict returned {leaf.dtype} for {name!r}; return floats (class probabilities "
                f"rather than labels, predict_proba rather than predict){others}"
            )
    return named


def is_numeric(dtype: Any) -> bool:
    """Whether a dtype is of numbers or booleans."""
    return jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_)


def checked_targets(y: Any, n: int, start: int = 0) -> Any:
    """Return `y` as an array or a dict of arrays of numbers with `n` rows, or None.

    Args:
        y: The targets.
        n: How many rows there are.
        start: The number of the first.
    """
    if y is None:
        return None
    if isinstance(y, Mapping) and not y:
        raise ValueError("y holds no targets; leave it out, or pass an array for each output")
    arrays = {k: as_array("y", v) for k, v in (y if isinstance(y, Mapping) else {None: y}).items()}
    for key, array in arrays.items():
        name = "y" if key is None else f"y[{key!r}]"
        if array.ndim == 0 or len(array) != n:
            raise ValueError(
                f"{name} has shape {array.shape}, but x has {n} rows; pass one target for each row"
            )
        if array.dtype.kind == "c":
            raise ValueError(
                f"{name} has dtype {array.dtype}, of which the imaginary part would be lost; pass "
                f"both, np.stack([y.real, y.imag], axis=-1), beside outputs like that"
            )
        if not is_numeric(array.dtype):
            raise ValueError(
                f"{name} has dtype {array.dtype}; pass floats shaped like the output, or class "
                f"labels as integers from 0"
            )
        bad = ~np.isfinite(array.astype(np.float64)).reshape(n, -1).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{name} is not finite in rows {describe_rows(start + np.flatnonzero(bad))}; drop "
                f"these rows"
            )
    return arrays if isinstance(y, Mapping) else arrays[None]


def named_targets(y: Any, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the target given for each output, or None."""
    if y is None:
        return dict.fromkeys(outputs)
    if isinstance(y, dict):
        unknown = sorted(set(y) - set(outputs))
        if unknown:
            raise ValueError(f"y names {unknown}, but the outputs are {list(outputs)}")
        return {name: y.get(name) for name in outputs}
    if len(outputs) == 1:
        return {next(iter(outputs)): y}
    raise ValueError(f"pass y as a dict: the model has the outputs {list(outputs)}")


def are_labels(y: NDArray[Any] | None) -> bool:
    """Whether a target holds class labels: one integer or boolean a row."""
    return y is not None and y.dtype.kind in "iub" and y.shape[1:] in ((), (1,))


def check_target(y: NDArray[Any] | None, shape: Any) -> None:
    """Check a target against the shape of its output, rows first.

    Raises:
        ValueError: If it does not fit.
    """
    if y is None:
        return
    row_shape = tuple(shape.shape[1:])
    if not are_labels(y):
        if y.shape[1:] != row_shape:
            raise ValueError(
                f"y has rows of shape {y.shape[1:]}, but predict returns rows of shape {row_shape};"
                f" pass targets shaped like the output, or integer class labels"
            )
        return
    if len(row_shape) != 1 or row_shape[0] < 2:
        raise ValueError(
            f"y holds integer labels, but predict returns rows of shape {row_shape}; return "
            f"class probabilities (row, class), or pass y as floats for a regression"
        )
    classes = row_shape[0]
    if y.min() < 0 or y.max() >= classes:
        raise ValueError(
            f"y holds labels from {y.min()} to {y.max()}, but predict returns {classes} classes"
            f"; labels must lie in 0..{classes - 1}"
        )


def encoded(y: NDArray[Any] | None, shape: Any) -> NDArray[np.float64] | None:
    """Return a target as ``(row, k)`` float64, labels one-hot."""
    check_target(y, shape)
    if y is None:
        return None
    if are_labels(y):
        return np.eye(shape.shape[1])[y.reshape(-1).astype(int)]
    return y.reshape(len(y), -1).astype(np.float64)


def check_sizes(name: str, y: NDArray[np.float64] | None, start: int) -> None:
    """Refuse targets whose squared errors cannot be averaged.

    Args:
        name: The name of the output.
        y: Targets ``(row, k)`` in its unit, or None.
        start: The number of the first row.

    Raises:
        ValueError: If one is larger than `LARGEST`.
    """
    bad = np.zeros(0, bool) if y is None else ~is_usable(y).all(axis=1)
    if bad.any():
        raise ValueError(
            f"the targets of {name!r} are larger than {LARGEST:g} in rows "
            f"{describe_rows(start + np.flatnonzero(bad))}, so that squared errors cannot be "
            f"averaged in float64; drop these rows, or give outputs and targets in a larger unit"
        )


def check_probabilities(name: str, base: NDArray[np.float64], dtype: Any, start: int) -> None:
    """Refuse outputs compared with class labels that are not probabilities.

    Args:
        name: The name of the output.
        base: Outputs ``(row, class)``.
        dtype: The dtype they came in.
        start: The number of the first row.
    """
    slack = max(1e-3, 4 * float(jnp.finfo(dtype).eps))
    outside = ((base < -slack) | (base > 1 + slack)).any(axis=1)
    bad = np.isfinite(base).all(axis=1) & (outside | (np.abs(base.sum(axis=1) - 1) > slack))
    if bad.any():
        row = np.flatnonzero(bad)[0]
        raise ValueError(
            f"y holds class labels, so {name!r} must hold class probabilities (in [0, 1], with sum "
            f"1), but row {start + row} is {np.array2string(base[row], precision=3, threshold=6)}; "
            f"apply a softmax in predict (jax.nn.softmax; .softmax(-1) in call= of from_torch; "
            f"--softmax on the command line), or return predict_proba"
        )
