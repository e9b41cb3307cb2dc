"""Paths of known optimum: does the interval hold it, and does what is shipped save what is said?

Truths at both ends of the path and between them, few and many transformations, light and heavy
tails, clusters, few rows; a model that is not linear, so that few transformations average badly;
losses other than the squared error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import LAWS, N_DRAWS, NOISE, Array, Law, Outcome, Problem
from equiprob.levels.predictor import AveragedPredictor
from equiprob.levels.row_losses import LOSSES
from equiprob.testing import commuting_part

TRUTHS = (0.0, 0.4, 0.8, 1.0)
FEW_TRANSFORMS = (4, 8, 16)
N_FRESH = 20_000
N_POPULATION = 100_000
AS_GOOD = 0.002
"""Difference of probabilities of error that is none in practice."""


@dataclass(frozen=True)
class LevelTask:
    """A sample, the model, and the truth.

    Args:
        x: Inputs.
        y: Targets.
        groups: As in `evaluate_orbits`.
        predict: The model.
        transform: The transform.
        optimum: The share of the model's asymmetric part that the truth has.
        risk: The true risk of another predictor, less that of the model.
    """

    x: Array
    y: Any
    groups: Any
    predict: Callable[[Any], Any]
    transform: ep.transforms.Transform
    optimum: float
    saved: Callable[[AveragedPredictor], float]


def linear(law: Law, n: int, seed: int) -> LevelTask:
    """A linear model of the plane, rotations on both sides: ``y = x (C + optimum P) + noise``."""
    g = np.random.default_rng([seed, n, 11])
    matrix, optimum = g.normal(size=(2, 2)), TRUTHS[seed % 4]
    common = commuting_part(matrix)
    target = common + optimum * (matrix - common)
    direction = g.normal(size=(n, 2))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x = direction * np.sqrt(2 * law.draw(g, n))[:, None]

    def saved(better: AveragedPredictor) -> float:
        shipped = better(np.eye(2))
        return float(((matrix - target) ** 2).sum() - ((shipped - target) ** 2).sum())

    return LevelTask(
        x,
        x @ target + NOISE * g.normal(size=(n, 2)),
        None if law.n_groups is None else np.arange(n) // -(-n // law.n_groups),
        lambda batch: batch @ matrix,
        ep.transforms.rotations2d(acts_on="vectors", output_action="vectors"),
        optimum,
        saved,
    )


def disc(g: np.random.Generator, n: int) -> Array:
    radius, phi = np.sqrt(g.random(n)), g.uniform(-np.pi, np.pi, n)
    return radius[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)


def _modes(x: Array) -> tuple[Array, Array]:
    """Return a function of the radius, and one of mean zero over rotations, of modes 1 to 5."""
    z = x[:, 0] + 1j * x[:, 1]
    return 2 * np.abs(z) ** 2 - 1, (z + 0.7 * z**3 + 0.5 * z**5).real


def waves(n: int, seed: int) -> LevelTask:
    """Angular modes 1, 3 and 5 on the disc, of which few rotations leave some in the average."""
    g = np.random.default_rng([seed, n, 12])
    optimum = TRUTHS[seed % 4]

    def blended(share: float, rows: Array) -> Array:
        common, wave = _modes(rows)
        return common + share * wave

    def saved(better: AveragedPredictor) -> float:
        fresh = disc(np.random.default_rng([seed, n, 13]), N_FRESH)
        truth = blended(optimum, fresh)
        loss = lambda predict: float(((predict(fresh) - truth) ** 2).mean())  # noqa: E731
        return loss(partial(blended, 1.0)) - loss(better)

    x = disc(g, n)
    return LevelTask(
        x,
        blended(optimum, x) + NOISE * g.normal(size=n),
        None,
        partial(blended, 1.0),
        ep.transforms.rotations2d(acts_on="vectors"),
        optimum,
        saved,
    )


def steep(n: int, seed: int) -> LevelTask:
    """Two classes that a half turn exchanges, by a steep model: every averaging costs."""
    g = np.random.default_rng([seed, n, 15])

    def predict(x: Array) -> Array:
        one = 1 / (1 + np.exp(-10 * x[:, 0]))
        return np.stack([1 - one, one], axis=1)

    def labelled(g: np.random.Generator, n: int) -> tuple[Array, Array]:
        x = g.normal(size=(n, 2))
        return x, ((x[:, 0] > 0) ^ (g.random(n) < 0.03)).astype(int)

    def saved(better: AveragedPredictor) -> float:
        x, y = labelled(np.random.default_rng([seed, n, 16]), N_FRESH)
        loss = lambda f: float(((f(x) - np.eye(2)[y]) ** 2).sum(axis=1).mean())  # noqa: E731
        return loss(predict) - loss(better)

    x, y = labelled(g, n)
    turns = ep.transforms.rotations2d(acts_on="vectors")
    return LevelTask(x, y, None, predict, turns, 1.0, saved)


def orbits_of(task: LevelTask, m: int, design: str, seed: int) -> ep.OrbitTable:
    """Return the table of a task's model, with m transformations a row."""
    return ep.evaluate_orbits(
        task.predict,
        task.x,
        task.transform,
        y=task.y,
        n_transforms=m,
        design=design,
        seed=seed,
        groups=task.groups,
        backend="python",
    )


def over_ranges(
    simulate: Callable[[int, int], LevelTask], m: int, n: int, seed: int
) -> Iterator[Outcome]:
    """What the predictor saves on fresh data that a path of ranges recommends."""
    task = simulate(n, seed)
    table = orbits_of(task, m, "quasi", seed)
    level = ep.SymmetryLevel(path=ep.paths.Range(), n_draws=N_DRAWS).fit(table)
    saved = task.saved(level.predictor(task.predict)) if level.recommended else 0.0
    yield Outcome("risk_saved_shipped", level.draws["risk_saved_shipped"], saved)


