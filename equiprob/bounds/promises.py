"""Does the table at hand contradict what was promised of every predictor?

A class holds the model that was trained. So its slopes, its residuals, the range of its outputs and
how far they move under the transformations are all within what is promised, or the promise is
wrong: no supremum over a class is below a value that one of its members takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.bounds.base import GapProblem, Given
from equiprob.bounds.losses import AbstractLoss, BoundedLoss, LossConstants
from equiprob.errors.table_findings import rounding_limit
from equiprob.geometry.row_metrics import squared_distances
from equiprob.orbits.table import OrbitTable

_ROUNDINGS = 8
"""Roundings of its largest output by which a model's value may be off."""

_FLOORS = 4
"""Float floors, which are root mean squares, up to which a single displacement is rounding."""

_EPS = float(np.finfo(np.float64).eps)

_ROWS = 4000
"""Rows among which all pairs are looked at."""

_BLOCKS = 5
_AT_ONCE = 512


@dataclass(frozen=True)
class Seen:
    """The largest value that a table shows.

    Args:
        value: The value.
        words: What it is, and of which row.
    """

    value: float
    words: str


def held(draws: Array, seen: Sequence[Seen], promise: str) -> Array:
    """Return draws of a promised constant that hold at least what was seen.

    A number stays as it is. Of a belief, the part below what was seen is ruled out.

    Args:
        draws: The promise, ``(draw,)``.
        seen: The largest values in each table.
        promise: How it was written.

    Raises:
        ValueError: If a number, or most of a belief, is below what was seen.
    """
    largest = max(seen, key=lambda one: one.value, default=None)
    if largest is None or draws.min() >= largest.value:
        return draws
    middle = float(np.median(draws))
    if middle < largest.value:
        raise ValueError(
            f"{promise} promises at most {middle:.4g}, and {largest.words}; promise at least what "
            f"the model at hand does, or leave it out where it can be: the largest one seen then "
            f"stands for it"
        )
    return np.maximum(draws, largest.value)


def constants_of(problem: GapProblem, loss: AbstractLoss) -> LossConstants:
    """Return the constants of a loss; what is not stated, by the largest in any of the tables.

    Raises:
        ValueError: If a row contradicts them, or they cannot be found.
    """
    tables = {id(table): table for table in (problem.sample, problem.orbits)}.values()
    constants = max((loss.constants(table) for table in tables), key=lambda c: c.range)
    check_losses(problem, loss, constants)
    return constants


def check_losses(problem: GapProblem, loss: AbstractLoss, constants: LossConstants) -> None:
    """Raise where a row's loss is outside [0, range], or changes by more than the slope allows.

    Raises:
        ValueError: If so, with the row.
    """
    for given in problem.tables:
        y = given.table.only.y
        if y is None or (isinstance(loss, BoundedLoss) and loss.function is None):
            continue
        values = loss.of_rows(given.table)
        worst = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
        limit = constants.range * (1 + 1e-9) + _rounding(given.table) * constants.slope
        if values[worst] > limit:
            residual = float(np.linalg.norm(y[worst] - given.table.only.base[worst]))
            raise ValueError(
                f"loss={loss!r} promises losses of at most {constants.range:.4g}, and "
                f"{given.row(worst)} has one of {values[worst]:.4g} (its residual is "
                f"{residual:.4g}); promise at least that, or leave it out where it can be: the "
                f"largest one seen then stands for it"
            )
        if isinstance(loss, BoundedLoss):
            _check_slope(given, loss)


