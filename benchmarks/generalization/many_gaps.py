"""True gaps of trained models over many samples: bounds are costly, gaps are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.generalization.trained_models import LEVELS, TASKS, TEST_ROWS, trained

SAMPLES = 8
FIRST_SEED = 100
"""Past the seeds of the samples for which bounds are computed."""


def study(task_name: str, model: str, n: int, seed: int) -> list[dict[str, Any]]:
    """Train at all levels on one sample, and return true gaps."""
    task = TASKS[task_name]
    x, y = task.draw(n, 1000 * seed + 1)
    new_x, new_y = task.draw(TEST_ROWS, 1000 * seed + 2)
    records = []
    for level in LEVELS:
        predict = trained(task, model, level, (x, y), seed)
        gap = np.abs(predict(new_x) - new_y).mean() - np.abs(predict(x) - y).mean()
        records.append(
            {"task": task_name, "model": model, "n": n, "level": level, "gap": float(gap)}
        )
    return records
