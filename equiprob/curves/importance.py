"""Draws from a posterior of few numbers, by importance sampling that adapts.

A mixture of Student t laws is moved towards the posterior in steps, each as far as its effective
number of draws allows; its components are centred at draws of the step before, so that it follows
bent and divided posteriors. The weights of the last are smoothed by a generalized Pareto tail,
whose index says whether they may be believed.

References:
    West, JRSS-B 1993; Vehtari, Simpson, Gelman, Yao & Gabry, JMLR 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from equiprob.arguments.array_types import Array

MOST_PARETO_K = 0.7
"""Above this tail index of the weights a result carries `Diagnostic.UNEVEN_WEIGHTS`."""

_PER_ROUND, _REFINING = 1000, 2500
"""Draws of a round: on the way, and where the whole density is reached."""

_FINAL = 5000
_MOST_ROUNDS = 25
_LEAST_SHARE = 0.08
_FREEDOM = 7.0
_COMPONENTS, _NARROW = 250, 0.6
_DEFENCE, _WIDER = 0.2, 1.8
_SETTLED = 3


@dataclass(frozen=True, eq=False)
class Weighed:
    """Draws that stand for a posterior.

    Args:
        points: ``(draw, parameter)``, equally weighted.
        pareto_k: Tail index of the weights they were chosen by: below 0.7 they may be believed.
        effective: Effective number of draws they were chosen from.
        log_evidence: Log integral of the density.
    """

    points: Array
    pareto_k: float
    effective: float
    log_evidence: float = 0.0


def importance_draws(
    log_density: Callable[[Array], Array],
    centre: Array,
    spread: Array,
    n_draws: int,
    generator: np.random.Generator,
    *,
    rough: bool = False,
) -> Weighed:
    """Return draws from an unnormalized density.

    Args:
        log_density: From points ``(draw, parameter)`` to values ``(draw,)``; ``-inf`` is allowed.
        centre: Where to start, ``(parameter,)``.
        spread: Standard deviations to start from, ``(parameter,)``.
        n_draws: How many draws.
        generator: Of the draws.
        rough: Whether to do with a first approach, where the evidence alone is asked for.
    """
    proposal = _Proposal(centre[None], centre, np.diag(spread))
    settled = 0
    for _ in range(_MOST_ROUNDS):
        many = _REFINING if settled else _PER_ROUND
        points, log_proposal = proposal.draw(many, generator)
        ratio = log_density(points) - log_proposal
        power = _power(ratio)
        weight = _normalized(power * ratio)
        mean = weight @ points
        away = (points - mean) * np.sqrt(weight)[:, None]
        covariance = away.T @ away + np.diag(1e-8 * spread**2)
        chosen = _systematic(weight, _COMPONENTS, generator)
        proposal = _Proposal(points[chosen], mean, np.linalg.cholesky(covariance))
        settled += power == 1.0
        if settled == (1 if rough else _SETTLED):
            break
    points, log_proposal = proposal.draw(_REFINING if rough else _FINAL, generator)
    ratio = log_density(points) - log_proposal
    log_weight, pareto_k = _smoothed(ratio)
    weight = _normalized(log_weight)
    chosen = generator.permutation(_systematic(weight, n_draws, generator))
    evidence = float(logsumexp(log_weight)) - np.log(len(log_weight))
    return Weighed(points[chosen], pareto_k, float(1 / (weight**2).sum()), evidence)


def _systematic(weight: Array, n: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return `n` indices, each as often as its weight says to within one."""
    total = np.cumsum(weight)
    at = (np.arange(n) + generator.random()) / n * total[-1]
    return np.minimum(np.searchsorted(total, at), len(weight) - 1)


class _Proposal:
    """A mixture of Student t laws about some centres, and a wide one about their mean.

    Args:
        centres: ``(component, parameter)``.
        mean: ``(parameter,)``.
        factor: Cholesky factor of the covariance of all.
    """

    def __init__(self, centres: Array, mean: Array, factor: Array) -> None:
        """Draw centres towards the mean, so that the mixture's covariance is about that of all."""
        narrow = _NARROW if len(centres) > 1 else 1.0
        self.centres = np.append(mean + np.sqrt(1 - narrow**2) * (centres - mean), [mean], axis=0)
        self.scales = np.append(np.full(len(centres), narrow), _WIDER)
        self.shares = np.append(np.full(len(centres), (1 - _DEFENCE) / len(centres)), _DEFENCE)
        self.factor = factor

    def draw(self, n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return points and their log densities."""
        d = len(self.factor)
        which = _systematic(self.shares, n, generator)
        white = generator.normal(size=(n, d))
        white /= np.sqrt(generator.chisquare(_FREEDOM, n) / _FREEDOM)[:, None]
        points = self.centres[which] + self.scales[which, None] * (white @ self.factor.T)
        flat, middles = (
            np.linalg.solve(self.factor, values.T).T for values in (points, self.centres)
        )
        square = (flat**2).sum(axis=1)[:, None] + (middles**2).sum(axis=1) - 2 * flat @ middles.T
        half = (_FREEDOM + d) / 2
        each = -half * np.log1p(np.maximum(square, 0.0) / (_FREEDOM * self.scales**2))
        each += np.log(self.shares) - d * np.log(self.scales)
        constant = gammaln(half) - gammaln(_FREEDOM / 2) - d / 2 * np.log(np.pi * _FREEDOM)
        return points, logsumexp(each, axis=1) + constant - np.log(np.diag(self.factor)).sum()


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


def _smoothed(log_ratio: Array) -> tuple[Array, float]:
    """Return log weights with a smooth tail, and the tail's index."""
    from arviz_stats.base.array import array_stats

    finite = np.where(np.isfinite(log_ratio), log_ratio, log_ratio[np.isfinite(log_ratio)].min())
    shift = logsumexp(finite)
    # What it takes are log likelihoods, whose inverses are the ratios of leave-one-out.
    smooth, index = array_stats.psislw(shift - finite, r_eff=1)
    return np.asarray(smooth) - logsumexp(smooth) + shift, float(index)
