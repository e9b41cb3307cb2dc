"""Is the model at the end of the pass still what it was?

A few rows are evaluated once more. A model that counts its calls, keeps running averages, or writes
to one place from several threads, has other outputs there than those that were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.precision import root_mean_square
from equiprob.orbits.row_wise import RESPONSES, ROUNDINGS
from equiprob.orbits.statistics import Rows, RowStatistics

FEWEST = 4
"""Rows that are evaluated once more, at least."""

SHARE = 100
"""Of so many rows one is evaluated once more, in each look at the model."""

_STEPS = 8
"""One moved row in so many may differ: rounding moves a row across a step of the model."""


@dataclass(frozen=True, eq=False)
class Change:
    """How far the outputs of some rows are from those that were found before.

    Args:
        by: Of each row, ``(row,)``.
        limit: What rounding makes, at most.
        size: How large outputs are.
    """

    by: Rows
    limit: float
    size: float

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which rows changed."""
        return np.flatnonzero(~(self.by <= self.limit))

    @classmethod
    def of_base(cls, now: Rows, before: RowStatistics) -> Change:
        """Return the change of outputs at the rows themselves, ``(row, k)``."""
        limit, size = _scales(before)
        return cls(_apart(now, before.base), limit, size)

    @classmethod
    def of_orbits(cls, now: RowStatistics, before: RowStatistics) -> Change:
        """Return the change of outputs at the rows and at their transformations."""
        limit, size = _scales(before)
        moved = np.abs(np.sqrt(now.pair_sq) - np.sqrt(before.pair_sq))
        finite = np.isfinite(before.pair_sq)
        same = finite == np.isfinite(now.pair_sq)
        moved = np.where(finite & same, moved, np.where(same, 0.0, np.inf))
        return cls(np.maximum(_apart(now.base, before.base), moved), 2 * limit, size)


def _scales(before: RowStatistics) -> tuple[float, float]:
    base = before.base[np.isfinite(before.base).all(axis=1)]
    size = root_mean_square(base)
    return max(ROUNDINGS * before.rounding * size, RESPONSES * before.float_floor), size


def _apart(now: Rows, before: Rows) -> Rows:
    """Return how far rows ``(row, k)`` are apart; infinite where others are not finite."""
    finite = np.isfinite(before)
    difference = np.where(finite & np.isfinite(now), now - np.where(finite, before, 0.0), 0.0)
    same = (np.isfinite(now) == finite).all(axis=1)
    return np.where(same, np.sqrt((difference**2).sum(axis=1)), np.inf)


def require_unchanged(changes: Mapping[str, Change], *, moved: bool, by_others: bool) -> None:
    """Raise where the model changed.

    Args:
        changes: Of each output.
        moved: Whether outputs at transformed rows were looked at, too.
        by_others: Whether an executor's workers had called the model.

    Raises:
        ValueError: If it did, by more than rounding.
    """
    for name, change in changes.items():
        rows = change.rows
        if len(rows) <= (max(1, len(change.by) // _STEPS) if moved else 0):
            continue
        concurrent = (
            "; or workers write to one place from several threads: pass a ProcessPoolExecutor, or "
            "a model that keeps nothing between calls"
        )
        worst = float(change.by[rows].max())
        raise ValueError(
            f"predict changed during the pass: {len(rows)} of {len(change.by)} rows that were "
            f"evaluated once more at its end have another output {name!r} than before, by up to "
            f"{worst:.2g}, where outputs are {change.size:.2g} in size. It keeps state (a counter, "
            f"a cache, running averages, a buffer){concurrent if by_others else ''}; pass a "
            f"function of its input alone"
        )
