"""What is kept of a row's outputs as they stream past?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.designs import Design
from equiprob.orbits.statistics import LARGEST, Rows, RowStatistics, is_usable

_MOST_BINS = 12


def _mean_and_noise(calls: Rows) -> tuple[Rows, Rows]:
    """Return the mean of calls ``(call, ..., k)`` and its variance, summed over components."""
    n_calls = len(calls)
    if n_calls == 1:
        return calls[0], np.zeros(calls.shape[1:-1])
    return calls.mean(axis=0), calls.var(axis=0, ddof=1).sum(axis=-1) / n_calls


@dataclass(frozen=True)
class MagnitudeBins:
    """Bins of equal probability of the size of a transformation (or its few distinct sizes).

    Args:
        edges: Inner edges, ``(bin - 1,)``.
        magnitude: Mean magnitude of each bin, ``(bin,)``.
    """

    edges: NDArray[np.float64]
    magnitude: NDArray[np.float64]

    @classmethod
    def of(cls, magnitudes: NDArray[np.float64], weights: NDArray[np.float64]) -> MagnitudeBins:
        """Return bins for a law of magnitudes with the given weights."""
        order = np.argsort(magnitudes, kind="stable")
        sizes, mass = magnitudes[order], weights[order]
        distinct = np.unique(np.round(sizes, 9))
        if len(distinct) <= _MOST_BINS:
            return cls((distinct[1:] + distinct[:-1]) / 2, distinct)
        levels = np.arange(1, _MOST_BINS) / _MOST_BINS
        edges = np.unique(np.interp(levels, np.cumsum(mass) - mass / 2, sizes))
        # Between the few sizes of a large probability there are edges with nothing in between.
        occupied = np.unique(np.searchsorted(edges, sizes, side="right"))
        edges = edges[occupied[1:] - 1]
        place = np.searchsorted(edges, sizes, side="right")
        total = np.bincount(place, mass, minlength=len(edges) + 1)
        mean = np.bincount(place, mass * sizes, minlength=len(edges) + 1) / total
        return cls(edges, mean)

    def place(self, magnitudes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the bin of each magnitude: with so few edges, quicker than by searching them."""
        place = np.zeros(magnitudes.shape, dtype=np.int8)
        for edge in self.edges:
            place += magnitudes >= edge
        return place.astype(np.int64)


@dataclass
class _BinnedSums:
    """Weighted sums of squares, and of weights, of each row by bin: ``(row, bin)``."""

    squares: Rows
    weights: Rows

    @classmethod
    def of(cls, n_rows: int, n_bins: int) -> _BinnedSums:
        return cls(np.zeros((n_rows, n_bins)), np.zeros((n_rows, n_bins)))

    def add(self, place: NDArray[np.int64], squares: Rows, weights: Rows) -> None:
        """Add weighted squares ``(row, transformation)`` to the bins they belong in."""
        n, n_bins = self.squares.shape
        cells = (place + n_bins * np.arange(n)[:, None]).ravel()
        for total, terms in (
            (self.squares, squares),
            (self.weights, np.broadcast_to(weights, squares.shape)),
        ):
            total += np.bincount(cells, terms.ravel(), minlength=n * n_bins).reshape(n, n_bins)


