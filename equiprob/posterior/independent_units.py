"""Which units are independent, how unequally do they carry a mean, and what has a weight?

A unit is a row, or a group of rows. Where there are many they are pooled into blocks, of which only
sums are known, and the most extreme rows that stay themselves (`equiprob.orbits.storage.blocks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.keys import Ids
from equiprob.orbits.storage.blocks import errors_of
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.tails import Array
from equiprob.posterior.weights import MOST_UNITS, WeighedUnits

_ALIKE = 1e-9
"""Relative difference of values that is rounding."""

_OF_ONE_LABEL = (0.0, 1.0, 2.0)
"""What a label loses: 0 or 1, or 0 or 2 as squared error."""


@dataclass(frozen=True, eq=False)
class PooledRows:
    """Rows of which most are pooled into blocks, one entry a block.

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

    @classmethod
    def of(cls, table: OrbitTable) -> PooledRows | None:
        """Return what is pooled in a table of one output; None where nothing is."""
        if table.blocks is None or table.mass is None:
            return None
        n_single = 0 if table.grouped else len(table.positions)
        return cls(table.mass, n_single, errors_of(table.moments), table.blocks.mixed)


@dataclass(frozen=True)
class Carriers:
    """How unequally the units carry a mean.

    Args:
        row: The row that carries most of it; of a group, its first.
        share: The share of the sum of sizes that it (or its group) makes.
        n_effective: How many units of equal size would carry it as unequally; where rows are
            pooled, at most so many.
        are_alike: Whether they are of a few sizes, the largest more than once, or all are losses of
            labels: then how many there are is all that is uncertain, and the posterior knows that.
    """

    row: int
    share: float
    n_effective: float
    are_alike: bool


@dataclass(frozen=True, eq=False)
class IndependentUnits:
    """The independent units of some rows.

    Args:
        unit_ids: The unit of each row, ``(row,)``.
        pooled: What the entries are where most rows are pooled.
    """

    unit_ids: Ids
    pooled: PooledRows | None = None

    @cached_property
    def _distinct(self) -> tuple[Ids, NDArray[np.int64] | None, Array]:
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

    @property
    def ids(self) -> Ids:
        """The distinct units, or entries that they are pooled into, ``(unit,)``."""
        return self._distinct[0]

    @property
    def sizes(self) -> Array:
        """How many rows each unit has, over their mean, ``(unit,)``."""
        return self._distinct[2]

    @cached_property
    def weighed(self) -> WeighedUnits:
        """What has weights."""
        return WeighedUnits.of(self.ids, pooled=self.pooled is not None)

    @cached_property
    def counts(self) -> Array:
        """How many independent units each of `ids` stands for, ``(unit,)``."""
        if self.pooled is not None and self.pooled.n_single:
            return self.pooled.mass
        return np.ones(len(self.ids))

    @property
    def n(self) -> int:
        """How many independent units there are."""
        return int(self.counts.sum())

    @property
    def n_effective(self) -> float:
        """How many units of equal size would weigh as unequally as these, `n` at most."""
        if self.pooled is not None and self.pooled.n_single:
            return float(self.n)
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def n_single(self) -> int:
        """How many of the units are known one by one."""
        few = 0 if self.pooled is None else self.pooled.n_single
        return few or len(self.ids)

    @property
    def in_groups(self) -> bool:
        """Whether units are groups of rows."""
        if self.pooled is not None:
            return not self.pooled.n_single
        return len(self.ids) < len(self.unit_ids)

    @property
    def mixed(self) -> int:
        """A number that other rows have another of."""
        if self.pooled is not None:
            return self.pooled.mixed
        return int(np.bitwise_xor.reduce(self.ids))

    def totals(self, values: Array) -> Array:
        """Return sums ``(unit,)`` of row values ``(row,)``, over the mean number of rows."""
        units, place, each = self._distinct
        if self.pooled is not None:
            return values * each
        if place is None:
            return np.ascontiguousarray(values, dtype=np.float64)
        return np.bincount(place, values, len(units)) * (len(units) / len(place))

    def weights_known(self, shares: Array) -> float:
        """Return how many units count with equal weight as much as these do.

        Args:
            shares: How much of each row counts, ``(row,)``.
        """
        total = self.totals(shares)
        return float(total.sum() ** 2 / (total**2 / self.counts).sum())

    def carriers(self, values: Array) -> Carriers | None:
        """Say how unequally units carry the mean of row values ``(row,)``.

        None where the mean has no size, or where groups are pooled, of which nothing is known one
        by one.
        """
        if self.pooled is not None and not self.pooled.n_single:
            return None
        sizes = np.abs(self.totals(values))
        largest = sizes.max()
        if largest == 0:
            return None
        sizes = sizes / largest  # whose squares are finite
        single = sizes[: self.n_single]
        first = int(single.argmax())
        place = self._distinct[1]
        return Carriers(
            row=first if place is None else int((place == first).argmax()),
            share=float(single[first] / sizes.sum()),
            # A block's sum of squares is at least that of as many equal rows.
            n_effective=float(sizes.sum() ** 2 / (sizes**2 / self.counts).sum()),
            are_alike=_are_counts(single) or bool(np.isin(values, _OF_ONE_LABEL).all()),
        )


def _are_counts(sizes: Array) -> bool:
    """Whether sizes ``(unit,)``, 1 the largest, are few, and the largest is no single one.

    A row given twice ties with itself, among many others of sizes of their own.
    """
    largest = (sizes >= 1 - _ALIKE).sum()
    levels = len(np.unique(np.round(sizes / _ALIKE)))
    return bool(largest > 1 and levels <= max(np.sqrt(len(sizes)), 2))
