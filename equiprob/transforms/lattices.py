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

from equiprob.arguments.array_types import Array

_MOST_SEARCHED = 256
"""Generators that are tried: more gain nothing that could be measured."""

_DIGITS = 10
"""To which errors are compared: lattices that mirror each other are equal on any machine."""

_PERIODIC, _BETWEEN_ENDS = 3.0, 0.5
"""Weights of coordinates around a circle and between two ends, where a cube has both.

Chosen on error spectra of networks on digits, 28 x 28 images and clouds that are turned and
shifted; docs/performance.md has the variance of the designs that come of them.
"""


@cache
def lattice(n: int, periodic: tuple[bool, ...]) -> Array:
    """Return the points ``(n, dimensions)`` of the best lattice of Korobov's form.

    Its generator is ``(1, a, a^2, ...)`` modulo n, coordinates around a circle first; the best `a`
    has the least worst-case error of functions of which the squares of harmonics fall as
    ``1 / h^2``, in each coordinate and together.

    Args:
        n: How many points.
        periodic: Of each coordinate, whether it goes around a circle, so that 0 and 1 are the same.

    References:
        Sloan & Joe, "Lattice methods for multiple integration", 1994, chapter 4.
    """
    coprime = [a for a in range(1, max(n, 2)) if math.gcd(a, n) == 1]
    tried = coprime[:: -(-len(coprime) // _MOST_SEARCHED)] if len(periodic) > 1 else coprime[:1]
    first = sorted(range(len(periodic)), key=lambda j: not periodic[j])
    points = min(
        (_korobov(n, a, np.argsort(first)) for a in tried),
        key=lambda points: round(_worst_case_error(points, periodic), _DIGITS),
    )
    points.setflags(write=False)
    return points


def _korobov(n: int, a: int, power: NDArray[np.int64]) -> Array:
    steps = np.array([pow(a, j, n) for j in power.tolist()])
    return (np.arange(n)[:, None] * steps % n) / n


def _worst_case_error(points: Array, periodic: tuple[bool, ...]) -> float:
    """Return the square of the worst-case error of a lattice, up to a constant.

    Of coordinates that are all of one kind it is ``P_2``, whatever the kind.
    """
    kernel = 1 + 2 * np.pi**2 * (points**2 - points + 1 / 6)
    if len(set(periodic)) == 2:
        turning = np.cosh(np.pi * (1 - 2 * points)) * np.pi / np.sinh(np.pi)  # 1 / (1 + h^2)
        kernel = np.where(periodic, 1 + _PERIODIC * (turning - 1), 1 + _BETWEEN_ENDS * (kernel - 1))
    return float(np.prod(kernel, axis=1).mean())


def hammersley(n: int, dimensions: int, *, centred: bool = False) -> Array:
    """Return `n` points of the Hammersley set in [0, 1)^dimensions: equispaced in one dimension."""
    from scipy.stats import qmc

    first = (np.arange(n) + (0.5 if centred else 0.0)) / n
    if dimensions == 1:
        return first[:, None]
    rest = qmc.Halton(dimensions - 1, scramble=False).random(n)
    return np.column_stack([first, rest])
