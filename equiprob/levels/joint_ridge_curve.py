"""What does kernel ridge regression lose on n rows where both parts of its kernel are entangled?

Where the law of the inputs is not invariant, a symmetric and an asymmetric function are correlated
on it: what the one lacks the other learns, and even where the truth is exactly symmetric the best
amplitude tau of the asymmetric part need not be zero. So the modes are those of ``k_sym + tau
k_perp`` as a whole on the observed rows, decomposed for every tau; the formula is that of
`equiprob.levels.ridge_curve`, with one ridge.

References:
    Lawrence, Hofgard et al., 2025 (symmetrization on laws that are not invariant).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiprob.equivariance.methods.two_part_posterior import threads_for
from equiprob.levels.ridge_curve import RIDGES

Array = NDArray[np.float64]

TAUS = np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 9)])
"""Amplitudes of the asymmetric kernel against the symmetric one."""

_MOST_ROWS = 400
"""Rows whose kernels are decomposed, once for every amplitude."""

_NEGLIGIBLE = 1e-12
"""Eigenvalues of which nothing is learned, at the least ridge and the most rows."""

_FINITE = RIDGES[np.isfinite(RIDGES)]


class JointOptimum(NamedTuple):
    """The best ridge regression in every draw, at every number of rows.

    Args:
        tau: Its amplitude of the asymmetric kernel, ``(draw, n)``.
        excess: Its expected excess risk, ``(draw, n)``.
        excess_at: The excess risk at each of `TAUS`, the ridge at its best, ``(draw, tau, n)``.
    """

    tau: Array
    excess: Array
    excess_at: Array


def best_joint_ridge(
    kernels: tuple[Array, Array],
    truth: Array,
    weights: Array,
    noise: Array,
    n: Array,
    generator: np.random.Generator,
) -> JointOptimum:
    """Minimize the excess risk over amplitude and ridge, in every draw.

    Args:
        kernels: Of the symmetric and of the asymmetric part, ``(row * k, row * k)``.
        truth: Draws of the truth at the rows, ``(draw, row, k)``.
        weights: Posterior weights of the rows, ``(draw, row)``.
        noise: Variance of the noise, summed over output components, ``(draw,)``.
        n: Numbers of training rows, ``(n,)``.
        generator: Random numbers, that choose the rows where there are many.
    """
    n_draws, n_rows, k = truth.shape
    if n_rows > _MOST_ROWS:
        chosen = np.sort(generator.choice(n_rows, _MOST_ROWS, replace=False))
        places = (chosen[:, None] * k + np.arange(k)).ravel()
        kernels = kernels[0][np.ix_(places, places)], kernels[1][np.ix_(places, places)]
        truth, weights = truth[:, chosen], weights[:, chosen]
        weights = weights / weights.sum(axis=1, keepdims=True)
    excess = np.empty((n_draws, len(TAUS), len(n)))
    for place, tau in enumerate(TAUS):
        modes = _Modes.of(kernels[0] + tau * kernels[1], truth, weights)
        for column, m in enumerate(n):
            excess[:, place, column] = modes.least_excess(noise, float(m), k)
    best = excess.argmin(axis=1)
    return JointOptimum(TAUS[best], excess.min(axis=1), excess)


class _Modes(NamedTuple):
    """Modes of a kernel on the rows, and how much of a function is in each.

    Args:
        eigenvalues: ``(mode,)``.
        squares: Squared coefficients of each draw of a function, ``(draw, mode)``.
        rest: The mean square of what no mode holds, ``(draw,)``.
    """

    eigenvalues: Array
    squares: Array
    rest: Array

    @classmethod
    def of(cls, kernel: Array, functions: Array, weights: Array) -> _Modes:
        n_draws, n, _ = functions.shape
        sizes = (functions**2).sum(axis=2)
        here, everywhere = sizes.mean(axis=1), (weights * sizes).sum(axis=1)
        with threads_for(len(kernel)):
            values, vectors = np.linalg.eigh(kernel / n)
            kept = values > _NEGLIGIBLE * values[-1]
            squares = (functions.reshape(n_draws, -1) @ vectors[:, kept]) ** 2 / n
        # The rows are a sample, too: their weights say how large a function is on others.
        scale = np.divide(everywhere, here, out=np.ones(n_draws), where=here > 0)
        rest = np.maximum(here - squares.sum(axis=1), 0.0)
        return cls(values[kept], squares * scale[:, None], rest * scale)

    def least_excess(self, noise: Array, n: float, k: int) -> Array:
        """Return draws of the excess risk on n rows at the best ridge, ``(draw,)``."""
        signal = n * self.eigenvalues[:, None]
        share = signal / (signal + _FINITE)
        gamma, used = ((s.sum(axis=0) / (n * k)) for s in (share**2, share))
        possible = (used < 1) & (gamma < 1)
        scale = np.where(possible, 1 / np.where(possible, 1 - gamma, 1.0), np.inf)
        lost = self.squares @ (1 - share) ** 2 + self.rest[:, None]
        return ((lost + noise[:, None]) * scale).min(axis=1) - noise
