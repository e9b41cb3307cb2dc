"""What exact symmetry costs kernel ridge regression where the law of the inputs leans to one side.

Directions in the plane follow a von Mises law of concentration 2, so that few rows lie where exact
symmetry fails. The truth is found by brute force, for kernels of the length scales of a fit: fixed
ones, or those that the package chose on each sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from threadpoolctl import threadpool_limits

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem
from equiprob.levels.held_out_harm import harm_of, held_out_losses
from equiprob.levels.joint_ridge_curve import TAUS
from equiprob.levels.ridge_curve import RIDGES
from equiprob.posterior.row_means import RowMeans

NOISE = 0.4
LENGTHS = 0.4, 2.0
_ELEMENTS = 24
_SETS, _NEW = 24, 600
_FINITE = RIDGES[np.isfinite(RIDGES)]


def leaning(n: int, amplitude: float, generator: np.random.Generator) -> tuple[Array, Array]:
    """Return inputs and the truth, an invariant function and a slope."""
    angle, radius = generator.vonmises(0, 2, n), np.sqrt(generator.random(n))
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x, np.cos(3 * radius**2) + amplitude * x[:, 0]


def _parts(one: Array, other: Array, length: float) -> tuple[Array, Array]:
    symmetric, whole = np.zeros((len(one), len(other))), np.zeros(())
    sizes = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    for angle in 2 * np.pi * np.arange(_ELEMENTS)[::-1] / _ELEMENTS:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        whole = np.exp(-np.maximum(sizes - 2 * one @ turn @ other.T, 0) / (2 * length**2))
        symmetric += whole / _ELEMENTS
    return symmetric, whole - symmetric


Lengths = tuple[float, float]


@cache
def _scales(lengths: Lengths) -> tuple[float, float]:
    x, _ = leaning(600, 0.0, np.random.default_rng(0))
    symmetric, asymmetric = _parts(x, x, lengths[0])[0], _parts(x, x, lengths[1])[1]
    return float(np.trace(symmetric) / len(x) - symmetric.mean()), float(asymmetric.trace() / 600)


def kernels(one: Array, other: Array, lengths: Lengths = LENGTHS) -> tuple[Array, Array]:
    """Return both parts' kernels between points, of variance 1 about a constant."""
    sizes = _scales(lengths)
    symmetric = _parts(one, other, lengths[0])[0] / sizes[0] + 1
    return symmetric, _parts(one, other, lengths[1])[1] / sizes[1]


@cache
def true_harm(amplitude: float, n: int, lengths: Lengths = LENGTHS) -> float:
    """Return what exact symmetry adds to the risk of the best amplitude, the ridge at its best."""
    generator = np.random.default_rng([n, 7])
    new, truth = leaning(_NEW, amplitude, np.random.default_rng(99))
    risk = np.zeros((len(TAUS), len(_FINITE)))
    for _ in range(_SETS):
        x, f = leaning(n, amplitude, generator)
        y = f + NOISE * generator.normal(size=n)
        here, ahead, centre = kernels(x, x, lengths), kernels(new, x, lengths), y.mean()
        for place, tau in enumerate(TAUS):
            values, vectors = np.linalg.eigh(here[0] + tau * here[1])
            solved = (vectors.T @ (y - centre))[:, None] / (values[:, None] + _FINITE)
            found = centre + (ahead[0] + tau * ahead[1]) @ (vectors @ solved)
            risk[place] += ((found - truth[:, None]) ** 2).mean(axis=0) / _SETS
    best = risk.min(axis=1)
    return float(best[0] - best.min())


def harm(amplitude: float, n: int, seed: int) -> Iterator[Outcome]:
    generator = np.random.default_rng([seed, n, int(100 * amplitude)])
    x, f = leaning(n, amplitude, generator)
    y = f + NOISE * generator.normal(size=n)
    units = np.arange(n, dtype=np.uint64)
    with threadpool_limits(1, user_api="blas"):
        truth = true_harm(amplitude, n)
        symmetric, asymmetric = kernels(x, x)
        losses = [
            held_out_losses(
                *np.linalg.eigh(symmetric + tau * asymmetric), y[:, None] - y.mean(), units, _FINITE
            )
            for tau in TAUS
        ]
    draws = harm_of(np.stack(losses), RowMeans(units, N_DRAWS, seed))
    yield Outcome("harm of exact symmetry", draws, truth)


def harm_of_a_fit(amplitude: float, n: int, seed: int) -> Iterator[Outcome]:
    generator = np.random.default_rng([seed, n, int(100 * amplitude), 3])
    x, f = leaning(n, amplitude, generator)
    y = f + NOISE * generator.normal(size=n)
    with threadpool_limits(1, user_api="blas"):
        turns = ep.transforms.rotations2d(acts_on="vectors")
        orbits = ep.evaluate_orbits(lambda b: b[:, 0], x, turns, y=y, n_transforms=2)
        process = ep.DataEquivarianceError(method=ep.methods.GaussianProcess(), n_draws=N_DRAWS)
        error = process.fit(orbits)
        level = ep.StructuralLevel(n=[n], n_draws=N_DRAWS, weight_seed=seed).fit(error)
        one, other = error.process.likely_places
        chosen = error.process.parts.lengths[0][one], error.process.parts.lengths[1][other]
        # To steps of a tenth, which few samples of one number of rows tell apart.
        lengths = tuple(float(np.exp(np.round(10 * np.log(length)) / 10)) for length in chosen)
        truth = true_harm(amplitude, n, lengths)
    yield Outcome("harm of exact symmetry", level.draws["harm"][:, 0], truth)


HARM_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"Harm, slope of {amplitude:g}": (partial(harm, amplitude), (64, 128, 256))
    for amplitude in (0.0, 0.15, 0.3, 1.0)
} | {
    f"Harm of a whole fit, slope of {amplitude:g}": (partial(harm_of_a_fit, amplitude), (64, 128))
    for amplitude in (0.0, 0.3, 1.0)
}
"""Problems by name, and the numbers of rows each is simulated at."""
