"""Forecasts of cut-off tables, and how well they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.curves.cases import Case
from equiprob.curves.cells import SHARED_TEST, Cells, cells_of
from equiprob.curves.free import Paths, curves_of, paths_given
from equiprob.curves.priors import CurvePriors
from equiprob.curves.runs import read_runs
from equiprob.curves.smoothing import Smoothed, smooth

Array = NDArray[np.float64]

N_DRAWS = 1000
_KERNEL, _SMOOTH = 0.02, 0.05
"""Least width of the kernel that densities of forecasts are made with, and over the forecast's."""

_LEAST_DENSITY = 1e-4
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case whose evidence is computed; priors may change.

    Args:
        case: The case.
        cells: Each candidate's mean risks.
        smoothed: Each candidate's curve given the grid points.
        sizes: The sizes forecast.
        last: What was computed last, by name: paths with what they were drawn with, rivals.
    """

    case: Case
    cells: list[Cells]
    smoothed: list[Smoothed]
    sizes: Array
    last: dict[str, Any] = field(default_factory=dict)

    def runs(self, priors: CurvePriors, n_draws: int = N_DRAWS) -> tuple[Array, Array]:
        """Return draws ``(draw, candidate, size)`` of expected risks, and of fresh runs."""
        known = np.unique(np.concatenate([c.u for c in self.cells]))
        nodes = np.exp(np.union1d(known, np.log(self.sizes)))
        risk_max = 1.0 if self.case.bounded else None
        generator = np.random.default_rng(1)
        drawn = curves_of(
            self._paths(priors, nodes, n_draws),
            self.cells,
            self.smoothed,
            priors,
            nodes,
            risk_max=risk_max,
            generator=generator,
        ).draws
        at = np.searchsorted(nodes, self.sizes * (1 - 1e-9))
        risk = drawn["risk"][:, :, at]
        seeds = float(self.case.later.runs.max())
        test = np.array([c.test_variance for c in self.cells]) * (1 - SHARED_TEST)
        spread = np.sqrt((drawn["seed_sd"] ** 2 + test + _LEAST_VARIANCE) / seeds)
        fresh = risk * np.exp(spread[:, :, None] * generator.normal(size=risk.shape))
        return risk, fresh

    def _paths(self, priors: CurvePriors, nodes: Array, n_draws: int) -> Paths:
        """Return paths, those of the last call where what is beyond the data alone has changed."""
        on_grid = priors.on_grid()
        key = f"{n_draws} {on_grid}"
        if self.last.get("key") != key:
            self.last["key"] = key
            self.last["paths"] = paths_given(
                self.cells,
                self.smoothed,
                on_grid,
                nodes,
                n_draws=n_draws,
                evidence=True,
                generator=np.random.default_rng(0),
            )
        return self.last["paths"]


def prepared(cases: Iterable[Case]) -> list[Prepared]:
    """Compute the evidence of cases."""
    found = []
    for case in cases:
        cells = cells_of(read_runs(case.seen), same_test=True)
        risk_max = 1.0 if case.bounded else None
        smoothed = [smooth(c, risk_max) for c in cells]
        sizes = np.sort(case.later.n.unique()).astype(float)
        found.append(Prepared(case, cells, smoothed, sizes))
    return found


Forecaster = Callable[[Prepared], Array]


def scores(cases: Iterable[Prepared], forecast: Forecaster) -> pd.DataFrame:
    """Return how well each held-out cell is forecast, a row for each.

    Args:
        cases: Cut-off tables.
        forecast: Returns draws ``(draw, candidate, size)`` of the means of fresh runs; NaN where
            there is no forecast.
    """
    rows = []
    for each in cases:
        drawn = np.log(forecast(each))
        names = list(dict.fromkeys(each.case.seen.candidate.astype(str)))
        later = each.case.later
        cells = zip(later.candidate.astype(str), later.n.astype(float), later.risk, strict=True)
        for candidate, n, risk in cells:
            draws = drawn[:, names.index(candidate), np.searchsorted(each.sizes, n)]
            row = {
                "name": each.case.name,
                "kind": each.case.kind,
                "cut": each.case.seen.n.max(),
                "growth": n / each.case.seen.n.max(),
            }
            if np.isfinite(draws).all():
                rows.append(row | _score(draws, float(np.log(risk))))
    return pd.DataFrame(rows)


def _score(draws: Array, seen: float) -> dict[str, float]:
    width = max(_KERNEL, _SMOOTH * float(np.diff(np.quantile(draws, [0.1, 0.9]))[0]))
    kernel = np.exp(-0.5 * ((draws - seen) / width) ** 2).mean() / (width * np.sqrt(2 * np.pi))
    found = {
        "log_score": float(np.log(kernel + _LEAST_DENSITY)),
        "error": abs(float(np.median(draws)) - seen),
    }
    for prob in (50, 80, 90):
        low, high = np.quantile(draws, [0.5 - prob / 200, 0.5 + prob / 200])
        missed = max(low - seen, 0.0) + max(seen - high, 0.0)
        found |= {
            f"held_{prob}": float(low <= seen <= high),
            f"width_{prob}": float(high - low),
            f"interval_{prob}": float(high - low + 2 / (1 - prob / 100) * missed),
            f"below_{prob}": float(seen < low),
            f"above_{prob}": float(seen > high),
        }
    return found
