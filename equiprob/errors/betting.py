"""How small can the mean of bounded numbers be, given what was seen of them so far?

Someone bets against "the mean is at least m": of each number x in [0, 1] that comes, the capital is
multiplied by ``1 - f (x - m) / (1 - m)``, f the fraction that is staked. If the mean is m, or more,
no way of betting makes money on average, and the capital exceeds 1/delta at *any* time with
probability at most delta (Ville). The m at which it has are excluded, and since the capital grows
with m, what is left is an interval from 0.

The capital is divided beforehand among fractions 1, 1/2, 1/4, ..., the larger of which serve small
errors and the smaller many rows: nothing has to be estimated or tuned.
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array

_N_FRACTIONS = 14
FRACTIONS = 0.5 ** np.arange(_N_FRACTIONS)
"""The fractions that are staked; the smallest is that of about ten million rows."""

_places = np.arange(_N_FRACTIONS)
SHARES = 1 / ((_places + 1.0) * (_places + 2.0)) * (1 + 1 / _N_FRACTIONS)
"""How the capital is divided among them, half to the first: 1/2, 1/6, 1/12, ..."""


def log_growth(values: Array, mean: float, fraction: float) -> Array:
    """Return what each number adds to the log capital of one fraction, ``(number,)``.

    Args:
        values: Numbers in [0, 1], ``(number,)``.
        mean: The mean that is bet against, in [0, 1).
        fraction: The fraction that is staked.
    """
    with np.errstate(divide="ignore"):  # all was staked on a number below 1, and 1 came
        return np.log1p(-fraction * (values - mean) / (1.0 - mean))


def log_capital(values: Array, mean: float) -> Array:
    """Return the log capital after each number, ``(number,)``, starting from 0.

    Args:
        values: Numbers in [0, 1] in the order they came, ``(number,)``.
        mean: The mean that is bet against, in [0, 1).
    """
    total = np.full(len(values), -np.inf)
    for fraction, share in zip(FRACTIONS, SHARES, strict=True):
        capital = log_growth(values, mean, fraction).cumsum() + np.log(share)
        np.logaddexp(total, capital, out=total)
    return total


def upper_bound(values: Array, delta: float) -> float:
    """Return an upper confidence bound on the mean, valid at any stopping time.

    Args:
        values: Numbers in [0, 1] in the order they came, ``(number,)``: each has the same mean
            given those before it.
        delta: Probability that the bound is ever below the mean, at whatever number of values one
            stops.

    References:
        Waudby-Smith & Ramdas, JRSS-B 2024 (bets on bounded means); Orabona & Jun, IEEE Transactions
        on Information Theory 2024 (capital divided beforehand).
    """
    from scipy.optimize import brentq

    needed = -np.log(delta)
    excess = lambda mean: float(log_capital(values, mean).max()) - needed  # noqa: E731
    largest = 1.0 - 1e-12
    if excess(largest) < 0:
        return 1.0
    return float(brentq(excess, 0.0, largest, xtol=1e-15, rtol=1e-10))
