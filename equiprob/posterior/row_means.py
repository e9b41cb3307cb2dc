"""What is the mean over all rows that there could be, given those that there are?

A draw weighs the sample's units (rows, or groups of rows) at random, the Bayesian bootstrap, and
mends three things in which the sample alone is too sure of itself:

- *ends*: half a unit more of weight on the largest and on the smallest value. A share of 0/1 rows
  then has the posterior of Jeffreys' prior. Of a difference between two things that could as well
  have been named in the other order, both are as far out as its most extreme value (see
  `equiprob.posterior.paired_means`);
- *tails*: where the largest values (or the smallest) follow a generalized Pareto law, their mean is
  drawn from its posterior (`equiprob.posterior.tails`);
- *few units*: deviations grow by what a Student t has over a normal. Groups of unequal sizes count
  as fewer equal ones, ``(sum s)^2 / sum s^2`` of their sizes s.

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
from equiprob.posterior.contrast import Contrast, Limits, Rule, first_equal, spread
from equiprob.posterior.tails import (
    SHAPES_FROM_ABOVE,
    SHAPES_OF_INDEX,
    TYPICAL_SHAPES,
    Array,
    Shapes,
    Tail,
    fit_tail,
)
from equiprob.posterior.weights import MOST_UNITS, WeighedUnits

_END_MASS = 0.5

_MOST_STRETCH = 30.0
"""Deviations grow by no more: with two units a few draws would go beyond what a float holds."""

_ALIKE = 1e-9
"""Relative difference of values that is rounding."""

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


@dataclass(frozen=True)
class Carriers:
    """How unequally the units carry a mean.

    Args:
        row: The row that carries most of it; of a group, its first.
        share: The share of the sum of sizes that it (or its group) makes.
        n_effective: How many units of equal size would carry it as unequally; where rows are
            pooled, at most so many.
        are_alike: Whether others make exactly as much as the first, as 0/1 losses do: then how many
            there are is all that is uncertain, and the posterior knows that.
    """

    row: int
    share: float
    n_effective: float
    are_alike: bool


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

    @property
    def n_effective_units(self) -> float:
        """How many units of equal size would weigh as unequally as these, ``n_units`` at most."""
        if self.pooled is not None and self.pooled.n_single:
            return float(self.n_units)
        sizes = self._units[2]
        return float(sizes.sum() ** 2 / (sizes**2).sum())

    def plain(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, no tails.

        For functions of many means together, such as the place of a minimum along a path.
        """
        totals = [self._totals(column) for column in columns.T]
        sums = self._sums([self._weighed.totals(values) for values in [*totals, self._units[2]]])
        draws = sums[:, :-1] / sums[:, -1:]
        return spread(draws, self._stretch[:, None])

    def mean(self, values: Array, limits: Limits | None = None) -> Array:
        """Return draws ``(draw,)`` of the mean of row values ``(row,)``.

        Args:
            values: ``(row,)``.
            limits: Between which all values lie, in rows not seen, too: so do the draws. Where the
                values are all the same one, the half units are at the limits.
        """
        rule = Rule(limits=limits, reach=limits)
        return self._ratios(values[:, None], np.ones((len(values), 1)), rule)[:, 0]

    def mean_from_above(self, values: Array) -> Array:
        """Return draws ``(draw,)`` of a mean whose upper quantiles are read as bounds.

        Tails may be heavier than `mean` expects them to be.
        """
        rule = Rule(shapes=SHAPES_FROM_ABOVE)
        return self._ratios(values[:, None], np.ones((len(values), 1)), rule)[:, 0]

    def means(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, with tails."""
        return self.ratios(columns, np.ones((len(columns), 1)))

    def difference(self, values: Array, reach: float = 0.0) -> Array:
        """Return draws ``(draw,)`` of the mean of row differences; see `differences`."""
        return self.differences(values[:, None], reach)[:, 0]

    def differences(self, columns: Array, reach: float = 0.0, *, tails: bool = True) -> Array:
        """Return draws ``(draw, column)`` of the means of differences between paired row values.

        Which sign a difference has in rows not seen does not follow from the sign in those that
        are: half a unit is as far out on either side as the most extreme row is on one.

        Args:
            columns: One thing less others, ``(row, column)``.
            reach: The largest difference that a row could show, where it is known: it stands in for
                the most extreme row where no row differs.
            tails: Whether to model tails, which expectations do without.
        """
        rule = Rule(
            shapes=TYPICAL_SHAPES if tails else None,
            signed=True,
            reach=(-reach, reach) if reach > 0 else None,
        )
        return self._ratios(columns, np.ones((len(columns), 1)), rule)

    def ratio(self, above: Array, below: Array) -> Array:
        """Return draws ``(draw,)`` of the ratio of the means of two columns ``(row,)``."""
        return self.ratios(above[:, None], below[:, None])[:, 0]

    def ratios(self, above: Array, below: Array, reach: float = 0.0) -> Array:
        """Return draws ``(draw, column)`` of ratios of means, each fitted to its row contrast.

        Args:
            above: Numerators, ``(row, column)``.
            below: Denominators of positive mean, ``(row, column)`` or ``(row, 1)``.
            reach: The largest ratio that a row could show, where it is known: it stands in for the
                most extreme row where all numerators are 0.
        """
        return self._ratios(above, below, Rule(reach=(0.0, reach) if reach > 0 else None))

    def _ratios(self, above: Array, below: Array, rule: Rule) -> Array:
        tops, bottoms = (np.ascontiguousarray(columns.T) for columns in (above, below))
        simple = bool((bottoms == 1).all())
        positive = (tops >= 0).all(axis=1) & (bottoms >= 0).all(axis=1)
        denominators = [self._totals(values) for values in bottoms]
        models, centres = [], []
        for j, values in enumerate(tops):
            top, bottom = self._totals(values), denominators[min(j, len(bottoms) - 1)]
            centres.append(top.sum() / bottom.sum())
            contrast = top - centres[j] * bottom
            model = self._contrast(contrast, values, rule.shapes, simple=simple)
            most = float(bottoms[min(j, len(bottoms) - 1)].max())
            models.append(rule.ends_of(model, values, most))
        parts = [self._weighed.totals(values) for values in [*denominators, self._counts]]
        sums = self._sums(parts + [column for model in models for column in model.columns])
        mass, start = sums[:, len(bottoms)], len(bottoms) + 1
        draws = np.empty((self.n_draws, len(models)))
        first = first_equal(tops) if rule.signed else [0] * len(models)
        for j, (centre, model) in enumerate(zip(centres, models, strict=True)):
            stop = start + len(model.columns)
            deviation = model.draws(sums[:, start:stop], mass, self._end_weights(first[j]))
            start = stop
            share = sums[:, min(j, len(bottoms) - 1)] / mass
            each = centre + deviation / share
            # Rows that are all alike leave no variance to estimate, only the half units.
            stretch = self._stretch if np.ptp(tops[j]) > 0 else np.ones(self.n_draws)
            draws[:, j] = spread(each, stretch, rule.limits_of_mean(positive=bool(positive[j])))
        return draws

    def tail_index(self, values: Array) -> float:
        """Return the posterior mean shape of the upper tail of the units' means; NaN for none."""
        tail, _ = self._tails(self._totals(values), values, SHAPES_OF_INDEX)
        return float("nan") if tail is None else tail.shape

    def n_effective(self, values: Array) -> float:
        """Return how many units of equal size would carry the mean as unequally as these do.

        NaN where rows are pooled, of which that is not known.
        """
        if self.pooled is not None:
            return float("nan")
        carriers = self.carriers(values)
        return float(self.n_units) if carriers is None else carriers.n_effective

    @property
    def in_groups(self) -> bool:
        """Whether units are groups of rows."""
        if self.pooled is not None:
            return not self.pooled.n_single
        return len(self._units[0]) < len(self.unit_ids)

    def carriers(self, values: Array) -> Carriers | None:
        """Say how unequally units carry the mean of row values ``(row,)``.

        None where the mean has no size, or where groups are pooled, of which nothing is known one
        by one.
        """
        if self.pooled is not None and not self.pooled.n_single:
            return None
        sizes = np.abs(self._totals(values))
        largest = sizes.max()
        if largest == 0:
            return None
        sizes = sizes / largest  # whose squares are finite
        single = sizes[: self._n_single]
        first = int(single.argmax())
        place = self._units[1]
        return Carriers(
            row=first if place is None else int((place == first).argmax()),
            share=float(single[first] / sizes.sum()),
            # A block's sum of squares is at least that of as many equal rows.
            n_effective=float(sizes.sum() ** 2 / (sizes**2 / self._counts).sum()),
            are_alike=bool((single >= (1 - _ALIKE) * single[first]).sum() > 1),
        )

    @cached_property
    def _random(self) -> tuple[Array, Array]:
        """Weights of the two ends ``(2, draw)`` and the stretch of deviations ``(draw,)``."""
        # Other rows get other numbers, so that results on disjoint rows stay independent.
        generator = np.random.default_rng([self.seed, self._mixed])
        ends = generator.gamma(_END_MASS, size=(2, self.n_draws))
        k = max(self.n_effective_units, 2.0)
        freedom = _FREEDOM * (k - 1)
        variance = generator.chisquare(freedom, self.n_draws) / freedom
        with np.errstate(divide="ignore"):
            stretch = np.sqrt((k + 1) / (k - 1) / variance)
        return ends, np.minimum(stretch, _MOST_STRETCH)

    def _end_weights(self, j: int) -> Array:
        """Return weights ``(2, draw)`` of the ends of the j-th of several contrasts.

        Differences of one thing to several others share the upper end, where that one thing is the
        larger; the lower end is the other's own.
        """
        if j == 0:
            return self._ends
        generator = np.random.default_rng([self.seed, self._mixed, j])
        return np.stack([self._ends[0], generator.gamma(_END_MASS, size=self.n_draws)])

    @property
    def _mixed(self) -> int:
        """A number that other rows have another of."""
        if self.pooled is not None:
            return self.pooled.mixed
        return int(np.bitwise_xor.reduce(self._units[0]))

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
        self, totals: Array, values: Array, shapes: Shapes | None, *, simple: bool
    ) -> Contrast:
        """Return the contrast with the given totals of units.

        Args:
            totals: ``(unit,)``, of mean zero.
            values: The row values that it is a contrast of.
            shapes: The prior of the shape of tails; None for no tails.
            simple: Whether it is their mean less a constant.
        """
        if shapes is None:
            tails = None, None
        elif simple or self._n_single == len(totals):
            tails = self._tails(totals, values, shapes)
        else:
            tails = self._tail_of_ratio(totals[: self._n_single], values, shapes), None
        return Contrast.of(totals, tails, self._n_single, self._weighed)

    def _tail_of_ratio(self, single: Array, values: Array, shapes: Shapes) -> Tail | None:
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
        self, totals: Array, values: Array, shapes: Shapes
    ) -> tuple[Tail | None, Tail | None]:
        """Fit the upper and the lower tail, where the extreme units are known."""
        if self.pooled is not None and self._n_single < len(totals):
            if not any(np.array_equal(values, error) for error in self.pooled.errors):
                return None, None
            totals = totals[: self._n_single]
        return fit_tail(totals, shapes, self.n_units), fit_tail(-totals, shapes, self.n_units)


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
