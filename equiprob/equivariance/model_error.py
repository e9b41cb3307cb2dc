"""How equivariant is the model?

The equivariance error ``e_f = (E |f(gX) - rho(g) f(X)|^2)^(1/2)`` over rows and transformations.
Squared displacements to the row itself ("identity pairs") are unbiased for its square under every
design with the law's marginals; the variance within a row is not, and is never used for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.output import OUTPUT_UNITS
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import (
    ENOUGH_FOR_FAILURES,
    FEW_UNITS,
    HEAVY_TAIL_INDEX,
    Diagnostic,
    worst_first,
)
from equiprob.posterior.posteriors import Hierarchical
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.base import AbstractTransform, hammersley
from equiprob.transforms.rows import move_rows

Draws = NDArray[np.float64]

ROUNDING_FACTOR = 16.0
"""An error whose credible upper end is within this factor of the float floor is rounding.

The floor is one rounding of the input, seen through the model; an exactly equivariant network adds
its own roundings, layer by layer. Set by measurement on exactly invariant networks: see
`benchmarks/float_floor.py`.
"""

FLOAT64_FACTOR = 4.0
"""The same where the floor is the difference to a pass in float64, which holds all roundings."""

_UNITS = {"relative_error": "share", "risk": "risk", "asymmetry_share": "share of risk"}

_CONSTANT = 1e-12
"""Variation over rows, relative to the output's size, below which there is none to compare with."""

