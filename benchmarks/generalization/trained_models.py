"""Kernel ridge regressors and small networks of chosen symmetry, on tasks of known symmetry.

Every class is fixed beforehand, by its construction:

- *kernel ridge* in two parts of norms at most B and level * B: with a Gaussian kernel of length l,
  ``|f(x) - f(x')| <= sqrt(1 + level^2) B |x - x'| / l`` and ``|f(g.x) - f(x)| <= sqrt(2) level B``;
- *networks* with tanh units and spectral norms of at most c in each of three layers, blended with
  their average over the group, ``(1 - level) S f + level f``: Lipschitz constant c^3, defect at
  most 2 level.

Outputs lie in [-1, 1], targets too, and the loss is the absolute error: slope 1, range 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.generalization.worst_of_class import ball

RADIUS = 3.0
LENGTH = 1.0
RIDGE = 0.05
LAYER_NORM = 1.5
LEVELS = (0.0, 0.1, 0.3, 1.0)
DELTA = 0.05
TEST_ROWS = 6000
NOISE = 0.5

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
    transform: ep.transforms.AbstractTransform
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


def gaussian(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Gaussian kernel."""
    x, other = np.asarray(x, np.float64), np.asarray(other, np.float64)
    squares = (x**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * x @ other.T
    return np.exp(np.minimum(-squares, 0.0) / (2 * LENGTH**2))


def kernel_ridge(task: Task, x: np.ndarray, y: np.ndarray, level: float) -> Predict:
    """Fit the two parts together and shrink each to its norm."""
    images = task.images(x)
    whole = gaussian(x, x)
    sym = np.mean([gaussian(x, moved) for moved in images], axis=0)
    perp = whole - sym
    a = np.linalg.solve(sym + level * perp + RIDGE * np.eye(len(x)), y)
    norm = np.sqrt(max(a @ sym @ a, 0.0))
    rest = level * np.sqrt(max(a @ perp @ a, 0.0))
    shrink = min(1.0, RADIUS / norm)
    shrink_rest = level * min(1.0, level * RADIUS / rest) if rest > 0 else 0.0

    def predict(batch: Any) -> np.ndarray:
        b = np.asarray(batch, np.float64)
        averaged = np.mean([gaussian(b, moved) @ a for moved in images], axis=0)
        value = shrink * averaged
        if shrink_rest:
            value = value + shrink_rest * (gaussian(b, x) @ a - averaged)
        return np.clip(value, -1, 1)

    return predict


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
        return (1 - level) * outputs.mean(axis=0) + level * outputs[0]

    return predict


def promise(model: str, level: float, *, measured: bool = False) -> ep.bounds.PredictorClass:
    """Return what is known of a class beforehand; its defect may be measured in its place."""
    if model == "kernel ridge":
        lipschitz, defect = np.hypot(1, level) * RADIUS / LENGTH, np.sqrt(2) * level * RADIUS
    else:
        lipschitz, defect = LAYER_NORM**3, 2 * level
    return ep.bounds.PredictorClass(
        lipschitz=float(lipschitz), defect=None if measured else float(defect), output_range=2.0
    )


def absolute(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the absolute error of one output."""
    return np.abs(prediction - target)[..., 0]


LOSS = ep.bounds.BoundedLoss(range=2.0, slope=1.0, function=absolute)


def study(task_name: str, model: str, n: int, seed: int) -> list[dict[str, Any]]:
    """Train at every level on one sample, and return true gaps and bounds."""
    task = TASKS[task_name]
    x, y = task.draw(n, 1000 * seed + 1)
    new_x, new_y = task.draw(TEST_ROWS, 1000 * seed + 2)
    splits = 10 if n <= 1000 else 4
    records = []
    for level in LEVELS:
        predict = (
            kernel_ridge(task, x, y, level)
            if model == "kernel ridge"
            else network(task, x, y, level, seed)
        )
        options = {"n_transforms": 4, "backend": "python", "batch_size": min(n, 1024)}
        train, held_out = (
            ep.evaluate_orbits(predict, a, task.transform, y=b, **options)
            for a, b in ((x, y), (new_x[:1000], new_y[:1000]))
        )
        gap = np.abs(predict(new_x) - new_y).mean() - LOSS.of_rows(train).mean()
        bounds = {
            "transport": ep.bounds.Transport(
                predictors=promise(model, level),
                loss=LOSS,
                targets="contraction",
                n_splits=splits,
            ),
            "transport, average defect": ep.bounds.Transport(
                predictors=promise(model, level, measured=True),
                loss=LOSS,
                targets="contraction",
                n_splits=splits,
            ),
        }
        if model == "kernel ridge":
            bounds["RKHS"] = ep.bounds.RKHS(
                kernel=gaussian, radii=(RADIUS, level * RADIUS), loss=LOSS
            )
        for name, bound in bounds.items():
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
