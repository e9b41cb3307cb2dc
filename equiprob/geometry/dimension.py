"""How many dimensions do the inputs fill, at the smallest scale and as one looks from farther away?

The ratio of the distances to the second and to the first neighbour of a point has the law ``P(mu >
t) = t^-d`` wherever the density is constant over that distance (two nearest neighbours, Facco et
al. 2017). Thinning the sample gives the same at larger scales; the mean over all thinnings is a
weighted mean of the logarithms of more neighbours' distances, much less noisy. What the boundary,
the curvature and the density do to it grows with the scale: the dimension is what is left at scale
zero, with a Gaussian prior on the drift towards it.

References:
    Facco, d'Errico, Rodriguez & Laio, "Estimating the intrinsic dimension of datasets by a minimal
    neighborhood information", Scientific Reports 2017; Denti, Doimo, Laio & Mira, "The generalized
    ratios intrinsic dimension estimator", Scientific Reports 2022 (larger scales).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array

NEIGHBOURS = 80
"""Neighbours that say all there is to say at the smallest share of the rows, `_SHARES`."""

FEWEST_ROWS = 10

_SHARES = 0.5 ** np.arange(5)
"""Shares of the rows that thinned samples keep."""

_FEWEST_KEPT = 40
"""Rows left by a thinning that is still looked at."""

_SPREAD = np.array(
    [
        [1.553, 0.802, 0.389, 0.177, 0.084],
        [0.802, 0.574, 0.344, 0.178, 0.086],
        [0.389, 0.344, 0.247, 0.149, 0.081],
        [0.177, 0.178, 0.149, 0.108, 0.069],
        [0.084, 0.086, 0.081, 0.069, 0.053],
    ]
)
"""Covariance of the logarithm of the dimension at the five scales, times the rows.

Simulated on tori of dimension 3 (1500 rows, 250 replications); in dimensions 1, 2, 5 and 8 the
first number is 1.42, 1.51, 1.71 and 1.55: rows share neighbours, so that it is above 1."""

_DRIFT_POWERS = np.array([1.0, 2.0, 4.0])
_DRIFT = np.array([0.3, 0.3, 0.5])
"""Prior standard deviations of the drift's terms, at a scale as large as the cloud of rows.

The first is a boundary's, the second a curvature's; measured slopes: .2 to .35 in cubes of 2 to 10
dimensions, .2 to .4 on products of circles, .3 in normal laws.
"""

_IDEAL = 0.005
"""Relative error that no amount of rows takes away."""


_TIED = 0.1
"""Share of rows with two nearest neighbours at one distance, from which on rows lie on a grid."""

_GRID_STEPS = 2.5
"""Scale, in steps of the grid, from which on a grid looks like what it samples."""

_UNEXPLAINED = 1e-3
"""Probability of a drift as large, below which the scales are said to disagree."""


@dataclass(frozen=True, eq=False)
class Dimension:
    """Posterior draws of the dimension.

    Args:
        draws: At scale zero, ``(draw,)``; where the scales disagree, at the smallest.
        by_scale: As it looks at each scale, ``(draw, scale)``.
        scales: Typical distances to the nearest neighbour ``(scale,)``, increasing.
        agree: Whether the scales differ no more than the prior of the drift allows.
        on_grid: Whether many rows have two nearest neighbours at one distance.
    """

    draws: Array
    by_scale: Array
    scales: Array
    agree: bool
    on_grid: bool


def fit_dimension(
    distances: Array, n_rows: int, size: float, n_draws: int, generator: np.random.Generator
) -> Dimension:
    """Fit the dimension to the distances of some rows to their nearest neighbours.

    Args:
        distances: ``(query, neighbour)``, increasing and above zero.
        n_rows: Among how many rows the neighbours were found.
        size: Radius of the cloud of rows, root mean square.
        n_draws: How many draws.
        generator: Source of the draws.
    """
    from scipy.special import digamma
    from scipy.stats import chi2

    n, k = distances.shape
    on_grid = bool((distances[:, 1] <= distances[:, 0] * (1 + 1e-9)).mean() > _TIED)
    mean_logs = np.log(distances).mean(axis=0)
    used = (_SHARES * k >= 5) & (_SHARES * n_rows >= _FEWEST_KEPT) | (_SHARES == 1)
    first, second = np.stack([_rank_law(share, k) for share in _SHARES[used]], axis=1)
    scales = np.exp(first @ mean_logs)
    if on_grid:
        kept = scales >= min(_GRID_STEPS * np.median(distances[:, 0]), scales[-1])
        first, second, scales = first[kept], second[kept], scales[kept]
    # Of a Poisson process, E log(r_b / r_a) = (digamma(b) - digamma(a)) / d.
    expected = (second - first) @ digamma(np.arange(1, k + 1))
    found = np.log(expected / np.maximum((second - first) @ mean_logs, 1e-12))
    which = slice(int(used.sum()) - len(scales), int(used.sum()))
    noise = _SPREAD[which, which] / n
    drift = (scales / size)[:, None] ** _DRIFT_POWERS * _DRIFT
    covariance = noise + drift @ drift.T + _IDEAL**2 * np.eye(len(scales))
    weights = np.linalg.solve(covariance, np.ones(len(scales)))
    variance = 1 / weights.sum()
    weights = weights * variance
    off = found - weights @ found
    unexplained = off @ np.linalg.solve(covariance, off)
    agree = len(scales) == 1 or chi2.sf(unexplained, len(scales) - 1) > _UNEXPLAINED
    if not agree:
        weights, variance = np.eye(len(scales))[0], covariance[0, 0]
    normal = generator.standard_normal((n_draws, len(scales) + 1))
    by_scale = found + normal[:, 1:] @ np.linalg.cholesky(noise).T
    rest = np.sqrt(max(variance - weights @ noise @ weights, 0.0))
    logs = by_scale @ weights + rest * normal[:, 0]
    return Dimension(np.exp(logs), np.exp(by_scale), scales, bool(agree), on_grid)


def _rank_law(share: float, k: int) -> tuple[Array, Array]:
    """Return probabilities ``(rank,)`` of a thinned sample's first and second neighbour."""
    rank = np.arange(1, k + 1)
    first = (1 - share) ** (rank - 1.0)
    second = np.where(rank > 1, (rank - 1) * (1 - share) ** np.maximum(rank - 2.0, 0.0), 0.0)
    return first / first.sum(), second / second.sum()
