"""Which rows are distinct, in some distance, and who is near whom?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.dimension import FEWEST_ROWS, Dimension, fit_dimension
from equiprob.geometry.extremes import N_LARGEST
from equiprob.geometry.nets import log_cover
from equiprob.geometry.row_metrics import AbstractMetric, RawMetric, squared_distances

_SECONDS = 15.0
"""Spent on nearest neighbours at most: beyond, they are found for some of the rows."""

_FEWEST_QUERIES, _MOST_QUERIES = 200, 10_000
_PROBED = 16
"""Rows whose distances to all others tell the size of the cloud."""

_RADII = 30
_SMALLEST_RADIUS = 1e-4
"""Relative to the largest."""

_FAR = 100.0
"""An outlier's ball without neighbours, over ``n`` times the volume of a typical one. The outermost
of n normal rows has about n times that volume, and is none."""

_DIAMETER_ROWS = 2000


@dataclass(frozen=True, eq=False)
class Cloud:
    """Distinct rows in one distance, and who is near whom.

    Args:
        distance: Between the distinct rows.
        rows: Which of the rows given they are.
        queries: Whose neighbours were found, ``(query,)``.
        distances: To them, ``(query, neighbour)``.
        neighbours: Which they are.
        outlying: Queries far from all others.
        size: Radius of the cloud, root mean square, outliers aside.
        centre: The row nearest to all others, of a few looked at.
        reach: Its largest distance.
    """

    distance: AbstractMetric
    rows: Index
    queries: Index
    distances: Array
    neighbours: Index
    outlying: NDArray[np.bool_]
    size: float
    centre: int
    reach: float

    @classmethod
    def of(cls, distance: AbstractMetric, k: int, generator: np.random.Generator) -> Cloud:
        """Find neighbours until no two rows are equal up to rounding.

        Raises:
            ValueError: If too few rows are distinct.
        """
        rows = np.arange(len(distance))
        while True:
            if len(distance) < FEWEST_ROWS:
                raise ValueError(
                    f"{len(distance)} of the rows are distinct (up to rounding and "
                    f"transformations); at least {FEWEST_ROWS} are needed"
                )
            queries = _queries(distance, generator)
            distances, neighbours = distance.nearest(min(k, len(distance) - 1), queries)
            kept = _representatives(distances, neighbours, queries, distance)
            if len(kept) == len(distance):
                break
            distance, rows = distance.take(kept), rows[kept]
        outlying = _outlying(distances)
        probed = generator.permutation(np.flatnonzero(~outlying))[:_PROBED]
        everywhere = np.full(len(distance), np.inf)
        apart = np.stack([distance.lowered(int(row), everywhere) for row in queries[probed]])
        inside = np.setdiff1d(np.arange(len(distance)), queries[outlying])
        reach = apart.max(axis=1)
        return cls(
            distance,
            rows,
            queries,
            distances,
            neighbours,
            outlying,
            float(np.sqrt((apart[:, inside] ** 2).mean() / 2)),
            int(queries[probed[reach.argmin()]]),
            float(reach.max()),
        )

    def dimension(self, n_draws: int, generator: np.random.Generator) -> Dimension:
        """Fit the dimension to all rows but the outlying ones."""
        near = self.distances[~self.outlying]
        return fit_dimension(near, len(self.rows), self.size, n_draws, generator)

    def log_cover(
        self, radius: Array, dimension: Array, generator: np.random.Generator
    ) -> tuple[Array, int]:
        """Cover the rows (see `nets`)."""
        return log_cover(self.distance, self.centre, radius, dimension, generator)


def _queries(distance: AbstractMetric, generator: np.random.Generator) -> Index:
    """Return the rows whose neighbours are looked for: all, as long as that is affordable."""
    affordable = int(np.clip(_SECONDS / distance.seconds, _FEWEST_QUERIES, _MOST_QUERIES))
    if len(distance) <= affordable:
        return np.arange(len(distance))
    return np.sort(generator.permutation(len(distance))[:affordable])


def _representatives(
    distances: Array, neighbours: Index, queries: Index, distance: AbstractMetric
) -> Index:
    """Return one row of each set of rows that are equal up to rounding."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(distance)
    query, place = np.nonzero(distances <= distance.rounding)
    pairs = queries[query], neighbours[query, place]
    graph = coo_array((np.ones(len(query)), pairs), shape=(n, n))
    labels = connected_components(graph, directed=False)[1]
    return np.sort(np.unique(labels, return_index=True)[1])


def _outlying(distances: Array) -> NDArray[np.bool_]:
    """Return which rows are far from all others, given distances ``(query, neighbour)``."""
    k = distances.shape[1]
    dimension = (np.log(k) + np.euler_gamma) / np.log(distances[:, -1] / distances[:, 0]).mean()
    volumes = dimension * np.log(distances[:, 0] / np.median(distances[:, 0]))
    return volumes > np.log(_FAR * len(distances))


def radii_between(raw: Cloud, orbit: Cloud) -> Array:
    """Return radii from the distance of neighbours up to that which one ball covers all with."""
    nearest = min(float(np.median(cloud.distances[:, 0])) for cloud in (raw, orbit))
    return np.geomspace(max(nearest, _SMALLEST_RADIUS * raw.reach), raw.reach, _RADII)


def diameters(raw: Cloud) -> Array:
    """Return the largest distances between rows, no row in two of them."""
    rows = raw.distance.rows if isinstance(raw.distance, RawMetric) else np.empty((0, 0))
    far = np.linalg.norm(rows - rows[raw.centre], axis=1).argsort()[::-1][:_DIAMETER_ROWS]
    apart = squared_distances(rows[far], rows[far])
    largest = []
    while len(largest) < min(N_LARGEST, len(far) // 2):
        pair = np.unravel_index(apart.argmax(), apart.shape)
        largest.append(np.sqrt(apart[pair]))
        apart[list(pair), :] = apart[:, list(pair)] = -1.0
    return np.array(largest)
