"""Is a model a function of its rows, or of the batch that they come in?

A few rows are evaluated again in other company and in another order. Batch statistics, sorting and
whatever else looks across a batch then answers differently, by far more than rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.precision import rounding_of_output
from equiprob.orbits.probe import perturbed
from equiprob.transforms.acting import Acting
from equiprob.transforms.transform import Transform

Leaves = list[NDArray[Any]]

_ROWS = 4
"""Rows that are evaluated again."""

_ROWS_ASKED = 32
"""Rows of a batch of which that is asked, where a model is called for nothing else."""

_DRAWS = 8
"""Transformations of a row among which one is looked for that moves it."""

ROUNDINGS = 64.0
"""Roundings of an output by which it may differ between batches, relative to outputs' size: sums
are taken in another order. Measured on networks and on scikit-learn's estimators: less than 1."""

RESPONSES = 16.0
"""The same in changes of the output under one rounding of the input, for models that amplify it."""

_OTHER_KERNEL = 1e-2
"""A batch of another size may go through a kernel of less precision: what is smaller, and is gone
in a batch of the same size, is rounding."""


@dataclass(frozen=True, eq=False)
class Judged:
    """An output of a batch, ``(row, ...)``, and one rounding of it, relative to its size."""

    values: NDArray[Any]
    rounding: float


@dataclass(frozen=True, eq=False)
class Seen:
    """Output leaves ``(row, ...)`` of some rows of a batch, in another batch."""

    rows: NDArray[np.int64]
    outputs: Leaves

    def is_as(self, outputs: list[Judged]) -> bool:
        """Whether they are those of the first batch, up to rounding."""
        return _difference(self.outputs, outputs, self.rows).is_rounding


def judged(outputs: Any, n: int, computed_in: Mapping[Any, Any]) -> list[Judged]:
    """Return the outputs of `n` rows in the order of JAX's leaves.

    Args:
        outputs: As the model returned them.
        n: How many rows they are of.
        computed_in: The precision that outputs were declared to be computed in, by name.
    """
    named = named_outputs(outputs, n).items()
    arrays = [(name, np.asarray(leaf)) for name, leaf in named]
    return [Judged(leaf, rounding_of_output(leaf, computed_in.get(name))) for name, leaf in arrays]


@dataclass(frozen=True)
class _Difference:
    """How far outputs in two batches are apart: of one row, relative to all outputs' size."""

    row: int
    by: float
    size: float
    roundings: float

    @property
    def share(self) -> float:
        return self.by / self.size if self.size > 0 else np.inf

    @property
    def is_rounding(self) -> bool:
        return self.by <= self.roundings

    @property
    def excess(self) -> float:
        if self.roundings == 0:
            return 0.0 if self.by == 0 else np.inf
        return self.by / self.roundings


def require_row_wise(
    outputs_of: Callable[[Any], Leaves],
    x: Any,
    outputs: list[Judged],
    moving: Sequence[bool],
    *,
    may_shorten: bool,
    seen: Seen | None = None,
) -> None:
    """Raise where rows have other outputs in other batches.

    Args:
        outputs_of: The model: output leaves ``(row, ...)`` of a batch.
        x: A batch of at least two rows, a pytree of arrays with rows first.
        outputs: What the model returned for it.
        moving: Of each leaf of `x`, whether a transformation moves it.
        may_shorten: Whether a batch may have fewer rows. If the model refuses such a batch, one of
            the same size takes its place.
        seen: What has been seen in another batch already.

    Raises:
        ValueError: If they have, by more than rounding; or if the same batch has, which is then
            no fault of the batch.
    """
    n = len(outputs[0].values)
    chosen = batches_of_few(n)
    shorter = None
    if may_shorten:
        shorter = _in_short_batches(outputs_of, x, outputs, chosen, seen)
        if shorter is not None and shorter.is_rounding:
            return
    whole = [np.resize(rows, n) for rows in chosen]
    each = [_difference(outputs_of(_take(x, rows)), outputs, rows) for rows in whole]
    found = max(each, key=lambda d: d.excess)
    if found.is_rounding and (shorter is None or shorter.share <= _OTHER_KERNEL):
        return
    worst = found if shorter is None else max(found, shorter, key=lambda d: d.by)
    everything = np.arange(n)
    if not _difference(outputs_of(x), outputs, everything).is_rounding:
        raise ValueError(
            "predict is not repeatable: it changes from call to call (a counter, a cache, running "
            "averages); pass a function of its input alone"
        )
    rounding = max(output.rounding for output in outputs)
    moved = perturbed(x, moving, everything, np.ones(n), rounding)
    response = _difference(outputs_of(moved), outputs, everything)
    if worst.by <= RESPONSES * response.by and response.share < _OTHER_KERNEL:
        return
    raise _depends(worst)


