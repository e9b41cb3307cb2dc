"""What is the shape of the inputs, and of their orbits?

Bounds on the generalization gap depend on how many dimensions the inputs fill, how many balls cover
them, and how much fewer their orbits need: that is what a symmetry saves (Petrache & Trivedi).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.bounds.dimension import FEWEST_ROWS, NEIGHBOURS, Dimension, fit_dimension
from equiprob.bounds.extremes import N_LARGEST, end_point
from equiprob.bounds.nets import log_cover
from equiprob.bounds.row_metrics import (
    AbstractMetric,
    OrbitMetric,
    RawMetric,
    flattened,
    squared_distances,
)
from equiprob.bounds.slopes import row_slopes
from equiprob.orbits.inputs import check_inputs, ids_of_rows
from equiprob.posterior.diagnostics import FEW_UNITS, Diagnostic, worst_first
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.transforms.base import AbstractTransform, leaf_names

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_REFINED_NEIGHBOURS = 40
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
_SLOPE_NEIGHBOURS = 8

_UNITS = {
    "dimension": "",
    "orbit_dimension": "",
    "scale_dimension": "",
    "orbit_scale_dimension": "",
    "diameter": "input units",
    "lipschitz": "output units per input unit",
    "log_cover": "",
    "orbit_log_cover": "",
}


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GeometryResult(AbstractResult):
    """Posterior of the shape of the inputs and of their orbits; made by `Geometry.fit`."""

    def __str__(self) -> str:
        """Say what was found."""

        def said(name: str) -> str:
            low, high = credible_interval(self.draws[name], 0.9)
            return f"{np.median(self.draws[name]):.3g} ({low:.3g} to {high:.3g})"

        text = (
            f"The inputs fill {said('dimension')} dimensions, their orbits under "
            f"{self.facts['transform']} {said('orbit_dimension')} (90% credible intervals). "
        )
        radius = self.coords["radius"]
        at = int(np.argmin(np.abs(np.median(self.draws["log_cover"], axis=0) - np.log(100))))
        raw, orbit = (
            np.exp(np.median(self.draws[name][:, at])) for name in ("log_cover", "orbit_log_cover")
        )
        text += (
            f"Balls of radius {radius[at]:.3g} that cover {self.facts['n_rows']} rows: {raw:.3g}, "
            f"of their orbits {orbit:.3g}. The diameter is {said('diameter')}"
        )
        if "lipschitz" in self.draws:
            text += f", the steepest slope of the model {said('lipschitz')}"
        return text + ", going by the largest seen." + self.cautions

    def plot(self, **kwargs: Any) -> Any:
        """Draw covering numbers against the radius, and the dimension against the scale."""
        from equiprob.plots.geometry import plot_geometry

        return plot_geometry(self, **kwargs)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry(AbstractEstimator):
    """Measure the dimension, covering numbers and size of the inputs, raw and up to symmetry.

    Args:
        radii: Radii of the covering numbers, in input units; 30 from the size of the whole down to
            the distance of neighbours when left out.

    Assumptions:
        Rows are independent draws from the law of the inputs (frames of a trajectory are not: their
        neighbours in time look one-dimensional). The distance is Euclidean over all entries of a
        row: put leaves of different kinds on one scale first. Transformations keep distances, or
        the orbit distance is that to the moved first row.

    References:
        Facco et al., Scientific Reports 2017 (two nearest neighbours); Gonzalez, 1985
        (farthest-point nets); Petrache & Trivedi, NeurIPS 2023 (what they are for).
    """

    radii: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the radii."""
        super().__post_init__()
        if self.radii is not None:
            radii = np.atleast_1d(as_numbers("radii", self.radii))
            if radii.ndim != 1 or not radii.size or not (np.isfinite(radii) & (radii > 0)).all():
                raise ValueError(f"radii must be positive lengths, got {self.radii!r}")
            object.__setattr__(self, "radii", np.unique(radii))

    def fit(
        self,
        x: Any,
        transform: AbstractTransform,
        predict: Callable[..., Any] | None = None,
    ) -> GeometryResult:
        """Measure the inputs, and the slopes of a model on them.

        Args:
            x: The inputs: an array or pytree of float arrays, rows first.
            transform: The transformations that orbits are made of (their law plays no part).
            predict: A model of one output. Without it there is no ``lipschitz``.

        Returns:
            Draws of ``dimension`` and ``orbit_dimension`` (at the smallest scale;
            ``scale_dimension`` as they look at larger ones), ``log_cover`` and ``orbit_log_cover``
            ``(draw, radius)`` of as many rows of the same law, ``diameter`` and ``lipschitz`` (end
            points extrapolated from the largest values: indicative).

        Raises:
            ValueError: If inputs do not fit, are not floats, or fewer than ten rows are distinct.
            TypeError: If `transform` is no transform.
        """
        if not isinstance(transform, AbstractTransform):
            raise TypeError(
                f"transform must be made by a function of ep.transforms, got {transform!r}"
            )
        n = check_inputs(x)
        eps = _rounding(x)
        transform.input_actions(x)
        ids = ids_of_rows(None, x, None, n)
        generator = np.random.default_rng([self.weight_seed, 13])
        found = {Diagnostic.LARGEST_SEEN}
        raw = _Cloud.of(RawMetric(flattened(x), eps), NEIGHBOURS, generator)
        orbit_distance = OrbitMetric.of(x, transform, eps)
        k = _REFINED_NEIGHBOURS if orbit_distance.is_refined else NEIGHBOURS
        orbit = _Cloud.of(orbit_distance.take(raw.rows), k, generator)
        radius = self.radii
        if radius is None:
            radius = _radii(raw, orbit)
        dimension = raw.dimension(self.n_draws, generator)
        orbit_dimension = orbit.dimension(self.n_draws, generator)
        cover, n_centres = raw.log_cover(radius, dimension.draws, generator)
        orbit_cover, n_orbit_centres = orbit.log_cover(radius, orbit_dimension.draws, generator)
        draws = {
            "dimension": dimension.draws,
            "orbit_dimension": orbit_dimension.draws,
            "diameter": end_point(_diameters(raw), self.n_draws, generator),
            "log_cover": cover,
            "orbit_log_cover": orbit_cover,
            "scale_dimension": dimension.by_scale,
            "orbit_scale_dimension": orbit_dimension.by_scale,
        }
        facts: dict[str, Any] = {}
        if predict is not None:
            near = raw.neighbours[:, :_SLOPE_NEIGHBOURS]
            slopes, how = row_slopes(
                predict,
                x,
                transform,
                raw.rows[raw.queries],
                raw.rows[near],
                raw.distances[:, :_SLOPE_NEIGHBOURS],
            )
            finite = np.isfinite(slopes)
            if not finite.any():
                raise ValueError("no row has a finite slope: look at the model's outputs")
            if not finite.all():
                found.add(Diagnostic.NONFINITE_OUTPUTS)
            draws["lipschitz"] = end_point(slopes[finite], self.n_draws, generator)
            facts["slopes"] = how
            facts["nonfinite_rows"] = [int(r) for r in raw.rows[raw.queries][~finite]]
        found |= _diagnosed(raw, orbit, dimension, orbit_dimension, n, orbit_distance)
        if n_centres < len(raw.rows) or n_orbit_centres < len(orbit.rows):
            found.add(Diagnostic.FEWER_CENTRES)
        return GeometryResult(
            draws={name: draws[name] for name in _UNITS if name in draws},
            dims={
                "log_cover": ("radius",),
                "orbit_log_cover": ("radius",),
                "scale_dimension": ("scale",),
                "orbit_scale_dimension": ("orbit_scale",),
            },
            coords={
                "radius": radius,
                "scale": dimension.scales,
                "orbit_scale": orbit_dimension.scales,
            },
            units=_UNITS,
            diagnostics=worst_first(found),
            facts={
                "transform": str(transform),
                "n_rows": n,
                "n_distinct": len(raw.rows),
                "n_distinct_orbits": len(orbit.rows),
                "outlier_rows": [int(r) for r in raw.rows[raw.queries[raw.outlying]]],
                "orbit_distance": orbit_distance.kind,
                "n_queries": len(raw.queries),
                "n_orbit_queries": len(orbit.queries),
                "n_centres": n_centres,
                "n_orbit_centres": n_orbit_centres,
                "weight_seed": self.weight_seed,
                **facts,
            },
            rows={"row_id": ids},
        )


