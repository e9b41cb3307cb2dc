"""What the transport bound takes: CPU seconds, and memory in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import equiprob as ep
from benchmarks.generalization.worst_of_class import ball
from equiprob.bounds.generalization_gap import GeneralizationGapResult

SIZES = (500, 1000, 2000)
SPLITS = 20
DRAWS = 4000
FORECASTS = 50


def study(n: int) -> dict[str, float]:
    """Return CPU seconds (of all threads) and megabytes of one fit, and of its forecasts."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_measure, n).result()


def _measure(n: int) -> dict[str, float]:
    _fit(100)  # compiles and imports
    before, start = _megabytes(), time.process_time()
    result = _fit(n)
    fitted = time.process_time()
    result.forecast(np.geomspace(n / 10, 100 * n, FORECASTS))
    return {
        "n": n,
        "fit": fitted - start,
        "forecast": time.process_time() - fitted,
        "megabytes": _megabytes() - before,
    }


def _fit(n: int) -> GeneralizationGapResult:
    flips = ep.transforms.sign_flips(5, acts_on="vectors")
    orbits = ep.evaluate_orbits(
        lambda b: (b**2).sum(axis=1) / 2, ball(n, 5, 1), flips, n_transforms=2, backend="python"
    )
    bound = ep.bounds.Transport(
        predictors=ep.bounds.PredictorClass(lipschitz=1.0, defect=0.0),
        loss=ep.bounds.BoundedLoss(range=1.0, slope=1.0),
        n_splits=SPLITS,
    )
    return ep.GeneralizationGap(bound=bound, n_draws=DRAWS).fit(orbits)


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
