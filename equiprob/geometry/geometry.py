"""What is the shape of the inputs, and of their orbits?

Bounds on the generalization gap depend on how many dimensions the inputs fill, how many balls cover
them, and how much fewer their orbits need: that is what a symmetry saves (Petrache & Trivedi).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.tensors import all_on_host
from equiprob.geometry.clouds import Cloud, diameters, radii_between
from equiprob.geometry.dimension import NEIGHBOURS, Dimension
from equiprob.geometry.extremes import end_point
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.geometry.row_metrics import RawMetric, flattened
from equiprob.geometry.slopes import row_slopes
from equiprob.orbits.inputs import check_inputs, ids_of_rows, take_rows, units_of_rows
from equiprob.orbits.keys import Ids
from equiprob.posterior.diagnostics import FEW_UNITS, Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.transforms.transform import Transform, leaf_names

_REFINED_NEIGHBOURS = 40
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


@dataclass(frozen=True, kw_only=True)
class GeometryFacts(Facts):
    """What travels with a geometry.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        fingerprint: Of the transform.
        n_rows: Rows used.
        n_distinct: Different ones.
        n_distinct_orbits: Rows of different orbits.
        outlier_rows: Rows left out of the dimension, being far from all others.
        orbit_distance: How distances between orbits were measured.
        n_queries: Rows whose neighbours were looked for.
        n_orbit_queries: The same up to symmetry.
        n_centres: Balls of the finest covering.
        n_orbit_centres: The same up to symmetry.
        slopes: How slopes of the model were measured; None without a model.
    """

    transform: str
    weight_seed: int
    fingerprint: Any
    n_rows: int
    n_distinct: int
    n_distinct_orbits: int
    outlier_rows: Sequence[int]
    orbit_distance: str
    n_queries: int
    n_orbit_queries: int
    n_centres: int
    n_orbit_centres: int
    slopes: str | None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GeometryResult(AbstractResult):
    """Posterior of the shape of the inputs and of their orbits; made by `Geometry.fit`."""

    facts: GeometryFacts = field(repr=False)

    def __str__(self) -> str:
        """Say what was found."""

        def said(name: str) -> str:
            low, high = credible_interval(self.draws[name], 0.9)
            return f"{np.median(self.draws[name]):.3g} ({low:.3g} to {high:.3g})"

        text = (
            f"The inputs fill {said('dimension')} dimensions, their orbits under "
            f"{self.facts.transform} {said('orbit_dimension')} (90% credible intervals). "
        )
        radius = self.coords["radius"]
        at = int(np.argmin(np.abs(np.median(self.draws["log_cover"], axis=0) - np.log(100))))
        raw, orbit = (
            np.exp(np.median(self.draws[name][:, at])) for name in ("log_cover", "orbit_log_cover")
        )
        text += (
            f"Balls of radius {radius[at]:.3g} that cover {self.facts.n_rows} rows: {raw:.3g}, "
            f"of their orbits {orbit:.3g}. The diameter is {said('diameter')}"
        )
        if "lipschitz" in self.draws:
            text += f", the steepest slope of the model {said('lipschitz')}"
        return text + ", going by the largest seen." + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry(AbstractEstimator):
    """Measure the dimension, covering numbers and size of the inputs, raw and up to symmetry.

    Args:
        radii: Radii of the covering numbers, in input units; 30 from the size of the whole down to
            the distance of neighbours when left out.

    Assumptions:
        Rows are independent draws from the law of the inputs, or groups are, of which one row each
        is looked at (frames of a trajectory: their neighbours in time look one-dimensional). The
        distance is Euclidean over all entries of a
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
        transform: Transform,
        predict: Callable[..., Any] | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> GeometryResult:
        """Measure the inputs, and the slopes of a model on them.

        Args:
            x: The inputs: an array or pytree of float arrays, rows first.
            transform: The transformations that orbits are made of (their law plays no part).
            predict: A model of one output. Without it there is no ``lipschitz``.
            groups: Labels of rows that belong together, ``(row,)``. One row of each, drawn at
                random, stands for it: the others are near it for reasons of their own.

        Returns:
            Draws of ``dimension`` and ``orbit_dimension`` (at the smallest scale;
            ``scale_dimension`` as they look at larger ones), ``log_cover`` and ``orbit_log_cover``
            ``(draw, radius)`` of as many rows of the same law, ``diameter`` and ``lipschitz`` (end
            points extrapolated from the largest values: indicative).

        Raises:
            ValueError: If inputs do not fit, are not floats, or fewer than ten rows (of different
                groups) are distinct.
            TypeError: If `transform` is no transform.
        """
        if not isinstance(transform, Transform):
            raise TypeError(
                f"transform must be made by a function of ep.transforms, got {transform!r}"
            )
        x = all_on_host(x)
        n = check_inputs(x)
        eps = _rounding(x)
        transform.on(x)  # raises where what is declared does not fit
        generator = np.random.default_rng([self.weight_seed, 13])
        numbers = np.arange(n)
        if groups is not None:
            numbers = _one_of_each(units_of_rows(groups, n), generator)
            x, n = take_rows(x, numbers), len(numbers)
        ids = ids_of_rows(None, x, None, n)
        found = {Diagnostic.LARGEST_SEEN}
        raw = Cloud.of(RawMetric(flattened(x), eps), NEIGHBOURS, generator)
        orbit_distance = OrbitMetric.of(x, transform, eps)
        k = _REFINED_NEIGHBOURS if orbit_distance.is_refined else NEIGHBOURS
        orbit = Cloud.of(orbit_distance.take(raw.rows), k, generator)
        radius = self.radii
        if radius is None:
            radius = radii_between(raw, orbit)
        dimension = raw.dimension(self.n_draws, generator)
        orbit_dimension = orbit.dimension(self.n_draws, generator)
        cover, n_centres = raw.log_cover(radius, dimension.draws, generator)
        orbit_cover, n_orbit_centres = orbit.log_cover(radius, orbit_dimension.draws, generator)
        draws = {
            "dimension": dimension.draws,
            "orbit_dimension": orbit_dimension.draws,
            "diameter": end_point(diameters(raw), self.n_draws, generator),
            "log_cover": cover,
            "orbit_log_cover": orbit_cover,
            "scale_dimension": dimension.by_scale,
            "orbit_scale_dimension": orbit_dimension.by_scale,
        }
        facts: dict[str, Any] = {"slopes": None}
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
            facts["nonfinite_rows"] = numbers[raw.rows[raw.queries][~finite]].tolist()
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
            facts=GeometryFacts(
                transform=str(transform),
                fingerprint=transform.fingerprint,
                n_rows=n,
                n_distinct=len(raw.rows),
                n_distinct_orbits=len(orbit.rows),
                outlier_rows=numbers[raw.rows[raw.queries[raw.outlying]]].tolist(),
                orbit_distance=orbit_distance.kind,
                n_queries=len(raw.queries),
                n_orbit_queries=len(orbit.queries),
                n_centres=n_centres,
                n_orbit_centres=n_orbit_centres,
                weight_seed=self.weight_seed,
                **facts,
            ),
            rows={"row_id": ids},
        )


def _one_of_each(units: Ids, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return the number of one row of each group, at random."""
    order = generator.permutation(len(units))
    return np.sort(order[np.unique(units[order], return_index=True)[1]])


def _rounding(x: Any) -> float:
    """Return the relative rounding of the inputs; raise where a leaf is not of floats."""
    for name, leaf in zip(leaf_names(x), jax.tree.leaves(x), strict=True):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"x{name} has dtype {leaf.dtype}, and its values have no distance; leave it out, "
                f"or encode it as floats (one-hot, times how far apart two kinds are)"
            )
    return float(max(jnp.finfo(leaf.dtype).eps for leaf in jax.tree.leaves(x)))


def _diagnosed(
    raw: Cloud,
    orbit: Cloud,
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
