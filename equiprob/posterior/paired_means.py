"""What are the means of several losses of the same rows, and which is the least?

Two candidates that differ on one row of three hundred have a difference of one sign in the sample,
and of either in the population. Each candidate has half a unit of weight on a row where it alone
fails, as far as the most extreme row tells candidates apart. For losses of 0 and 1 each mean then
has the posterior of Jeffreys' prior, each difference that of the same prior over the three kinds of
rows (one fails, the other fails, neither or both), and both are of one joint law: what is least can
be said of every pair, and no mean leaves its range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.contrast import Limits
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.tails import Array

ANY: Limits = (-np.inf, np.inf)
"""The limits of values of which nothing is known."""

_ROUNDING = 1e-9
"""Losses smaller than this share of the largest are those of float32 arithmetic."""


def paired_means(
    means: RowMeans, values: Array, limits: Limits = ANY, reference: int | None = None
) -> Array:
    """Return joint draws ``(draw, candidate)`` of the means of ``(row, candidate)``.

    Differences are fitted to the differences of rows: a reference has its own posterior, the others
    that of the difference to it on top.

    Args:
        means: The posterior of means over the rows.
        values: ``(row, candidate)``.
        limits: Between which values lie, in rows not seen, too; so do the draws.
        reference: The candidate that the others are compared with; the one of least mean if left
            out.
    """
    if reference is None:
        reference = int(values.mean(axis=0).argmin())
    mine, others = _parted(values, reference)
    draws = np.empty((means.n_draws, values.shape[1]))
    draws[:, reference] = means.mean(*_with_limits(mine, values, limits))
    apart = np.arange(values.shape[1]) != reference
    better = means.differences(mine[:, None] - others, _reach(values, limits))
    draws[:, apart] = draws[:, [reference]] - better
    return np.clip(draws, *limits)


def paired_expectations(means: RowMeans, values: Array, limits: Limits = ANY) -> Array:
    """Return the same draws for expectations: their means are those of the rows, without tails.

    Tails that intervals and probabilities need overstate what is at stake.
    """
    reference = int(values.mean(axis=0).argmin())
    mine, others = _parted(values, reference)
    draws = np.repeat(means.plain(mine[:, None]), values.shape[1], axis=1)
    apart = np.arange(values.shape[1]) != reference
    draws[:, apart] -= means.differences(
        mine[:, None] - others, _reach(values, limits), tails=False
    )
    return draws - draws.mean(axis=0) + values.mean(axis=0)


def in_steps(values: Array) -> bool:
    """Return whether values ``(row, ...)`` take so few levels that rows can hardly but share them.

    Then rows that are equal, as those of two classifiers that give the same labels, say little of
    those not seen; where levels are as many as rows, equal rows are of one and the same thing.
    """
    return len(np.unique(values)) <= max(len(values) / 2, 2)


def squared_error_limits(y: Array, prediction: Array) -> Limits:
    """Return the limits of a squared error: 0 and 2 for probabilities of classes (Brier score).

    Args:
        y: Targets, ``(row, k)``, one-hot where they are labels.
        prediction: ``(row, k)``.
    """
    slack = 1e-3
    probabilities = bool(
        (prediction >= -slack).all() and (np.abs(prediction.sum(axis=1) - 1) <= slack).all()
    )
    return (0.0, 2.0) if is_one_hot(y) and probabilities else (0.0, np.inf)


def is_one_hot(y: Array) -> bool:
    """Whether targets ``(row, k)`` are labels, one of k components of each row one."""
    return y.shape[1] > 1 and bool(np.isin(y, (0.0, 1.0)).all() and (y.sum(axis=1) == 1).all())


def labels_of(y: Array) -> NDArray[np.int64] | None:
    """Return the label of each row where targets ``(row, k)`` are labels, None where they are not.

    One of k components is one, or there is one component, of two values at most.
    """
    if is_one_hot(y):
        return y.argmax(axis=1)
    if y.shape[1] > 1:
        return None
    values, place = np.unique(y, return_inverse=True)
    return place.ravel() if len(values) <= 2 else None


def _parted(values: Array, reference: int) -> tuple[Array, Array]:
    """Return the values of the reference ``(row,)``, and of the others ``(row, other)``."""
    return values[:, reference], np.delete(values, reference, axis=1)


def _with_limits(mine: Array, values: Array, limits: Limits) -> tuple[Array, Limits | None]:
    """Return the values of one candidate and between which they lie.

    One that never failed may fail as the others do; where none did, as far as the limits are.
    """
    seen = float(values.min()), float(values.max())
    for limit in limits:
        if np.isfinite(limit) and np.abs(mine - limit).max() <= _ROUNDING * (seen[1] - seen[0]):
            inside = seen if seen[1] > seen[0] else limits
            return np.full(len(mine), np.clip(limit, *inside)), inside
    return mine, None if limits == ANY else limits


def _reach(values: Array, limits: Limits) -> float:
    """Return the largest difference that a row could show where none does."""
    if not in_steps(values):
        return 0.0
    reach = float(np.ptp(values)) or limits[1] - limits[0]
    return reach if np.isfinite(reach) else 0.0
