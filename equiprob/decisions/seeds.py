"""How far may an architecture's risk be from the mean over its few training seeds?

Architectures train more or less evenly, and a few seeds of each hardly show how evenly. So each has
a spread of its own, drawn towards the one that all share as far as their spreads allow:

    log risk of a seed ~ Normal(., spread_k^2)
    spread_k^2 ~ scaled inverse chi-squared(evenness, common^2)

with the common spread and how even the spreads are found on a grid. Simulated with three seeds,
nominal 90 %: beside three architectures of spread .02, one of .4 is covered in .78 (.51 where all
are given one spread); four of equal spreads are covered in .89, at the same width.

References:
    Smyth, "Linear models and empirical Bayes methods for assessing differential expression",
    Statistical Applications in Genetics and Molecular Biology 2004.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array

_LARGEST = 1.0
"""Largest standard deviation of the log risk between seeds.

Few seeds leave the spread all but unknown; without a limit, the expectation of the risk is
infinite.
"""

_UNEVENNESS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0])
"""Standard deviations of the logarithm of spreads that are thought possible."""

_TYPICAL_UNEVENNESS = 0.5
"""Scale of the half-Cauchy prior of these."""

_COMMON = np.exp(np.linspace(-6, 3, 61))
"""The common variance over the pooled one."""

_LEVEL = 0.01
"""Spreads are called unequal where equal ones differ as much so rarely."""


@dataclass(frozen=True)
class SeedSpread:
    """The spread of each candidate's risk between its training seeds, in relative terms.

    Args:
        relative: Standard deviation of the risk over its mean, ``(candidate,)``; any number for a
            candidate of one seed.
        counts: Seeds of each candidate.
    """

    relative: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, risks: Sequence[Sequence[float]]) -> SeedSpread | None:
        """Return the spreads, given the risks ``(seed,)`` of each candidate; None of single seeds.

        Args:
            risks: The risk of each training run, by candidate.
        """
        counts = tuple(len(r) for r in risks)
        if sum(counts) == len(counts):
            return None
        return cls(tuple(_relative(np.asarray(r)) for r in risks), counts)

    @property
    def _freedom(self) -> Array:
        return np.array(self.counts, dtype=np.float64) - 1

    @property
    def uneven(self) -> list[int]:
        """The candidates whose trainings differ far more than those of all others together."""
        freedom, squares = self._freedom, np.square(self.relative)
        found = []
        for k in np.flatnonzero(freedom > 0):
            others = np.arange(len(freedom)) != k
            rest = float(freedom[others].sum())
            within = float((freedom * squares)[others].sum())
            if rest and _ratio_is_rare(squares[k], within / rest, freedom[k], rest, len(freedom)):
                found.append(int(k))
        return found

    def factors(self, n_draws: int, seed: int) -> Array:
        """Return draws ``(draw, candidate)``, of mean 1, of the risk over its mean of these seeds.

        Log-normal, with each candidate's deviation drawn from its posterior.
        """
        generator = np.random.default_rng([seed, 2])
        deviation = np.minimum(self._deviations(n_draws, generator), _LARGEST)
        of_mean = deviation / np.sqrt(self.counts)
        normal = generator.standard_normal(of_mean.shape)
        return np.exp(of_mean * normal - of_mean**2 / 2)

    def _deviations(self, n_draws: int, generator: np.random.Generator) -> Array:
        """Return draws ``(draw, candidate)`` of the candidates' spreads."""
        freedom = self._freedom
        sums = freedom * np.square(self.relative)
        pooled = sums.sum() / freedom.sum()
        if pooled == 0:
            return np.zeros((n_draws, len(freedom)))
        evenness, common, weight = _hyperparameters(sums, freedom, pooled)
        place = generator.choice(len(weight), n_draws, p=weight)
        prior = evenness[place, None]
        chi_squared = generator.chisquare(prior + freedom)
        return np.sqrt((prior * common[place, None] + sums) / chi_squared)


def _relative(risks: Array) -> float:
    """Return the standard deviation of positive numbers over their mean; 0 of a single one."""
    if len(risks) < 2 or not risks.mean() > 0:
        return 0.0
    return float(np.std(risks / risks.mean(), ddof=1))


def _ratio_is_rare(
    variance: float, of_others: float, freedom: float, freedom_of_others: float, n_tried: int
) -> bool:
    from scipy import stats

    if of_others == 0:
        return variance > 0
    p = stats.f.sf(variance / of_others, freedom, freedom_of_others)
    return bool(n_tried * p < _LEVEL)


def _hyperparameters(sums: Array, freedom: Array, pooled: float) -> tuple[Array, Array, Array]:
    """Return pairs of evenness and common variance on a grid, and the posterior of each pair.

    Of a variance that is inverse chi-squared, the estimate has the law of a Fisher ratio.
    """
    from scipy.special import gammaln

    evenness = (1 / (2 * _UNEVENNESS**2))[:, None, None]
    common = pooled * _COMMON[None, :, None]
    several = freedom > 0
    f, sums = freedom[several], sums[several]
    ratio = np.maximum(sums / common, np.finfo(np.float64).tiny) / evenness
    half = f / 2, evenness / 2
    log_density = (
        gammaln(half[0] + half[1])
        - gammaln(half[1])
        + half[0] * np.log(ratio)
        - (half[0] + half[1]) * np.log1p(ratio)
    ).sum(axis=2)
    log_prior = np.log(np.gradient(_UNEVENNESS)) - np.log1p(
        (_UNEVENNESS / _TYPICAL_UNEVENNESS) ** 2
    )
    log_weight = log_density + log_prior[:, None]
    weight = np.exp(log_weight - log_weight.max()).ravel()
    pairs = np.broadcast_arrays(evenness[..., 0], common[..., 0])
    return pairs[0].ravel(), pairs[1].ravel(), weight / weight.sum()
