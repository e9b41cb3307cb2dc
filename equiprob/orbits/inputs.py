"""What may be passed as rows, and how are they told apart?"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_array, refuse_masks
from equiprob.orbits.keys import Ids, content_ids, label_ids
from equiprob.orbits.output_arrays import is_numeric
from equiprob.orbits.table import describe_rows
from equiprob.transforms.declarations import leaf_names

_BATCH = 128
"""Rows in a chunk by default: larger chunks are slower on CPU and need more memory."""

_NUMBERS_AT_ONCE = 2**22


def take_rows(x: Any, rows: Any) -> Any:
    """Return rows of every leaf."""
    return jax.tree.map(lambda leaf: leaf[rows], x)


def check_inputs(x: Any) -> int:
    """Return the number of rows of finite numeric arrays, rows first; raise where they are not."""
    n = check_batch(x)
    if n < 2:
        raise ValueError(f"x has {n} row(s); an interval needs at least 2")
    return n


def check_batch(x: Any, start: int = 0) -> int:
    """Return the number of rows, as `check_inputs` does, of rows that number `start` begins."""
    names, leaves = leaf_names(x), jax.tree.leaves(x)
    if not leaves:
        raise ValueError("x holds no arrays; pass an array or a dict of arrays, rows first")
    lengths: dict[str, int] = {}
    for name, leaf in zip(names, leaves, strict=True):
        refuse_masks(f"x{name}", leaf)
        array = np.asarray(leaf)
        if array.ndim == 0 or not is_numeric(array.dtype):
            raise ValueError(
                f"x{name} must be an array of numbers with rows first, got "
                f"{type(leaf).__name__} of dtype {array.dtype} and shape {array.shape}"
            )
        if array.dtype.char in ("g", "G"):  # long doubles
            raise ValueError(
                f"x{name} has dtype {array.dtype}, which JAX does not have; pass it as float64, "
                f"x.astype('float64')"
            )
        if not array.dtype.isnative:  # compiled code would read other numbers
            native = array.dtype.newbyteorder("=").name
            raise ValueError(
                f"x{name} has dtype {array.dtype.str!r}, whose bytes are in the other order than "
                f"this machine's; pass it as {native}, x.astype({native!r})"
            )
        lengths[f"x{name}"] = len(array)
        if len(array) and jnp.issubdtype(array.dtype, jnp.inexact):
            bad = ~_finite_rows(array)
            if bad.any():
                raise ValueError(
                    f"x{name} is not finite (NaN or infinity) in rows "
                    f"{describe_rows(start + np.flatnonzero(bad))}; drop or mend these rows"
                )
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the leaves of x have different numbers of rows: {lengths}")
    return next(iter(lengths.values()))


def _finite_rows(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which rows are finite, without an answer for each of many numbers at a time."""
    rows = max(_NUMBERS_AT_ONCE // max(array[0].size, 1), 1)
    finite = np.empty(len(array), dtype=bool)
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        finite[start : start + rows] = np.isfinite(part).reshape(len(part), -1).all(axis=1)
    return finite


def check_batch_size(batch_size: int | None, n: int | None) -> int:
    """Return the rows in a chunk, at most 128 where none is given, of `n` rows if that is known."""
    if batch_size is None:
        if n is None:
            return _BATCH
        return -(-n // -(-n // _BATCH))  # equal chunks, so that little is padded
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
    return int(batch_size) if n is None else min(int(batch_size), n)


def check_labels(labels: ArrayLike, name: str, n: int) -> NDArray[Any]:
    """Return labels as an array of one for each of `n` rows; raise where they are none."""
    array = as_array(name, labels)
    if array.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of the {n} rows, got {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name} holds NaN; pass integers or strings")
    return array


def ids_of_rows(row_ids: ArrayLike | None, x: Any, y: Any, n: int) -> Ids:
    """Return the id of each row: its label, else a hash of its content."""
    if row_ids is None:
        return content_ids(jax.tree.leaves(x) + jax.tree.leaves(y))
    ids = label_ids(check_labels(row_ids, "row_ids", n))
    if len(np.unique(ids)) < n:
        raise ValueError("row_ids must be unique; pass groups= for rows that belong together")
    return ids


def units_of_rows(groups: ArrayLike, n: int) -> Ids:
    """Return the id of each row's group."""
    ids = label_ids(check_labels(groups, "groups", n))
    if len(np.unique(ids)) < 2:
        raise ValueError("groups holds a single group; an interval needs at least 2")
    return ids