_MOST_AVERAGED = 64


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ModelEquivarianceErrorResult(AbstractResult):
    """Posterior of the model equivariance error; made by `ModelEquivarianceError.fit`."""

    @property
    def is_exact(self) -> bool:
        """Whether the model is equivariant up to rounding."""
        return Diagnostic.UP_TO_ROUNDING in self.diagnostics

    @property
    def float_floor(self) -> float:
        """What rounding makes of the error, in output units; `facts["floor_method"]` says how."""
        return float(self.facts["float_floor"])

    def summary(self, ci_prob: Any = None, ci_kind: Any = None) -> Any:
        """Return the table of `AbstractResult.summary`, with the error per component added."""
        table = super().summary(ci_prob, ci_kind)
        k = float(self.facts["n_components"])
        if k > 1:
            per_component = table.loc[["error"]].rename(index={"error": "error_per_component"})
            numbers = ["estimate", "ci_low", "ci_high", "mc_error"]
            per_component[numbers] = per_component[numbers] / np.sqrt(k)
            import pandas as pd

            table = pd.concat([table.iloc[:1], per_component, table.iloc[1:]])
            table.index.name = "quantity"
        return table

    @property
    def _unit(self) -> str:
        """The unit of the error as it follows a number; nothing where none was declared."""
        unit = self.units["error"]
        return "" if unit == OUTPUT_UNITS else f" {unit}"

    def worst_rows(self, n: int = 5) -> NDArray[np.int64]:
        """Return the positions of the `n` rows with the largest error, worst first."""
        order = np.argsort(-self.rows["error"], kind="stable")[:n]
        return self.rows["position"][order]

    def __str__(self) -> str:
        """Say what was found."""
        error = self.draws["error"]
        low, high = credible_interval(error, 0.9)
        text = (
            f"Over {self.facts['transform']}, the model's output changes by "
            f"{np.median(error):.3g}{self._unit} (root mean square; 90% credible interval "
            f"{low:.3g} to {high:.3g})"
        )
        if "relative_error" in self.draws:
            text += f", {100 * np.median(self.draws['relative_error']):.3g} % of its own variation"
        text += f", on {self.facts['n_rows']} rows."
        if self.facts["noise"] > 0:
            text += (
                f" Calls on the same input differ by {self.facts['noise']:.3g} (root mean square), "
                f"which is not in the error"
            )
            hidden = np.quantile(error, 0.05) == 0
            text += "; no asymmetry stands out from it." if hidden else "."
        if self.is_exact:
            seen = {
                "float64 pass": "Against a pass in float64, rounding alone makes",
                "perturbation": "One rounding of the input already changes it by",
            }
            text += (
                f" {seen[self.facts['floor_method']]} {self.float_floor:.2g}: the model is exactly "
                f"equivariant up to rounding."
            )
        if "asymmetry_share" in self.draws:
            share = self.draws["asymmetry_share"]
            low, high = credible_interval(share, 0.9)
            text += (
                f" Averaging over the transformations would change its risk by "
                f"{-100 * np.median(share):+.3g} % ({-100 * high:+.3g} to {-100 * low:+.3g})."
            )
        return text + self.cautions

    def plot(self, **kwargs: Any) -> Any:
        """Draw the posterior of the error and the error against the size of the transformation."""
        from equiprob.plots.model_error import plot_model_error

        return plot_model_error(self, **kwargs)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ModelEquivarianceError(AbstractEstimator):
    """Estimate how far a model is from equivariant, with a posterior.

    Args:
        posterior: For crossed designs, ``ep.posteriors.Hierarchical()`` in place of the closed
            form.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs. No assumption on the
        symmetry of that law is needed.

    References:
        Petrache & Trivedi, "Approximation-Generalization Trade-offs under (Approximate) Group
        Equivariance", NeurIPS 2023 (the equivariance error); Rubin, Annals of Statistics 1981 (the
        Bayesian bootstrap); Owen & Eckles, Annals of Applied Statistics 2012 (crossed designs).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: rows[:, 0], x, turns, n_transforms=8)
        >>> result = ep.ModelEquivarianceError().fit(orbits)
        >>> low, high = result.interval(ci_prob=0.9).loc["error"]
        >>> bool(low < np.sqrt(2) < high)  # the truth
        True
        >>> result.status
        'no problem found'
    """

    posterior: Hierarchical | None = None

    def fit(self, orbits: OrbitTable) -> ModelEquivarianceErrorResult:
        """Fit to an orbit table.

        Args:
            orbits: The table of one output (``orbits["forces"]`` chooses among several).

        Returns:
            Draws of ``error`` (root mean square norm over output components, in output units),
            ``relative_error`` (of the output's variation over rows), ``profile`` over the magnitude
            of the transformation (or, in crossed designs, over transformations), ``worst_error``
            (crossed designs: the largest error over the transformations evaluated), where the law
            has several parts, ``error_by_part`` (proper and improper, say) and, with targets,
            ``risk`` and ``asymmetry_share``: the share of it that averaging over the
            transformations removes.

        Raises:
            ValueError: If the table has several outputs, or fewer than two finite rows, or if
                `posterior` is given and the design is not crossed.
        """
        if self.posterior is not None and orbits.design.kind != "crossed":
            raise ValueError(
                f"a hierarchical posterior is for rows that share their transformations, got a "
                f"{orbits.design.kind} design; pass design='crossed', or leave posterior out"
            )
        table = orbits.finite
        found = design_diagnostics(orbits)
        means = RowMeans.of(table, self.n_draws, self.weight_seed)
        draws, coords, dims, sampler = (
            self._crossed(table, means)
            if table.design.kind == "crossed"
            else self._by_row(table, means, found)
        )
        stats = table.moments
        relative = _relative_error(table, means, draws["error"])
        if relative is None:
            found.add(Diagnostic.CONSTANT_OUTPUT)
        else:
            draws["relative_error"] = relative
        tail_index = means.tail_index(stats.pair_sq)
        if tail_index > HEAVY_TAIL_INDEX:
            found.add(Diagnostic.HEAVY_TAIL)
        share = self._asymmetry_share(table, means, found)
        if share is not None:
            draws["asymmetry_share"] = share
        if stats.y is not None:
            draws["risk"] = means.mean(((stats.y - stats.base) ** 2).sum(axis=1))
        rounding = rounding_limit(table)
        if table.noise_repeats == 1 and np.quantile(draws["error"], 0.95) <= rounding:
            found.add(Diagnostic.UP_TO_ROUNDING)
        if table.transform.parts:
            draws["error_by_part"] = _root(means.ratios(stats.part_sq, stats.part_weight))
            coords, dims = _with_parts(table.transform.parts, coords, dims)
        order = ("error", "relative_error", "worst_error", "risk", "asymmetry_share")
        order = (*order, "error_by_part", "profile")
        parts, n_effective = table.variance_parts, means.n_effective(stats.pair_sq)
        single = len(orbits.positions)
        return ModelEquivarianceErrorResult(
            draws={name: draws[name] for name in order if name in draws},
            dims=dims,
            coords=coords,
            units=dict.fromkeys(draws, stats.unit) | _UNITS,
            diagnostics=worst_first(found),
            facts={
                "transform": str(table.transform),
                "output": table.outputs[0],
                "n_rows": table.n_finite,
                "n_units": means.n_units,
                "n_effective": None if np.isnan(n_effective) else n_effective,
                "tail_index": None if np.isnan(tail_index) else tail_index,
                "monte_carlo_share": None if parts is None else parts.monte_carlo_share,
                "invisible_rate": min(3 / means.n_units, 1.0),
                "weight_seed": self.weight_seed,
                "n_transforms": table.design.n_transforms,
                "design": table.design.kind,
                **sampler,
                "n_components": stats.n_components,
                "float_floor": stats.float_floor,
                "floor_method": table.floor_method,
                "noise": float(np.sqrt(np.average(stats.noise_sq, weights=table.mass))),
                "magnitude_label": table.transform.magnitude_label,
                "magnitude_unit": table.transform.magnitude_unit,
                "nonfinite_rows": [int(r) for r in orbits.nonfinite_rows],
            },
            rows={
                "position": orbits.positions,
                "row_id": table.row_ids[:single],
                "error": _root(stats.pair_sq[:single]),
            },
        )

    def _by_row(self, table: OrbitTable, means: RowMeans, found: set[Diagnostic]) -> Any:
        """Return draws where each row has its own transformations."""
        stats = table.moments
        found.add(Diagnostic.WORST_NEEDS_CROSSED)
        seen = stats.bin_weight.sum(axis=0) > 0
        draws = {
            "error": _root(means.mean(stats.pair_sq)),
            "profile": _root(means.ratios(stats.bin_sq.T[seen].T, stats.bin_weight.T[seen].T)),
        }
        return draws, {"magnitude": table.bin_magnitude[seen]}, {"profile": ("magnitude",)}, {}

    def _crossed(self, table: OrbitTable, means: RowMeans) -> Any:
        """Return draws where all rows share a list of transformations: both are sampled."""
        each = table.only.pair_sq_each
        assert each is not None, "crossed designs keep the error of each transformation"
        magnitude = table.transform.magnitude(table.parameters()[0])
        mean_sq = means.mean(each.mean(axis=1))
        if self.posterior is None:
            profile_sq = profile_squared(each, means, mean_sq)
            columns = each.mean(axis=0)
            listed = RowMeans(_numbers(columns), self.n_draws, self.weight_seed)
            relative = listed.mean(columns / (columns.mean() or 1.0))
            worst_sq = _worst_squared(_by_unit(each, table), mean_sq, profile_sq, self.weight_seed)
            sampler: dict[str, float] = {}
        else:
            effects = self.posterior.effects(
                _by_unit(each, table),
                _place_in_law(magnitude, table.transform),
                n_draws=self.n_draws,
                seed=self.weight_seed,
            )
            relative, profile_sq = effects.mean, mean_sq[:, None] * effects.each
            worst_sq, sampler = profile_sq.max(axis=1), effects.facts
        draws = {
            "error": _root(mean_sq * relative),
            "profile": _root(profile_sq),
            "worst_error": _root(worst_sq),
        }
        order = np.argsort(magnitude, kind="stable")
        draws["profile"] = draws["profile"][:, order]
        return draws, {"transform": magnitude[order]}, {"profile": ("transform",)}, sampler

    def _asymmetry_share(
        self, table: OrbitTable, means: RowMeans, found: set[Diagnostic]
    ) -> Draws | None:
        """Return draws of ``(R(f) - R(S f)) / R(f)``, unbiased at a finite orbit."""
        stats = table.moments
        if stats.y is None or not orbit_average_available(table, found):
            return None
        residual, squared = stats.y - stats.base, table.mean_displacement_sq
        assert squared is not None, "orbit averages are available"
        cross = (residual * table.mean_displacement).sum(axis=1)
        risk = (residual**2).sum(axis=1)
        return means.ratio(2 * cross - squared, risk) if risk.any() else None