def require_function_of_rows(predict: Callable[[Any], Any], x: Any, moving: Sequence[bool]) -> None:
    """Raise where the first rows have other outputs in other batches (see `require_row_wise`).

    For models that are differentiated, of which no engine makes a pass.

    Args:
        predict: The model.
        x: Rows, a pytree of arrays.
        moving: Of each leaf of `x`, whether it is moved.
    """
    n = min(len(jax.tree.leaves(x)[0]), _ROWS_ASKED)
    if n < 2:
        return

    def outputs_of(batch: Any) -> Leaves:
        rows = len(jax.tree.leaves(batch)[0])
        return [each.values for each in judged(predict(batch), rows, {})]

    first = _take(x, np.arange(n))
    require_row_wise(outputs_of, first, judged(predict(first), n, {}), moving, may_shorten=True)


def require_same_beside(
    outputs_of: Callable[[Any], Leaves],
    x: Any,
    outputs: list[Judged],
    transform: Transform,
    acting: Acting,
) -> None:
    """Raise where the output of a single row changes beside a transformation of it.

    Args:
        outputs_of: The model. If it refuses two rows, it is made for one, and that is that.
        x: The row, a batch of one.
        outputs: What the model returned for it.
        transform: The transform.
        acting: The transform on its leaves.

    Raises:
        ValueError: If it does.
    """
    draws = transform.sample_many(np.random.default_rng(0), _DRAWS)
    copies = _take(x, np.zeros(_DRAWS, dtype=np.int64))
    moved = acting.at(draws).move(copies)
    apart = [np.abs(m - c).reshape(_DRAWS, -1).sum(axis=1) for m, c in _pairs(moved, copies)]
    other = _take(moved, np.argmax(np.sum(apart, axis=0), keepdims=True))
    for place, pair in enumerate([(x, other), (other, x)]):
        both = jax.tree.map(lambda *leaves: np.concatenate(leaves), *pair)
        try:
            found = outputs_of(both)
        except Exception:
            return
        beside = _difference([leaf[place : place + 1] for leaf in found], outputs, np.arange(1))
        if not beside.is_rounding and beside.share > _OTHER_KERNEL:
            raise _depends(beside)


def batches_of_few(n: int) -> list[NDArray[np.int64]]:
    """Return batches of few rows in reverse order; of two or three, the outer ones alone, too.

    No row is in all of them: beside the largest row of a batch, its maximum is what it was.
    """
    if n < _ROWS:
        return [np.array([n - 1]), np.array([0]), np.arange(n)[::-1]]
    few = np.linspace(0, n - 1, min(_ROWS, n // 2)).astype(np.int64)[::-1]
    return [few[::2], few[1::2]]


def _depends(worst: _Difference) -> ValueError:
    return ValueError(
        f"predict depends on the batch: in a batch of other rows, row {worst.row} of the first one "
        f"has an output that differs by {worst.by:.2g}, where outputs are {worst.size:.2g} in "
        f"size. Batch statistics are in use (call model.eval() in PyTorch: batch norm in training "
        f"mode), or rows of a batch are normalised together, sorted or compared; pass a function "
        f"of each row alone, or batch_dependent=True to evaluate_orbits, whose results say so"
    )


def _in_short_batches(
    outputs_of: Callable[[Any], Leaves],
    x: Any,
    outputs: list[Judged],
    chosen: list[NDArray[np.int64]],
    seen: Seen | None,
) -> _Difference | None:
    try:
        found = [_difference(outputs_of(_take(x, rows)), outputs, rows) for rows in chosen]
    except Exception:  # a model may be made for one number of rows
        return None
    if seen is not None:
        found.append(_difference(seen.outputs, outputs, seen.rows))
    return max(found, key=lambda d: d.excess)


def _difference(found: Leaves, outputs: list[Judged], rows: NDArray[np.int64]) -> _Difference:
    """Return the largest difference of outputs at `rows` from what they were, by roundings."""
    each = [_leaf_difference(*leaves, rows) for leaves in zip(found, outputs, strict=True)]
    return max(each, key=lambda d: d.excess)


def _leaf_difference(found: NDArray[Any], output: Judged, rows: NDArray[np.int64]) -> _Difference:
    before = output.values.reshape(len(output.values), -1).astype(np.float64)
    now = np.asarray(found).reshape(len(rows), -1).astype(np.float64)
    finite = np.isfinite(before)
    largest = float(np.abs(before, where=finite, out=np.zeros(before.shape)).max(initial=0.0))
    unit = largest or 1.0
    size = float(np.sqrt(((np.where(finite, before, 0.0) / unit) ** 2).sum(axis=1).mean()))
    both = finite[rows] & np.isfinite(now)
    apart = np.where(both, now - np.where(both, before[rows], 0.0), 0.0) / unit
    far = np.sqrt((apart**2).sum(axis=1))
    far = np.where((np.isfinite(now) == finite[rows]).all(axis=1), far, np.inf)
    worst = int(far.argmax())
    limit = ROUNDINGS * output.rounding * size
    return _Difference(int(rows[worst]), unit * float(far[worst]), unit * size, unit * limit)


def _pairs(one: Any, other: Any) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        yield np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)


def _take(x: Any, rows: NDArray[np.int64]) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], x)
