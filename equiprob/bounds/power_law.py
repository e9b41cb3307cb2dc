"""How does a quantity go on that falls with the number of rows?

A line through its logarithm, with a posterior of both coefficients: ``c n^-rate``. Small samples
can fall faster than any large one does (a curve that is dense in small ones, rows that come to lie
next to each other), so beyond the data no forecast falls faster than ``n^-1/2``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array

FEWEST_SIZES = 3
"""Numbers of rows that a line with a residual takes."""

_PRIOR_FREEDOM = 4
_FASTEST = 0.5
_SLOWEST = 0.02
"""As in fifty dimensions: what falls more slowly cannot be told from what does not fall."""


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """Draws of a power law.

    Args:
        largest: The largest number of rows that it was fitted to.
        level: Its value there, ``(draw,)``.
        steepness: The exponent within the data, ``(draw,)``.
    """

    largest: float
    level: Array
    steepness: Array

    @property
    def rate(self) -> Array:
        """The exponent beyond the data, ``(draw,)``."""
        return np.clip(self.steepness, _SLOWEST, _FASTEST)

    def at(self, n: Array) -> Array:
        """Return draws ``(draw, n)`` at other numbers of rows."""
        ratio = np.asarray(n, dtype=np.float64) / self.largest
        exponent = np.where(ratio > 1, self.rate[:, None], self.steepness[:, None])
        return self.level[:, None] * ratio**-exponent


def fit_power_law(n: Array, draws: Array, generator: np.random.Generator) -> PowerLaw:
    """Fit a power law to draws of positive values at several numbers of rows.

    Args:
        n: Numbers of rows, at least `FEWEST_SIZES`, ``(size,)``.
        draws: Joint draws of the values, ``(draw, size)``.
        generator: Of the residual's randomness.
    """
    x = np.log(n / n.max())
    design = np.column_stack([np.ones(len(n)), x])
    logs = np.log(draws)
    coefficients = logs @ np.linalg.pinv(design).T
    residual = np.median(logs, axis=0) @ (np.eye(len(n)) - design @ np.linalg.pinv(design))
    # With few sizes the residual's scale is hardly seen: a priori it is that of chance.
    chance = np.median(logs.std(axis=0)) ** 2
    freedom = len(n) - 2 + _PRIOR_FREEDOM
    squares = (residual**2).sum() + _PRIOR_FREEDOM * chance
    scale = np.sqrt(squares / generator.chisquare(freedom, len(draws)))
    root = np.linalg.cholesky(np.linalg.inv(design.T @ design))
    noise = generator.standard_normal(coefficients.shape) @ root.T
    coefficients = coefficients + scale[:, None] * noise
    return PowerLaw(float(n.max()), np.exp(coefficients[:, 0]), -coefficients[:, 1])
