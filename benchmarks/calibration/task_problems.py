"""Tasks of known asymmetry: what each method says of the data error, and whether it holds.

Noise is normal or heavy-tailed, outputs are numbers, vectors or labels, the asymmetry lies in low
or in high angular modes, exact symmetry is among the truths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem, Score
from equiprob.testing import field_task, label_task

HAAR = ep.InvariantLaw()
NOISE = 0.3
AMPLITUDES = (0.0, 0.3, 0.8)


@dataclass(frozen=True)
class Task:
    """A sample and the truth about it."""

    x: Array
    y: Any
    transform: ep.transforms.Transform
    error: float
    noise_variance: float
    f_star: Callable[[Any], Any]

    @property
    def named(self) -> str:
        return f"truth {self.error:.2g}"


def normal(g: np.random.Generator, n: int) -> Array:
    return g.normal(size=n)


def heavy(g: np.random.Generator, n: int) -> Array:
    """Student's t with 3 degrees of freedom, scaled to unit variance."""
    return g.standard_t(3, size=n) / np.sqrt(3)


def disc(
    amplitude: float, n: int, seed: int, *, mode: int = 1, noise: Any = normal, angle: float = np.pi
) -> Task:
    """A function on the disc whose asymmetric part is ``amplitude r^mode cos(mode phi)``."""
    g = np.random.default_rng([seed, n, mode])
    radius, phi = np.sqrt(g.random(n)), g.uniform(-np.pi, np.pi, n)
    x = radius[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)

    def f_star(rows: Any) -> Any:
        z = rows[:, 0] + 1j * rows[:, 1]
        return 2 * np.abs(z) ** 2 - 1 + amplitude * (z**mode).real

    size = amplitude / np.sqrt(mode + 1)  # of all rotations; a range moves the mode by less
    moved = 1 - np.sinc(mode * angle / np.pi)
    return Task(
        x,
        f_star(x) + NOISE * noise(g, n),
        ep.transforms.rotations2d(angle, acts_on="vectors"),
        float(size * np.sqrt(moved)),
        NOISE**2,
        f_star,
    )


def amplitude_of(seed: int) -> float:
    return AMPLITUDES[seed % 3]


def numbers(noise: Any, mode: int, n: int, seed: int) -> Task:
    return disc(amplitude_of(seed), n, seed, mode=mode, noise=noise)


def part_of_a_turn(n: int, seed: int) -> Task:
    return disc(amplitude_of(seed), n, seed, angle=np.pi / 2)


def vectors(n: int, seed: int) -> Task:
    t = field_task(n, amplitude=amplitude_of(seed), noise=NOISE, seed=seed)
    return Task(t.x, t.y, t.transform, t.error, t.noise_variance, t.f_star)


def labels(n: int, seed: int) -> Task:
    t = label_task(n, amplitude=(0.0, 0.15, 0.3)[seed % 3], seed=seed)
    return Task(t.x, t.y, t.transform, t.error, t.noise_variance, t.f_star)


Simulator = Callable[[int, int], Task]


def _size(rows: Array) -> Array:
    return np.linalg.norm(rows, axis=1, keepdims=True)


def radial(x: Array, y: Array) -> Callable[[Array], Array]:
    """Train an invariant predictor: nearest neighbours by radius."""
    model = KNeighborsRegressor(20).fit(_size(x), y)
    return lambda rows: model.predict(_size(rows))


def cross_fitted(task: Task, train: Any = None) -> ep.OrbitTable:
    if train is None:
        nearest = KNeighborsClassifier if task.y.dtype.kind == "i" else KNeighborsRegressor
        train = nearest(10)
    return ep.cross_fit(train, task.x, task.y, task.transform, n_transforms=8, backend="python")


def bounds(simulate: Simulator, noise_known: bool, n: int, seed: int) -> Iterator[Outcome]:
    """Symmetrization with nearest neighbours, cross-fitted."""
    task = simulate(n, seed)
    method = ep.methods.Symmetrization(noise_variance=task.noise_variance if noise_known else None)
    estimator = ep.DataEquivarianceError(method=method, n_draws=N_DRAWS)
    draws = estimator.fit(cross_fitted(task), law=HAAR).draws
    for side in ("lower", "upper"):
        yield Outcome(f"{side}, {task.named}", draws[side], task.error, side=side)


def trained_pair(mode: int, n: int, seed: int) -> Iterator[Outcome]:
    task = numbers(normal, mode, n, seed)
    symmetric = cross_fitted(task, radial)
    method = ep.methods.TrainedPair(symmetric=symmetric, noise_variance=task.noise_variance)
    estimator = ep.DataEquivarianceError(method=method, n_draws=N_DRAWS)
    draws, cost = estimator.fit(cross_fitted(task), law=HAAR).draws, task.error**2 / 2
    yield Outcome(f"symmetry_cost, cost {cost:.2g}", draws["symmetry_cost"], cost)
    for side, name in (("lower", "symmetry_cost"), ("upper", "symmetry_cost_upper")):
        yield Outcome(f"{side}, cost {cost:.2g} ({name})", draws[name], cost, side=side)