def profile_squared(each: Draws, means: RowMeans, mean_sq: Draws) -> Draws:
    """Return draws ``(draw, transformation)`` of the squared error at each transformation.

    Args:
        each: Squared displacements, ``(row, transformation)``.
        means: The posterior of the rows' means.
        mean_sq: Draws of the mean over both, tails included.
    """
    plain = means.plain(np.column_stack([each, each.mean(axis=1)]))
    # What the tail adds to the rows' mean, it adds at all transformations in proportion.
    level = np.divide(mean_sq, plain[:, -1], out=np.ones(len(plain)), where=plain[:, -1] > 0)
    return np.maximum(plain[:, :-1] * level[:, None], 0.0)


def _with_parts(parts: tuple[str, ...], coords: Any, dims: Any) -> tuple[Any, Any]:
    """Return coordinates and dimensions with those of the parts of the law added."""
    return {**coords, "part": np.array(parts)}, {**dims, "error_by_part": ("part",)}


def _numbers(columns: Draws) -> NDArray[np.uint64]:
    """Return unit ids for a list of transformations."""
    return np.arange(len(columns), dtype=np.uint64)


def rounding_limit(table: OrbitTable) -> float:
    """Return the error up to which a model counts as equivariant up to rounding."""
    by_pass = table.floor_method == "float64 pass"
    return (FLOAT64_FACTOR if by_pass else ROUNDING_FACTOR) * table.moments.float_floor


