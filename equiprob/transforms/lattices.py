"""Which few points of a cube stand for all of it, whatever the shift?

Lattices of rank 1: every coordinate runs once through ``0, 1/n, ..., (n - 1)/n``, so that a lattice
whose size is coprime to the pixel grid's symmetry aliases with it in no coordinate. A random shift
modulo 1 makes each point uniform, and so every average over them unbiased.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

_MOST_SEARCHED = 256
"""Generators that are tried: more gain nothing that could be measured."""


@cache
def lattice(n: int, dimensions: int) -> NDArray[np.float64]:
    """Return the points ``(n, dimensions)`` of the best lattice of Korobov's form.

    Its generator is ``(1, a, a^2, ...)`` modulo n; the best `a` has the least worst-case error of
    periodic functions with square-integrable mixed second derivatives.

    Args:
        n: How many points.
        dimensions: Of the cube, at least 1.

    References:
        Sloan & Joe, "Lattice methods for multiple integration", 1994, chapter 4.
    """
    coprime = [a for a in range(1, max(n, 2)) if math.gcd(a, n) == 1]
    tried = coprime[:: -(-len(coprime) // _MOST_SEARCHED)] if dimensions > 1 else coprime[:1]
    points = min((_korobov(n, a, dimensions) for a in tried), key=_worst_case_error)
    points.setflags(write=False)
    return points


def _korobov(n: int, a: int, dimensions: int) -> NDArray[np.float64]:
    powers = np.array([pow(a, j, n) for j in range(dimensions)])
    return (np.arange(n)[:, None] * powers % n) / n


def _worst_case_error(points: NDArray[np.float64]) -> float:
    """Return the square of the error ``P_2`` of a lattice, up to a constant."""
    bernoulli = points**2 - points + 1 / 6
    return float(np.prod(1 + 2 * np.pi**2 * bernoulli, axis=1).mean())