def evaluated(task: Task) -> ep.OrbitTable:
    """A table for methods that look at targets alone."""
    constant = np.zeros(task.y.shape[1:])
    return ep.evaluate_orbits(
        lambda rows: np.broadcast_to(constant, (len(rows), *constant.shape)),
        task.x,
        task.transform,
        y=task.y,
        n_transforms=8,
        backend="python",
        seed=1,
    )


def oracle(n: int, seed: int) -> Iterator[Outcome]:
    task = numbers(normal, 1, n, seed)
    method = ep.methods.Oracle(f_star=task.f_star)
    estimator = ep.DataEquivarianceError(method=method, n_draws=N_DRAWS)
    yield Outcome(f"error, {task.named}", estimator.fit(evaluated(task)).draws["error"], task.error)


def process(simulate: Simulator, n: int, seed: int) -> Iterator[Outcome]:
    task = simulate(n, seed)
    estimator = ep.DataEquivarianceError(method=ep.methods.GaussianProcess(), n_draws=N_DRAWS)
    result = estimator.fit(evaluated(task), law=HAAR)
    yield Outcome(f"error, {task.named}", result.draws["error"], task.error)
    if task.error > 0:
        draws = result.draws["error_if_asymmetric"]
        yield Outcome(f"error if asymmetric, {task.named}", draws, task.error)


def spike(n: int, seed: int) -> Iterator[Score]:
    """Half of the tasks are symmetric; the others' amplitude is half-normal of scale 1/2."""
    g = np.random.default_rng([seed, n, 77])
    symmetric = bool(g.random() < 0.5)
    amplitude = 0.0 if symmetric else abs(0.5 * g.normal())
    task = disc(amplitude, n, seed)
    estimator = ep.DataEquivarianceError(method=ep.methods.GaussianProcess(), n_draws=200)
    p = estimator.fit(evaluated(task), law=HAAR).p_symmetric
    assert p is not None
    yield Score("p_symmetric", p, float(symmetric))


def law_check(lean: float, n: int, seed: int) -> Iterator[Score]:
    """Angles with density ``1 + lean cos(phi)``, tested against rotated ones."""
    g = np.random.default_rng([seed, n])
    phi = g.uniform(-np.pi, np.pi, 4 * n)
    phi = phi[g.random(4 * n) * (1 + lean) < 1 + lean * np.cos(phi)][:n]
    x = np.sqrt(g.random(n))[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)
    check = ep.InvarianceCheck(seed=seed, n_draws=N_DRAWS)
    result = check.fit(x, ep.transforms.rotations2d(acts_on="vectors"))
    seen = np.quantile(result.draws["auc"], 0.05) > 0.5
    yield Score("seen not to be invariant", float(seen), float(lean > 0))
    yield Score("taken for invariant", float(result.is_invariant), float(lean == 0))


SIMULATORS: dict[str, Simulator] = {
    "numbers": partial(numbers, normal, 1),
    "numbers, heavy-tailed noise": partial(numbers, heavy, 1),
    "numbers, third angular mode": partial(numbers, normal, 3),
    "numbers, up to 90 degrees (case I)": part_of_a_turn,
    "vectors": vectors,
    "labels": labels,
}

_BY_PROCESS = (
    "numbers",
    "numbers, heavy-tailed noise",
    "numbers, third angular mode",
    "vectors",
)

MANY, FEW = (100, 400, 1600), (100,)

TASK_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    **{f"Symmetrization, {k}": (partial(bounds, s, True), MANY) for k, s in SIMULATORS.items()},
    "Symmetrization, numbers, noise unknown": (partial(bounds, SIMULATORS["numbers"], False), MANY),
    "TrainedPair, numbers": (partial(trained_pair, 1), MANY),
    "TrainedPair, numbers, third angular mode": (partial(trained_pair, 3), MANY),
    "Oracle, numbers": (oracle, MANY),
    **{f"GaussianProcess, {k}": (partial(process, SIMULATORS[k]), FEW) for k in _BY_PROCESS},
    "GaussianProcess, half of the tasks symmetric": (spike, FEW),
    "InvarianceCheck, invariant law": (partial(law_check, 0.0), MANY),
    "InvarianceCheck, law leaning by 0.2": (partial(law_check, 0.2), MANY),
    "InvarianceCheck, law leaning by 0.6": (partial(law_check, 0.6), MANY),
}
"""Problems by name, and the numbers of rows each is simulated at."""