def orbit_average_available(table: OrbitTable, found: set[Diagnostic]) -> bool:
    """Whether products of orbit averages are unbiased in this design; says why not in `found`."""
    if table.design.kind == "crossed":
        found.add(Diagnostic.SHARED_TRANSFORMS)
        return False
    if table.mean_displacement_sq is None:
        found.add(Diagnostic.ONE_TRANSFORM)
        return False
    return True


def design_diagnostics(orbits: OrbitTable) -> set[Diagnostic]:
    """Return what a table's rows and design say of every result fitted to it."""
    found: set[Diagnostic] = set()
    design = orbits.design
    n_units = orbits.finite.n_units
    if n_units < FEW_UNITS:
        found.add(Diagnostic.FEW_ROWS)
    if n_units < ENOUGH_FOR_FAILURES:
        found.add(Diagnostic.RARE_FAILURES)
    if orbits.n_finite < len(orbits):
        found.add(Diagnostic.NONFINITE_OUTPUTS)
    if design.kind == "full":
        found.add(Diagnostic.FULL_ORBIT)
    if orbits.noise_repeats > 1:
        found.add(Diagnostic.NOISE_REMOVED)
    if design.kind == "random" and design.asked == "quasi":
        found.add(Diagnostic.RANDOM_DESIGN)
    if design.kind == "crossed" and design.n_transforms < FEW_UNITS:
        found.add(Diagnostic.FEW_TRANSFORMS)
    return found


