"""What does exact symmetry cost kernel ridge regression, on rows that it has not seen?

A formula of the risk is as good as the posterior of the truth that goes into it, and a difference
of two risks is small beside either. So the rows are asked: each row (or group) is left out, and
predicted from the others with and without exact symmetry. What exact symmetry loses, averaged, is
the harm at nearly the number of rows at hand; few rows may carry it, and the posterior of means
over rows knows (`equiprob.posterior.row_means`).

Leaving out a block b of rows changes ``K + ridge`` by nothing but that block, so that what is lost
there is ``([ (K + ridge)^-1 ]_bb)^-1 [ (K + ridge)^-1 y ]_b``: one decomposition serves all ridges.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.orbits.keys import Ids
from equiprob.posterior.row_means import RowMeans


def held_out_losses(values: Array, vectors: Array, y: Array, units: Ids, ridges: Array) -> Array:
    """Return the squared error on each row of what the rows of other units predict.

    Args:
        values: Eigenvalues of the kernel ``(row * k, row * k)``.
        vectors: Its eigenvectors.
        y: Centred targets, ``(row, k)``.
        units: The unit of each row.
        ridges: ``(ridge,)``.

    Returns:
        Summed over components, of the ridge that is best on average, ``(row,)``.
    """
    inverse = 1 / (np.maximum(values, 0.0) + ridges[:, None])
    solved = ((vectors.T @ y.ravel()) * inverse) @ vectors.T
    found = np.empty((len(ridges), len(y)))
    for rows in _alike(units):
        places = (rows[:, :, None] * y.shape[1] + np.arange(y.shape[1])).reshape(len(rows), -1)
        parts = vectors[places]
        for r, each in enumerate(inverse):
            blocks = (parts * each) @ parts.swapaxes(1, 2)
            left = np.linalg.solve(blocks, solved[r, places][..., None])[..., 0]
            found[r, rows] = (left.reshape(*rows.shape, -1) ** 2).sum(axis=2)
    return found[found.mean(axis=1).argmin()]


def _alike(units: Ids) -> Iterator[Index]:
    """Yield rows ``(unit, row)`` of all units of one size."""
    _, place, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order, starts = np.argsort(place, kind="stable"), np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        yield order[starts[sizes == size][:, None] + np.arange(size)]


def harm_of(losses: Array, means: RowMeans) -> Array:
    """Return draws ``(draw,)`` of what exact symmetry adds to the risk, at least 0.

    Args:
        losses: On held-out rows, the ridge at its best, ``(amplitude, row)``; the first is exactly
            symmetric.
        means: The means over these rows.
    """
    return np.maximum(means.differences((losses[0] - losses[1:]).T).max(axis=1), 0.0)
