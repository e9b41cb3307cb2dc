"""Kernel ridge regressors and small networks of chosen symmetry, on tasks of known symmetry.

Every class is fixed beforehand, by its construction:

- *kernel ridge* in two parts of norms at most B and level * B: with features phi of norm 1 and
  slope at most l, ``|f(x) - f(x')| <= sqrt(1 + level^2) B l |x - x'|`` and
  ``|f(g.x) - f(x)| <= 2 level B``;
- *networks* with tanh units and spectral norms of at most c in each of three layers, blended with
  their average over the group, ``(1 - level) S f + level f``: Lipschitz constant c^3, defect at
  most 2 level.

Outputs lie in [-1, 1], targets too, and the loss is the absolute error: slope 1, range 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.generalization.worst_of_class import ball

RADIUS = 3.0
WAVES = 20
RIDGE = 0.05
LAYER_NORM = 1.5
LEVELS = (0.0, 0.1, 0.3, 1.0)
DELTA = 0.05
TEST_ROWS = 4000
NOISE = 0.5
MANY_ROWS = 1000

Predict = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Task:
    """Inputs of an invariant law, and targets with a symmetric and an asymmetric part.

    Args:
        name: For the page.
        transform: The group.
        inputs: ``inputs(n, seed) -> (n, d)``.
        symmetric: The invariant part of the truth.
        asymmetric: The other part, with mean zero over each orbit.
    """

    name: str
    transform: ep.transforms.Transform
    inputs: Callable[[int, int], np.ndarray]
    symmetric: Callable[[np.ndarray], np.ndarray]
    asymmetric: Callable[[np.ndarray], np.ndarray]

    def draw(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets."""
        x = self.inputs(n, seed)
        noise = np.random.default_rng([seed, 29]).uniform(-NOISE, NOISE, n)
        return x, np.clip(self.symmetric(x) + self.asymmetric(x) + noise, -1, 1)

    def images(self, x: np.ndarray) -> np.ndarray:
        """Return all images of rows, ``(element, row, d)``."""
        parameters = self.transform.enumeration().parameters
        return np.stack([np.asarray(self.transform.apply(p, x)) for p in parameters])


TASKS = {
    task.name: task
    for task in (
        Task(
            "disc, eighth turns",
            ep.transforms.cyclic(8, acts_on="vectors"),
            lambda n, seed: ball(n, 2, seed),
            lambda x: 0.6 * np.cos(3 * np.linalg.norm(x, axis=1)),
            lambda x: 0.1 * x[:, 0],
        ),
        Task(
            "ball of 3, sign flips",
            ep.transforms.sign_flips(3, acts_on="vectors"),
            lambda n, seed: ball(n, 3, seed),
            lambda x: 0.8 * (x**2 @ np.array([1.0, -1.0, 0.5])),
            lambda x: 0.1 * x[:, 0],
        ),
        Task(
            "3 numbers, permutations",
            ep.transforms.permutations(3),
            lambda n, seed: np.random.default_rng(seed).uniform(-1, 1, (n, 3)),
            lambda x: 0.7 * np.sin(x.sum(axis=1)),
            lambda x: 0.1 * (x[:, 0] - x[:, 1]),
        ),
    )
}


