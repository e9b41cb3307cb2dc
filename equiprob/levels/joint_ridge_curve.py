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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.levels.held_out_harm import harm_of, held_out_losses
from equiprob.levels.ridge_curve import RIDGES
from equiprob.orbits.keys import Ids
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.task.methods.two_part_posterior import threads_for

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
        harm: What exact symmetry adds to the risk, ``(draw, n)``.
        findings: What the rows say of it.
    """

    tau: Array
    excess: Array
    excess_at: Array
    harm: Array
    findings: RowFindings


@dataclass(frozen=True)
class RowsAtHand:
    """The rows that kernels and draws of the truth are given on.

    Args:
        kernels: Of the symmetric and of the asymmetric part, ``(row * k, row * k)``.
        truth: Draws of the truth, ``(draw, row, k)``.
        weights: Posterior weights of the rows, ``(draw, row)``.
        noise: Variance of the noise, summed over output components, ``(draw,)``.
        y: Centred targets, ``(row, k)``.
        units: The unit of each row, ``(row,)``.
        numbers: Its number in the user's arrays, ``(row,)``.
    """

    kernels: tuple[Array, Array]
    truth: Array
    weights: Array
    noise: Array
    y: Array
    units: Ids
    numbers: NDArray[np.int64]

    def chosen(self, most: int, generator: np.random.Generator) -> RowsAtHand:
        """Return so many rows at most, at random."""
        n, k = self.y.shape
        if n <= most:
            return self
        rows = np.sort(generator.choice(n, most, replace=False))
        places = (rows[:, None] * k + np.arange(k)).ravel()
        one, other = (kernel[np.ix_(places, places)] for kernel in self.kernels)
        weights = self.weights[:, rows]
        return replace(
            self,
            kernels=(one, other),
            truth=self.truth[:, rows],
            weights=weights / weights.sum(axis=1, keepdims=True),
            y=self.y[rows],
            units=self.units[rows],
            numbers=self.numbers[rows],
        )


def best_joint_ridge(rows: RowsAtHand, n: Array, *, weight_seed: int) -> JointOptimum:
    """Minimize the excess risk over amplitude and ridge, in every draw.

    The harm is what is lost on rows that are held out; at other numbers of rows it changes as the
    formula does.

    Args:
        rows: The rows.
        n: Numbers of training rows, ``(n,)``.
        weight_seed: Of the weights of rows.
    """
    rows = rows.chosen(_MOST_ROWS, np.random.default_rng([weight_seed, 31]))
    n_draws, n_rows, k = rows.truth.shape
    sizes = np.append(n, n_rows)
    excess, losses = np.empty((n_draws, len(TAUS), len(sizes))), np.empty((len(TAUS), n_rows))
    for place, tau in enumerate(TAUS):
        kernel = rows.kernels[0] + tau * rows.kernels[1]
        with threads_for(len(kernel)):
            values, vectors = np.linalg.eigh(kernel)
            losses[place] = held_out_losses(values, vectors, rows.y, rows.units, _FINITE)
        modes = _Modes.of(values / n_rows, vectors, rows.truth, rows.weights)
        for column, m in enumerate(sizes):
            excess[:, place, column] = modes.least_excess(rows.noise, float(m), k)
    least = excess.min(axis=1)
    formula = excess[:, 0] - least
    means = RowMeans(rows.units, n_draws, weight_seed)
    seen = harm_of(losses, means)
    lost = losses[0] - losses[1 + losses[1:].mean(axis=1).argmin()]
    findings = RowFindings.of(means, {"the harm of exact symmetry": lost}, rows.numbers)
    harm = np.maximum(seen[:, None] + formula[:, :-1] - formula[:, -1:], 0.0)
    tau = TAUS[excess.argmin(axis=1)]
    return JointOptimum(tau[:, :-1], least[:, :-1], excess[..., :-1], harm, findings)


class _Modes(NamedTuple):
    """Modes of a kernel on the rows, and how much of a function is in each.

    Args:
        eigenvalues: ``(mode,)``.
        vectors: Modes over the rows, ``(row * k, mode)``.
        functions: Draws of a function, ``(draw, row * k)``.
        coefficients: Of each mode in it, ``(draw, mode)``.
        rest: The mean square of what no mode holds, ``(draw,)``.
        weights: Of the rows, each with its components, ``(draw, row * k)``.
    """

    eigenvalues: Array
    vectors: Array
    functions: Array
    coefficients: Array
    rest: Array
    weights: Array

    @classmethod
    def of(cls, values: Array, vectors: Array, functions: Array, weights: Array) -> _Modes:
        n_draws, n, k = functions.shape
        flat = functions.reshape(n_draws, -1)
        kept = values > _NEGLIGIBLE * values[-1]
        with threads_for(len(vectors)):
            coefficients = flat @ vectors[:, kept]
        rest = np.maximum((flat**2).sum(axis=1) - (coefficients**2).sum(axis=1), 0.0) / n
        weights = np.repeat(weights, k, axis=1)
        return cls(values[kept], vectors[:, kept], flat, coefficients, rest, weights)

    def least_excess(self, noise: Array, n: float, k: int) -> Array:
        """Return draws of the excess risk on n rows at the best ridge, ``(draw,)``."""
        signal = n * self.eigenvalues[:, None]
        share = signal / (signal + _FINITE)
        gamma, used = ((s.sum(axis=0) / (n * k)) for s in (share**2, share))
        possible = (used < 1) & (gamma < 1)
        scale = np.where(possible, 1 / np.where(possible, 1 - gamma, 1.0), np.inf)
        n_rows = self.functions.shape[1] / k
        lost = self.coefficients**2 @ (1 - share) ** 2 / n_rows + self.rest[:, None]
        best = ((lost + noise[:, None]) * scale).argmin(axis=1)
        with threads_for(len(self.vectors)):
            left = self.functions - (self.coefficients * share[:, best].T) @ self.vectors.T
        # The rows are a sample, too: their weights say what is left on others.
        return ((self.weights * left**2).sum(axis=1) + noise) * scale[best] - noise
