"""The price of exact symmetry, from a symmetric predictor and a free one trained alike.

Where the law of the inputs is not invariant, which is most real data, the data error is not
identified: nobody saw the truth at the moved inputs. What stays identified is the symmetry cost
``A = min |h - f*|^2`` over all equivariant h, on this law of the inputs: how much more risk the
best symmetric predictor has than the best one. With h and f the symmetric and the free predictor,
h* and f* the best ones, and sigma^2 the noise,

    R(h) - R(f)  =  A + |h - h*|^2 - |f - f*|^2,        A  <=  R(h) - sigma^2

so that the difference is a statement from below where the free predictor lacks more than the
symmetric one, which has less to learn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np

from equiprob.arguments.checked import check_fields
from equiprob.errors.table_findings import require_deterministic, rounding_limit
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.weights import folds
from equiprob.task.group_averages import GroupAverage, haar_average, law_average
from equiprob.task.methods.base import AbstractMethod, Case, Draws, Evidence
from equiprob.task.methods.symmetrization import (
    aligned,
    averaged_risk,
    check_noise,
    is_trained_on,
    noise_of_rows,
)
from equiprob.task.spectral_constants import eigenvalues

_SHORT_STEP = 0.75
"""Length of the best step towards the free predictor below which what it lacks is more than a tenth
of what its direction could save."""

_FEWEST = 6
"""Independent rows: a half of fewer than three knows nothing of its spread."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedPair(AbstractMethod):
    """The symmetry cost, from the risks of a symmetric and an unconstrained predictor.

    Fit to the table of the unconstrained one.

    Args:
        symmetric: The orbit table of the symmetric predictor on the same rows: exactly equivariant,
            or under a Haar law, whose average over the transformations then is. Under a range its
            average is judged, which is nearly symmetric only; the result says so.
        split: Judge the two predictors on different halves of the rows. On the same rows the
            interval is narrower, and too narrow where the cost is zero: the difference then has no
            variance of the usual order.
        noise_variance: Variance of the targets around their mean given x, for the upper bound: as
            in `Symmetrization`.
        repeats: Further targets at the same inputs, as in `Symmetrization`.

    Assumptions:
        Both predictors were trained alike, on other rows, and are close to the best of their kind:
            what they lack enters the difference, with either sign.

    References:
        Williamson, Gilbert, Simon & Carone, "A general framework for inference on
        algorithm-agnostic variable importance", JASA 2023.
    """

    symmetric: OrbitTable = field(repr=False)
    split: bool = True
    noise_variance: float | None = None
    repeats: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the noise."""
        check_fields(self)
        check_noise(self.noise_variance, self.repeats)

    @property
    @override
    def depends_on_law(self) -> bool:
        return False

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        table = orbits.finite
        stats = table.only
        symmetric = aligned(self.symmetric, table)
        if stats.y is None or symmetric.only.y is None:
            raise ValueError("the symmetry cost compares risks: pass y= to evaluate_orbits")
        for each in (orbits, self.symmetric):
            require_deterministic(each, "the cost of symmetry by a pair of predictors")
        found: set[Diagnostic] = set()
        average = _average(symmetric, found)
        constrained = averaged_risk(symmetric, average)
        free = ((stats.y - stats.base) ** 2).sum(axis=1)
        # Where the symmetric predictor is the better one, it is the best unconstrained one, too.
        cost = np.maximum(self._difference(table, constrained, free, n_draws, seed), 0.0)
        draws = {"symmetry_cost": cost}
        step = _best_step(table, symmetric, average)
        if step < _SHORT_STEP:
            found.add(Diagnostic.PAIR_LACKS)
        means, noise = RowMeans(table.unit_ids, n_draws, seed), None
        if self.noise_variance is not None or self.repeats is not None:
            noise = noise_of_rows(orbits, self.noise_variance, self.repeats, found)
            draws["symmetry_cost_upper"] = np.maximum(means.mean(constrained - noise), 0.0)
        if any(is_trained_on(each, means, noise) for each in (table, symmetric)):
            found.add(Diagnostic.TRAINED_ON_ROWS)
        if case is Case.HAAR:
            lacks = Diagnostic.PAIR_LACKS in found
            draws["lower" if lacks else "error"] = np.sqrt(2 * cost)
            if lacks and "symmetry_cost_upper" in draws:
                draws["upper"] = np.sqrt(2 * draws["symmetry_cost_upper"])
        elif case is Case.INVARIANT:
            changes, lacks = eigenvalues(table.transform), Diagnostic.PAIR_LACKS in found
            bounds = changes.errors(cost)
            if lacks:
                del bounds["upper"]
                if "symmetry_cost_upper" in draws:
                    bounds["upper"] = changes.errors(draws["symmetry_cost_upper"])["upper"]
            draws |= bounds
        facts = {
            "risk_symmetric": float(constrained.mean()),
            "risk_unconstrained": float(free.mean()),
            "split": self.split,
            "best_step": step,
        }
        columns = {
            "the symmetric predictor's risk": constrained,
            "the symmetry cost": constrained - free,
        }
        return Evidence(draws=draws, facts=facts, found=found, columns=columns)

    def _difference(
        self, table: OrbitTable, constrained: Rows, free: Rows, n_draws: int, seed: int
    ) -> Draws:
        if not self.split:
            return RowMeans(table.unit_ids, n_draws, seed).difference(constrained - free)
        half = folds(table.unit_ids, 2)
        if len(np.unique(table.unit_ids)) < _FEWEST:
            raise ValueError(
                f"the two predictors are judged on different halves of the rows: at least "
                f"{_FEWEST} independent rows are needed, got {len(np.unique(table.unit_ids))}"
            )
        one, other = (
            RowMeans(table.unit_ids[half == h], n_draws, seed).mean(values[half == h])
            for h, values in ((0, constrained), (1, free))
        )
        return one - other


def _average(symmetric: OrbitTable, found: set[Diagnostic]) -> GroupAverage:
    """Return the average of the symmetric predictor that is judged: none where it needs none.

    Raises:
        ValueError: If it needs one, and there is none.
    """
    stats = symmetric.only
    if stats.pair_sq.mean() <= rounding_limit(symmetric) ** 2:
        return GroupAverage(np.zeros_like(stats.base), np.zeros(len(stats.base)))
    average = haar_average(symmetric)
    if average is None:
        found.add(Diagnostic.NEARLY_SYMMETRIC)
        average = law_average(symmetric)
    if average is None:
        raise ValueError(
            f"the symmetric predictor is not equivariant under {symmetric.transform}, and its "
            f"average over them is not available ({symmetric.design.kind} design, "
            f"{symmetric.design.n_transforms} transformations a row); pass one that is "
            f"equivariant by construction, or at least 2 transformations that rows do not share"
        )
    return average


def _best_step(table: OrbitTable, symmetric: OrbitTable, average: GroupAverage) -> float:
    """Return how far to go from the symmetric predictor to the free one, and save most.

    1 would be all the way; the more the free one lacks, such as for noise, the shorter.
    """
    free, held = table.only, symmetric.only
    assert free.y is not None, "checked by the caller"
    residual, apart = free.y - held.base, free.base - held.base
    moved, moved_sq = average  # its average takes its place
    gained = (residual * apart).sum() + moved_sq.sum() - (moved * (residual + apart)).sum()
    squared = (apart**2).sum() + moved_sq.sum() - 2 * (moved * apart).sum()
    return float(gained / squared) if squared > 0 else 0.0
