"""How equivariant is the model?

The equivariance error ``e_f = (E |f(gX) - rho(g) f(X)|^2)^(1/2)`` over rows and transformations.
Squared displacements to the row itself ("identity pairs") are unbiased for its square under every
design with the law's marginals; the variance within a row is not, and is never used for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.error_draws import error_draws, root
from equiprob.errors.table_findings import design_diagnostics, orbit_average_available
from equiprob.orbits.output import OUTPUT_UNITS
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import OrbitFacts
from equiprob.posterior.hierarchical import Hierarchical
from equiprob.posterior.paired_means import squared_error_limits
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.words import change_of_risk, no_step_seen, of_its_own_variation

Draws = NDArray[np.float64]

_UNITS = {"relative_error": "share", "risk": "risk", "asymmetry_share": "share of risk"}


@dataclass(frozen=True, kw_only=True)
class ModelErrorFacts(OrbitFacts):
    """What travels with a model's equivariance error.

    Args:
        n_transforms: Transformations of each row.
        design: How they were chosen.
        monte_carlo_share: Share of the variance that more transformations would take away; None if
            not known.
        n_components: Of an output.
        float_floor: What rounding makes of the error, in output units.
        floor_method: How that is known.
        calls_apart: How far two calls on the same rows are apart; None if they are equal.
        noise: Root mean square difference of calls on the same input.
        r_hat: The largest, where transformations' effects were sampled.
        ess: The smallest effective sample size, then.
        n_divergences: Of the sampler, then.
    """

    n_transforms: int
    design: str
    monte_carlo_share: float | None
    n_components: float
    float_floor: float
    floor_method: str
    calls_apart: float | None
    noise: float
    r_hat: float | None = None
    ess: float | None = None
    n_divergences: int | None = None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ModelEquivarianceErrorResult(AbstractResult):
    """Posterior of the model equivariance error; made by `ModelEquivarianceError.fit`."""

    facts: ModelErrorFacts = field(repr=False)

    @property
    def is_exact(self) -> bool:
        """Whether the model is equivariant up to rounding."""
        return Diagnostic.UP_TO_ROUNDING in self.diagnostics

    @property
    def float_floor(self) -> float:
        """What rounding makes of the error, in output units; `facts.floor_method` says how."""
        return self.facts.float_floor

    def summary(self, ci_prob: Any = None, ci_kind: Any = None) -> Any:
        """Return the table of `AbstractResult.summary`, with the error per component added."""
        table = super().summary(ci_prob, ci_kind)
        k = self.facts.n_components
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
            f"Over {self.facts.transform}, the model's output changes by "
            f"{np.median(error):.3g}{self._unit} (root mean square; 90% credible interval "
            f"{low:.3g} to {high:.3g})"
        )
        if "relative_error" in self.draws:
            text += f", {of_its_own_variation(self.draws['relative_error'])}"
        text += f", on {self.facts.n_rows} rows."
        if self.facts.noise > 0:
            text += (
                f" Calls on the same input differ by {self.facts.noise:.3g} (root mean square), "
                f"which is not in the error"
            )
            hidden = np.quantile(error, 0.05) == 0
            text += "; no asymmetry stands out from it." if hidden else "."
        if self.is_exact:
            apart = self.facts.calls_apart
            apart = f" (equal calls differ by {apart:.2g})" if apart else ""
            seen = {
                "float64 pass": "Against a pass in float64, rounding alone makes",
                "perturbation": "One rounding of the input, or of the output itself, makes",
            }
            text += (
                f" {seen[self.facts.floor_method]} {self.float_floor:.2g}{apart}: the model is "
                f"exactly equivariant up to rounding."
            )
        if Diagnostic.NO_STEP_SEEN in self.diagnostics:
            text += f" {no_step_seen(self.facts, self.facts.n_transforms)}"
        if "asymmetry_share" in self.draws:
            change = change_of_risk(self.draws["asymmetry_share"])
            text += f" Averaging over the transformations would {change}."
        return text + self.cautions


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
        errors = error_draws(table, means, self.posterior)
        draws, stats = errors.draws, table.moments
        found |= errors.found
        share = self._asymmetry_share(table, means, found)
        if share is not None and Diagnostic.NO_STEP_SEEN not in found:
            draws["asymmetry_share"] = share
        columns = {"the squared error": stats.pair_sq}
        if stats.y is not None:
            columns["the risk"] = table.squared_residual
            quiet = table.noise_repeats == 1
            limits = squared_error_limits(stats.y, stats.base) if quiet else None
            if errors.step and not columns["the risk"].any():
                limits = 0.0, errors.step
            draws["risk"] = _not_below_zero(table, means.mean(columns["the risk"], limits))
        parts = errors.parts
        if errors.unchanged:
            del columns["the squared error"]  # which rows round most says nothing
            parts = {}
        in_steps = () if errors.step is None else {"the squared error", *parts}
        rows = RowFindings.of(
            means, columns, orbits.positions, orbits.left_out, parts=parts, in_steps=in_steps
        )
        order = ("error", "relative_error", "worst_error", "risk", "asymmetry_share")
        order = (*order, "error_by_part", "profile")
        variance = table.variance_parts
        single = len(orbits.positions)
        return ModelEquivarianceErrorResult(
            draws={name: draws[name] for name in order if name in draws},
            dims=errors.dims,
            coords=errors.coords,
            units=dict.fromkeys(draws, stats.unit) | _UNITS,
            diagnostics=worst_first(found | rows.found),
            facts=ModelErrorFacts(
                transform=str(table.transform),
                fingerprint=table.fingerprint,
                output=table.outputs[0],
                n_rows=table.n_finite,
                **rows.facts,
                monte_carlo_share=None if variance is None else variance.monte_carlo_share,
                weight_seed=self.weight_seed,
                n_transforms=table.design.n_transforms,
                design=table.design.kind,
                **errors.facts,
                n_components=stats.n_components,
                float_floor=stats.float_floor,
                calls_apart=stats.apart,
                floor_method=table.floor_method,
                noise=float(np.sqrt(np.average(stats.noise_sq, weights=table.mass))),
                magnitude_label=table.transform.magnitude_label,
                magnitude_unit=table.transform.magnitude_unit,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
            ),
            rows={
                "position": orbits.positions,
                "row_id": table.row_ids[:single],
                "error": root(stats.pair_sq[:single]),
            },
        )

    def _asymmetry_share(
        self, table: OrbitTable, means: RowMeans, found: set[Diagnostic]
    ) -> Draws | None:
        """Return draws of ``(R(f) - R(S f)) / R(f)``, unbiased at a finite orbit, and at most 1.

        Unbiased estimates of the risk of the average fall below zero where it is small beside its
        noise; no risk does. Taking such draws for no risk keeps the coverage of every interval.
        """
        stats = table.moments
        if stats.y is None or not orbit_average_available(table, found):
            return None
        squared, risk = table.mean_displacement_sq, table.squared_residual
        assert squared is not None, "orbit averages are available"
        share = means.ratio(2 * table.gain - squared, risk) if risk.any() else None
        return None if share is None else np.minimum(share, 1.0)


def _not_below_zero(table: OrbitTable, risk: Draws) -> Draws:
    """Return draws of a risk; noise that was taken off may leave less than nothing."""
    return risk if table.noise_repeats == 1 else np.maximum(risk, 0.0)
