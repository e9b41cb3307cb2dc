"""Gaps at 1000 to 5000 rows, predicted from gaps at 500 rows and fewer.

Ridge regression with two kernels, and small networks, at three symmetry levels of three tasks. The
priors of ``bounds.Calibrated`` were chosen on other tasks, kernels and networks.

Gaps are measured with little noise: the losses of the truth itself, whose mean over new rows is
known, are subtracted on new rows and on training rows alike where the mean gap is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.generalization.trained_models import TASKS, Task, WaveKernel

LEVELS = (0.0, 0.3, 1.0)
ASKED = (0.3, 1.0)
SEEN = (100, 200, 350, 500)
SEEDS = 6
AHEAD = (1000, 2000, 5000)
RUNS_AHEAD = 6
RIDGE = 0.01
ROWS_OF_TRUTH = 8000
ROWS_OF_NOISE = 10**6
UNITS, STEPS, ROWS_OF_STEP = 32, 600, 64

Samples = tuple[np.ndarray, np.ndarray]
Trainer = Callable[[Task, Samples, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""From samples ``(seed, row)`` and new inputs to predictions of both, ``(seed, level, row)``."""


def ridge(
    waves: Callable[[np.random.Generator, tuple[int, int]], np.ndarray],
    task: Task,
    samples: Samples,
    new: np.ndarray,
    repeat: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit ridge regression, the asymmetric features scaled by the level."""
    drawn = waves(np.random.default_rng([repeat, 41]), (12, new.shape[1]))
    kernel = WaveKernel(task, drawn)

    def parts(x: np.ndarray) -> Samples:
        averaged = kernel.averaged(x)
        return averaged, kernel.features(x) - averaged

    new_parts, found = parts(new), []
    for x, y in zip(*samples, strict=True):
        here = parts(x)
        for level in LEVELS:
            design, ahead = (np.hstack([sym, level * rest]) for sym, rest in (here, new_parts))
            inner = design.T @ design / RIDGE + np.eye(design.shape[1])
            weights = np.linalg.solve(inner, design.T @ y / RIDGE)
            found.append((design @ weights, ahead @ weights))
    shape = len(samples[0]), len(LEVELS), -1
    fitted, predicted = (np.array(p).reshape(shape) for p in zip(*found, strict=True))
    return fitted, predicted


def networks(
    task: Task, samples: Samples, new: np.ndarray, repeat: int
) -> tuple[np.ndarray, np.ndarray]:
    """Train networks of two hidden layers, blended with their averages over the group."""
    elements = jnp.asarray(task.images(np.eye(new.shape[1])), jnp.float32)
    keys = jax.random.split(jax.random.key(repeat), len(samples[0]))
    x, y = (jnp.asarray(a, jnp.float32) for a in samples)
    fitted, predicted = _trained(keys, x, y, jnp.asarray(new, jnp.float32), elements)
    return np.asarray(fitted, np.float64), np.asarray(predicted, np.float64)


@jax.jit
def _trained(keys: Any, x: Any, y: Any, new: Any, elements: Any) -> Any:
    each_level = jax.vmap(_train, (None, None, None, None, None, 0))
    levels = jnp.array(LEVELS)
    return jax.vmap(each_level, (0, 0, 0, None, None, None))(keys, x, y, new, elements, levels)


def _train(key: Any, x: Any, y: Any, new: Any, elements: Any, level: Any) -> Any:
    sizes = [x.shape[1], UNITS, UNITS, 1]
    *starts, rows = jax.random.split(key, len(sizes))
    weights = [
        (2 * jax.random.normal(k, (a, b)) / jnp.sqrt(a), jnp.zeros(b))
        for k, a, b in zip(starts, sizes[:-1], sizes[1:], strict=True)
    ]

    def output(weights: Any, x: Any) -> Any:
        for w, b in weights[:-1]:
            x = jnp.tanh(x @ w + b)
        return (x @ weights[-1][0] + weights[-1][1])[..., 0]

    def blended(weights: Any, x: Any) -> Any:
        images = jnp.einsum("rd,gde->gre", x, elements)
        averaged = output(weights, images).mean(axis=0)
        return (1 - level) * averaged + level * output(weights, x)

    def step(state: Any, key: Any) -> tuple[Any, None]:
        weights, mean, square, t = state
        at = jax.random.randint(key, (ROWS_OF_STEP,), 0, len(x))
        slopes = jax.grad(lambda w: ((blended(w, x[at]) - y[at]) ** 2).mean())(weights)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slopes)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, slopes)
        scale = 0.01 * jnp.sqrt(1 - 0.99**t) / (1 - 0.9**t)
        weights = jax.tree.map(
            lambda w, m, s: w - scale * m / (jnp.sqrt(s) + 1e-8), weights, mean, square
        )
        return (weights, mean, square, t + 1), None

    zeros = jax.tree.map(jnp.zeros_like, weights)
    (weights, *_), _ = jax.lax.scan(
        step, (weights, zeros, zeros, 1.0), jax.random.split(rows, STEPS)
    )
    return blended(weights, x), blended(weights, new)


TRAINERS: dict[str, tuple[Trainer, int]] = {
    "smooth kernel": (partial(ridge, lambda g, shape: 3.0 * g.standard_normal(shape)), 2),
    "rough kernel": (partial(ridge, lambda g, shape: 2.0 * g.standard_t(2, shape)), 2),
    "network": (networks, 1),
}
"""How models are trained, and how often that is repeated with other samples and features."""

EXPERIMENTS = tuple(
    (model, task, repeat)
    for model, (_, repeats) in TRAINERS.items()
    for task in TASKS
    for repeat in range(repeats)
)


@cache
def _noise(task: str) -> float:
    """Return the risk of the truth."""
    return float(_losses_of_truth(TASKS[task], *TASKS[task].draw(ROWS_OF_NOISE, 3)).mean())


def _losses_of_truth(task: Task, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (task.symmetric(x) + task.asymmetric(x) - y) ** 2


def gaps(
    model: str, task_name: str, repeat: int, n: int, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Train on samples of n rows and return gaps of the squared error, a record a run.

    ``gap`` is the gap of the run, ``quiet`` has the same mean over runs and less noise.
    """
    task, (train, _) = TASKS[task_name], TRAINERS[model]
    first = 10**6 * (repeat + 1)
    new, new_y = task.draw(ROWS_OF_TRUTH, first)
    samples = [task.draw(n, first + 100 * n + s) for s in seeds]
    x, y = (np.stack(a) for a in zip(*samples, strict=True))
    fitted, predicted = train(task, (x, y), new, repeat)
    beyond = (predicted - new_y) ** 2 - _losses_of_truth(task, new, new_y)
    risk = _noise(task_name) + beyond.mean(axis=2)
    se = beyond.std(axis=2) / np.sqrt(len(new))
    gap = risk - ((fitted - y[:, None]) ** 2).mean(axis=2)
    chance = [_losses_of_truth(task, *sample).mean() - _noise(task_name) for sample in samples]
    return [
        {"level": level, "n": n, "seed": s}
        | {"gap": gap[i, k], "gap_se": se[i, k], "quiet": gap[i, k] + chance[i]}
        for i, s in enumerate(seeds)
        for k, level in enumerate(LEVELS)
    ]


def study(model: str, task_name: str, repeat: int) -> list[dict[str, Any]]:
    """Fit to small samples and compare predictions with gaps of large ones."""
    of = partial(gaps, model, task_name, repeat)
    seen = [run for n in SEEN for run in of(n, range(SEEDS))]
    ahead = [run for n in AHEAD for run in of(n, range(RUNS_AHEAD))]
    task = TASKS[task_name]
    x, y = task.draw(max(SEEN), 7)
    table = ep.evaluate_orbits(
        lambda b: np.asarray(b)[:, 0], x, task.transform, y=y, n_transforms=2, backend="python"
    )
    records = []
    for level in ASKED:
        bound = ep.bounds.Calibrated(runs=seen, level=level)
        forecast = ep.GeneralizationGap(bound=bound, n_draws=2000).fit(table).forecast(AHEAD)
        for place, n in enumerate(AHEAD):
            runs = [r for r in ahead if r["n"] == n and r["level"] == level]
            quiet = np.array([r["quiet"] for r in runs])
            limits = {
                name: np.quantile(forecast.draws[name][:, place], [0.05, 0.5, 0.95]).tolist()
                for name in ("gap", "expected_gap")
            }
            records.append(
                {"model": model, "task": task_name, "level": level, "n": n}
                | {"gaps": [r["gap"] for r in runs], "mean": quiet.mean()}
                | {"se": quiet.std(ddof=1) / np.sqrt(len(quiet))}
                | limits
            )
    return records