def _rounding(x: Any) -> float:
    """Return the relative rounding of the inputs; raise where a leaf is not of floats."""
    for name, leaf in zip(leaf_names(x), jax.tree.leaves(x), strict=True):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"x{name} has dtype {leaf.dtype}, and its values have no distance; leave it out, "
                f"or encode it as floats (one-hot, times how far apart two kinds are)"
            )
    return float(max(jnp.finfo(leaf.dtype).eps for leaf in jax.tree.leaves(x)))


@dataclass(frozen=True, eq=False)
class _Cloud:
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
    def of(cls, distance: AbstractMetric, k: int, generator: np.random.Generator) -> _Cloud:
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


def _radii(raw: _Cloud, orbit: _Cloud) -> Array:
    """Return radii from the distance of neighbours up to that which one ball covers all with."""
    nearest = min(float(np.median(cloud.distances[:, 0])) for cloud in (raw, orbit))
    return np.geomspace(max(nearest, _SMALLEST_RADIUS * raw.reach), raw.reach, _RADII)


def _diameters(raw: _Cloud) -> Array:
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


def _diagnosed(
    raw: _Cloud,
    orbit: _Cloud,
    dimension: Dimension,
    orbit_dimension: Dimension,
    n: int,
    distance: OrbitMetric,
) -> set[Diagnostic]:
    found: set[Diagnostic] = set()
    if len(orbit.rows) < n:
        found.add(Diagnostic.EQUAL_ROWS)
    if raw.outlying.any():
        found.add(Diagnostic.OUTLYING_ROWS)
    if not (dimension.agree and orbit_dimension.agree):
        found.add(Diagnostic.SCALES_DISAGREE)
    if dimension.on_grid or orbit_dimension.on_grid:
        found.add(Diagnostic.ON_A_GRID)
    if distance.kind == "sampled":
        found.add(Diagnostic.ORBITS_SAMPLED)
    if len(raw.rows) < FEW_UNITS:
        found.add(Diagnostic.FEW_ROWS)
    return found
