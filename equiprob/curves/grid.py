"""Which shapes can one candidate's curve have? All of a grid, which is enumerated.

    h(u) = level - a (u - u_end) + a kappa bend(u)

between a floor f and an upper plateau U (`equiprob.curves.shapes`), seen through noise of q times
the scale that its runs show. Given (a, kappa, q, f, U) the curve is linear in what is not known.
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array

SLOPES = np.geomspace(0.03, 4.0, 12)
BENDS = np.array([0.4, 0.9, 2.0])
NOISES = np.array([0.4, 0.7, 1.2, 2.2, 4.0])
FLOORS = np.array([0.0, 0.15, 0.35, 0.6, 0.8, 0.95])
"""Floors over the candidate's least mean risk."""

N_PLATEAUS = 2
TURNS = np.array([0.0, 0.5, 1.5, 4.0])
"""Beyond the data: scales of slopes of h of which no run speaks."""

FADES = np.array([0.0, 0.125, 0.25, 0.5, 3.0])
"""Beyond the data: rates in log n at which slopes fade; the last is a floor met suddenly."""

SHARES = np.array([0.0, 0.4, 0.8])
"""Shares of the variance of slopes that candidates have in common."""

SHAPE = (len(SLOPES), len(BENDS), len(NOISES), len(FLOORS), N_PLATEAUS)

_PLATEAU = 3.0
"""Where the loss has no bound: a plateau over the largest mean risk."""

INDEX = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE))
"""Indices ``(axis, point)`` of slope, bend, noise, floor and plateau of each point."""


def floors_and_plateaus(means: Array, risk_max: float | None) -> tuple[Array, Array]:
    """Return floors and plateaus of a candidate.

    Args:
        means: Its mean risks, above 0.
        risk_max: The largest possible risk, where there is one.
    """
    top = _PLATEAU * means.max() if risk_max is None else max(risk_max, 1.0005 * means.max())
    return FLOORS * means.min(), np.array([np.inf, top])
