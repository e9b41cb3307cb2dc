"""What can be said of each transformation, where all rows share a list of them?

Rows and transformations are both drawn from laws of their own, and both are uncertain (Owen &
Eckles, "Bootstrapping data arrays of arbitrary order", Annals of Applied Statistics 2012).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.table import OrbitTable
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.transform import Transform

Draws = NDArray[np.float64]


def profile_squared(each: Draws, means: RowMeans, mean_sq: Draws) -> Draws:
    """Return draws ``(draw, transformation)`` of the squared error at each transformation.

    Args:
        each: Squared displacements, ``(row, transformation)``.
        means: The posterior of the rows' means.
        mean_sq: Draws of the mean over both, tails included.
    """
    plain = means.plain(np.column_stack([each, each.mean(axis=1)]))
    # What the tail adds to the rows' mean, it adds at all transformations in proportion.
    level = np.divide(mean_sq, plain[:, -1], out=np.ones(len(plain)), where=plain[:, -1] > 0)
    return np.maximum(plain[:, :-1] * level[:, None], 0.0)


def worst_squared(each: Draws, mean_sq: Draws, profile_sq: Draws, seed: int) -> Draws:
    """Return draws of the largest squared error over the transformations, shrunken.

    The balanced two-way normal model ``v_ij = a_i b_j + noise`` is sampled from its sums of
    squares, so that transformations that do not differ do not produce a large maximum. Effects
    multiply: rows on which the model errs more do so under all transformations, and the level of
    the largest error is as uncertain, in relative terms, as that of the mean error.
    """
    n, m = each.shape
    rows, columns, mean = each.mean(axis=1), each.mean(axis=0), each.mean()
    if m < 2 or mean <= 0:
        return profile_sq.max(axis=1)
    residual = ((each - rows[:, None] * columns / mean) ** 2).sum()
    between = n * ((columns - mean) ** 2).sum()
    generator = np.random.default_rng([seed, 1])
    n_draws = len(profile_sq)
    noise = residual / generator.chisquare((n - 1) * (m - 1), n_draws)
    total = np.maximum(between / generator.chisquare(m - 1, n_draws), noise)
    keep = 1 - noise / np.maximum(total, np.finfo(float).tiny)
    spread = np.sqrt(noise / n * keep)
    effects = keep[:, None] * (columns - mean)
    effects = effects + spread[:, None] * generator.standard_normal((n_draws, m))
    return mean_sq * (1 + effects.max(axis=1) / mean)


def means_by_unit(each: Draws, table: OrbitTable) -> Draws:
    """Return means over the rows of each independent unit, ``(unit, transformation)``."""
    units, place, counts = np.unique(table.unit_ids, return_inverse=True, return_counts=True)
    if len(units) == len(each):
        return each
    sums = np.zeros((len(units), each.shape[1]))
    np.add.at(sums, place, each)
    return sums / counts[:, None]


def place_in_law(magnitude: Draws, transform: Transform) -> Draws:
    """Return the share of the law of smaller magnitude; of an atom, half counts as smaller."""
    values, weights = transform.magnitude_law()
    order = np.argsort(values)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    margin = 1e-9 * np.abs(values).max()
    sides = [np.searchsorted(values[order], magnitude + d) for d in (-margin, margin)]
    return (below[sides[0]] + below[sides[1]]) / 2
