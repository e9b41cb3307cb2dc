"""How much do candidates differ, as far as the noise of their estimates lets that be seen?

The best of several estimates owes part of its lead to luck. How large a part depends on how much
the candidates differ, which their estimates show as well:

    estimate_k = risk_k + noise_k                   (noise of known variance)
    risk_k ~ Student t(nu) around a common level, of an unknown scale

Where the estimates scatter no more than their noise explains, differences are drawn together; where
one stands apart, the heavy tail leaves it where it is. The scale has a half-Cauchy prior of three
standard errors and is, with nu, a sum over a grid; the weights that turn a t into a normal are
found by variational inference at each point of it. Each candidate's noise is taken by itself, what
all share apart: with their covariances, what is thought luck of a third candidate would move the
difference of two that go together row by row.

Simulated, twelve candidates in units of a standard error, stated probability that the recommended
one is best against the share that is: alike .28 for .12 (.41 without), spread by one .44 for .38
(.51), by two .64 for .63 (.65), one ahead by five .95 for 1.00 (.96). It understates where one of
twelve is ahead by as little as chance would make one: by two and a half, .51 for .77 (.63). That is
what telling it from twelve alike costs: a law of heavier tails (nu = 1/2) states .64 there for .81,
and .35 where all are alike for .06 (this one .26), with no better a score; a normal bulk with
outliers .43, and .21 where all are alike. Over these kinds and skewed ones together .54 is stated
for .55 of twelve, .68 for .66 of four and .82 for .80 of two (without: .60, .75 and .86), and of
nine such laws none has a log score better by .005.

References:
    Tipping & Lawrence, "Variational inference for Student-t models", Neurocomputing 2005; Gelman,
    "Prior distributions for variance parameters in hierarchical models", Bayesian Analysis 2006.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.decisions.choice import Draws

_FREEDOM = (1.0, 3.0)
"""Degrees of freedom of the differences' law that are thought possible, alike likely."""

_TYPICAL_SCALE = 3.0
"""Scale of the prior of the differences' scale, in standard errors."""

_LEAST_SCALE, _N_SCALES = 0.05, 32

_STEPS = 8
"""Of variational inference. More change no probability by as much as .01."""

_NODES = (np.arange(8) + 0.5) / 8
"""Quantiles at which the local weights are summed over."""


