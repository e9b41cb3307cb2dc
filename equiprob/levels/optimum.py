"""Where along a path is the risk least, and is it worth moving there?

The least of many estimated risks looks better than it is. So what averaging saves is judged on
other rows than those on which its position was chosen, and only a saving that remains is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.levels.near_ties import drawn_together
from equiprob.levels.path_risk import AbstractPathRisk, Tabulated
from equiprob.orbits.table import Rows
from equiprob.posterior.paired_means import in_steps
from equiprob.posterior.row_means import RowMeans, widened_for_cross_fitting
from equiprob.posterior.weights import folds

N_FOLDS = 5
"""Positions chosen on four fifths of the rows are close to the one chosen on all."""

_N_PARTITIONS = 6
"""Ways to part the rows into folds, over which savings are averaged.

Simulated over 80 samples of 150 rows, all ranges of angles: a steep classifier that every
averaging harms was averaged in .26 of them, at a mean cost of .0015, where the least risk on all
rows averages it in .47, at .0029. Of what averaging saves where it helps, all was kept where that
is a sixth of the risk; .85 and .77 where it is .05 and .1, about a standard deviation of it.
"""

_IN_DOUBT = 1.0
"""Standard deviation of what choosing a position adds to its saving, as a share of it.

Simulated, nominal 0.9, 150 samples of 100 and of 400 rows, of which those count in which averaging
was recommended: savings of none of eight positions that are alike hold at .94 (.77 as the rows that
chose say; .91 with half of this), weak ones over ranges at .99 (.89), strong ones at .89 to .97 as
before. Drawn towards 0 where they are as small as their noise, as near ties are, weak ones would
hold at .74.
"""

_TIED = 1e-6
"""Relative difference of risks that is rounding."""

_MOSTLY = 0.5
"""Share of rows with unchanged losses above which savings are those at positions chosen on others.

At a position chosen on the same rows, the interval of the saving of a 0/1 loss covers .69 to .83
(nominal 0.9, n = 128 and 512); that of the savings at positions chosen on other rows, widened as
for cross-fitting, .91 to .96. The log loss covers .94 to .97 as it is. Squared errors of 150 rows
with two transformations each, over narrow ranges: .56 and .94.
"""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The position of least risk, and what moving there saves.

    Args:
        shipped: Index of the recommended position.
        recommended: Whether that is another position than the model's own.
        best: Draws of the position of least risk, ``(draw,)``.
        unclipped: The same without the ends of the path, where that is known.
        saved: What each row saves as shipped, ``(row,)``: at the recommended position; at positions
            chosen on other rows where most save nothing or none is recommended.
        draws: ``risk_saved``, ``risk_saved_shipped`` and ``risk_saved_cross_fitted``, ``(draw,)``.
        expected: What is to be expected of averaging at positions chosen on other rows.
        optimism: What choosing the position on these rows adds to its saving there.
        mostly_unchanged: Whether most rows save exactly nothing: the loss changes in steps, or they
            have no transformation in range.
        in_steps: Whether the loss takes a few values only.
    """

    shipped: int
    recommended: bool
    best: NDArray[np.float64]
    unclipped: NDArray[np.float64] | None
    saved: Rows
    draws: dict[str, NDArray[np.float64]]
    expected: float
    optimism: float
    mostly_unchanged: bool
    in_steps: bool

    @classmethod
    def of(cls, means: RowMeans, risk: AbstractPathRisk, along: Tabulated, rope: float) -> Optimum:
        """Return the optimum of a path.

        Args:
            means: The posterior of means over rows.
            risk: The risk along the path.
            along: The same, tabulated over the folds of `partitions`.
            rope: A saving up to which moving is not worth it.
        """
        elsewhere = saved_elsewhere(risk, along, partitions(means))
        # A step loss that no row of the sample changes may change in others, by as much as it does
        # between rows.
        steps = in_steps(risk.loss)
        reach = float(np.ptp(risk.loss)) if steps else 0.0
        cross_fitted = widened_for_cross_fitting(means.difference(elsewhere, reach))
        worth = max(rope, _TIED * abs(float(risk.loss.mean())))
        shipped = least_as_shipped(risk, along)
        # Of the rows themselves: what tails add to a mean is of a size that hardly is known.
        expected = float(elsewhere.mean())
        recommended = shipped != risk.unchanged and expected > worth
        saved = risk.saved_shipped(shipped)
        mostly_unchanged = shipped != risk.unchanged and bool((saved == 0).mean() > _MOSTLY)
        optimism = 0.0
        if not recommended:
            shipped, saved = risk.unchanged, elsewhere
            none = np.zeros_like(cross_fitted)
            savings = {"risk_saved": none, "risk_saved_shipped": none}
        elif mostly_unchanged:
            saved = elsewhere
            savings = {"risk_saved": cross_fitted, "risk_saved_shipped": cross_fitted}
        else:
            optimism = max(float(saved.mean()) - expected, 0.0)
            normal = np.random.default_rng([means.seed, 12]).standard_normal(means.n_draws)
            added = optimism * (1 + _IN_DOUBT * normal)
            savings = {
                "risk_saved": means.difference(risk.saved(shipped)) - added,
                "risk_saved_shipped": means.difference(saved) - added,
            }
        unclipped = risk.optimum(means)
        of_draws = along.draws[:, [risk.unchanged]] - along.draws
        if risk.names is not None:
            of_draws = drawn_together(of_draws, means.seed)
            nothing = of_draws.max(axis=1) <= worth
        else:
            nothing = _saves_nothing(of_draws, expected, worth)
        best = _best(means, risk, of_draws) if unclipped is None else risk.on_path(unclipped)
        return cls(
            shipped=shipped,
            recommended=recommended,
            best=np.where(nothing, risk.positions[risk.unchanged], best),
            unclipped=unclipped,
            saved=saved,
            draws=savings | {"risk_saved_cross_fitted": cross_fitted},
            expected=expected,
            optimism=optimism,
            mostly_unchanged=mostly_unchanged,
            in_steps=steps,
        )


