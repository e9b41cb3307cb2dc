"""What is kept of a row's outputs as they stream past?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.designs import Design
from equiprob.orbits.table import Rows, RowStatistics

_MOST_BINS = 12


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


@dataclass
class ChunkStatistics:
    """Accumulates the statistics of one output over one chunk of rows, in float64.

    Args:
        base: The model's output at the rows, ``(row, k)``.
        design: The design.
        magnitudes: Magnitude of each transformation, ``(row, transformation)``.
        bins: The bins of the error by magnitude.
        range_magnitudes: Magnitudes up to which displacements are summed, or None.
        keep_raw: Whether to keep all displacements.
    """

    base: Rows
    design: Design
    magnitudes: NDArray[np.float64]
    bins: MagnitudeBins
    range_magnitudes: NDArray[np.float64] | None
    keep_raw: bool
    _seen: int = 0
    _blocks: list[Rows] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start all sums at zero."""
        n, k = self.base.shape
        n_replicates = len(self.design.replicates)
        n_bins = len(self.bins.magnitude)
        self._sums = np.zeros((n, n_replicates, k))
        self._pair_sq = np.zeros(n)
        self._bin_sq, self._bin_weight = np.zeros((n, n_bins)), np.zeros((n, n_bins))
        self._each: list[Rows] = []
        self._nonfinite = (~np.isfinite(self.base)).any(axis=1).astype(np.int64)
        if self.range_magnitudes is not None:
            n_ranges = len(self.range_magnitudes)
            self._range_sum = np.zeros((n, n_replicates, n_ranges, k))
            self._range_sq = np.zeros((n, n_ranges))

    @np.errstate(invalid="ignore", over="ignore")
    def add(self, outputs: Rows) -> None:
        """Add a block of back-transformed outputs ``(transformation, row, k)``."""
        start, stop = self._seen, self._seen + len(outputs)
        self._seen = stop
        moved = np.moveaxis(outputs - self.base, 0, 1)
        squared = np.einsum("ijk,ijk->ij", moved, moved)
        self._nonfinite += (~np.isfinite(outputs)).any(axis=2).sum(axis=0)
        weights = self.design.weights[start:stop]
        weighted = moved * weights[:, None]
        ends = np.cumsum(self.design.replicates)
        replicate = np.searchsorted(ends, np.arange(start, stop), side="right")
        for r in np.unique(replicate):
            self._sums[:, r] += weighted[:, replicate == r].sum(axis=1)
        self._pair_sq += squared @ weights
        sizes = self.magnitudes[:, start:stop]
        place = np.searchsorted(self.bins.edges, sizes, side="right")
        rows = np.broadcast_to(np.arange(len(sizes))[:, None], place.shape)
        np.add.at(self._bin_sq, (rows, place), squared * weights)
        np.add.at(self._bin_weight, (rows, place), weights)
        if self.design.kind == "crossed":
            self._each.append(squared)
        if self.range_magnitudes is not None:
            inside = (sizes[:, :, None] <= self.range_magnitudes * (1 + 1e-9)).astype(np.float64)
            self._range_sq += np.einsum("ij,ijt->it", squared * weights, inside)
            for r in np.unique(replicate):
                part = replicate == r
                self._range_sum[:, r] += np.einsum(
                    "ijt,ijk->itk", inside[:, part], weighted[:, part]
                )
        if self.keep_raw:
            self._blocks.append(moved)

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
        within = np.maximum(self._pair_sq - (overall**2).sum(axis=1), 0.0)
        declared = self.range_magnitudes is not None
        return RowStatistics(
            base=self.base,
            y=y,
            displacement=means,
            within_sq=within,
            pair_sq=self._pair_sq,
            bin_sq=self._bin_sq,
            bin_weight=self._bin_weight,
            pair_sq_each=np.concatenate(self._each, axis=1) if self._each else None,
            range_sum=self._range_sum / shares[:, None, None] if declared else None,
            range_sq=self._range_sq if declared else None,
            raw=np.concatenate(self._blocks, axis=1) if self._blocks else None,
            n_nonfinite=self._nonfinite,
            output_shape=output_shape,
            float_floor=float_floor,
        )