def fixed_part(transform: AbstractTransform, output: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project one output ``(...)`` onto the outputs that all transformations leave in place.

    High powers of the averaged action converge to the projection where the action is orthogonal.
    """
    finite = transform.enumeration()
    if finite is not None and len(finite.weights) <= _MOST_AVERAGED:
        parameters = finite.parameters
    elif transform.n_uniforms:
        points = hammersley(_MOST_AVERAGED, transform.n_uniforms, centred=True)
        parameters = transform.parameters(points)
    else:
        generator = np.random.default_rng(0)
        parameters = np.stack([transform.sample(generator) for _ in range(_MOST_AVERAGED)])
    actions = transform.output_actions(output[None])
    (element,) = transform.leaf_elements(actions, parameters, [output.dtype])

    def averaged(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply the averaged action to vectors ``(vector, ...)``."""
        n, m = len(vectors), len(parameters)
        each = {name: np.repeat(values, n, axis=0) for name, values in element.items()}
        moved = move_rows(actions, [each], np.concatenate([vectors] * m))
        return np.asarray(moved).reshape(m, *vectors.shape).mean(axis=0)

    if output.size > _MOST_AVERAGED:
        fixed = output[None]
        for _ in range(_MOST_AVERAGED):
            fixed = averaged(fixed)
        return fixed[0]
    basis = np.eye(output.size).reshape(-1, *output.shape)
    power = averaged(basis).reshape(output.size, output.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(20):  # the 2^20-th power: a range of a degree converges, too
            power = power @ power
    if not np.isfinite(power).all():  # the action enlarges outputs: zero is what it leaves for sure
        return np.zeros_like(output)
    return (output.ravel() @ power).reshape(output.shape)


def fixed_part_of_mean(table: OrbitTable, values: Draws) -> Draws:
    """Return the mean of outputs ``(row, k)``, projected onto what all transformations leave.

    Weighted components (see `RowStatistics`) have the mean of the rows in which they are data, and
    it is returned with each row's weights.
    """
    weight, shape = table.moments.weight, table.moments.output_shape
    # What components a block has beyond those of an output are spread, which has no mean.
    k = int(np.prod(shape))
    centre = np.zeros(values.shape[1])
    if weight is None:
        centre[:k] = np.average(values[:, :k], axis=0, weights=table.mass)
    else:
        mass = (weight**2).sum(axis=0)
        centre = (weight * values).sum(axis=0) / np.where(mass > 0, mass, 1.0)
    alone = table.transform.of_output(table.outputs[0])
    if not alone.keeps_output:
        centre[:k] = fixed_part(alone, centre[:k].reshape(shape)).ravel()
    return centre if weight is None else weight * centre


def _place_in_law(magnitude: Draws, transform: AbstractTransform) -> Draws:
    """Return the share of the law of smaller magnitude; of an atom, half counts as smaller."""
    values, weights = transform.magnitude_law()
    order = np.argsort(values)
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    margin = 1e-9 * np.abs(values).max()
    sides = [np.searchsorted(values[order], magnitude + d) for d in (-margin, margin)]
    return (below[sides[0]] + below[sides[1]]) / 2


def _by_unit(each: Draws, table: OrbitTable) -> Draws:
    """Return means over the rows of each independent unit, ``(unit, transformation)``."""
    units, place, counts = np.unique(table.unit_ids, return_inverse=True, return_counts=True)
    if len(units) == len(each):
        return each
    sums = np.zeros((len(units), each.shape[1]))
    np.add.at(sums, place, each)
    return sums / counts[:, None]


def _root(squares: Draws) -> Draws:
    return np.sqrt(np.maximum(squares, 0.0))


def _relative_error(table: OrbitTable, means: RowMeans, error: Draws) -> Draws | None:
    """Return draws of the error over the rms distance of the output to its fixed mean.

    None where the output does not vary.
    """
    stats = table.moments
    base = stats.base
    centre = fixed_part_of_mean(table, base)
    invariant = table.transform.of_output(table.outputs[0]).keeps_output
    spread = ((base - centre) ** 2).sum(axis=1) - stats.noise_sq / table.noise_repeats
    size = np.average((base**2).sum(axis=1), weights=table.mass)
    if np.average(spread, weights=table.mass) <= _CONSTANT * size:
        return None
    # The centre moves with the weights, too: take off the squared distance of the weighted mean
    # from it, along the outputs that can be a centre.
    size_sq = means.mean(spread)
    k = int(np.prod(stats.output_shape))
    moved = (means.plain((base - centre)[:, :k]) ** 2).sum(axis=1) if invariant else 0.0
    with np.errstate(divide="ignore", over="ignore"):
        kept = np.maximum(1 - moved / size_sq, np.finfo(float).tiny)
    if table.design.kind == "crossed":  # the error has a random effect that no row contrast has
        return error / np.sqrt(size_sq * kept)
    return _root(means.ratio(stats.pair_sq, spread)) / np.sqrt(kept)


def _worst_squared(each: Draws, mean_sq: Draws, profile_sq: Draws, seed: int) -> Draws:
    """Return draws of the largest squared error over the transformations, shrunken.

    The balanced two-way normal model ``v_ij = a_i b_j + noise`` is sampled from its sums of
    squares, so that transformations that do not differ do not produce a large maximum. Effects
    multiply: rows on which the model errs more do so under all transformations, and the level of
    the largest error is as uncertain, in relative terms, as that of the mean error.
    """
    n, m = each.shape
    rows, columns, mean = each.mean(axis=1), each.mean(axis=0), each.mean()
    if m < 2 or mean <= 0:
        return profile_sq.max(axis=1)
    residual = ((each - rows[:, None] * columns / mean) ** 2).sum()
    between = n * ((columns - mean) ** 2).sum()
    generator = np.random.default_rng([seed, 1])
    n_draws = len(profile_sq)
    noise = residual / generator.chisquare((n - 1) * (m - 1), n_draws)
    total = np.maximum(between / generator.chisquare(m - 1, n_draws), noise)
    keep = 1 - noise / np.maximum(total, np.finfo(float).tiny)
    spread = np.sqrt(noise / n * keep)
    effects = keep[:, None] * (columns - mean)
    effects = effects + spread[:, None] * generator.standard_normal((n_draws, m))
    return mean_sq * (1 + effects.max(axis=1) / mean)
