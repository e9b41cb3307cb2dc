"""Where do the rows come from?

From memory, checked beforehand; or as they stream past, from an iterator of batches or from arrays
that are read slice by slice (memory-mapped files, zarr, xarray), checked as they come.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final, override

import jax
import numpy as np

from equiprob.arguments.arrays import as_array
from equiprob.orbits.chunk import Chunk
from equiprob.orbits.inputs import check_batch, check_labels, take_rows
from equiprob.orbits.keys import Ids, content_hashes, label_ids, told_apart
from equiprob.orbits.output import rows_of, without_padding
from equiprob.orbits.output_arrays import check_target, checked_targets, named_targets


class AbstractRows(abc.ABC):
    """Rows, one chunk after another."""

    n: int | None
    """How many there are, where that is known beforehand."""

    grouped: bool
    """Whether groups of rows are the independent units."""

    @abc.abstractmethod
    def chunks(self, size: Callable[[], int]) -> Iterator[Chunk]:
        """Yield all rows in chunks of `size()`, which may grow, the last one perhaps shorter."""

    @abc.abstractmethod
    def check_targets(self, outputs: Mapping[str, Any]) -> None:
        """Check all targets at hand against the shapes of the outputs, rows first.

        Raises:
            ValueError: If they do not fit.
        """

    @abc.abstractmethod
    def reference(self, n: int) -> Any:
        """Return the first `n` inputs, for the table to refer to; None where they are gone."""


@final
@dataclass(frozen=True, eq=False)
class ArrayRows(AbstractRows):
    """Rows in memory, checked already.

    Args:
        x: Inputs, a pytree of arrays.
        y: Targets: an array, a dict of such, or None.
        ids: The rows' ids, ``(row,)``; None: hashes of their content, made chunk by chunk.
        units: The ids of their groups, ``(row,)``; None where each row is a unit.
        declared: Declared outputs.
    """

    x: Any
    y: Any
    ids: Ids | None
    units: Ids | None
    declared: Any = None

    @property
    def n(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many there are."""
        return len(jax.tree.leaves(self.x)[0])

    @property
    def grouped(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether groups were given."""
        return self.units is not None

    @override
    def chunks(self, size: Callable[[], int]) -> Iterator[Chunk]:
        start, seen = 0, Counter[int]()
        while start < self.n:
            part = slice(start, min(start + size(), self.n))
            x, y = take_rows((self.x, self.y), part)
            if self.ids is None:
                leaves = jax.tree.leaves(x) + jax.tree.leaves(y)
                ids = told_apart(content_hashes(leaves), seen)
            else:
                ids = self.ids[part]
            units = ids if self.units is None else self.units[part]
            yield Chunk(start, x, y, ids, units, rows_of(self.declared, part))
            start = part.stop

    @override
    def check_targets(self, outputs: Mapping[str, Any]) -> None:
        given = named_targets(self.y, outputs)
        for name, shape in outputs.items():
            check_target(given[name], shape)

    @override
    def reference(self, n: int) -> Any:
        return self.x if n == self.n else take_rows(self.x, slice(n))


@final
@dataclass(frozen=True, eq=False)
class StreamedRows(AbstractRows):
    """Rows that are read once, in order, and checked as they come.

    Args:
        x: An iterable of batches, each the inputs ``x`` or ``(x, y)``; or a pytree of arrays that
            are read slice by slice.
        y: Targets of all rows, sliced likewise; None where the batches hold them or there are none.
        labels: A label for each row, or None for a hash of its content.
        groups: The label of each row's independent unit, or None.
        n: How many rows there are, where that is known.
        counted: Rows up to which equal ones are told apart by counting them, which takes memory;
            of those beyond, equal ones share an id: one unit.
        declared: Declared outputs of all rows.
    """

    x: Any
    y: Any
    labels: Any
    groups: Any
    n: int | None
    counted: float
    declared: Any = None

    @property
    def grouped(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether groups were given."""
        return self.groups is not None

    @override
    def chunks(self, size: Callable[[], int]) -> Iterator[Chunk]:
        start, seen, rows = 0, Counter[int](), size()
        for x, y in _in_chunks(self._batches(rows), rows):
            n = check_batch(x, start)
            part = slice(start, start + n)
            declared = rows_of(self.declared, part)
            targets = y if self.y is None else _read("y", self.y, part)
            targets = checked_targets(without_padding(targets, declared), n, start)
            if self.labels is not None:
                ids = label_ids(check_labels(_read("row_ids", self.labels, part), "row_ids", n))
            else:
                ids = content_hashes(jax.tree.leaves(x) + jax.tree.leaves(targets))
                if start + n <= self.counted:
                    ids = told_apart(ids, seen)
                else:
                    seen.clear()
            units = ids
            if self.groups is not None:
                units = label_ids(check_labels(_read("groups", self.groups, part), "groups", n))
            yield Chunk(start, x, targets, ids, units, declared)
            start += n
        if start < 2 or (self.n is not None and start != self.n):
            expected = "at least 2" if self.n is None else f"{self.n}"
            raise ValueError(f"the stream x ended after {start} row(s), but {expected} are needed")

    @override
    def check_targets(self, outputs: Mapping[str, Any]) -> None:
        """Nothing is at hand: each chunk is checked as it comes."""

    @override
    def reference(self, n: int) -> Any:
        if is_stream(self.x):
            return None
        mapped = all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(self.x))
        if n == self.n:
            return self.x
        return take_rows(self.x, slice(n)) if mapped else None

    def _batches(self, size: int) -> Iterator[tuple[Any, Any]]:
        """Yield inputs and targets in batches of any size."""
        if not is_stream(self.x):
            assert self.n is not None, "arrays have a length"
            step = max([size, *(_stored_rows(leaf) for leaf in jax.tree.leaves(self.x))])
            for start in range(0, self.n, step):
                yield _read("x", self.x, slice(start, min(start + step, self.n))), None
            return
        for batch in self.x:
            # PyTorch's loaders give the inputs alone as a list of one.
            pair = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if len(pair) not in (1, 2):
                raise ValueError(
                    f"a batch of the stream x must be the inputs or (inputs, targets), got a "
                    f"{type(batch).__name__} of {len(batch)}"
                )
            x, y = pair if len(pair) == 2 else (*pair, None)
            if y is not None and self.y is not None:
                raise ValueError("the batches of x hold targets: leave y out")
            host = lambda leaf: leaf if isinstance(leaf, jax.Array) else as_array("x", leaf)  # noqa: E731
            targets = None if y is None else jax.tree.map(partial(as_array, "y"), y)
            yield jax.tree.map(host, x), targets


