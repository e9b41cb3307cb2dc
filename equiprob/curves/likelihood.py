"""What do the runs of one candidate at one n say of its expected risk there?

Either a mean of risks, whose logarithm is normal about that of the expected risk; or failures among
trials, which are binomial given the mean risk of the runs made, itself log-normal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from equiprob.arguments.array_types import Array

_STEPS = 8
_LONGEST = 1.5
_NEARLY_ONE = -1e-6


class Told(NamedTuple):
    """What runs say at some log risks, all ``(..., cell)``.

    Args:
        fit: The log likelihood.
        score: Its derivative.
        information: Minus its second derivative, or what is expected of it.
    """

    fit: Array
    score: Array
    information: Array


def normal_told(at: Array, mean: Array, variance: Array) -> Told:
    """Return what a mean log risk of some variance says at log risks `at`."""
    away = mean - at
    fit = -0.5 * (away**2 / variance + np.log(2 * np.pi * variance))
    return Told(fit, away / variance, np.broadcast_to(1 / variance, away.shape))


def binomial_told(at: Array, failures: Array, trials: Array, variance: Array) -> Told:
    """Return what failures among trials say at log risks `at`.

    The mean log risk y of the runs has a normal law about `at`, over which the likelihood is
    integrated about its mode.

    Args:
        at: Log risks, ``(..., cell)``.
        failures: ``(cell,)``.
        trials: ``(cell,)``.
        variance: Of y about `at`, ``(..., cell)``.
    """
    y = np.minimum(at, np.log((failures + 0.5) / (trials + 1)))
    for _ in range(_STEPS):
        score, bend = _binomial_slopes(y, failures, trials)
        step = (score - (y - at) / variance) / (bend + 1 / variance)
        y = np.minimum(y + np.clip(step, -_LONGEST, _LONGEST), _NEARLY_ONE)
    _, bend = _binomial_slopes(y, failures, trials)
    inside = failures * y + (trials - failures) * np.log1p(-np.exp(y))
    fit = inside - 0.5 * (y - at) ** 2 / variance - 0.5 * np.log1p(variance * bend)
    return Told(fit, (y - at) / variance, bend / (1 + variance * bend))


def _binomial_slopes(y: Array, failures: Array, trials: Array) -> tuple[Array, Array]:
    rate = np.exp(y)
    odds = rate / (1 - rate)
    return failures - (trials - failures) * odds, (trials - failures) * odds / (1 - rate) + 1e-12