def partitions(means: RowMeans) -> NDArray[np.int64]:
    """Return each row's fold in each of several partitions, ``(partition, row)``."""
    return np.stack([folds(means.unit_ids, N_FOLDS, each) for each in range(_N_PARTITIONS)])


def _best(means: RowMeans, risk: AbstractPathRisk, saved: NDArray[np.float64]) -> Rows:
    """Return draws of the position that saves most, of draws ``(draw, position)``."""
    tied = _tied(risk.loss.mean() - saved)
    if risk.names is not None:
        return risk.positions[tied.argmax(axis=1)]
    # Where the loss is a step function many positions are equally good: any of them may be best.
    pick = np.random.default_rng([means.seed, 5]).random(len(tied)) * tied.sum(axis=1)
    return risk.positions[(tied.cumsum(axis=1) > pick[:, None]).argmax(axis=1)]


def _saves_nothing(
    saved: NDArray[np.float64], cross_fitted: float, worth: float
) -> NDArray[np.bool_]:
    """Return in which draws ``(draw, position)`` no position saves more than is worth it.

    In every draw some position is the least, and where there are many its saving is mostly luck:
    as much as savings at the least position exceed, on average, those that were judged on other
    rows. That is taken off.
    """
    most = saved.max(axis=1)
    return most - max(float(most.mean()) - cross_fitted, 0.0) <= worth


def least_as_shipped(risk: AbstractPathRisk, along: Tabulated) -> int:
    """Return the position of least mean risk as shipped; the middle one of several.

    Of subgroups the first: averages over a subgroup and over a larger one are the same model where
    the rest changes nothing. The model's own where that is as good as any.
    """
    mean = risk.loss.mean() + along.changes[0].sum(axis=0) / len(risk.loss)
    tied = _tied(mean)
    least = np.flatnonzero(tied)
    if tied[risk.unchanged]:
        return risk.unchanged
    return int(least[0 if risk.names is not None else (len(least) - 1) // 2])


def _tied(risk: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which positions ``(..., position)`` have the least risk, up to rounding."""
    least = risk.min(axis=-1, keepdims=True)
    return risk <= least + _TIED * np.abs(least)


def saved_elsewhere(
    risk: AbstractPathRisk, along: Tabulated, fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the risk saved in each row, as shipped, at positions chosen on other rows.

    The rows are split into folds; each fold judges the position that the others choose. Its mean,
    over several partitions into folds, has no optimism; an interval would be of several positions,
    and too narrow where nothing is to be saved (.76 instead of .9 at n = 128).
    """
    chosen = (along.changes.sum(axis=1, keepdims=True) - along.changes).argmin(axis=-1)
    saved = np.zeros(fold.shape[1])
    for position in np.unique(chosen):
        times = np.take_along_axis(chosen == position, fold, axis=1).mean(axis=0)
        saved += times * risk.saved_shipped(int(position))
    return saved