def alike(n: int, seed: int) -> Iterator[Outcome]:
    """Subgroups of which none saves anything, where one is recommended: what is it said to save?

    The truth has half of each part of the model, so that leaving parts out changes no risk.
    """
    g = np.random.default_rng([seed, n, 17])
    predict = lambda rows: 0.3 * rows.sum(axis=1)  # noqa: E731
    x = g.normal(size=(n, 3))
    table = ep.evaluate_orbits(
        predict,
        x,
        ep.transforms.sign_flips(3, acts_on="vectors"),
        y=0.15 * x.sum(axis=1) + g.normal(size=n),
        n_transforms=8,
        design="full",
        seed=seed,
        backend="python",
    )
    level = ep.SymmetryLevel(path=ep.paths.Subgroups(), n_draws=N_DRAWS).fit(table)
    if level.recommended:
        yield Outcome("risk_saved_shipped", level.draws["risk_saved_shipped"], 0.0)


def squared(
    simulate: Callable[[int, int], LevelTask], m: int, design: str, n: int, seed: int
) -> Iterator[Outcome]:
    """The optimum of the blend, and what its predictor saves on fresh data."""
    task = simulate(n, seed)
    table = orbits_of(task, m, design, seed)
    level = ep.SymmetryLevel(n_draws=N_DRAWS).fit(table)
    yield Outcome(f"position, truth {task.optimum:g}", level.draws["position"], task.optimum)
    yield Outcome(
        "risk_saved_shipped",
        level.draws["risk_saved_shipped"],
        task.saved(level.predictor(task.predict)),
    )


# ---- other losses -------------------------------------------------------------------------------

ROTATIONS = ep.transforms.rotations2d(acts_on="vectors")
SHARES = (0.0, 0.3, 0.8)


def _two_classes(share: float, x: Array) -> Array:
    common, wave = _modes(x)
    one = 1 / (1 + np.exp(-2 * common - 2 * share * wave))
    return np.stack([1 - one, one], axis=1)


def classify(x: Array) -> Array:
    return _two_classes(1.0, x)


def _labels(share: float, n: int, seed: int) -> tuple[Array, Array]:
    g = np.random.default_rng([seed, n, 14])
    x = disc(g, n)
    return x, (g.random(n) < _two_classes(share, x)[:, 1]).astype(int)


@lru_cache
def population(loss: str, share: float, m: int) -> tuple[Array, Array]:
    """Return positions and the risk there of averages over m rotations, by many rows."""
    x, y = _labels(share, N_POPULATION, 2**31)
    table = ep.evaluate_orbits(
        classify, x, ROTATIONS, y=y, n_transforms=m, keep="rows", backend="python", progress=False
    )
    path = ep.paths.Blend(n_positions=101)
    positions = path.grid(ROTATIONS)
    # Expected over the labels, whose probabilities are known: far less noise.
    right = _two_classes(share, x)
    each = [np.eye(2)[np.full(len(x), k)] for k in (0, 1)]
    risk = [
        sum((right[:, k] * LOSSES[loss](each[k], table.only.base + d)).mean() for k in (0, 1))
        for d in path.displacements(table, positions)
    ]
    return positions, np.array(risk)


def other_loss(loss: str, m: int, n: int, seed: int) -> Iterator[Outcome]:
    """A classifier too sure of the direction, judged by another loss."""
    share = SHARES[seed % 3]
    x, y = _labels(share, n, seed)
    table = ep.evaluate_orbits(
        classify, x, ROTATIONS, y=y, n_transforms=m, seed=seed, backend="python"
    )
    path = ep.paths.Blend(n_positions=101)
    level = ep.SymmetryLevel(n_draws=N_DRAWS, path=path, loss=loss).fit(table)
    positions, risk = population(loss, share, m)
    best, unchanged = int(risk.argmin()), len(risk) - 1
    yield Outcome(f"position, share {share:g}", level.draws["position"], positions[best])
    if loss == "zero_one":
        good = positions[risk <= risk.min() + AS_GOOD]
        nearest = good[np.abs(good - np.median(level.draws["position"])).argmin()]
        yield Outcome(
            f"a position within {AS_GOOD} of the least risk", level.draws["position"], nearest
        )
    shipped = int(np.abs(positions - level.shipped_position).argmin())
    yield Outcome(
        "risk_saved_shipped", level.draws["risk_saved_shipped"], risk[unchanged] - risk[shipped]
    )


SIZES = (16, 32, 128, 512)
LEVEL_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    **{
        f"{law.name}, m = {m}": (partial(squared, partial(linear, law), m, "quasi"), SIZES)
        for law in LAWS
        for m in FEW_TRANSFORMS
    },
    **{
        f"modes 1, 3, 5{words}, m = {m}": (partial(squared, waves, m, design), SIZES)
        for design, words in (("quasi", ""), ("random", ", independent draws"))
        for m in FEW_TRANSFORMS
    },
    "ranges, every averaging costs, m = 16": (partial(over_ranges, steep, 16), (128, 512)),
    "subgroups of which none saves, where one is recommended": (alike, (128, 512)),
    **{
        f"{loss} loss, m = {m}": (partial(other_loss, loss, m), (128, 512))
        for loss in ("log", "absolute", "zero_one")
        for m in (4, 16)
    },
}
"""Problems by name, and the numbers of rows each is simulated at."""
