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
from numpy.typing import NDArray

from equiprob.decisions.choice import Draws
from equiprob.decisions.information.base import AbstractInformation, check_amount
from equiprob.decisions.prospects import Prospect

_KNOTS = 5
_LEAST_NEW = 1e-6


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
    logs = np.log(np.maximum(outcomes, np.finfo(np.float64).tiny))
    middle = values.mean(axis=0)
    varying = np.ptp(logs, axis=0) > 0
    if not varying.any():
        return np.broadcast_to(middle, values.shape)
    splines = np.column_stack([_spline(each) for each in logs[:, varying].T])
    basis, rest = np.linalg.qr(splines - splines.mean(axis=0))
    size = np.abs(np.diag(rest))
    basis = basis[:, size > _LEAST_NEW * size.max()]  # ties among outcomes leave less to fit
    return middle + basis @ (basis.T @ values)


def _spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cubic splines of `x` ``(draw,)`` with knots at its quantiles, ``(draw, spline)``."""
    at = (x - x.mean()) / x.std()
    inner = np.quantile(at, np.linspace(0, 1, _KNOTS)[1:-1])
    bent = np.maximum(at[:, None] - inner, 0.0) ** 3
    return np.column_stack([at, at**2, at**3, bent])
