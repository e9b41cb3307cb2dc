"""What is the risk along a path of predictors?

For the squared error it is a form in row statistics, unbiased for the average over all
transformations: with displacement ``d = S f - f`` and residual ``r = Y - f``, moving by a share t
costs ``-2 t <r, d> + t^2 |d|^2``, where the square takes distinct transformations in its factors.
For any other loss there is no such form: the loss is evaluated at each position, for averages over
as many transformations as the table has.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.table import Rows
from equiprob.posterior.row_means import RowMeans

_MOST_LOSSES = 2**23
"""Losses held at a time (64 MiB): positions are evaluated in blocks of this many over all rows."""


class Tabulated(NamedTuple):
    """The risk along a path, over all rows and over folds of them.

    Args:
        draws: Of the risk at each position, ``(draw, position)``.
        changes: Sums over the rows of each fold of the change of the loss, as shipped, against the
            model as it is, ``(partition, fold, position)``.
    """

    draws: NDArray[np.float64]
    changes: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractPathRisk(abc.ABC):
    """The risk along a path.

    Args:
        positions: ``(position,)``.
        loss: The loss of the model as it is, ``(row,)``.
        unchanged: Index of the position at which the model is as it is.
        full: Index of the most symmetric position, if there is one.
        names: What positions are called where they are not numbers.
    """

    positions: NDArray[np.float64]
    loss: Rows
    unchanged: int
    full: int | None = None
    names: tuple[str, ...] | None = None

    @abc.abstractmethod
    def tabulate(self, means: RowMeans, fold: NDArray[np.int64]) -> Tabulated:
        """Return the risk at all positions.

        Args:
            means: The posterior of means over rows.
            fold: Each row's fold, numbered from 0, in each partition, ``(partition, row)``.
        """

    @abc.abstractmethod
    def saved(self, index: int) -> Rows:
        """Return what each row saves at a position, averaged over all transformations."""

    @abc.abstractmethod
    def saved_shipped(self, index: int) -> Rows:
        """Return the same, averaged over as many transformations as the table has."""

    def optimum(self, means: RowMeans) -> NDArray[np.float64] | None:
        """Return draws of the position of least risk where they have a form of their own.

        They may lie beyond the ends of the path.
        """
        return None

    def on_path(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions moved to the nearest end where they lie beyond one."""
        return np.clip(position, self.positions.min(), self.positions.max())


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SquaredPathRisk(AbstractPathRisk):
    """The squared error along a path: ``mean(columns) @ coefficients[:, p]`` above the model's.

    Args:
        columns: Row statistics, ``(row, column)``.
        limit: Coefficients ``(column, position)`` for the average over all transformations.
        shipped: Coefficients for the average over as many transformations as the table has.
        ratio: Row columns whose ratio of means is the position of least risk, which may lie beyond
            the path; None where there is no closed form.
    """

    columns: Rows
    limit: NDArray[np.float64]
    shipped: NDArray[np.float64]
    ratio: tuple[Rows, Rows] | None = None

    @override
    def tabulate(self, means: RowMeans, fold: NDArray[np.int64]) -> Tabulated:
        draws = means.plain(np.column_stack([self.columns, self.loss]))
        return Tabulated(
            draws[:, :-1] @ self.limit + draws[:, -1:], _by_fold(self.columns, fold) @ self.shipped
        )

    @override
    def saved(self, index: int) -> Rows:
        return -self.columns @ self.limit[:, index]

    @override
    def saved_shipped(self, index: int) -> Rows:
        return -self.columns @ self.shipped[:, index]

    @override
    def optimum(self, means: RowMeans) -> NDArray[np.float64] | None:
        """Return draws of a ratio of means, fitted to its own row contrast, tails included.

        The minimum of draws of the risk covers .70 to .84 on heavy-tailed rows where this covers
        .93 (nominal 0.9, n = 128).
        """
        if self.ratio is None or (means.plain(self.ratio[1][:, None]) <= 0).any():
            return None
        return means.ratio(*self.ratio)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluatedPathRisk(AbstractPathRisk):
    """Any loss along a path, evaluated at the predictions there.

    Args:
        losses: ``losses(indices)`` yields the loss ``(row,)`` at each of the positions with these
            indices.
    """

    losses: Callable[[NDArray[np.int64]], Iterator[Rows]]

    @override
    def tabulate(self, means: RowMeans, fold: NDArray[np.int64]) -> Tabulated:
        draws, sums = [], []
        size = max(_MOST_LOSSES // len(self.loss), 1)
        for start in range(0, len(self.positions), size):
            indices = np.arange(start, min(start + size, len(self.positions)))
            block = np.column_stack(list(self.losses(indices)))
            draws.append(means.plain(block))
            sums.append(_by_fold(block, fold))
        changes = np.concatenate(sums, axis=-1) - _by_fold(self.loss[:, None], fold)
        return Tabulated(np.concatenate(draws, axis=1), changes)

    @override
    def saved(self, index: int) -> Rows:
        return self.loss - next(self.losses(np.array([index])))

    @override
    def saved_shipped(self, index: int) -> Rows:
        return self.saved(index)


def _by_fold(columns: Rows, fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return sums of columns ``(row, column)`` over folds, ``(partition, fold, column)``."""
    inside = np.arange(fold.max() + 1)[:, None]
    return np.stack([(inside == each).astype(np.float64) @ columns for each in fold])
