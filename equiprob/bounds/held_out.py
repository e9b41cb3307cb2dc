"""What does it cost to move the training rows onto held-out ones?

Condition on the training rows S. Let T be m independent units that training did not see. For every
loss h of the class, ``mean_T h - mean_S h <= W(S, T)``, the optimal transport at the costs of the
class, and one unit of T moves W by at most ``M w`` with w its mass: with probability 1 - delta over
T, for all h at once,

    E h - mean_S h  <=  W(S, T) + M sqrt( log(1 / delta) sum w^2 / 2 )

The class may depend on S in any way. Samples too large for one transport problem are dealt into
blocks that face each other, which is a plan like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import override

import jax
import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.bounds.base import GapProblem, Units
from equiprob.bounds.halves import AbstractDeal, Index, Split
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable


@dataclass(frozen=True, eq=False)
class TwoSamples:
    """Training rows and held-out rows in one list, the former first.

    Args:
        tables: The two tables.
        units: Their units, numbered by the rows of each table.
    """

    tables: tuple[OrbitTable, OrbitTable]
    units: tuple[Units, Units]

    @classmethod
    def of(cls, problem: GapProblem) -> TwoSamples:
        """Return the two samples of a problem.

        Raises:
            ValueError: If a unit is in both.
        """
        assert problem.train is not None, "checked by the caller"
        tables = problem.train, problem.orbits
        shared = np.intersect1d(tables[0].unit_ids, tables[1].unit_ids)
        if len(shared):
            raise ValueError(
                f"held-out rows must not be among the training rows, but {len(shared)} rows (or "
                f"groups) are in both train and orbits; pass others, or "
                f"Transport(between='halves')"
            )
        return cls(tables, (Units.of(tables[0]), Units.of(tables[1])))

    @property
    def ids(self) -> Ids:
        """The ids of all units."""
        return np.concatenate([units.ids for units in self.units])

    @cached_property
    def rows(self) -> Sequence[Index]:
        """The rows of each unit, in the one list."""
        first = len(self.tables[0])
        return [*self.units[0].rows, *(first + rows for rows in self.units[1].rows)]

    @property
    def x(self) -> object:
        """The inputs of all rows."""
        return jax.tree.map(
            lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]),
            *(table.x for table in self.tables),
        )

    @property
    def sizes(self) -> tuple[int, int]:
        """Units of the training sample and of the held-out one."""
        return len(self.units[0].rows), len(self.units[1].rows)

    def deal(self, n_blocks: int, generator: np.random.Generator) -> Facing:
        """Deal both samples into blocks."""
        n, m = self.sizes
        parts = [
            np.array_split(start + generator.permutation(size), n_blocks)
            for start, size in ((0, n), (n, m))
        ]
        return Facing(self.rows, list(zip(*parts, strict=True)), (n, m))

    def deviation(
        self, block_rows: int, n: Array | float, *, loss_range: float, delta: float
    ) -> Array:
        """Return by how much an expected loss exceeds the held-out one, delta aside.

        At other numbers of training units there are as many held-out ones for each as here.

        Args:
            block_rows: Rows of a block at most.
            n: Training units.
            loss_range: The largest loss.
            delta: The probability.
        """
        n_blocks = -(-sum(map(len, self.tables)) // block_rows)
        squares = self.deal(n_blocks, np.random.default_rng(0)).squared_masses
        squares = squares * self.sizes[0] / np.asarray(n, dtype=np.float64)
        return loss_range * np.sqrt(np.log(1 / delta) * squares / 2)


@dataclass(frozen=True, eq=False)
class Facing(AbstractDeal):
    """Blocks of training units that face blocks of held-out units.

    Args:
        rows: Rows of each unit, the training units first.
        pairs: Training units and held-out units of each block.
        sizes: Units of the training sample and of the held-out one.
    """

    rows: Sequence[Index]
    pairs: Sequence[tuple[Index, Index]]
    sizes: tuple[int, int]

    @property
    @override
    def members(self) -> Sequence[Index]:
        return [np.concatenate(pair) for pair in self.pairs]

    @property
    @override
    def size(self) -> float:
        return self.sizes[0] / len(self.pairs)

    @override
    def share(self, block: int) -> float:
        return len(self.pairs[block][0]) / self.sizes[0]

    @property
    def squared_masses(self) -> float:
        """The sum of squared masses of the held-out units, ``1 / m`` in one block."""
        return float(
            sum(self.share(k) ** 2 / len(held_out) for k, (_, held_out) in enumerate(self.pairs))
        )

    @override
    def splits(self, block: int, n_splits: int, generator: np.random.Generator) -> Iterator[Split]:
        """Yield the one pair of samples that there is."""
        sides, start = [], 0
        for units in self.pairs[block]:
            sizes = [len(self.rows[u]) for u in units]
            mass = np.repeat([1 / size for size in sizes], sizes) / len(units)
            sides.append((np.arange(start, start + len(mass)), mass))
            start += len(mass)
        yield Split((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))

    @override
    def of_units(self, total: float, contributions: Array) -> Array:
        """Return contributions whose mean within each sample is the total.

        How much of the cost is whose is not determined; how the cost changes with a unit's mass
        within its own sample is.
        """
        n = self.sizes[0]
        centred = np.concatenate([p - p.mean() for p in np.split(contributions, [n])])
        return total + centred