def noise_variances(draws: Draws) -> Array:
    """Return the variance ``(candidate,)`` of each estimate's own noise, what all share apart.

    Half of that of its difference to another one, the median over the others: two that go together
    row by row have like ones, and one of much noise leaves the others theirs.

    Args:
        draws: Of the estimates, ``(draw, candidate)``.
    """
    k = draws.shape[1]
    off = draws - draws.mean(axis=1, keepdims=True)
    off = off - off.mean(axis=0)
    size = np.abs(off).max() or 1.0
    covariance = (off / size).T @ (off / size) / len(off)
    own = np.diag(covariance)
    # Rounded, so that a candidate given twice stays a tie.
    apart = np.round(np.maximum(own[:, None] + own - 2 * covariance, 0.0), 12)
    others = apart[~np.eye(k, dtype=bool)].reshape(k, k - 1)
    return np.median(others, axis=1) / 2 * size**2


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """The posterior of how much candidates differ.

    Args:
        estimates: ``(candidate,)``.
        noise: The variance of each one's own noise, ``(candidate,)``.
        seed: The weight seed.
    """

    estimates: Array
    noise: Array
    seed: int

    @classmethod
    def of(cls, draws: Draws, seed: int) -> Shrinkage:
        """Return it of estimates whose noise is that of draws ``(draw, candidate)``."""
        return cls(draws.mean(axis=0), noise_variances(draws), seed)

    @cached_property
    def expected(self) -> Array:
        """The risks that are to be expected, ``(candidate,)``."""
        if not self._unit > 0:
            return self.estimates
        grid, kept = self._grid, self._kept(self._noise)[0]
        found = (grid.weight[:, None] * (grid.level + kept * (self._means - grid.level))).sum(
            axis=0
        )
        return self.estimates.mean() + self._unit * (found - found.mean())

    def posterior(self, draws: Draws, *others: Draws) -> tuple[Draws, ...]:
        """Return draws ``(draw, candidate)`` of the risks, given draws of their estimates.

        Args:
            draws: Of the estimates that this was made of.
            others: Other draws of the same estimates, such as with tails.

        Returns:
            For each of these, draws of the same level, and of differences drawn together; the first
            have the means that are `expected`.
        """
        if not self._unit > 0:
            return (draws, *others)
        grid, (kept, variance) = self._grid, self._kept(self._noise)
        generator = np.random.default_rng([self.seed, 3])
        n = len(draws)
        place = np.searchsorted(grid.weight.cumsum(), (np.arange(n) + 0.5) / n)
        place = generator.permutation(place.clip(0, len(grid.weight) - 1))
        level = grid.level[place] + grid.level_error[place] * generator.standard_normal((n, 1))
        middle = level + kept[place] * (self._means - level)
        found = []
        for each in (draws, *others):
            mean = each.mean(axis=1, keepdims=True)
            noise = (each - mean) / self._unit - self._means
            differences = middle + np.sqrt(variance[place]) * noise
            differences -= differences.mean(axis=1, keepdims=True)
            found.append(mean + self._unit * differences)
        # Without the Monte Carlo error of the means: near ties stay in order.
        off = self.expected - found[0].mean(axis=0)
        return tuple(each + off for each in found)

    def to_be_expected(self, draws: Draws, noise: Array) -> Draws:
        """Return draws ``(draw, candidate)`` of the risks to be expected once there is less noise.

        Args:
            draws: Of the risks, ``(draw, candidate)``.
            noise: The variances ``(candidate,)`` that the noise will have left.
        """
        middle = draws.mean(axis=0)
        if not self._unit > 0:
            return np.broadcast_to(middle, draws.shape)
        later = np.clip(noise / self._unit**2, 0.0, self._noise)
        weight = self._grid.weight[:, None]
        left, now = (
            (weight * self._kept(each)[0] * each).sum(axis=0) for each in (later, self._noise)
        )
        off = draws - middle
        off = off - off.mean(axis=1, keepdims=True)
        return middle + np.sqrt(np.clip(1 - left / now, 0.0, 1.0)) * off

    @cached_property
    def _unit(self) -> float:
        """A typical standard error; 0 or NaN where there is nothing to draw together."""
        return float(np.sqrt(np.median(self.noise))) if len(self.estimates) > 1 else 0.0

    @property
    def _means(self) -> Array:
        return (self.estimates - self.estimates.mean()) / self._unit

    @property
    def _noise(self) -> Array:
        """The noise in units; none is known without any."""
        return np.maximum(self.noise / self._unit**2, 1e-6)

    def _kept(self, noise: Array) -> tuple[Array, Array]:
        """Return ``(grid, candidate)`` which share of its distance from the level each keeps.

        And the variance of its risk, over that of its noise.

        Args:
            noise: Variances ``(candidate,)``, in units.
        """
        grid = self._grid
        scales = grid.scales(self._quantiles)
        shares = scales / (scales + noise)
        kept = shares.mean(axis=0)
        return kept, kept + shares.var(axis=0) * (self._means - grid.level) ** 2 / noise

    @cached_property
    def _quantiles(self) -> Array:
        """Quantiles ``(node, grid, 1)`` of the local weights, over their rates."""
        from scipy import stats

        each = stats.gamma.ppf(_NODES[:, None], (np.array(_FREEDOM) + 1) / 2)
        return np.repeat(each, _N_SCALES, axis=1)[..., None]

    @cached_property
    def _grid(self) -> _Grid:
        """The posterior of scales and degrees of freedom, and of what else is unknown given them.

        Local weights of candidates are gamma distributed, of shape ``(freedom + 1) / 2``.
        """
        means, noise = self._means, self._noise
        largest = 4 * max(float(np.ptp(means)), _TYPICAL_SCALE)
        scale = np.geomspace(_LEAST_SCALE, largest, _N_SCALES)
        log_prior = np.log(np.gradient(scale)) - np.log1p((scale / _TYPICAL_SCALE) ** 2)
        variance = np.tile(scale**2, len(_FREEDOM))[:, None]
        freedom = np.repeat(_FREEDOM, len(scale))[:, None]
        shape = (freedom + 1) / 2
        rates = np.broadcast_to(shape, (len(freedom), len(means)))
        for _ in range(_STEPS):
            scales = variance * rates / shape
            level, precision = _level(means, scales + noise)
            share = scales / (scales + noise)
            squares = (share * (means - level)) ** 2 + share**2 / precision + share * noise
            rates = (freedom + squares / variance) / 2
        total = variance * rates / shape + noise
        level, precision = _level(means, total)
        fit = (np.log(total) + (means - level) ** 2 / total).sum(axis=1) + np.log(precision[:, 0])
        log_weight = np.tile(log_prior, len(_FREEDOM)) - fit / 2
        log_weight += _bound(freedom, rates).sum(axis=1)
        weight = np.exp(log_weight - log_weight.max())
        return _Grid(variance, rates, level, 1 / np.sqrt(precision), weight / weight.sum())


class _Grid(NamedTuple):
    """Points of scale and degrees of freedom.

    Args:
        variance: Of the candidates' risks, ``(grid, 1)``.
        rates: Of their local weights, ``(grid, candidate)``.
        level: Of all, ``(grid, 1)``.
        level_error: Its standard error, ``(grid, 1)``.
        weight: The posterior, ``(grid,)``.
    """

    variance: Array
    rates: Array
    level: Array
    level_error: Array
    weight: Array

    def scales(self, quantiles: Array) -> Array:
        """Return the variances ``(node, grid, candidate)`` at quantiles of the local weights."""
        return self.variance * self.rates / quantiles


def _level(means: Array, variances: Array) -> tuple[Array, Array]:
    """Return the mean of estimates over their variances, and its precision, ``(grid, 1)`` each."""
    precision = (1 / variances).sum(axis=1, keepdims=True)
    return (means / variances).sum(axis=1, keepdims=True) / precision, precision


def _bound(freedom: Array, rates: Array) -> Array:
    """Return what the local weights add to the lower bound of the log evidence."""
    from scipy.special import gammaln

    shape, prior = (freedom + 1) / 2, freedom / 2
    return (
        -np.log(shape) / 2
        + gammaln(shape)
        - gammaln(prior)
        + prior * np.log(prior / rates)
        + shape * (1 - prior / rates)
    )
