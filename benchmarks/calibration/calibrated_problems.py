"""Gaps predicted from gaps that were observed: forecasts by `Calibrated` beyond its runs.

Gaps fall as powers of n, which depend on the level, with noise of the sample that levels share and
noise of each run; what is held is the gap of a further run, at the number of rows of the column.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import pandas as pd

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem

SIZES = (2000, 8000)
_OBSERVED = (100, 200, 400, 1000)
_LEVELS = (0.0, 0.3, 1.0)
_SEEDS = 4
_SPREAD = 0.05
_NOISE = 0.1


@cache
def orbits() -> ep.OrbitTable:
    """Return a table whose rows tell `Calibrated` nothing but how many there are."""
    x = np.random.default_rng(0).normal(size=(1000, 2))
    eighths = ep.transforms.cyclic(8, acts_on="vectors")
    return ep.evaluate_orbits(
        lambda b: np.asarray(b)[:, 0], x, eighths, y=x[:, 0], n_transforms=2, backend="python"
    )


def forecast(bent: bool, n: int, seed: int) -> Iterator[Outcome]:
    """Fit runs at up to 1000 rows and forecast the gap of one run at n."""
    g = np.random.default_rng([seed, 31])
    rate, scale, level = g.uniform(0.4, 1.0), np.exp(g.normal()), _LEVELS[seed % 3]
    floor = g.uniform(0, 0.3) if bent else 0.0

    def gap(size: float, level: float, shared: Array) -> float:
        falls = (1 - floor) * (size / 100.0) ** -rate + floor * (size / 100.0) ** (-rate / 2)
        noise = _NOISE / np.sqrt(size) * (0.7 * shared + 0.7 * g.normal())
        return float(scale * (0.4 + 0.6 * level) * falls * (1 + _SPREAD * g.normal()) + noise)

    rows = []
    for size in _OBSERVED:
        for run in range(_SEEDS):
            shared = g.normal()
            rows += [
                {"level": each, "n": size, "seed": run, "gap": gap(size, each, shared)}
                for each in _LEVELS
            ]
    bound = ep.bounds.Calibrated(runs=pd.DataFrame(rows), level=level)
    fitted = ep.GeneralizationGap(bound=bound, n_draws=N_DRAWS, weight_seed=seed).fit(orbits())
    draws = fitted.forecast(n).draws["gap"][:, 0]
    yield Outcome("gap of one more run", draws, gap(n, level, g.normal()))


CALIBRATED_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "Calibrated, powers of n": (partial(forecast, False), SIZES),
    "Calibrated, powers that bend": (partial(forecast, True), SIZES),
}
"""Problems by name, and the numbers of rows they are forecast at."""
