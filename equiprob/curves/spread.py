"""Means over seeds, and what runs of one cell tell of the noise in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array, Index


@dataclass(frozen=True, eq=False)
class Scatter:
    """Means of the runs of each cell, and their residuals.

    Noise is each run's own, and one that runs of different candidates share that have the same n
    and seed, and so the same training rows; both scale with a unit of the cell.

    Args:
        mean: ``(cell,)``.
        candidate: ``(cell,)``.
        size: ``(cell,)``.
        count: Runs of the cell.
        known: Mean square of the runs' standard errors.
        onto: Which share of a cell's runs has each n and seed, ``(cell, pair)``.
        away: Residuals of the runs, ``(run,)``.
        cell: Cell of each run.
        pair: The n and seed of each run.
    """

    mean: Array
    candidate: Index
    size: Index
    count: Array
    known: Array
    onto: Array
    away: Array
    cell: Index
    pair: Index

    def within(self, unit: Array, own: Array, common: Array) -> Array:
        """Return the log likelihood ``(draw,)`` of the residuals.

        Args:
            unit: Of the noise in each cell, ``(draw, cell)``.
            own: Standard deviation of each run's own noise, ``(draw, 1)``.
            common: Of the shared one.
        """
        if not len(self.away) > len(self.mean):
            return np.zeros(len(unit))
        scaled = self.away / unit[:, self.cell]
        onto = np.eye(self.pair.max() + 1)[self.pair]
        many = onto.sum(axis=0)
        middle = scaled @ onto / many
        pairs_per_size = np.array(
            [len(np.unique(self.pair[self.size[self.cell] == j])) for j in np.unique(self.size)]
        )
        free_pairs = float((pairs_per_size - 1).sum())
        free = float(len(self.away) - len(self.mean)) - free_pairs
        around = ((scaled - middle[:, self.pair]) ** 2).sum(axis=1)
        together = (many * middle**2).sum(axis=1)
        small, large = own[:, 0] ** 2, own[:, 0] ** 2 + common[:, 0] ** 2 * float(many.mean())
        total = -0.5 * (together / large + free_pairs * np.log(large))
        if free > 0:
            total -= 0.5 * (around / small + free * np.log(small))
        return total - np.log(unit) @ (self.count - 1.0)


def scatter_of(
    values: Array, errors: Array, candidate: NDArray[Any], size: NDArray[Any], seed: NDArray[Any]
) -> Scatter:
    """Return the means and residuals of run values.

    Args:
        values: ``(run,)``.
        errors: Their standard errors.
        candidate: Whose run each is.
        size: At which sample size.
        seed: With which seed; runs of one size and seed have the same training rows.
    """
    key, cell = np.unique(np.stack([candidate, size]), axis=1, return_inverse=True)
    _, pair = np.unique(np.stack([size, seed]), axis=1, return_inverse=True)
    count = np.bincount(cell, minlength=key.shape[1]).astype(float)
    onto = np.zeros((len(count), int(pair.max(initial=-1)) + 1))
    np.add.at(onto, (cell, pair), 1.0)
    mean = np.bincount(cell, values, minlength=len(count)) / count
    known = np.bincount(cell, errors**2, minlength=len(count)) / count
    return Scatter(
        mean=mean,
        candidate=key[0],
        size=key[1],
        count=count,
        known=known,
        onto=onto / count[:, None],
        away=values - mean[cell],
        cell=cell,
        pair=pair,
    )
