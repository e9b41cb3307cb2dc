"""How far may a contrast of the rows be off, given its ends and its tails?

A contrast has mean zero over the sample. Weighted at random it has another; beyond what the sample
holds, half a unit of weight on either end and a model of each tail stand for rows not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from equiprob.posterior.tails import TYPICAL_SHAPES, Array, Shapes, Tail
from equiprob.posterior.weights import WeighedUnits

Limits = tuple[float, float]
"""The least and the largest value that there can be."""

_FARTHEST_LOG = 50.0
"""Two or three units lead to factors beyond exp(50), which say no more than this one."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """A contrast of mean zero over the units, its ends and its tails.

    Args:
        columns: What has to be summed with the entries' weights, ``(entry,)`` each: the contrast
            outside its tails; for each tail, its indicator and its excess.
        tails: The upper and the lower tail (of the negated values), where there are any.
        ends: The largest value and the largest negated value.
        mirror: Whether an end is as far out as the other one even where its tail is not.
    """

    columns: list[Array]
    tails: tuple[Tail | None, Tail | None]
    ends: tuple[float, float]
    mirror: bool = False

    @classmethod
    def of(
        cls,
        values: Array,
        tails: tuple[Tail | None, Tail | None],
        n_single: int,
        weighed: WeighedUnits,
    ) -> Contrast:
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
        farthest = max(self.ends)
        for sign, tail, end, weight in zip(
            (1.0, -1.0), self.tails, self.ends, end_weights, strict=True
        ):
            if tail is None:
                total += sign * weight * (farthest if self.mirror else end)
                continue
            inside, excess = sums[:, start], sums[:, start + 1]
            start += 2
            # The mean within a tail does not depend on its mass; taking the posterior's quantiles
            # in the order of the weighted means keeps draws joint between results.
            rank = np.argsort(np.argsort(excess / inside))
            mean = tail.threshold + tail.quantiles((rank + 0.5) / len(rank))
            beyond = np.maximum(mean, farthest) if self.mirror and farthest > end else mean
            total += sign * (inside * mean + weight * beyond)
        return total / (mass + end_weights.sum(axis=0))


@dataclass(frozen=True)
class Rule:
    """How contrasts go on beyond the sample.

    Args:
        shapes: The prior of the shape of tails; None for no tails.
        signed: Whether a mean may have either sign, whatever that of its rows.
        limits: Between which all values lie.
        reach: Between which a row's value may lie where those at hand are all the same one.
        weighted: Whether it is a mean of rows that count more or less, rather than a ratio of two
            quantities, or a difference.
    """

    shapes: Shapes | None = TYPICAL_SHAPES
    signed: bool = False
    limits: Limits | None = None
    reach: Limits | None = None
    weighted: bool = False

    def ends_of(self, contrast: Contrast, values: Array, most: float = 1.0) -> Contrast:
        """Return the contrast of row values with the ends that it could have.

        Args:
            contrast: The contrast.
            values: The values, or the numerators of a ratio, ``(row,)``.
            most: The largest denominator of a row.
        """
        if self.reach is not None and np.ptp(values) == 0:
            low, high = (most * end for end in self.reach)
            if np.isfinite(high - low):
                return replace(contrast, ends=(high - values[0], values[0] - low))
        return replace(contrast, mirror=self.signed)

    def limits_of_mean(self, *, positive: bool) -> Limits | None:
        """Return the limits that deviations of the mean keep to as they grow."""
        if self.signed:
            return None
        return (0.0, np.inf) if self.limits is None and positive else self.limits


def first_equal(columns: Array) -> list[int]:
    """Return for each column ``(column, row)`` the place of the first that is equal to it."""
    places: dict[bytes, int] = {}
    return [places.setdefault(column.tobytes(), j) for j, column in enumerate(columns)]


def spread(draws: Array, stretch: Array, limits: Limits | None = None) -> Array:
    """Stretch the deviations of draws ``(draw, ...)`` from their middle, within limits.

    Where draws keep off a finite lower limit, on the scale of the logarithm of the distance from
    it; off both limits, of the ratio of the two distances.
    """
    low, high = (-np.inf, np.inf) if limits is None else limits
    if not (np.isfinite(low) and (draws > low).all()):
        centre = draws.mean(axis=0)
        return np.clip(centre + (draws - centre) * stretch, low, high)
    scale, between = np.log(draws - low), bool(np.isfinite(high) and (draws < high).all())
    if between:
        scale -= np.log(high - draws)
    centre = scale.mean(axis=0)
    deviation = np.clip((scale - centre) * stretch, -_FARTHEST_LOG, _FARTHEST_LOG)
    odds = np.exp(centre + deviation)
    return np.minimum(low + (high - low) * odds / (1 + odds) if between else low + odds, high)
