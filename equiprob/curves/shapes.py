"""What lies between a floor and an upper plateau, on a scale on which it can be a straight line?

    R = (f + e^h) / (1 + e^h / U)

With the floor f = 0 and no plateau (U infinite), h is the logarithm of the risk.
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array

_LEAST_SHARE = 0.02
_MOST = 600.0
"""Logarithms beyond which numbers would be 0 or infinite."""


def position(risk: Array, floor: Array, plateau: Array) -> Array:
    """Return h of risks, which are moved between floor and plateau where they lie beyond.

    Args:
        risk: Broadcast with `floor` and `plateau`.
        floor: At least 0.
        plateau: Above the floor; ``inf`` for none.
    """
    above = np.maximum(risk - floor, _LEAST_SHARE * risk)
    below = np.where(np.isinf(plateau), 1.0, np.maximum(1 - risk / plateau, _LEAST_SHARE))
    return np.log(above) - np.log(below)


def log_risk(h: Array, floor: Array, plateau: Array) -> tuple[Array, Array]:
    """Return log risks at h, and their derivatives with respect to h."""
    risen = np.exp(np.clip(h, -_MOST, _MOST))
    above = floor + risen
    share = risen / above
    with np.errstate(invalid="ignore"):
        over = risen / plateau
    return np.log(above) - np.log1p(over), share - over / (1 + over)