@dataclass
class ChunkStatistics:
    """Accumulates the statistics of one output over one chunk of rows, in float64.

    Args:
        calls: The model's output at the rows, ``(call, row, k)``: one call, or several of a
            stochastic model, whose noise is taken off every squared displacement.
        design: The design.
        magnitudes: Magnitude of each transformation, ``(row, transformation)``.
        bins: The bins of the error by magnitude.
        part: The part each transformation belongs to, ``(row, transformation)``.
        n_parts: How many parts the law has (0: it is not reported in parts).
        range_magnitudes: Magnitudes up to which displacements are summed, or None.
        keep_raw: Whether to keep all displacements.
    """

    calls: Rows
    design: Design
    magnitudes: NDArray[np.float64]
    bins: MagnitudeBins
    part: NDArray[np.int64]
    n_parts: int
    range_magnitudes: NDArray[np.float64] | None
    keep_raw: bool
    base: Rows = field(init=False)
    _seen: int = 0
    _blocks: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start all sums at zero."""
        self.base, self._base_noise = _mean_and_noise(self.calls)
        n, k = self.base.shape
        n_replicates = len(self.design.replicates)
        n_bins = len(self.bins.magnitude)
        self._sums = np.zeros((n, n_replicates, k))
        self._pair_sq, self._noise, self._noise_of_mean = np.zeros((3, n))
        self._bins = _BinnedSums.of(n, n_bins)
        self._parts = _BinnedSums.of(n, self.n_parts)
        self._each: list[Rows] = []
        self._nonfinite = (~is_usable(self.base)).any(axis=1).astype(np.int64)
        if self.range_magnitudes is not None:
            n_ranges = len(self.range_magnitudes)
            self._range_sum = np.zeros((n, n_replicates, n_ranges, k))
            self._range_sq = np.zeros((n, n_ranges))

    @np.errstate(invalid="ignore", over="ignore")
    def add(self, outputs: Rows) -> None:
        """Add a block of back-transformed outputs ``(transformation, row, k)``.

        Several calls on an input follow each other.
        """
        n_calls = len(self.calls)
        start, stop = self._seen, self._seen + len(outputs) // n_calls
        self._seen = stop
        noise: Any = 0.0
        if n_calls > 1:
            outputs, noise = _mean_and_noise(
                np.swapaxes(outputs.reshape(-1, n_calls, *outputs.shape[1:]), 0, 1)
            )
        moved = outputs - self.base
        squared = np.einsum("jik,jik->ij", moved, moved)
        if not (squared <= LARGEST**2).all():
            self._nonfinite += (~is_usable(outputs)).any(axis=2).sum(axis=0)
        weights = self.design.weights[start:stop]
        if n_calls > 1:
            squared = squared - noise.T - self._base_noise[:, None]
            self._noise += noise.T @ weights
            self._noise_of_mean += noise.T @ weights**2
        weighted_sq = squared * weights
        self._pair_sq += weighted_sq.sum(axis=1)
        sizes = self.magnitudes[:, start:stop]
        self._bins.add(self.bins.place(sizes), weighted_sq, weights)
        if self.n_parts:
            self._parts.add(self.part[:, start:stop], weighted_sq, weights)
        if self.design.kind == "crossed":
            self._each.append(squared)
        replicates = list(self._replicates_within(start, stop))
        for r, part in replicates:
            self._sums[:, r] += np.einsum("j,jik->ik", weights[part], moved[part])
        if self.range_magnitudes is not None:
            inside = sizes[:, :, None] <= self.range_magnitudes * (1 + 1e-9)
            self._range_sq += np.einsum("ij,ijt->it", weighted_sq, inside)
            weighted = inside * weights[:, None]
            for r, part in replicates:
                self._range_sum[:, r] += np.einsum("ijt,jik->itk", weighted[:, part], moved[part])
        if self.keep_raw:
            self._blocks.append(np.moveaxis(moved, 0, 1))

    def _replicates_within(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Yield each replicate with transformations in a block, and their places in the block."""
        end = 0
        for r, size in enumerate(self.design.replicates):
            begin, end = end, end + size
            if begin < stop and start < end:
                yield r, slice(max(begin - start, 0), end - start)

    @np.errstate(invalid="ignore", over="ignore")
    def finish(
        self, y: Rows | None, output_shape: tuple[int, ...], float_floor: float
    ) -> RowStatistics:
        """Return the statistics of the chunk."""
        ends = np.cumsum(self.design.replicates)
        shares = np.array(
            [w.sum() for w in np.split(self.design.weights, ends[:-1])], dtype=np.float64
        )
        means = self._sums / shares[:, None]
        overall = self._sums.sum(axis=1)
        overall_sq = (overall**2).sum(axis=1) - self._noise_of_mean - self._base_noise
        within = np.maximum(self._pair_sq - overall_sq, 0.0)
        declared = self.range_magnitudes is not None
        return RowStatistics(
            base=self.base,
            y=y,
            displacement=means,
            within_sq=within,
            pair_sq=self._pair_sq,
            bin_sq=self._bins.squares,
            bin_weight=self._bins.weights,
            part_sq=self._parts.squares,
            part_weight=self._parts.weights,
            pair_sq_each=np.concatenate(self._each, axis=1) if self._each else None,
            range_sum=self._range_sum / shares[:, None, None] if declared else None,
            range_sq=self._range_sq if declared else None,
            raw=np.concatenate(self._blocks, axis=1) if self._blocks else None,
            n_nonfinite=self._nonfinite,
            noise_sq=(self._noise + self._base_noise) * (len(self.calls) / 2),
            output_shape=output_shape,
            float_floor=float_floor,
            base_noise=self._base_noise if len(self.calls) > 1 else None,
            mean_noise=self._noise_of_mean if len(self.calls) > 1 else None,
        )
