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

from equiprob.orbits.keys import Ids
from equiprob.orbits.storage.blocks import N_TOP
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.contrast import Contrast, Limits, Rule, first_equal, spread
from equiprob.posterior.independent_units import IndependentUnits, PooledRows
from equiprob.posterior.tails import (
    SHAPES_FROM_ABOVE,
    SHAPES_OF_A_LIMIT,
    SHAPES_OF_INDEX,
    SHAPES_WHERE_UNEQUAL,
    TYPICAL_SHAPES,
    UNEQUAL_SHARE,
    Array,
    Shapes,
    Tail,
    fit_tail,
)
from equiprob.posterior.weights import MOST_UNITS

_END_MASS = 0.5

_MOST_STRETCH = 30.0
"""Deviations grow by no more: with two units a few draws would go beyond what a float holds."""

_FREEDOM = 0.5
"""Degrees of freedom of a variance, as a share of those that normal rows give.

Skewed rows say less of their variance. Simulated, nominal 0.9, ten units: exponential ones cover
.89 with all degrees of freedom and .91 with half, log-normal ones .87 and .91, normal ones .91 and
.92.
"""


@dataclass(frozen=True, eq=False)
class RowMeans:
    """Joint posterior draws of means over the population that the rows come from.

    Args:
        unit_ids: The independent unit of each row, ``(row,)``.
        n_draws: How many draws.
        seed: The weight seed: with the same seed the same units weigh the same in every result.
        pooled: What the entries are where most rows are pooled.
        from_above: Whether means of sizes are compared with a limit from above: a draw that is too
            small then costs more than one that is too large.
    """

    unit_ids: Ids
    n_draws: int
    seed: int
    pooled: PooledRows | None = None
    from_above: bool = False

    @classmethod
    def of(
        cls, table: OrbitTable, n_draws: int, seed: int, *, from_above: bool = False
    ) -> RowMeans:
        """Return the means over the rows of a table of one output, pooled or not."""
        return cls(table.unit_ids, n_draws, seed, PooledRows.of(table), from_above)

    @cached_property
    def units(self) -> IndependentUnits:
        """The independent units."""
        return IndependentUnits(self.unit_ids, self.pooled)

    @property
    def n_units(self) -> int:
        """How many independent units there are."""
        return self.units.n

    @property
    def n_effective_units(self) -> float:
        """How many units of equal size would weigh as unequally as these, `n_units` at most."""
        return self.units.n_effective

    def plain(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, no tails.

        For functions of many means together, such as the place of a minimum along a path.
        """
        totals = [self.units.totals(column) for column in columns.T]
        sums = self._sums(
            [self.units.weighed.totals(values) for values in [*totals, self.units.sizes]]
        )
        draws = sums[:, :-1] / sums[:, -1:]
        return spread(draws, self._stretch[:, None])

    def mean(self, values: Array, limits: Limits | None = None) -> Array:
        """Return draws ``(draw,)`` of the mean of row values ``(row,)``.

        Args:
            values: ``(row,)``.
            limits: Between which all values lie, in rows not seen, too: so do the draws. Where the
                values are all the same one, the half units are at the limits.
        """
        rule = Rule(limits=limits, reach=limits, weighted=True)
        return self._ratios(values[:, None], np.ones((len(values), 1)), rule)[:, 0]

    def mean_from_above(self, values: Array) -> Array:
        """Return draws ``(draw,)`` of a mean whose upper quantiles are read as bounds.

        Tails may be heavier than `mean` expects them to be.
        """
        rule = Rule(shapes=SHAPES_FROM_ABOVE)
        return self._ratios(values[:, None], np.ones((len(values), 1)), rule)[:, 0]

    def means(self, columns: Array) -> Array:
        """Return draws ``(draw, column)`` of the means of columns ``(row, column)``, with tails."""
        return self.weighted_means(columns, np.ones((len(columns), 1)))

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

    def ratios(self, above: Array, below: Array) -> Array:
        """Return draws ``(draw, column)`` of ratios of the means of columns ``(row, column)``."""
        return self._ratios(above, below, Rule())

    def weighted_means(self, sums: Array, weights: Array, reach: float = 0.0) -> Array:
        """Return draws ``(draw, column)`` of means of what each row has seen more or less of.

        Args:
            sums: Weighted sums within rows, ``(row, column)``.
            weights: How much of each row counts, ``(row, column)`` or ``(row, 1)``.
            reach: The largest mean that a row could show, where it is known: it stands in for the
                most extreme row where all are 0.
        """
        rule = Rule(weighted=True, reach=(0.0, reach) if reach > 0 else None)
        return self._ratios(sums, weights, rule)

    def _ratios(self, above: Array, below: Array, rule: Rule) -> Array:
        tops, bottoms = (np.ascontiguousarray(columns.T) for columns in (above, below))
        simple = bool((bottoms == 1).all())
        positive = (tops >= 0).all(axis=1) & (bottoms >= 0).all(axis=1)
        denominators = [self.units.totals(values) for values in bottoms]
        models, centres = [], []
        for j, values in enumerate(tops):
            top, bottom = self.units.totals(values), denominators[min(j, len(bottoms) - 1)]
            centres.append(top.sum() / bottom.sum())
            contrast = top - centres[j] * bottom
            shares = bottoms[min(j, len(bottoms) - 1)]
            shapes = self._shapes(rule, values, shares)
            model = self._contrast(contrast, values, shapes, simple=simple)
            most = float(shares.max())
            models.append(rule.ends_of(model, values, most))
        parts = [self.units.weighed.totals(values) for values in [*denominators, self.units.counts]]
        sums = self._sums(parts + [column for model in models for column in model.columns])
        mass, start = sums[:, len(bottoms)], len(bottoms) + 1
        draws = np.empty((self.n_draws, len(models)))
        first = first_equal(tops) if rule.signed else [0] * len(models)
        for j, (centre, model) in enumerate(zip(centres, models, strict=True)):
            stop = start + len(model.columns)
            deviation = model.draws(sums[:, start:stop], mass, self._end_weights(first[j], rule))
            start = stop
            share = sums[:, min(j, len(bottoms) - 1)] / mass
            each = centre + deviation / share
            # Rows that are all alike leave no variance to estimate, only the half units.
            shares = bottoms[min(j, len(bottoms) - 1)] if rule.weighted and not simple else None
            stretch = self._stretch_where(tops[j], shares)
            draws[:, j] = spread(each, stretch, rule.limits_of_mean(positive=bool(positive[j])))
        return draws

    def _stretch_where(self, values: Array, shares: Array | None) -> Array:
        """By how much deviations of a mean grow, ``(draw,)``.

        Args:
            values: The values, or the numerators, ``(row,)``.
            shares: How much of each row counts, where they count unequally: a part of the law that
                few rows have seen is known from as few.
        """
        if np.ptp(values) == 0:
            return np.ones(self.n_draws)
        if shares is None:
            return self._stretch
        seen = self.units.weights_known(shares)
        return self._stretch if seen >= self.n_effective_units else self._stretch_of(seen)

    def tail_index(self, values: Array) -> float:
        """Return the posterior mean shape of the upper tail of the units' means; NaN for none."""
        tail, _ = self._tails(self.units.totals(values), values, SHAPES_OF_INDEX)
        return float("nan") if tail is None else tail.shape

    def n_effective(self, values: Array) -> float:
        """Return how many units of equal size would carry the mean as unequally as these do.

        NaN where rows are pooled, of which that is not known.
        """
        if self.pooled is not None:
            return float("nan")
        carriers = self.units.carriers(values)
        return float(self.n_units) if carriers is None else carriers.n_effective

    @cached_property
    def _ends(self) -> Array:
        """Weights ``(2, draw)`` of the two ends."""
        return self._generator().gamma(_END_MASS, size=(2, self.n_draws))

    @cached_property
    def _stretch(self) -> Array:
        """By how much deviations grow, ``(draw,)``."""
        return self._stretch_of(self.n_effective_units)

    def _stretch_of(self, n_units: float) -> Array:
        """By how much deviations grow where so many equal units are known, ``(draw,)``."""
        generator = self._generator()
        generator.gamma(_END_MASS, size=(2, self.n_draws))  # those of the ends
        k = max(n_units, 2.0)
        freedom = _FREEDOM * (k - 1)
        variance = generator.chisquare(freedom, self.n_draws) / freedom
        with np.errstate(divide="ignore"):
            stretch = np.sqrt((k + 1) / (k - 1) / variance)
        return np.minimum(stretch, _MOST_STRETCH)

    def _generator(self, *more: int) -> np.random.Generator:
        """Return a source of numbers that are others for other rows: results are independent."""
        return np.random.default_rng([self.seed, self.units.mixed, *more])

    def _end_weights(self, j: int, rule: Rule) -> Array:
        """Return weights ``(2, draw)`` of the ends of the j-th of several contrasts.

        Differences of one thing to several others share the upper end, where that one thing is the
        larger; the lower end is the other's own. From above, all of the weight is on the upper end.
        """
        if self.from_above and rule.weighted:
            return np.stack([self._ends.sum(axis=0), np.zeros(self.n_draws)])
        if j == 0:
            return self._ends
        return np.stack([self._ends[0], self._generator(j).gamma(_END_MASS, size=self.n_draws)])

    def _sums(self, columns: list[Array]) -> Array:
        """Return draws ``(draw, column)`` of the weighted sums of entries' totals ``(entry,)``."""
        return self.units.weighed.sums(
            np.column_stack(columns), n_draws=self.n_draws, seed=self.seed
        )

    def _shapes(self, rule: Rule, values: Array, shares: Array) -> Shapes | None:
        """Return the prior of the shape of the tails of a mean.

        Args:
            rule: How the contrast goes on.
            values: The values, or the numerators, ``(row,)``.
            shares: How much of each row counts, or the denominators, ``(row,)``.
        """
        if rule.shapes is not TYPICAL_SHAPES or not rule.weighted or (values < 0).any():
            return rule.shapes
        if self.n_units > MOST_UNITS:  # tails of 200 rows tell their shape themselves
            return rule.shapes
        carriers = self.units.carriers(values)
        if carriers is None or carriers.are_alike:
            return rule.shapes
        n_units = self.n_units if (shares == 1).all() else self.units.weights_known(shares)
        if carriers.n_effective >= UNEQUAL_SHARE * n_units:
            return rule.shapes
        return SHAPES_OF_A_LIMIT if self.from_above else SHAPES_WHERE_UNEQUAL

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
        n_single = self.units.n_single
        if shapes is None:
            tails = None, None
        elif simple or n_single == len(totals):
            tails = self._tails(totals, values, shapes)
        else:
            tails = self._tail_of_ratio(totals[:n_single], values, shapes), None
        return Contrast.of(totals, tails, n_single, self.units.weighed)

    def _tail_of_ratio(self, single: Array, values: Array, shapes: Shapes) -> Tail | None:
        """Fit the upper tail of a ratio's contrast as far down as no pooled row can reach.

        Its contrast is less than its numerator: where that nowhere exceeds an error whose largest
        rows are single ones, it is less than the least of these in all others.
        """
        if self.pooled is None or (values < 0).any():
            return None
        for error in self.pooled.errors:
            if (values <= error * (1 + 1e-9)).all():
                top = np.sort(error[: len(single)])[-N_TOP:]
                return fit_tail(single, shapes, self.n_units, beyond=float(top[0]))
        return None

    def _tails(
        self, totals: Array, values: Array, shapes: Shapes
    ) -> tuple[Tail | None, Tail | None]:
        """Fit the upper and the lower tail, where the extreme units are known."""
        n_single = self.units.n_single
        if self.pooled is not None and n_single < len(totals):
            if not any(np.array_equal(values, error) for error in self.pooled.errors):
                return None, None
            totals = totals[:n_single]
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
