"""What is the mean of a part of what rows have seen, given that a large row is large in all parts?

The error at one size of the transformation is known from few numbers a row, and its tail from fewer
still. Where rows that are large in one part are so in the others, the tail is that of the rows'
sizes ``s``, which all other parts tell:

    E[part]  =  E[s] E[part] / E[w s]

with ``w`` how much of each row the part is, which is drawn apart from the size. The ratio has a
light tail, since what is large is so above and below.

Simulated, nominal 0.9, 300 rows, 12 sizes, 30 samples, against a tail of each part: squares of
Student t rows with 2.5 degrees of freedom hold at .80 to .85 (.48 to .78) where rows share their
size, and at .83 (.83) where they do not; with 1 row in 100 20 times larger at .65 (.60); normal
rows at .94 (.90) in .80 to 1.00 of the width. In a pass over turns, 40 samples: .84 (.59), .68
(.58) and .93 (.92).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.row_means import Array, RowMeans

_SHARED = 0.5
"""Correlation over rows, of a part and the others, from which sizes are those of whole rows."""


def means_of_parts(means: RowMeans, sums: Array, weights: Array, reach: float = 0.0) -> Array:
    """Return draws ``(draw, part)`` of the means of parts of what each row has seen.

    Args:
        means: The means over the rows.
        sums: Weighted sums within rows, ``(row, part)``.
        weights: How much of each row is in each part, ``(row, part)``.
        reach: The largest mean that a row could show, where it is known.
    """
    draws = means.weighted_means(sums, weights, reach)
    if means.pooled is not None or reach > 0 or sums.shape[1] < 2 or (sums < 0).any():
        return draws
    unit = sums.sum() / weights.sum()
    if unit == 0:
        return draws
    sums = sums / unit  # products of sizes are beyond a float where these are near its end
    # A row that is in one part alone says nothing of its size elsewhere.
    others = weights.sum(axis=1, keepdims=True) - weights
    known = others > 1e-9 * weights.sum(axis=1, keepdims=True)
    size = np.where(known, sums.sum(axis=1, keepdims=True) - sums, 0.0)
    size = np.maximum(size, 0.0) / np.where(known, others, 1.0)
    both = known & (weights > 0)
    shared = np.array(
        [
            _correlation(sums[:, j], weights[:, j], size[:, j], both[:, j]) > _SHARED
            for j in range(sums.shape[1])
        ]
    )
    if not shared.any():
        return draws
    counted = known.astype(np.float64)[:, shared]
    ratio = means.ratios(counted * sums[:, shared], (weights * size)[:, shared])
    draws[:, shared] = unit * ratio * means.weighted_means(size[:, shared], counted)
    return draws


def _correlation(sums: Array, weights: Array, size: Array, both: NDArray[np.bool_]) -> float:
    """Return how a part ``(row,)`` goes with the size of the rows that are elsewhere, too."""
    part, size = sums[both] / weights[both], size[both]
    if len(part) < 3 or np.ptp(part) == 0 or np.ptp(size) == 0:
        return 0.0
    return float(np.corrcoef(part, size)[0, 1])