class WaveKernel:
    """The kernel ``k(x, x') = mean_j cos(w_j . (x - x'))`` over waves w_j closed under the group.

    It is invariant under the group, has k(x, x) = 1, and its features are ``waves / sqrt(m)`` times
    Lipschitz.

    Args:
        task: The task whose group it is.
        waves: Representatives of the orbits of waves, ``(orbit, d)``.
    """

    def __init__(self, task: Task, waves: np.ndarray) -> None:
        self.task = task
        self.waves = task.images(waves).reshape(-1, waves.shape[1])

    @property
    def lipschitz(self) -> float:
        """The largest slope of a function of norm 1."""
        return float(np.linalg.norm(self.waves, 2) / np.sqrt(len(self.waves)))

    def features(self, x: Any) -> np.ndarray:
        """Return features of rows, ``(row, 2 m)``."""
        phases = np.asarray(x, np.float64) @ self.waves.T
        return np.concatenate([np.cos(phases), np.sin(phases)], axis=1) / np.sqrt(len(self.waves))

    def averaged(self, x: np.ndarray) -> np.ndarray:
        """Return features averaged over the group."""
        return np.mean([self.features(moved) for moved in self.task.images(x)], axis=0)

    def __call__(self, x: Any, other: Any) -> np.ndarray:
        """Return the kernel, ``(row, row of other)``."""
        return self.features(x) @ self.features(other).T


def kernel_of(task: Task) -> WaveKernel:
    """Return nearly the Gaussian kernel of length 1, fixed beforehand."""
    d = task.inputs(1, 0).shape[1]
    return WaveKernel(task, np.random.default_rng(31).standard_normal((WAVES, d)))


def kernel_ridge(kernel: WaveKernel, x: np.ndarray, y: np.ndarray, level: float) -> Predict:
    """Fit the two parts together and shrink each to its norm."""
    sym = kernel.averaged(x)
    perp = kernel.features(x) - sym
    design = np.concatenate([sym, np.sqrt(level) * perp], axis=1)
    inner = np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ y)
    a = (y - design @ inner) / RIDGE
    w, rest = sym.T @ a, level * (perp.T @ a)
    w *= min(1.0, RADIUS / np.linalg.norm(w))
    if level:
        rest *= min(1.0, level * RADIUS / np.linalg.norm(rest))
    return lambda batch: np.clip(kernel.features(batch) @ (w + rest), -1, 1)


def _forward(weights: Any, x: Any) -> Any:
    for w, b in weights[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = weights[-1]
    return jnp.tanh(x @ w + b)[..., 0]


@jax.jit
def _projected(weights: Any) -> Any:
    def project(w: Any) -> Any:
        u, s, v = jnp.linalg.svd(w, full_matrices=False)
        return (u * jnp.minimum(s, LAYER_NORM)) @ v

    return [(project(w), b) for w, b in weights]


@partial(jax.jit, static_argnames="level")
def _step(weights: Any, state: Any, images: Any, y: Any, level: float) -> Any:
    def loss(weights: Any) -> Any:
        outputs = _forward(weights, images)
        blended = (1 - level) * outputs.mean(axis=0) + level * outputs[0]
        return ((blended - y) ** 2).mean()

    slopes = jax.grad(loss)(weights)
    mean, square, t = state
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slopes)
    square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, slopes)
    move = jax.tree.map(
        lambda m, s: 0.01 * (m / (1 - 0.9**t)) / (jnp.sqrt(s / (1 - 0.99**t)) + 1e-8), mean, square
    )
    return jax.tree.map(jnp.subtract, weights, move), (mean, square, t + 1)


