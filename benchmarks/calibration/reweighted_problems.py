"""Bounds on a task's error under laws that are not uniform, from averages over the whole group.

The rows are normal in the plane, whose law rotations leave as it is. The truth has a large
invariant part, a slope and a saddle: what a law changes is known in closed form.
The model is the truth itself, so that the bounds are as near to it as they can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import numpyro.distributions as dist

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem
from equiprob.task.spectral_constants import eigenvalues

NOISE = 0.5
SLOPE, SADDLE = 0.4, 0.3
UNEVEN = np.array([0.7, 0.05, 0.05, 0.2])
"""Of no turn, a quarter turn, a half turn, and a quarter turn back."""

WIDTH = 1.2
"""Standard deviation of the angle of a normal law, in radians."""

_SQUARES = SLOPE**2, 4 * SADDLE**2
"""Mean squares of the parts of one and of two crests."""


def truth(x: Array) -> Array:
    return 5 * (x**2).sum(axis=1) + SLOPE * x[:, 0] + SADDLE * (x[:, 0] ** 2 - x[:, 1] ** 2)


def coefficients(law: str) -> tuple[float, float]:
    """Return the law's Fourier coefficients of both parts."""
    if law == "normal":
        return float(np.exp(-(WIDTH**2) / 2)), float(np.exp(-2 * WIDTH**2))
    turns = np.pi / 2 * np.arange(4)
    return float(UNEVEN @ np.cos(turns)), float(UNEVEN @ np.cos(2 * turns))


@cache
def turned(law: str) -> ep.transforms.Transform:
    if law == "normal":
        return ep.transforms.rotations2d(law=dist.Normal(0.0, WIDTH), acts_on="vectors")
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    elements = [np.linalg.matrix_power(quarter, k) for k in range(4)]
    return ep.transforms.finite(elements, weights=UNEVEN, acts_on="vectors")


def reweighted(law: str, n: int, seed: int) -> Iterator[Outcome]:
    """Fit the bounds to rows under a law.

    Args:
        law: ``"normal"`` of the angle, or ``"uneven"`` quarter turns.
        n: Rows.
        seed: Of the rows.
    """
    g = np.random.default_rng([seed, n, len(law)])
    x = g.normal(size=(n, 2))
    turns = turned(law)
    orbits = ep.evaluate_orbits(
        truth,
        x,
        turns,
        y=truth(x) + NOISE * g.normal(size=n),
        design="quasi" if law == "normal" else "full",
        n_transforms=8 if law == "normal" else 4,
        keep="all",
        backend="python",
        seed=seed,
    )
    method = ep.methods.Symmetrization(noise_variance=NOISE**2)
    estimator = ep.DataEquivarianceError(method=method, n_draws=N_DRAWS)
    draws = estimator.fit(orbits, law=ep.InvariantLaw()).draws
    changed = 2 * sum(s * (1 - c) for s, c in zip(_SQUARES, coefficients(law), strict=True))
    error, cost = float(np.sqrt(changed)), sum(_SQUARES)
    yield Outcome("error, from below", draws["lower"], error, side="lower")
    yield Outcome("error, from above", draws["upper"], error, side="upper")
    largest = np.sqrt(2 * eigenvalues(turns).largest * cost)
    yield Outcome("what the upper bound estimates", draws["upper"], float(largest))
    yield Outcome("symmetry cost, from below", draws["symmetry_cost_lower"], cost, side="lower")
    yield Outcome("symmetry cost, from above", draws["symmetry_cost_upper"], cost, side="upper")


REWEIGHTED_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"Reweighted, {law}": (partial(reweighted, law), (32, 128, 512)) for law in ("normal", "uneven")
}
"""Problems by name, and the numbers of rows each is simulated at."""
