"""What does it cost to move one half of the rows onto the other?

Units (rows, or groups of rows that move together) are paired at random and each pair is split at
random; the optimal transport between the two halves bounds what any function of the class can make
of the difference. The cost is a minimum of functions that are linear in the Lipschitz constant and
in the defect, so that its value is jointly concave in them: a solved plan is a plane that touches
the value there and lies above it everywhere.

References:
    Villani, "Topics in optimal transportation", 2003 (duality); Bonneel, van de Panne,
    Paris & Heidrich, ACM Transactions on Graphics 2011 (the network simplex), in POT: Flamary et
    al., JMLR 2021.
"""

from __future__ import annotations

import abc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from typing import Any, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.all_pairs import Pairs

_MOST_PIVOTS = 10_000_000
_MOST_THREADS = 4


@dataclass(frozen=True, eq=False)
class GroundCost:
    """The largest difference that the class allows between the losses of two rows.

    ``c_ij = min( slope (L d_ij + t_ij), slope (L d^S_ij + t^S_ij + defect), cap )`` with inputs d
    and targets t apart.

    Args:
        plain: Distances of the rows as they are.
        orbit: Distances of the rows when either may be moved.
        slope: Lipschitz constant of the loss in the prediction and in the target.
        cap: The largest difference of all.
        rows: Where the block's rows are among those of the distances.
    """

    plain: Pairs
    orbit: Pairs
    slope: float
    cap: float
    rows: Index

    def between(
        self, a: Index, b: Index, lipschitz: float, defect: float | None
    ) -> tuple[Array, NDArray[np.int8]]:
        """Return the cost ``(a, b)`` and where it comes from: 0 plain, 1 orbit, 2 cap.

        Without a defect there is no symmetry.
        """
        block = np.ix_(self.rows[a], self.rows[b])
        cost = self.slope * (lipschitz * self.plain.inputs[block] + self.plain.targets[block])
        branch = np.zeros(cost.shape, dtype=np.int8)
        if defect is not None:
            moved = lipschitz * self.orbit.inputs[block] + self.orbit.targets[block] + defect
            moved *= self.slope
            branch[moved < cost] = 1
            np.minimum(cost, moved, out=cost)
        branch[cost > self.cap] = 2
        return np.minimum(cost, self.cap, out=cost), branch

    def plane(
        self, a: Index, b: Index, mass: Array, branch: NDArray[np.int8]
    ) -> tuple[float, float, float]:
        """Return ``constant, per L, per defect`` of what a plan of pairs ``(a, b)`` costs."""
        constant = per_lipschitz = per_defect = 0.0
        for which, pairs in ((0, self.plain), (1, self.orbit)):
            here = branch == which
            at = self.rows[a[here]], self.rows[b[here]]
            constant += self.slope * (mass[here] * pairs.targets[at]).sum()
            per_lipschitz += self.slope * (mass[here] * pairs.inputs[at]).sum()
            per_defect += self.slope * which * mass[here].sum()
        return constant + self.cap * mass[branch == 2].sum(), per_lipschitz, per_defect


@dataclass(frozen=True, eq=False)
class Value:
    """The mean cost over splits at one Lipschitz constant and one defect.

    Args:
        value: The mean over splits.
        plane: ``constant, per L, per defect``: equal to the value there, above it elsewhere.
        units: Each unit's contribution ``(unit,)``, whose mean is the value: from the potentials of
            its rows, the derivatives of the cost in their mass.
    """

    value: float
    plane: Array
    units: Array


@dataclass(frozen=True, eq=False)
class Split:
    """Two halves of the units of one block, as positions in the block's distances.

    Args:
        rows: The rows of the two halves.
        mass: The mass of each of these rows; each half's is 1.
    """

    rows: tuple[Index, Index]
    mass: tuple[Array, Array]


class AbstractDeal(abc.ABC):
    """Units in disjoint blocks, in each of which some rows are to be moved onto others."""

    rows: Sequence[Index]
    """Rows of each unit."""

    @property
    @abc.abstractmethod
    def members(self) -> Sequence[Index]:
        """Units of each block."""

    @property
    @abc.abstractmethod
    def size(self) -> float:
        """Units of the sample in each block."""

    @abc.abstractmethod
    def share(self, block: int) -> float:
        """Return the share of the sample that a block is."""

    @abc.abstractmethod
    def splits(self, block: int, n_splits: int, generator: np.random.Generator) -> Iterator[Split]:
        """Yield what is to be moved onto what."""

    @abc.abstractmethod
    def of_units(self, total: float, contributions: Array) -> Array:
        """Return each unit's contribution ``(unit,)``, whose mean is the total."""

    def rows_of(self, block: int) -> Index:
        """Return the rows of a block's units."""
        return np.concatenate([self.rows[u] for u in self.members[block]])


