"""What is the mean over all rows that there could be, given those that there are?

A draw weighs the sample's units (rows, or groups of rows) at random, the Bayesian bootstrap, and
mends three things in which the sample alone is too sure of itself:

- *ends*: half a unit more of weight on the largest and on the smallest value. A share of 0/1 rows
  then has the posterior of Jeffreys' prior;
- *tails*: where the largest values (or the smallest) follow a generalized Pareto law, their mean is
  drawn from its posterior (`equiprob.posterior.tails`);
- *few units*: deviations grow by what a Student t has over a normal.

The tail's mean is not linear in the weights, so a difference or a ratio has to be fitted to its own
row contrast: subtracting draws of two means is not the same, and not calibrated.

References:
    Rubin, "The Bayesian bootstrap", Annals of Statistics 1981; Pickands, "Statistical inference
    using extreme order statistics", Annals of Statistics 1975.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.blocks import N_TOP, errors_of
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.tails import (
    SHAPES_FROM_ABOVE,
    TYPICAL_SHAPES,
    Array,
    Tail,
    fit_tail,
)
from equiprob.posterior.weights import MOST_UNITS, WeighedUnits

_END_MASS = 0.5

_FREEDOM = 0.5
"""Degrees of freedom of a variance, as a share of those that normal rows give.