def is_stream(x: Any) -> bool:
    """Whether `x` is an iterable of batches rather than arrays."""
    holds_arrays = isinstance(x, Mapping | list | tuple | str) or hasattr(x, "shape")
    return isinstance(x, Iterable) and not holds_arrays


def is_read_by_slices(x: Any) -> bool:
    """Whether a leaf of `x` is an array that is not in memory."""

    def one(leaf: Any) -> bool:
        if isinstance(leaf, np.memmap):
            return True
        in_memory = isinstance(leaf, np.ndarray | np.generic | jax.Array)
        return not in_memory and isinstance(getattr(leaf, "dtype", None), np.dtype)

    return any(one(leaf) for leaf in jax.tree.leaves(x))


def as_sliceable(values: Any) -> Any:
    """Return values of rows such that slices of them can be taken: lists as arrays."""
    if isinstance(values, Mapping):
        return {name: as_sliceable(v) for name, v in values.items()}
    return values if values is None or hasattr(values, "shape") else np.asarray(values)


def as_arrays(x: Any) -> Any:
    """Return an xarray Dataset as a dict of its variables; anything else as it is.

    Raises:
        TypeError: If leaves have names of several kinds, which have no order.
    """
    if hasattr(x, "data_vars"):
        return {name: x[name] for name in x.data_vars}
    if isinstance(x, Mapping) and len({type(name) for name in x}) > 1:
        raise TypeError(f"the leaves of x must be named by strings, got the names {list(x)}")
    return x


def _stored_rows(leaf: Any) -> int:
    """Return how many rows are stored together, which are read together, too."""
    chunks = getattr(leaf, "chunks", None)
    if not chunks:
        return 1
    return int(chunks[0] if np.ndim(chunks[0]) == 0 else chunks[0][0])


def _read(name: str, arrays: Any, part: slice) -> Any:
    """Read some rows of every leaf into memory.

    Raises:
        ValueError: If some of what is read is masked.
    """
    return jax.tree.map(lambda leaf: as_array(name, _unwrapped(leaf[part])), arrays)


def _unwrapped(values: Any) -> Any:
    """Return the array within one of xarray or Dask, which convert without its mask."""
    inner = values.data if hasattr(values, "dims") else values
    return inner.compute() if hasattr(inner, "compute") else inner


def _in_chunks(batches: Iterator[tuple[Any, Any]], size: int) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of pytrees cut anew into chunks of `size` rows, the last one perhaps shorter."""
    held, n_held = [], 0
    for batch in batches:
        held.append(batch)
        n_held += _length(batch)
        while n_held >= size:
            whole = held[0] if len(held) == 1 else _joined(held)
            yield take_rows(whole, slice(size))
            n_held -= size
            held = [take_rows(whole, slice(size, None))] if n_held else []
    if n_held:
        yield held[0] if len(held) == 1 else _joined(held)


def _joined(batches: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *batches)


def _length(batch: Any) -> int:
    """Return the number of rows of a batch."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    if not shapes or not all(shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"a batch of the stream x must hold arrays with rows first, got {shapes}")
    return shapes[0][0]
