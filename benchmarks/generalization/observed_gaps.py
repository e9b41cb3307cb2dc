"""Gaps at 1000 to 5000 rows, predicted from gaps at 500 rows and fewer.

Ridge regression on random cosines in two parts, averaged over the group and the rest, the latter
scaled by the level. Nothing about it was used to choose the priors of ``bounds.Calibrated``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.generalization.trained_models import LEVELS, TASKS, Task

FEATURES = 200
RIDGE = 1.0
SEEN = (100, 200, 350, 500)
SEEDS = 4
AHEAD = (1000, 2000, 5000)
ROWS_OF_TRUTH = 20_000
ASKED = (0.0, 0.3)


class TwoPartRidge:
    """Ridge regression on features of one task.

    Args:
        task: The task.
        seed: Of the cosines.
    """

    def __init__(self, task: Task, seed: int) -> None:
        generator = np.random.default_rng([seed, 41])
        d = task.inputs(1, 0).shape[1]
        self.task = task
        self.waves = 2.0 * generator.standard_normal((d, FEATURES))
        self.phases = 2 * np.pi * generator.random(FEATURES)

    def features(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the averaged features and the rest, ``(row, feature)``."""

        def cosines(rows: np.ndarray) -> np.ndarray:
            return np.cos(rows @ self.waves + self.phases)

        averaged = np.mean([cosines(moved) for moved in self.task.images(x)], axis=0)
        return averaged, cosines(x) - averaged

    def gaps(self, n: int, seed: int, test: tuple[Any, np.ndarray]) -> list[tuple[float, float]]:
        """Return the gap of the squared error and its standard error, a pair for each level."""
        x, y = self.task.draw(n, seed)
        (sym, rest), (parts, target) = self.features(x), test
        found = []
        for level in LEVELS:
            design = np.concatenate([sym, level * rest], axis=1)
            weights = np.linalg.solve(
                design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ y
            )
            new = (np.concatenate([parts[0], level * parts[1]], axis=1) @ weights - target) ** 2
            gap = new.mean() - ((design @ weights - y) ** 2).mean()
            found.append((float(gap), float(new.std() / np.sqrt(len(target)))))
        return found


def study(task_name: str, repeat: int) -> list[dict[str, Any]]:
    """Fit to small samples and compare predictions with gaps of large ones."""
    task = TASKS[task_name]
    model = TwoPartRidge(task, repeat)
    new_x, new_y = task.draw(ROWS_OF_TRUTH, 10**6 * (repeat + 1))
    test = model.features(new_x), new_y

    def observe(sizes: tuple[int, ...], seeds: int) -> list[dict[str, Any]]:
        return [
            {"level": level, "n": n, "seed": s, "gap": gap, "gap_se": se}
            for n in sizes
            for s in range(seeds)
            for level, (gap, se) in zip(
                LEVELS, model.gaps(n, 10**6 * (repeat + 1) + 100 * n + s, test), strict=True
            )
        ]

    seen, ahead = observe(SEEN, SEEDS), observe(AHEAD, 2)
    x, y = task.draw(500, 7)
    table = ep.evaluate_orbits(
        lambda b: np.asarray(b)[:, 0], x, task.transform, y=y, n_transforms=2, backend="python"
    )
    records = []
    for level in ASKED:
        bound = ep.bounds.Calibrated(runs=seen, level=level, num_samples=500)
        forecast = ep.GeneralizationGap(bound=bound, n_draws=2000).fit(table).forecast(AHEAD)
        for run in (r for r in ahead if r["level"] == level):
            place = AHEAD.index(run["n"])
            drawn = {name: forecast.draws[name][:, place] for name in ("gap", "expected_gap")}
            (low, high), (least, most) = (
                np.quantile(drawn[name], [0.05, 0.95]) for name in ("gap", "expected_gap")
            )
            records.append(
                run
                | {"task": task_name, "low": low, "high": high, "least": least, "most": most}
                | {"middle": float(np.median(drawn["gap"]))}
            )
    return records