def network(task: Task, x: np.ndarray, y: np.ndarray, level: float, seed: int) -> Predict:
    """Train a network of two hidden layers, blended with its average over the group."""
    keys = jax.random.split(jax.random.key(seed), 3)
    sizes = [x.shape[1], 64, 64, 1]
    weights = [
        (jax.random.normal(k, (a, b)) / np.sqrt(a), jnp.zeros(b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]
    parameters = task.transform.enumeration().parameters
    elements = task.images(x)
    # The element that changes nothing comes first: it is the one that is blended.
    still = np.abs(elements - x).reshape(len(parameters), -1).max(axis=1).argmin()
    order = [int(still), *(i for i in range(len(parameters)) if i != still)]
    elements = elements[order].astype(np.float32)
    generator = np.random.default_rng(seed)
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = zeros, zeros, 1.0
    for step in range(600):
        rows = generator.integers(0, len(x), min(len(x), 256))
        weights, state = _step(weights, state, elements[:, rows], y[rows].astype(np.float32), level)
        if step % 10 == 9:
            weights = _projected(weights)
    weights = _projected(weights)
    forward = jax.jit(partial(_forward, weights))

    def predict(batch: Any) -> np.ndarray:
        images = task.images(np.asarray(batch, np.float64))[order].astype(np.float32)
        outputs = np.stack([np.asarray(forward(moved), np.float64) for moved in images])
        blended = (1 - level) * outputs.mean(axis=0) + level * outputs[0]
        return blended.astype(np.float32)  # whose rounding it has

    return predict


def promise(
    task: Task, model: str, level: float, *, measured: bool = False
) -> ep.bounds.PredictorClass:
    """Return what is known of a class beforehand; its defect may be measured in its place."""
    if model == "kernel ridge":
        lipschitz, defect = np.hypot(1, level) * RADIUS * kernel_of(task).lipschitz, 2 * RADIUS
    else:
        lipschitz, defect = LAYER_NORM**3, 2.0
    return ep.bounds.PredictorClass(
        lipschitz=float(lipschitz),
        defect=None if measured else float(level * defect),
        output_range=2.0,
    )


def absolute(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the absolute error of one output."""
    return np.abs(prediction - target)[..., 0]


LOSS = ep.bounds.BoundedLoss(range=2.0, slope=1.0, function=absolute)


def bounds_of(task: Task, model: str, level: float, n: int) -> dict[str, ep.bounds.AbstractBound]:
    """Return the bounds of a class, by name."""

    def transport(*, measured: bool, targets: Any = "contraction") -> ep.bounds.Transport:
        return ep.bounds.Transport(
            predictors=promise(task, model, level, measured=measured),
            loss=LOSS,
            targets=targets,
            n_splits=10 if n < MANY_ROWS else 2,
        )

    bounds = {
        "transport": transport(measured=False),
        "transport, average defect": transport(measured=True),
        "transport, held-out rows": transport(measured=False, targets="joint"),
    }
    if model == "kernel ridge":
        radii = RADIUS, level * RADIUS
        bounds["RKHS"] = ep.bounds.RKHS(kernel=kernel_of(task), radii=radii, loss=LOSS)
    return bounds


def trained(
    task: Task, model: str, level: float, rows: tuple[np.ndarray, np.ndarray], seed: int
) -> Predict:
    """Train one model at a level."""
    if model == "kernel ridge":
        return kernel_ridge(kernel_of(task), *rows, level)
    return network(task, *rows, level, seed)


def study(
    task_name: str, model: str, n: int, seed: int, levels: Sequence[float] = LEVELS
) -> list[dict[str, Any]]:
    """Train at some levels on one sample, and return true gaps and bounds."""
    task = TASKS[task_name]
    x, y = task.draw(n, 1000 * seed + 1)
    new_x, new_y = task.draw(TEST_ROWS, 1000 * seed + 2)
    records = []
    for level in levels:
        predict = trained(task, model, level, (x, y), seed)
        options = {"n_transforms": 4, "backend": "python", "batch_size": min(n, 1024)}
        train, held_out = (
            ep.evaluate_orbits(predict, a, task.transform, y=b, **options)
            for a, b in ((x, y), (new_x[:1000], new_y[:1000]))
        )
        gap = np.abs(predict(new_x) - new_y).mean() - LOSS.of_rows(train).mean()
        for name, bound in bounds_of(task, model, level, n).items():
            result = ep.GeneralizationGap(bound=bound, delta=DELTA, n_draws=200).fit(
                held_out, train=train
            )
            records.append(
                {
                    "task": task_name,
                    "model": model,
                    "n": n,
                    "seed": seed,
                    "level": level,
                    "kind": name,
                    "gap": float(gap),
                    "bound": float(np.median(result.draws["bound"])),
                    "expected_bound": float(np.median(result.draws["expected_bound"])),
                }
            )
    return records