Skewed rows say less of their variance. Simulated, nominal 0.9, ten units: exponential ones cover
.89 with all degrees of freedom and .91 with half, log-normal ones .87 and .91, normal ones .91 and
.92.
"""


@dataclass(frozen=True, eq=False)
class PooledRows:
    """Rows of which most are pooled into blocks, one entry a block (see `equiprob.orbits.blocks`).

    Args:
        mass: How many rows each entry stands for, ``(entry,)``; the first few are single rows.
        n_single: How many those are; 0 where units are groups of rows.
        errors: The statistics ``(entry,)`` by which the single rows are the extreme ones: these
            alone have tails that are known.
        mixed: Tells sets of rows apart.
    """

    mass: Array
    n_single: int
    errors: list[Array]
    mixed: int


@dataclass(frozen=True, eq=False)
class RowMeans:
    """Joint posterior draws of means over the population that the rows come from.

    Args:
        unit_ids: The independent unit of each row, ``(row,)``.
        n_draws: How many draws.
        seed: The weight seed: with the same seed the same units weigh the same in every result.
        pooled: What the entries are where most rows are pooled.
    """

    unit_ids: Ids
    n_draws: int
    seed: int
    pooled: PooledRows | None = None

    @classmethod
    def of(cls, table: OrbitTable, n_draws: int, seed: int) -> RowMeans:
        """Return the means over the rows of a table of one output, pooled or not."""
        blocks, mass = table.blocks, table.mass
        if blocks is None or mass is None:
            return cls(table.unit_ids, n_draws, seed)
        n_single = 0 if table.grouped else len(table.positions)
        pooled = PooledRows(mass, n_single, errors_of(table.moments), blocks.mixed)
        return cls(table.unit_ids, n_draws, seed, pooled)

    @cached_property
    def _units(self) -> tuple[Ids, NDArray[np.int64] | None, Array]:
        """The distinct units, each row's place among them, and rows per unit over their mean.

        No places where each row is the unit at its own place.
        """
        if self.pooled is not None:
            mass = self.pooled.mass
            each = mass / mass.mean() if not self.pooled.n_single else mass
            return self.unit_ids, None, each
        n = len(self.unit_ids)
        if n > MOST_UNITS and not (np.diff(np.sort(self.unit_ids)) == 0).any():
            return self.unit_ids, None, np.ones(n)
        units, place, counts = np.unique(self.unit_ids, return_inverse=True, return_counts=True)
        return units, place, counts / counts.mean()

    @cached_property
    def _weighed(self) -> WeighedUnits:
        return WeighedUnits.of(self._units[0], pooled=self.pooled is not None)

    @cached_property
    def _counts(self) -> Array:
        """How many independent units each entry of the units stands for."""
        if self.pooled is not None and self.pooled.n_single:
            return self.pooled.mass
        return np.ones(len(self._units[0]))

    @property
    def n_units(self) -> int:
        """How many independent units there are."""
        return int(self._counts.sum())

    def plain(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, no tails.

        For functions of many means together, such as the place of a minimum along a path.
        """
        totals = [self._totals(column) for column in columns.T]
        sums = self._sums([self._weighed.totals(values) for values in [*totals, self._units[2]]])
        draws = sums[:, :-1] / sums[:, -1:]
        return _spread(draws, self._stretch[:, None], positive=False)

    def mean(self, values: Array) -> Array:
        """Return draws ``(draw,)`` of the mean of row values ``(row,)``."""
        return self.means(values[:, None])[:, 0]

    def mean_from_above(self, values: Array) -> Array:
        """Return draws ``(draw,)`` of a mean whose upper quantiles are read as bounds.

        Tails may be heavier than `mean` expects them to be.
        """
        return self._ratios(values[:, None], np.ones((len(values), 1)), SHAPES_FROM_ABOVE)[:, 0]

    def means(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, with tails."""
        return self.ratios(columns, np.ones((len(columns), 1)))

    def ratio(self, above: Array, below: Array) -> Array:
        """Return draws ``(draw,)`` of the ratio of the means of two columns ``(row,)``."""
        return self.ratios(above[:, None], below[:, None])[:, 0]

    def ratios(self, above: Array, below: Array) -> Array:
        """Return draws ``(draw, column)`` of ratios of means, each fitted to its row contrast.

        Args:
            above: Numerators, ``(row, column)``.
            below: Denominators of positive mean, ``(row, column)`` or ``(row, 1)``.
        """
        return self._ratios(above, below, TYPICAL_SHAPES)

    def _ratios(self, above: Array, below: Array, shapes: tuple[float, float]) -> Array:
        tops, bottoms = (np.ascontiguousarray(columns.T) for columns in (above, below))
        simple = bool((bottoms == 1).all())
        positive = (tops >= 0).all(axis=1) & (bottoms >= 0).all(axis=1)
        denominators = [self._totals(values) for values in bottoms]
        models, centres = [], []
        for j, values in enumerate(tops):
            top, bottom = self._totals(values), denominators[min(j, len(bottoms) - 1)]
            centres.append(top.sum() / bottom.sum())
            contrast = top - centres[j] * bottom
            models.append(self._contrast(contrast, values, shapes, simple=simple))
        parts = [self._weighed.totals(values) for values in [*denominators, self._counts]]
        sums = self._sums(parts + [column for model in models for column in model.columns])
        mass, start = sums[:, len(bottoms)], len(bottoms) + 1
        draws = np.empty((self.n_draws, len(models)))
        for j, (centre, model) in enumerate(zip(centres, models, strict=True)):
            stop = start + len(model.columns)
            deviation = model.draws(sums[:, start:stop], mass, self._ends)
            start = stop
            share = sums[:, min(j, len(bottoms) - 1)] / mass
            each = centre + deviation / share
            draws[:, j] = _spread(each, self._stretch, positive=bool(positive[j]))
        return draws

    def tail_index(self, values: Array) -> float:
        """Return the posterior mean shape of the upper tail of the units' means; NaN for none."""
        tail, _ = self._tails(self._totals(values), values, TYPICAL_SHAPES)
        return float("nan") if tail is None else tail.shape

    def n_effective(self, values: Array) -> float:
        """Return how many units of equal size would carry the mean as unequally as these do.

        NaN where rows are pooled, of which that is not known.
        """
        if self.pooled is not None:
            return float("nan")
        totals = np.abs(self._totals(values))
        squares = (totals**2).sum()
        return float(totals.sum() ** 2 / squares) if squares > 0 else float(self.n_units)

    @cached_property
    def _random(self) -> tuple[Array, Array]:
        """Weights of the two ends ``(2, draw)`` and the stretch of deviations ``(draw,)``."""
        # Other rows get other numbers, so that results on disjoint rows stay independent.
        units = self._units[0]
        mixed = int(np.bitwise_xor.reduce(units)) if self.pooled is None else self.pooled.mixed
        generator = np.random.default_rng([self.seed, mixed])
        ends = generator.gamma(_END_MASS, size=(2, self.n_draws))
        k = max(self.n_units, 2)
        freedom = _FREEDOM * (k - 1)
        variance = generator.chisquare(freedom, self.n_draws) / freedom
        return ends, np.sqrt((k + 1) / (k - 1) / variance)

    @property
    def _ends(self) -> Array:
        return self._random[0]

    @property
    def _stretch(self) -> Array:
        return self._random[1]

    def _totals(self, values: Array) -> Array:
        """Return sums ``(unit,)`` of row values ``(row,)``, over the mean number of rows."""
        units, place, each = self._units
        if self.pooled is not None:
            return values * each
        if place is None:
            return np.ascontiguousarray(values, dtype=np.float64)
        return np.bincount(place, values, len(units)) * (len(units) / len(place))

    def _sums(self, columns: list[Array]) -> Array:
        """Return draws ``(draw, column)`` of the weighted sums of entries' totals ``(entry,)``."""
        return self._weighed.sums(np.column_stack(columns), n_draws=self.n_draws, seed=self.seed)

    def _contrast(
        self, totals: Array, values: Array, shapes: tuple[float, float], *, simple: bool
    ) -> _Contrast:
        """Return the contrast with the given totals of units.

        Args:
            totals: ``(unit,)``, of mean zero.
            values: The row values that it is a contrast of.
            shapes: The prior of the shape of tails.
            simple: Whether it is their mean less a constant.
        """
        if simple or self._n_single == len(totals):
            tails = self._tails(totals, values, shapes)
        else:
            tails = self._tail_of_ratio(totals[: self._n_single], values, shapes), None
        return _Contrast.of(totals, tails, self._n_single, self._weighed)

    def _tail_of_ratio(
        self, single: Array, values: Array, shapes: tuple[float, float]
    ) -> Tail | None:
        """Fit the upper tail of a ratio's contrast as far down as no pooled row can reach.

        Its contrast is less than its numerator: where that nowhere exceeds an error whose largest
        rows are single ones, it is less than the least of these in all others.
        """
        if self.pooled is None or (values < 0).any():
            return None
        for error in self.pooled.errors:
            if (values <= error * (1 + 1e-9)).all():
                top = np.sort(error[: self._n_single])[-N_TOP:]
                return fit_tail(single, shapes, self.n_units, beyond=float(top[0]))
        return None

    @property
    def _n_single(self) -> int:
        """How many of the units are known one by one."""
        few = 0 if self.pooled is None else self.pooled.n_single
        return few or len(self._units[0])

    def _tails(
        self, totals: Array, values: Array, shapes: tuple[float, float]
    ) -> tuple[Tail | None, Tail | None]:
        """Fit the upper and the lower tail, where the extreme units are known."""
        if self.pooled is not None and self._n_single < len(totals):
            if not any(np.array_equal(values, error) for error in self.pooled.errors):
                return None, None
            totals = totals[: self._n_single]
        return fit_tail(totals, shapes, self.n_units), fit_tail(-totals, shapes, self.n_units)


@dataclass(frozen=True, eq=False)
class _Contrast:
    """A contrast of mean zero over the units, its ends and its tails.

    Args:
        columns: What has to be summed with the entries' weights, ``(entry,)`` each: the contrast
            outside its tails; for each tail, its indicator and its excess.
        tails: The upper and the lower tail (of the negated values), where there are any.
        ends: The largest value and the largest negated value.
    """

    columns: list[Array]
    tails: tuple[Tail | None, Tail | None]
    ends: tuple[float, float]

    @classmethod
    def of(
        cls,
        values: Array,
        tails: tuple[Tail | None, Tail | None],
        n_single: int,
        weighed: WeighedUnits,
    ) -> _Contrast:
        """Return the contrast of units of which all but the first few are pooled.

        Args:
            values: Of the single units, then of the blocks.
            tails: The upper and the lower tail of the units, where they are known.
            n_single: How many single units there are: only these are in tails.
            weighed: What has weights.
        """
        single = values[:n_single]
        ends = (float(single.max()), float(-single.min()))
        body, parts = values.copy(), []
        for sign, tail in zip((1.0, -1.0), tails, strict=True):
            if tail is not None:
                inside = np.flatnonzero(sign * single > tail.threshold)
                excess = sign * values[inside] - tail.threshold
                body[inside] = 0.0
                parts += [
                    weighed.totals_of_some(inside, each) for each in (np.ones(len(inside)), excess)
                ]
        return cls([weighed.totals(body), *parts], tails, ends)

    def draws(self, sums: Array, mass: Array, end_weights: Array) -> Array:
        """Return draws of the mean, given the weighted sums of `columns`."""
        total, start = sums[:, 0].copy(), 1
        for sign, tail, end, weight in zip(
            (1.0, -1.0), self.tails, self.ends, end_weights, strict=True
        ):
            if tail is None:
                total += sign * weight * end
                continue
            inside, excess = sums[:, start], sums[:, start + 1]
            start += 2
            # The mean within a tail does not depend on its mass; taking the posterior's quantiles
            # in the order of the weighted means keeps draws joint between results.
            rank = np.argsort(np.argsort(excess / inside))
            mean_excess = tail.quantiles((rank + 0.5) / len(rank))
            total += sign * (inside + weight) * (tail.threshold + mean_excess)
        return total / (mass + end_weights.sum(axis=0))


_CROSS_FITTED = np.sqrt(2)


def widened_for_cross_fitting(draws: Array) -> Array:
    """Return draws ``(draw, ...)`` with deviations wider by the square root of two.

    Where what is learned from each row is judged on all others, in turns, and there is nothing to
    learn, the mean is a form ``sum y_i K_ij y_j`` in which each pair of rows enters twice: it has
    twice the variance that rows taken one by one show. Simulated where nothing was to be learned:
    standard deviations 1.24 to 1.44 times those of the rows (a classifier's AUC; trees, logistic),
    and .90 where .95 was asked (the lower bound of `Symmetrization`, nearest neighbours).
    """
    middle = np.median(draws, axis=0)
    return middle + _CROSS_FITTED * (draws - middle)


def _spread(draws: Array, stretch: Array, *, positive: bool) -> Array:
    """Stretch deviations from the middle; those of a positive quantity on the log scale."""
    if positive and (draws > 0).all():
        logs = np.log(draws)
        centre = logs.mean(axis=0)
        return np.exp(centre + (logs - centre) * stretch)
    centre = draws.mean(axis=0)
    return centre + (draws - centre) * stretch
