"""How do the slopes of learning curves wander?

The slope of a curve in u = log n departs from its mean by an Ornstein-Uhlenbeck process z of unit
variance, whose correlation fades by a factor e over `FADING`; a bend is its integral. On real
curves slopes at one and at five octaves' distance correlate .74 and .39 (LCDB).
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array

FADING = 2.0
"""Distance in log n over which a slope is forgotten by a factor e."""


def bend_covariance(u: Array) -> Array:
    """Return the covariance ``(point, point)`` of bends, integrals of z from the least u.

    Args:
        u: Points ``(point,)``, in any order.
    """
    x = (u - u.min()) / FADING
    least, apart = np.minimum.outer(x, x), np.abs(x[:, None] - x)
    faded = np.exp(-x)
    return FADING**2 * (2 * least - 1 + faded[:, None] + faded - np.exp(-apart))


def from_the_end(covariance: Array, end: int) -> Array:
    """Return the covariance of bends that are zero at point `end`."""
    moved = covariance - covariance[end]
    return moved - moved[:, end][:, None]


def root(covariance: Array) -> Array:
    """Return a matrix whose product with its transpose is a covariance that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.clip(values, 0.0, None))
