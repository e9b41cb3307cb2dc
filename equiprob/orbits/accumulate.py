"""What is kept of a row, given the sums over its transformations?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.designs import Design
from equiprob.orbits.statistics import Rows, RowStatistics, is_usable
from equiprob.orbits.sums import Found, mean_and_noise

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

    def place(self, magnitudes: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the bin of each magnitude: with so few edges, quicker than by searching them."""
        place = np.zeros(magnitudes.shape, dtype=np.int8)
        for edge in self.edges:
            place += magnitudes >= edge
        return place.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Sizes:
    """The transformations of a chunk, as far as sums over them are told apart.

    Args:
        magnitudes: Magnitude of each transformation, ``(row, transformation)``.
        bins: The bins of the error by magnitude.
        part: The part each transformation belongs to, ``(row, transformation)``.
        n_parts: How many parts the law has (0: it is not reported in parts).
        ranges: Magnitudes up to which displacements are summed, or None.
    """

    magnitudes: NDArray[np.float64]
    bins: MagnitudeBins
    part: NDArray[np.int64]
    n_parts: int
    ranges: NDArray[np.float64] | None

    @cached_property
    def within(self) -> NDArray[np.float64] | None:
        """Whether each is within each declared magnitude: ``(row, transformation, magnitude)``."""
        if self.ranges is None:
            return None
        inside = self.magnitudes[:, :, None] <= self.ranges * (1 + 1e-9)
        return inside.astype(np.float64)

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """The bin of each transformation, ``(row, transformation)``."""
        return self.bins.place(self.magnitudes)


def _binned(
    place: NDArray[np.int64], n_bins: int, squares: Rows, weights: Rows
) -> tuple[Rows, Rows]:
    """Return sums ``(row, bin)`` of weighted squares ``(row, transformation)``, and of weights."""
    n = len(squares)
    if not n_bins:
        return np.zeros((n, 0)), np.zeros((n, 0))
    cells = (place + n_bins * np.arange(n)[:, None]).ravel()
    both = squares, np.broadcast_to(weights, squares.shape)
    sums = [np.bincount(cells, terms.ravel(), minlength=n * n_bins) for terms in both]
    return sums[0].reshape(n, n_bins), sums[1].reshape(n, n_bins)


@np.errstate(invalid="ignore", over="ignore")
def row_statistics(
    calls: Rows,
    found: Found,
    design: Design,
    sizes: Sizes,
    y: Rows | None,
    output_shape: tuple[int, ...],
    float_floor: float,
) -> RowStatistics:
    """Return the statistics of one output over one chunk.

    Args:
        calls: The model's output at the rows, ``(call, row, k)``.
        found: The sums over their transformations.
        design: The design.
        sizes: Which transformations these were.
        y: The targets, ``(row, k)``, or None.
        output_shape: The shape of one output.
        float_floor: What rounding makes of a displacement.
    """
    base, base_noise = mean_and_noise(calls)
    own_noise = 0.0 if base_noise is None else base_noise
    noise, noise_of_mean = np.zeros((2, len(base)))
    if found.noise is not None:
        noise, noise_of_mean = found.noise @ design.weights, found.noise @ design.weights**2
    weighted_sq = found.squared * design.weights
    pair_sq = weighted_sq.sum(axis=1)
    ends = np.cumsum(design.replicates)
    shares = np.array([w.sum() for w in np.split(design.weights, ends[:-1])], dtype=np.float64)
    bin_sq, bin_weight = _binned(
        sizes.place, len(sizes.bins.magnitude), weighted_sq, design.weights
    )
    part_sq, part_weight = _binned(sizes.part, sizes.n_parts, weighted_sq, design.weights)
    within = sizes.within
    bad = (~is_usable(base)).any(axis=1)
    return RowStatistics(
        base=base,
        y=y,
        displacement=found.sums / shares[:, None],
        pair_sq=pair_sq,
        bin_sq=bin_sq,
        bin_weight=bin_weight,
        part_sq=part_sq,
        part_weight=part_weight,
        pair_sq_each=found.squared if design.kind == "crossed" else None,
        range_sum=None if found.range_sum is None else found.range_sum / shares[:, None, None],
        range_sq=None if within is None else np.einsum("ij,ijt->it", weighted_sq, within),
        raw=found.raw,
        n_nonfinite=bad + found.nonfinite.astype(np.int64),
        noise_sq=(noise + own_noise) * (len(calls) / 2),
        output_shape=output_shape,
        float_floor=float_floor,
        base_noise=base_noise,
        mean_noise=None if base_noise is None else noise_of_mean,
    )