@dataclass(frozen=True, eq=False)
class Blocks(AbstractDeal):
    """Units in disjoint blocks of even size.

    Args:
        rows: Rows of each unit.
        dealt: Units of each block, in random order.
    """

    rows: Sequence[Index]
    dealt: Sequence[Index]

    @classmethod
    def of(cls, rows: Sequence[Index], n_blocks: int, generator: np.random.Generator) -> Blocks:
        """Deal an even number of units into blocks; with an odd number one stays out."""
        order = generator.permutation(len(rows))
        pairs = np.array_split(np.arange(len(rows) // 2), n_blocks)
        return cls(rows, [order[np.concatenate([2 * p, 2 * p + 1])] for p in pairs])

    @property
    @override
    def members(self) -> Sequence[Index]:
        return self.dealt

    @property
    def n_pairs(self) -> int:
        """Pairs of units in all blocks."""
        return sum(len(m) for m in self.members) // 2

    @property
    @override
    def size(self) -> float:
        return 2 * self.n_pairs / len(self.members)

    @override
    def share(self, block: int) -> float:
        return len(self.members[block]) / (2 * self.n_pairs)

    @override
    def of_units(self, total: float, contributions: Array) -> Array:
        left_out = np.setdiff1d(np.arange(len(self.rows)), np.concatenate(self.members))
        contributions[left_out] = total
        return contributions

    @override
    def splits(self, block: int, n_splits: int, generator: np.random.Generator) -> Iterator[Split]:
        """Yield random halves of a block: pairs anew, and each pair flipped."""
        members = self.members[block]
        starts = [0, *accumulate(len(self.rows[u]) for u in members)]
        for _ in range(n_splits):
            pairs = generator.permutation(len(members)).reshape(-1, 2)
            flip = generator.random(len(pairs)) < 0.5
            pairs[flip] = pairs[flip, ::-1]
            halves = [[np.arange(starts[u], starts[u + 1]) for u in h.tolist()] for h in pairs.T]
            mass = [np.concatenate([np.full(len(r), 1 / len(r)) for r in h]) for h in halves]
            yield Split(
                (np.concatenate(halves[0]), np.concatenate(halves[1])),
                (mass[0] / len(pairs), mass[1] / len(pairs)),
            )


def mean_cost(
    blocks: AbstractDeal,
    ground: Callable[[int], GroundCost],
    points: Sequence[tuple[float, float | None]],
    *,
    n_splits: int,
    seed: Sequence[int],
) -> list[Value]:
    """Return the mean cost of moving one side onto the other, at each (L, defect).

    Args:
        blocks: The units.
        ground: The cost within a block, asked for one block after the other.
        points: Lipschitz constants and defects; the defect None is no symmetry.
        n_splits: Splits of each block; the same for all points.
        seed: Seed of the splits.
    """
    n_units = sum(len(members) for members in blocks.members)
    totals = [np.zeros(4) for _ in points]
    units = [np.zeros(len(blocks.rows)) for _ in points]
    generator = np.random.default_rng(seed)
    _network_simplex()  # imported once, before there are threads
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        for block, members in enumerate(blocks.members):
            share = blocks.share(block) / n_splits
            unit = np.repeat(members, [len(blocks.rows[u]) for u in members])
            solve = partial(_solve_all, ground(block), points)
            for solved in pool.map(solve, blocks.splits(block, n_splits, generator)):
                for k, (value, plane, by_row) in enumerate(solved):
                    totals[k] += share * np.array([value, *plane])
                    np.add.at(units[k], unit, n_units * share * by_row)
    return [
        Value(float(total[0]), total[1:], blocks.of_units(float(total[0]), contributions))
        for total, contributions in zip(totals, units, strict=True)
    ]


def _solve_all(
    ground: GroundCost, points: Sequence[tuple[float, float | None]], split: Split
) -> list[tuple[float, tuple[float, float, float], Array]]:
    """Solve one split at all points."""
    return [_solve(ground, split, lipschitz, defect) for lipschitz, defect in points]


def _solve(
    ground: GroundCost, split: Split, lipschitz: float, defect: float | None
) -> tuple[float, tuple[float, float, float], Array]:
    """Return the optimal cost, its plane, and each row's share of the cost ``(row,)``."""
    a, b = split.rows
    cost, branch = ground.between(a, b, lipschitz, defect)
    # The solver's tolerance is a number, not a share of the costs.
    unit = float(cost.max()) or 1.0
    plan, log = _network_simplex()(
        *split.mass, np.ascontiguousarray(cost / unit), numItermax=_MOST_PIVOTS, log=True
    )
    if log["warning"] is not None:
        raise RuntimeError(
            f"optimal transport between {len(a)} and {len(b)} rows: {log['warning']}"
        )
    i, j = plan.nonzero()
    plane = ground.plane(a[i], b[j], plan[i, j], branch[i, j])
    # Potentials are known up to what one half gains and the other loses.
    (mass_a, mass_b), u, v = split.mass, unit * log["u"], unit * log["v"]
    shift = (mass_a @ u - mass_b @ v) / 2
    by_row = np.zeros(len(a) + len(b))
    by_row[a], by_row[b] = mass_a * (u - shift), mass_b * (v + shift)
    return unit * float(log["cost"]), plane, by_row


@cache
def _network_simplex() -> Any:
    with warnings.catch_warnings():
        # An unescaped backslash in a docstring of POT, seen when it is first compiled.
        warnings.simplefilter("ignore", SyntaxWarning)
        from ot import emd
    return emd
