"""Another training run, and what it would tell of the learning curves.

The run is simulated from the posterior; what would then be expected of each candidate at the
horizon is a regression of its draws there on the simulated outcome.

References:
    Strong, Oakley & Brennan, "Estimating multiparameter partial expected value of perfect
    information from a probabilistic sensitivity analysis sample", Medical Decision Making 2014; the
    same with Breeze, on sample information, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final, override

import numpy as np

from equiprob.decisions.choice import Draws
from equiprob.decisions.information.base import AbstractInformation, check_amount
from equiprob.decisions.prospects import Prospect

_KNOTS = 5


@final
@dataclass(frozen=True)
class Run(AbstractInformation):
    """Another training run (or several) of a candidate, or of each.

    Args:
        candidate: Which one; None for one of each.
        n: Training rows.
        n_seeds: How many runs.
    """

    candidate: str | None
    n: float
    n_seeds: int = 1

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        check_amount("n", self.n)
        check_amount("n_seeds", self.n_seeds)

    @override
    def __str__(self) -> str:
        who = "each candidate" if self.candidate is None else repr(self.candidate)
        runs = "another run" if self.n_seeds == 1 else f"{self.n_seeds} more runs"
        return f"{runs} of {who} at n = {self.n:g}"

    @override
    def expected(self, prospect: Prospect) -> Draws:
        if prospect.curve is None:
            raise ValueError(
                "information.Run is about learning curves; pass a fitted LearningCurve, or ask for "
                "information.Rows or information.Seeds"
            )
        if self.candidate is not None and self.candidate not in prospect.candidates:
            raise ValueError(
                f"there is no candidate {self.candidate!r} to run again; the candidates are "
                f"{list(prospect.candidates)}"
            )
        names = list(prospect.candidates) if self.candidate is None else [self.candidate]
        outcomes = prospect.curve.risk(self.n, predictive=True, n_seeds=self.n_seeds)
        return regressed(prospect.risk, outcomes[names].to_numpy(dtype=np.float64))


def regressed(values: Draws, outcomes: Draws) -> Draws:
    """Return the expectation of values given outcomes, at each draw.

    Args:
        values: Joint draws, ``(draw, value)``.
        outcomes: Of the data to come, ``(draw, outcome)``, positive.

    Returns:
        ``(draw, value)``, of the same means: fitted additive cubic splines in the logarithms.
    """
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer

    logs = np.log(np.maximum(outcomes, np.finfo(np.float64).tiny))
    varying = np.ptp(logs, axis=0) > 0
    if not varying.any():
        return np.broadcast_to(values.mean(axis=0), values.shape)
    splines = SplineTransformer(n_knots=_KNOTS, knots="quantile", include_bias=False)
    model = make_pipeline(splines, LinearRegression()).fit(logs[:, varying], values)
    return model.predict(logs[:, varying])
