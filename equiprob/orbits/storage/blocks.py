"""How do many millions of rows become a table of bounded size?

Rows are pooled by the hash of their unit into blocks, the blocks whose weights the posterior draws
(`equiprob.posterior.weights`). A squared error, a risk, any product of two averages over the orbit
is a quadratic form in a row's vectors: the output f(x), the target y and the mean displacements. Of
a block it is enough to keep the sums of these vectors and of their inner products, and everything
quadratic follows exactly: the block enters as *one row that has the same mean and the same second
moments*. The rows with the largest errors, and with the smallest, stay themselves, for the tails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.keys import Ids
from equiprob.orbits.statistics import Rows, RowStatistics

N_BLOCKS = 1024

N_TOP = 201
"""Rows at either end that stay themselves: a tail is fitted to at most 200, beyond the next."""

_SCALARS = ("pair_sq", "noise_sq")
_BINS = ("bin_sq", "bin_weight", "part_sq", "part_weight")


def block_of(units: Ids) -> NDArray[np.int64]:
    """Return the block of each unit: ids are hashes, and their remainders a fair shuffle."""
    return (units % np.uint64(N_BLOCKS)).astype(np.int64)


def vectors_of(statistics: RowStatistics) -> Rows:
    """Return the vectors ``(row, vector, k)`` that quadratic forms are made of."""
    own = [statistics.base] if statistics.y is None else [statistics.base, statistics.y]
    return np.concatenate([np.stack(own, axis=1), statistics.displacement], axis=1)


def scalars_of(statistics: RowStatistics) -> Rows:
    """Return what is summed as it is, ``(row, column)``."""
    columns = [getattr(statistics, name)[:, None] for name in _SCALARS]
    return np.concatenate(columns + [getattr(statistics, name) for name in _BINS], axis=1)


def errors_of(statistics: RowStatistics) -> list[Rows]:
    """Return the statistics whose extreme rows stay themselves, ``(row,)`` each."""
    errors = [statistics.pair_sq]
    if statistics.y is not None:
        errors.append(((statistics.y - statistics.base) ** 2).sum(axis=1))
    return errors


_ROUNDINGS = 1e-13
"""Relative error of a sum over the rows of a block, at most: some hundred roundings."""


@dataclass(frozen=True, eq=False)
class BlockSums:
    """Sums over the rows of each block, of one output.

    Args:
        count: Rows, ``(block,)``.
        origin: What vectors are taken from before they are multiplied, ``(vector, k)``: products
            of numbers far from zero would lose their digits.
        first: Sums of vectors less the origin, ``(block, vector, k)``.
        second: Sums of inner products of them, ``(block, vector, vector)``.
        scalars: Sums of scalars, ``(block, column)``.
    """

    count: Rows
    origin: Rows
    first: Rows
    second: Rows
    scalars: Rows

    @classmethod
    def of(cls, units: Ids, statistics: RowStatistics, origin: Rows) -> BlockSums:
        """Return the sums of some rows, all of them finite."""
        v, k = origin.shape
        shapes = [(N_BLOCKS, v, k), (N_BLOCKS, v, v), (N_BLOCKS, scalars_of(statistics).shape[1])]
        sums = cls(np.zeros(N_BLOCKS), origin, *map(np.zeros, shapes))
        sums.put(units, statistics)
        return sums

    def put(self, units: Ids, statistics: RowStatistics) -> None:
        """Add some rows, all of them finite, in place."""
        moved, block = vectors_of(statistics) - self.origin, block_of(units)
        order = np.argsort(block, kind="stable")
        present, start = np.unique(block[order], return_index=True)
        for total, values in (
            (self.count, np.ones(len(block))),
            (self.first, moved),
            (self.second, np.einsum("ivk,iwk->ivw", moved, moved)),
            (self.scalars, scalars_of(statistics)),
        ):
            total[present] += np.add.reduceat(values[order], start, axis=0)

    def copy(self) -> BlockSums:
        """Return the sums so far: they do not change any more."""
        return BlockSums(
            self.count.copy(),
            self.origin,
            self.first.copy(),
            self.second.copy(),
            self.scalars.copy(),
        )

    def __add__(self, other: BlockSums) -> BlockSums:
        """Return the sums over both."""
        other = other._about(self.origin)
        return BlockSums(
            count=self.count + other.count,
            origin=self.origin,
            first=self.first + other.first,
            second=self.second + other.second,
            scalars=self.scalars + other.scalars,
        )

    def __sub__(self, other: BlockSums) -> BlockSums:
        """Return the sums without those of some of the rows, about the same origin.

        What is left of a number to within its roundings is nothing: sums of squares stay positive.
        """
        scalars = self.scalars - other.scalars
        scalars[np.abs(scalars) <= _ROUNDINGS * np.abs(self.scalars)] = 0.0
        return BlockSums(
            count=self.count - other.count,
            origin=self.origin,
            first=self.first - other.first,
            second=self.second - other.second,
            scalars=scalars,
        )

    def _about(self, origin: Rows) -> BlockSums:
        shift = self.origin - origin
        if not shift.any():
            return self
        cross = np.einsum("bvk,wk->bvw", self.first, shift)
        square = np.einsum("vk,wk->vw", shift, shift)
        second = self.second + cross + np.swapaxes(cross, 1, 2) + self.count[:, None, None] * square
        first = self.first + self.count[:, None, None] * shift
        return replace(self, origin=origin, first=first, second=second)

    def as_rows(self, like: RowStatistics) -> tuple[NDArray[np.int64], Rows, RowStatistics]:
        """Return the blocks that have rows, their counts, and each as one row.

        The row's vectors are the block's means, with as many components more: in these lies the
        spread of the block's rows about their mean, by a root of its matrix of inner products.
        """
        block = np.flatnonzero(self.count > 0.5)
        count = self.count[block]
        mean = self.first[block] / count[:, None, None]
        moments = self.second[block] / count[:, None, None]
        spread = moments - np.einsum("bvk,bwk->bvw", mean, mean)
        values, basis = np.linalg.eigh((spread + np.swapaxes(spread, 1, 2)) / 2)
        root = basis * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        vectors = np.concatenate([mean + self.origin, root], axis=2)
        return block, count, with_vectors(like, vectors, self.scalars[block] / count[:, None])


def with_vectors(like: RowStatistics, vectors: Rows, scalars: Rows) -> RowStatistics:
    """Return row statistics made of vectors and scalars (see `vectors_of`, `scalars_of`)."""
    n_own = 1 if like.y is None else 2
    widths = [1] * len(_SCALARS) + [getattr(like, name).shape[1] for name in _BINS]
    parts = np.split(scalars, np.cumsum(widths)[:-1], axis=1)
    named = dict(zip(_SCALARS + _BINS, parts, strict=True))
    named |= {name: named[name][:, 0] for name in _SCALARS}
    return replace(
        like,
        base=vectors[:, 0],
        y=None if like.y is None else vectors[:, 1],
        displacement=vectors[:, n_own:],
        n_nonfinite=np.zeros(len(vectors), dtype=np.int64),
        raw=None,
        base_noise=None,
        mean_noise=None,
        **named,
    )


@dataclass(frozen=True, eq=False)
class TopRows:
    """The rows of largest and of smallest error, as they are.

    Args:
        position: Their numbers, ``(row,)``.
        row_ids: Their ids.
        unit_ids: The ids of their units.
        statistics: Their statistics by output.
    """

    position: NDArray[np.int64]
    row_ids: Ids
    unit_ids: Ids
    statistics: dict[str, RowStatistics]

    def __add__(self, other: TopRows) -> TopRows:
        """Return the most extreme rows among both."""
        statistics = {
            name: RowStatistics.concatenate([s, other.statistics[name]])
            for name, s in self.statistics.items()
        }
        joined = TopRows(
            np.concatenate([self.position, other.position]),
            np.concatenate([self.row_ids, other.row_ids]),
            np.concatenate([self.unit_ids, other.unit_ids]),
            statistics,
        )
        return joined.extreme()

    def extreme(self) -> TopRows:
        """Return those that are among the largest or the smallest of some error."""
        keep = np.zeros(len(self.position), dtype=bool)
        for statistics in self.statistics.values():
            for error in errors_of(statistics):
                keep[_extreme(error)] = True
        return self if keep.all() else self.take(np.flatnonzero(keep))

    def take(self, rows: NDArray[np.int64]) -> TopRows:
        """Return some of the rows."""
        return TopRows(
            self.position[rows],
            self.row_ids[rows],
            self.unit_ids[rows],
            {name: s.take(rows) for name, s in self.statistics.items()},
        )

    def beyond(self, held: TopRows) -> TopRows:
        """Return the rows that may be among the extreme ones, given those that are held."""
        keep = np.zeros(len(self.position), dtype=bool)
        for name, statistics in self.statistics.items():
            for error, known in zip(
                errors_of(statistics), errors_of(held.statistics[name]), strict=True
            ):
                known = np.sort(known)
                keep |= (error > known[-N_TOP]) | (error < known[N_TOP - 1])
        return self.take(np.flatnonzero(keep))


def _extreme(error: Rows) -> NDArray[np.int64]:
    """Return the places of the smallest and of the largest values."""
    if len(error) <= 2 * N_TOP:
        return np.arange(len(error))
    order = np.argpartition(error, (N_TOP - 1, -N_TOP))
    return np.concatenate([order[:N_TOP], order[-N_TOP:]])


@dataclass(eq=False)
class BlockState:
    """All rows so far, pooled.

    Args:
        n: Rows with finite outputs.
        mixed: Exclusive or of the ids of their units: tells sets of rows apart.
        sums: Sums by output.
        top: Rows that stay themselves.
        nonfinite: The numbers of the first rows without finite outputs.
        n_nonfinite: How many there are.
    """

    n: int = 0
    mixed: int = 0
    sums: dict[str, BlockSums] = field(default_factory=dict)
    top: TopRows | None = None
    nonfinite: list[int] = field(default_factory=list)
    n_nonfinite: int = 0

    _MOST_NAMED = 1000

    def add(
        self, start: int, ids: Ids, units: Ids, statistics: Mapping[str, RowStatistics]
    ) -> None:
        """Add rows that number `start` begins."""
        finite = np.logical_and.reduce([s.n_nonfinite == 0 for s in statistics.values()])
        self.leave_out(start + np.flatnonzero(~finite))
        rows = np.flatnonzero(finite)
        if not len(rows):
            return
        kept = {name: replace(s, raw=None).take(rows) for name, s in statistics.items()}
        units = units[rows]
        for name, values in kept.items():
            if name in self.sums:
                self.sums[name].put(units, values)
            else:
                origin = vectors_of(values).mean(axis=0)
                self.sums[name] = BlockSums.of(units, values, origin)
        new_top = TopRows(start + rows, ids[rows], units, kept)
        if self.top is not None and len(self.top.position) >= N_TOP:
            new_top = new_top.beyond(self.top)
        self.top = new_top.extreme() if self.top is None else self.top + new_top
        self.n += len(rows)
        self.mixed ^= int(np.bitwise_xor.reduce(units))

    def leave_out(self, rows: NDArray[np.int64]) -> None:
        """Count rows that have no finite outputs."""
        self.nonfinite += [int(r) for r in rows[: self._MOST_NAMED - len(self.nonfinite)]]
        self.n_nonfinite += len(rows)

    def moved(self, start: int) -> BlockState:
        """Return the same rows, numbered from `start`."""
        top = self.top and replace(self.top, position=self.top.position + start)
        return replace(self, top=top, nonfinite=[start + row for row in self.nonfinite])

    def copy(self) -> BlockState:
        """Return the state so far: it does not change any more."""
        sums = {name: sums.copy() for name, sums in self.sums.items()}
        return replace(self, sums=sums, nonfinite=list(self.nonfinite))

    def __add__(self, other: BlockState) -> BlockState:
        """Return the state of both sets of rows; `other` follows."""
        tops = [state.top for state in (self, other) if state.top is not None]
        return BlockState(
            n=self.n + other.n,
            mixed=self.mixed ^ other.mixed,
            sums={
                name: sums + other.sums[name] if name in other.sums else sums
                for name, sums in (self.sums or other.sums).items()
            },
            top=tops[0] + tops[1] if len(tops) == 2 else tops[0] if tops else None,
            nonfinite=[*self.nonfinite, *other.nonfinite][: self._MOST_NAMED],
            n_nonfinite=self.n_nonfinite + other.n_nonfinite,
        )

    def entries(
        self, like: Mapping[str, RowStatistics], grouped: bool
    ) -> tuple[dict[str, RowStatistics], Rows, Ids, Ids]:
        """Return all rows as entries of a table: the largest themselves, then the blocks of others.

        Groups may be spread over many rows, none of which is a unit: all are in blocks then.

        Args:
            like: Row statistics of each output, for what is no sum in them.
            grouped: Whether units are groups of rows.

        Returns:
            Row statistics by output, the rows each entry stands for, its id, and its unit's.
        """
        top = self.top.take(np.arange(0)) if grouped and self.top is not None else self.top
        found, numbers, mass = {}, np.empty(0, np.uint64), np.empty(0)
        for name, sums in self.sums.items():
            assert top is not None, "what was summed is held"
            own = top.statistics[name]
            rest = sums - BlockSums.of(top.unit_ids, own, sums.origin)
            block, count, rows = rest.as_rows(own)
            vectors = vectors_of(own)
            wide = np.zeros((*vectors.shape[:2], vectors.shape[2] + vectors.shape[1]))
            wide[..., : vectors.shape[2]] = vectors
            singles = with_vectors(own, wide, scalars_of(own))
            both = RowStatistics.concatenate([singles, rows])
            found[name] = replace(both, n_components=like[name].n_components)
            numbers = block.astype(np.uint64)
            mass = np.concatenate([np.ones(len(top.position)), count])
        if top is None:
            return found, mass, numbers, numbers
        ids, units = (np.concatenate([own, numbers]) for own in (top.row_ids, top.unit_ids))
        return found, mass, ids, units
