"""What does kernel ridge regression lose on n rows, and how symmetric is what it learns?

With kernel ``k_sym + tau k_perp`` and ridge ``rho`` the modes of both parts are learned apart,
since averages over the group keep one part and take the other to zero. Mode j of eigenvalue
``lambda_j`` is learned up to a factor ``s_j = n lambda_j / (n lambda_j + kappa)``, where the
effective ridge solves ``kappa = rho + kappa sum_j s_j / (n k)`` (k output components), and over
training sets

    E |f_n - f*|^2 + sigma^2  =  ( sum_j c_j^2 (1 - s_j)^2 + sigma^2 ) / (1 - gamma)
    gamma  =  sum_j s_j^2 / (n k)
    E c_j(f_n)^2  =  c_j^2 s_j^2 + s_j^2 / (n k) (E |f_n - f*|^2 + sigma^2)

to leading order in n (deterministic equivalents; against simulated ridge regression on the disc
they are off by a third of the excess risk at 25 rows and by 6 % from 50 on). In terms of ``kappa``
and ``eta = kappa / tau`` the parts are apart: both are minimized over a grid.

References:
    Canatar, Bordelon & Pehlevan, "Spectral bias and task-model alignment explain generalization in
    kernel regression", Nature Communications 2021; Simon, Dickens, Karkada & DeWeese, "The
    eigenlearning framework", TMLR 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.task.methods.two_part_posterior import threads_for

_STEPS = 64
_RIDGES = np.geomspace(1e-6, 1e2, _STEPS)
"""Effective ridges, for kernels of variance 1."""

RIDGES = np.append(_RIDGES[::2], np.inf)
"""Ridges of the asymmetric part of which `Optimum` holds curves; infinite: exact symmetry."""

_LEAST_TAU, _MOST_TAU = 3e-4, 10.0

_AT_ONCE = 256


class Optimum(NamedTuple):
    """The best ridge regression in every draw.

    Args:
        tau: Amplitude of the asymmetric kernel against the symmetric one, ``(draw,)``; 0 where
            exact symmetry is best.
        level: Its equivariance error, ``(draw,)``.
        excess: Its expected excess risk, ``(draw,)``.
        excess_at: The excess risk at each of `RIDGES` of the asymmetric part, that of the symmetric
            one at its best, ``(draw, ridge)``.
        level_at: And the equivariance error, ``(draw, ridge)``.
    """

    tau: Array
    level: Array
    excess: Array
    excess_at: Array
    level_at: Array


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Modes of a kernel on the rows, and how much of a function is in each.

    Args:
        eigenvalues: ``(mode,)``; their sum is the kernel's variance.
        squares: Squared coefficients of each draw of a function, ``(draw, mode)``; their sum is its
            mean square over the law of the inputs.
    """

    eigenvalues: Array
    squares: Array

    @classmethod
    def of(cls, kernel: Array, functions: Array, weights: Array) -> Spectrum:
        """Return the spectrum of functions in the modes of a kernel.

        Args:
            kernel: ``(row * k, row * k)``.
            functions: ``(draw, row, k)``.
            weights: Posterior weights of the rows, ``(draw, row)``: they are a sample of the law of
                the inputs, too, and say how large a function is on the others.
        """
        n_draws, n, _ = functions.shape
        with threads_for(len(kernel)):
            values, vectors = np.linalg.eigh(kernel / n)
            coefficients = functions.reshape(n_draws, -1) @ vectors / np.sqrt(n)
        sizes = (functions**2).sum(axis=2)
        here, everywhere = sizes.mean(axis=1), (weights * sizes).sum(axis=1)
        scale = np.divide(everywhere, here, out=np.ones(n_draws), where=here > 0)
        return cls(np.maximum(values, 0.0), coefficients**2 * scale[:, None])


class _Learned(NamedTuple):
    """What is learned of one part, at each effective ridge.

    Args:
        lost: ``sum_j c_j^2 (1 - s_j)^2``, ``(draw, ridge)``.
        kept: ``sum_j c_j^2 s_j^2``, ``(draw, ridge)``.
        gamma: ``sum_j s_j^2 / (n k)``, ``(ridge,)``.
        used: ``sum_j s_j / (n k)``, ``(ridge,)``: 1 without any ridge.
    """

    lost: Array
    kept: Array
    gamma: Array
    used: Array

    @classmethod
    def of(cls, spectrum: Spectrum, n: float, k: int) -> _Learned:
        signal = n * spectrum.eigenvalues[:, None]
        share = signal / (signal + _RIDGES)
        return cls(
            spectrum.squares @ (1 - share) ** 2,
            spectrum.squares @ share**2,
            (share**2).sum(axis=0) / (n * k),
            share.sum(axis=0) / (n * k),
        )

    def with_nothing(self) -> _Learned:
        """Return the same with one more ridge, an infinite one: nothing is learned."""
        whole = self.lost[:, :1] + self.kept[:, :1]
        all_lost = np.maximum(whole, self.lost[:, -1:])
        return _Learned(
            np.column_stack([self.lost, all_lost]),
            np.column_stack([self.kept, np.zeros(len(whole))]),
            np.append(self.gamma, 0.0),
            np.append(self.used, 0.0),
        )


def best_ridge(
    symmetric: Spectrum, asymmetric: Spectrum, noise: Array, n: float, k: int
) -> Optimum:
    """Minimize the excess risk over both amplitudes of the kernel, in every draw.

    Args:
        symmetric: Of the symmetric part.
        asymmetric: Of the asymmetric part.
        noise: Variance of the noise, summed over output components, ``(draw,)``.
        n: Training rows.
        k: Output components.
    """
    one, other = _Learned.of(symmetric, n, k), _Learned.of(asymmetric, n, k).with_nothing()
    tau = _RIDGES[:, None] / np.append(_RIDGES, np.inf)
    total = one.gamma[:, None] + other.gamma
    possible = (one.used[:, None] + other.used < 1) & (total < 1)
    scale = np.where(possible, 1 / np.where(possible, 1 - total, 1.0), np.inf)
    searched = np.where((tau == 0) | (tau >= _LEAST_TAU) & (tau <= _MOST_TAU), 1.0, np.inf)
    # Below the smallest ridge that there can be, curves stay where they are.
    shown = np.append(np.arange(0, _STEPS, 2), _STEPS)
    shown = np.maximum(shown, np.flatnonzero(possible.any(axis=0))[0])
    parts = []
    for start in range(0, len(noise), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        risk = one.lost[here, :, None] + other.lost[here, None, :] + noise[here, None, None]
        risk = risk * scale
        rows = np.arange(len(risk))
        best = (risk * searched).reshape(len(risk), -1).argmin(axis=1)
        i, j = np.unravel_index(best, risk.shape[1:])
        least, least_at = risk[rows, i, j], risk[:, :, shown].min(axis=1)
        level = 2 * (other.kept[here][rows, j] + other.gamma[j] * least)
        level_at = 2 * (other.kept[here][:, shown] + other.gamma[shown] * least_at)
        excess_at = least_at - noise[here, None]
        parts.append((tau[i, j], np.sqrt(level), least - noise[here], excess_at, np.sqrt(level_at)))
    return Optimum(*(np.concatenate(part) for part in zip(*parts, strict=True)))