def _check_slope(given: Given, loss: BoundedLoss) -> None:
    """Compare each row's loss with that at another row's prediction."""
    base, y = given.table.only.base, given.table.only.y
    assert y is not None, "the caller checks that there are targets"
    here = loss.values(base, y)
    for step in {1, len(base) // 2} - {0}:
        there = np.roll(base, step, axis=0)
        apart = np.linalg.norm(there - base, axis=1)
        change = np.abs(loss.values(there, y) - here)
        excess = change - loss.slope * apart * (1 + 1e-6) - _ROUNDINGS * _EPS * np.abs(here)
        worst = int(np.nanargmax(np.where(np.isfinite(excess), excess, -np.inf)))
        if excess[worst] > 1e-9 * loss.range:
            raise ValueError(
                f"loss={loss!r} promises a slope of {loss.slope:.4g}, and the loss of "
                f"{given.row(worst)} changes by {change[worst]:.4g} where its prediction changes "
                f"by {apart[worst]:.4g}; promise at least {change[worst] / apart[worst]:.4g}"
            )


def displacements(problem: GapProblem) -> list[Seen]:
    """Return the largest change of an output under a transformation, beside rounding.

    Where single ones were not kept, the largest root mean square of a row. Nothing is said of
    stochastic models, whose outputs change anyway.
    """
    found = []
    for given in problem.tables:
        table = given.table
        if table.noise_repeats > 1:
            continue
        stats = table.only
        size, what = np.sqrt(stats.pair_sq), "on average over its transformations"
        if stats.raw is not None:
            each = np.linalg.norm(stats.raw, axis=2)
            size, what = each.max(axis=1), "under one of its transformations"
        row = int(size.argmax())
        words = f"the output of {given.row(row)} moves by {size[row]:.4g} {what}"
        slack = _FLOORS * (rounding_limit(table) + stats.apart)
        found.append(Seen(float(size[row]) - slack, words))
    return found


def ranges(problem: GapProblem) -> list[Seen]:
    """Return the largest range of an output, within and across tables."""
    tables = problem.tables
    if not tables:
        return []
    outputs = [given.table.only.base for given in tables]
    component = int(np.ptp(np.concatenate(outputs), axis=0).argmax())
    ends: list[tuple[float, str]] = []
    for given, base in zip(tables, outputs, strict=True):
        values = base[:, component]
        places = int(values.argmin()), int(values.argmax())
        ends += [(float(values[i]), f"{values[i]:.4g} ({given.row(i)})") for i in places]
    low, high = min(ends), max(ends)
    slack = max(_rounding(given.table) for given in tables)
    return [Seen(high[0] - low[0] - slack, f"outputs reach from {low[1]} to {high[1]}")]


def slopes(problem: GapProblem, points: Sequence[Array | None]) -> list[Seen]:
    """Return the steepest line between two rows of each table.

    Args:
        problem: The tables.
        points: ``(row, feature)`` of each, whose Euclidean distances count; None where inputs are
            not at hand.
    """
    pairs = zip(problem.tables, points, strict=True)
    return [_steepest(given, at) for given, at in pairs if at is not None]


def _steepest(given: Given, points: Array) -> Seen:
    base, table = given.table.only.base, given.table
    slack = _rounding(table) + _FLOORS * table.only.apart
    steepest = Seen(0.0, "")
    for rows in _blocks(len(points)):
        at, outputs = points[rows] - points.mean(axis=0), base[rows] - base.mean(axis=0)
        # What products of matrices lose makes distances larger here, and changes smaller.
        lost = [_ROUNDINGS * _EPS * float((v**2).sum(axis=1).max()) for v in (at, outputs)]
        near = _ROUNDINGS * table.only.rounding * float(np.abs(points).max())
        for start in range(0, len(rows), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            apart = np.sqrt(squared_distances(at[part], at) + lost[0]) + near
            change = np.sqrt(np.maximum(squared_distances(outputs[part], outputs) - lost[1], 0.0))
            change -= slack
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = np.where(change > 0, change / apart, 0.0)
            i, j = np.unravel_index(slope.argmax(), slope.shape)
            if slope[i, j] > steepest.value:
                one, other = (given.row(int(rows[k])) for k in (start + i, j))
                words = (
                    f"outputs of {one} and {other} differ by {change[i, j] + slack:.4g} at a "
                    f"distance of {apart[i, j]:.4g}, a slope of {slope[i, j]:.4g}"
                )
                steepest = Seen(float(slope[i, j]), words)
    return steepest


def _blocks(n: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows among which all pairs are looked at: all, or some disjoint blocks of them."""
    order = np.arange(n) if n <= _ROWS else np.random.default_rng(n).permutation(n)
    for start in range(0, min(n, _BLOCKS * _ROWS), _ROWS):
        yield order[start : start + _ROWS]


def norms(problem: GapProblem, radius: float, diagonal: Array) -> list[Seen]:
    """Return by how much an output is larger than a radius allows, relative to it.

    Args:
        problem: The tables, of which the sample is looked at.
        radius: Of the class.
        diagonal: ``k(x, x)`` of each row of the sample.
    """
    given = next(g for g in problem.tables if g.table is problem.sample)
    size = np.linalg.norm(given.table.only.base, axis=1) - _rounding(given.table)
    allowed = radius * np.sqrt(diagonal) * (1 + 1e-6)
    row = int((size - allowed).argmax())
    if size[row] <= allowed[row]:
        return []
    needed = size[row] / np.sqrt(diagonal[row]) if diagonal[row] > 0 else np.inf
    words = (
        f"the output of {given.row(row)} is {size[row]:.4g}, where no predictor of the class "
        f"exceeds {allowed[row]:.4g}"
    )
    return [Seen(float(needed), words)]


def _rounding(table: OrbitTable) -> float:
    """Return how far an output may be off by rounding."""
    return _ROUNDINGS * table.only.rounding * float(np.abs(table.only.base).max())
