"""The optimal symmetry level of kernel ridge regression, found by brute force on fresh data sets.

Half of the tasks are exactly symmetric; of the others the amplitude has a half-normal law of scale
1/2. The kernels and what they are scaled by are those that the fit chose: it is judged by how well
it knows what to do with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem
from equiprob.testing import disc_task
from equiprob.testing.plane import DiscTask

_ELEMENTS = 24
_SETS = 40
_TAUS = np.concatenate([[0.0], np.geomspace(1e-3, 10, 13)])
_RIDGES = np.geomspace(1e-4, 30, 24)


def _parts(one: Array, other: Array, length: float) -> tuple[Array, Array]:
    """Kernels of the symmetric and the asymmetric part between points of the plane."""
    symmetric, whole = np.zeros((len(one), len(other))), np.zeros(())
    sizes = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    for k in range(_ELEMENTS)[::-1]:
        angle = 2 * np.pi * k / _ELEMENTS
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        whole = np.exp(-np.maximum(sizes - 2 * one @ turn @ other.T, 0) / (2 * length**2))
        symmetric += whole / _ELEMENTS
    return symmetric, whole - symmetric


@dataclass(frozen=True)
class _Kernels:
    """The fitted kernels between any points: length scales and what the parts are divided by."""

    lengths: tuple[float, float]
    sizes: tuple[float, float]

    @classmethod
    def of(cls, task: DiscTask, data_error: Any) -> _Kernels:
        process = data_error.process
        places, lengths = process.likely_places, process.parts.lengths
        chosen = float(lengths[0][places[0]]), float(lengths[1][places[1]])
        on_rows = process.likely_kernels
        symmetric = _parts(task.x, task.x, chosen[0])[0]
        asymmetric = _parts(task.x, task.x, chosen[1])[1]
        sizes = symmetric[0, 1] / (on_rows[0][0, 1] - 1), np.trace(asymmetric) / len(task.x)
        return cls(chosen, (float(sizes[0]), float(sizes[1])))

    def between(self, one: Array, other: Array) -> tuple[Array, Array]:
        symmetric = _parts(one, other, self.lengths[0])[0] / self.sizes[0] + 1
        return symmetric, _parts(one, other, self.lengths[1])[1] / self.sizes[1]


def brute_force(task: DiscTask, kernels: _Kernels, n: int, seed: int) -> tuple[float, float]:
    """Return the model error and the amplitude tau of least risk over fresh data sets."""
    test = disc_task(300, amplitude=task.amplitude, seed=10_000 + seed)
    truth = test.f_star(test.x)[:, None]
    risk, level = np.zeros((2, len(_TAUS), len(_RIDGES)))
    for k in range(_SETS):
        fresh = disc_task(n, amplitude=task.amplitude, noise=task.noise, seed=10**6 * seed + k)
        centre = fresh.y.mean()
        (s, p), (s_test, p_test) = (kernels.between(x, fresh.x) for x in (fresh.x, test.x))
        for i, tau in enumerate(_TAUS):
            values, vectors = np.linalg.eigh(s + tau * p)
            weights = vectors @ (
                (vectors.T @ (fresh.y - centre))[:, None] / (values[:, None] + _RIDGES)
            )
            asymmetric = tau * p_test @ weights
            risk[i] += ((centre + s_test @ weights + asymmetric - truth) ** 2).mean(axis=0)
            level[i] += 2 * (asymmetric**2).mean(axis=0) / _SETS
    i, j = np.unravel_index(risk.argmin(), risk.shape)
    return float(np.sqrt(level[i, j])), float(_TAUS[i])


def structural(noise: float, n: int, seed: int) -> Iterator[Outcome]:
    generator = np.random.default_rng([seed, n, 31])
    amplitude = 0.0 if seed % 2 else float(abs(0.5 * generator.normal()))
    task = disc_task(n, amplitude=amplitude, noise=noise, seed=seed)
    table = ep.evaluate_orbits(
        task.f_star, task.x, task.transform, y=task.y, n_transforms=2, backend="python"
    )
    method = ep.methods.GaussianProcess()
    estimator = ep.DataEquivarianceError(method=method, n_draws=N_DRAWS)
    data_error = estimator.fit(table, law=ep.InvariantLaw())
    sizes = n // 2, n, 2 * n
    with threadpool_limits(1, user_api="blas"):
        result = ep.StructuralLevel(n_draws=N_DRAWS, n=sizes).fit(data_error)
        kernels = _Kernels.of(task, data_error)
        kind = "symmetric" if amplitude == 0 else "asymmetric"
        for k, size in enumerate(sizes):
            level, _ = brute_force(task, kernels, size, seed)
            name = f"level at {('n / 2', 'n', '2 n')[k]}, {kind} tasks"
            yield Outcome(name, result.draws["level"][:, k], level)


STRUCTURAL_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"disc, noise {noise}": (partial(structural, noise), (40, 100)) for noise in (0.1, 0.3, 0.8)
}
