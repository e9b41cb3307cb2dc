"""Draws from a posterior of few numbers, by importance sampling that adapts.

A Student t proposal is moved towards the posterior in steps, each as far as its effective number of
draws allows; the weights of the last are smoothed by a generalized Pareto tail, whose index says
whether they may be believed.

References:
    Vehtari, Simpson, Gelman, Yao & Gabry, JMLR 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

Array = NDArray[np.float64]

_PER_ROUND = 1500
_FINAL = 6000
_MOST_ROUNDS = 25
_LEAST_SHARE = 0.1
_FREEDOM = 7.0
_WIDER = 1.15
_SETTLED = 3


@dataclass(frozen=True, eq=False)
class Weighed:
    """Draws that stand for a posterior.

    Args:
        points: ``(draw, parameter)``, equally weighted.
        pareto_k: Tail index of the weights they were chosen by: below 0.7 they may be believed.
        effective: Effective number of draws they were chosen from.
    """

    points: Array
    pareto_k: float
    effective: float


def importance_draws(
    log_density: Callable[[Array], Array],
    centre: Array,
    spread: Array,
    n_draws: int,
    generator: np.random.Generator,
) -> Weighed:
    """Return draws from an unnormalized density.

    Args:
        log_density: From points ``(draw, parameter)`` to values ``(draw,)``; ``-inf`` is allowed.
        centre: Where to start, ``(parameter,)``.
        spread: Standard deviations to start from, ``(parameter,)``.
        n_draws: How many draws.
        generator: Of the draws.
    """
    mean, factor = centre, np.diag(spread)
    settled = 0
    for _ in range(_MOST_ROUNDS):
        points, log_proposal = _student(mean, factor, _PER_ROUND, generator)
        ratio = log_density(points) - log_proposal
        power = _power(ratio)
        weight = _normalized(power * ratio)
        mean = weight @ points
        away = (points - mean) * np.sqrt(weight)[:, None]
        covariance = away.T @ away * (_FREEDOM - 2) / _FREEDOM * _WIDER
        covariance += np.diag(1e-8 * spread**2)
        factor = np.linalg.cholesky(covariance)
        settled += power == 1.0
        if settled == _SETTLED:
            break
    points, log_proposal = _student(mean, factor, _FINAL, generator)
    ratio = log_density(points) - log_proposal
    log_weight, pareto_k = _smoothed(ratio)
    weight = _normalized(log_weight)
    total = np.cumsum(weight)
    at = (np.arange(n_draws) + generator.random()) / n_draws
    chosen = np.minimum(np.searchsorted(total, at), len(points) - 1)
    chosen = generator.permutation(chosen)
    return Weighed(points[chosen], pareto_k, float(1 / (weight**2).sum()))


def _power(ratio: Array) -> float:
    """Return the largest power of the ratios that leaves enough effective draws, 1 at most."""
    wanted = _LEAST_SHARE * len(ratio)
    if _effective(ratio) >= wanted:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _effective(middle * ratio) >= wanted else (low, middle)
    return low


def _effective(log_weight: Array) -> float:
    return float(1 / (_normalized(log_weight) ** 2).sum())


def _normalized(log_weight: Array) -> Array:
    return np.exp(log_weight - logsumexp(log_weight))


def _student(
    mean: Array, factor: Array, n: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return draws of a multivariate Student t, and their log densities."""
    d = len(mean)
    white = generator.normal(size=(n, d))
    stretched = white / np.sqrt(generator.chisquare(_FREEDOM, n) / _FREEDOM)[:, None]
    half = (_FREEDOM + d) / 2
    constant = gammaln(half) - gammaln(_FREEDOM / 2) - d / 2 * np.log(np.pi * _FREEDOM)
    constant -= np.log(np.diag(factor)).sum()
    log_density = constant - half * np.log1p((stretched**2).sum(axis=1) / _FREEDOM)
    return mean + stretched @ factor.T, log_density


def _smoothed(log_ratio: Array) -> tuple[Array, float]:
    """Return log weights with a smooth tail, and the tail's index."""
    from arviz_stats.base.array import array_stats

    finite = np.where(np.isfinite(log_ratio), log_ratio, log_ratio[np.isfinite(log_ratio)].min())
    shift = logsumexp(finite)
    # What it takes are log likelihoods, whose inverses are the ratios of leave-one-out.
    smooth, index = array_stats.psislw(shift - finite, r_eff=1)
    return np.asarray(smooth) - logsumexp(smooth) + shift, float(index)
