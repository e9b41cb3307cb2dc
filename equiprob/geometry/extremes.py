"""How far beyond the largest of a sample does the law reach?

Near the end point of a law the largest values behave like ``(end - v_j)^a ~ c (E_1 + ... + E_j)``
with exponential ``E``. The scale is integrated out; the end point and the exponent have a posterior
on a grid. A sample cannot exclude a small part of the law that reaches farther: what comes out is
indicative.

References:
    Hall, "On estimating the endpoint of a distribution", Annals of Statistics 1982.
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array

N_LARGEST = 8
"""Largest values that the end point is fitted to."""

_EXPONENTS = np.geomspace(0.25, 20.0, 45)
_EXCESSES = 120

_PRIOR = 0.5
"""Exponent of the excess in its prior, even in logarithms at 0 and even at 1. Simulated (distances
in five bodies, slopes of four functions), intervals of nominal .9 cover .5 to 1 at 0 and at 1, and
.9 to 1 at a half, save .7 for a smooth maximum in one dimension, where the excess is tiny."""


def end_point(values: Array, n_draws: int, generator: np.random.Generator) -> Array:
    """Return draws ``(draw,)`` of the end point of the law of values, all at least 0.

    It is taken to lie at most as far beyond the largest value as that is from zero.
    """
    largest = np.sort(values)[::-1][:N_LARGEST]
    spread = largest[0] - largest[-1]
    if spread <= 1e-9 * largest[0]:
        return np.full(n_draws, largest[0])
    excess = np.geomspace(1e-3 * spread, largest[0], _EXCESSES)
    logs = np.log((largest[0] - largest)[:, None] + excess)
    exponents = _EXPONENTS[:, None]
    posterior = (
        len(largest) * np.log(exponents)
        + (exponents - 1) * logs.sum(axis=0)
        - len(largest) * exponents * logs[-1]
        + _PRIOR * np.log(excess)
    )
    weights = np.exp(posterior - posterior.max()).sum(axis=0)
    place = generator.choice(_EXCESSES, size=n_draws, p=weights / weights.sum())
    between = np.exp((generator.random(n_draws) - 0.5) * np.log(excess[1] / excess[0]))
    return largest[0] + np.minimum(excess[place] * between, largest[0])
