"""How symmetric is the task?

The data equivariance error ``e* = (E |f*(gX) - rho(g) f*(X)|^2)^(1/2)`` of the unknown regression
function f*, on the same scale as the model's. What a sample can say of it depends on the law of the
inputs (cases H, I and N), and so does what this result holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.table_findings import design_diagnostics
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import OrbitFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.task.invariance_check import (
    InvarianceCheck,
    InvarianceCheckResult,
    InvariantLaw,
)
from equiprob.task.methods.base import AbstractMethod, Case
from equiprob.task.methods.symmetrization import Symmetrization
from equiprob.task.spectral_constants import eigenvalues
from equiprob.transforms.fingerprint import OF_OUTPUT, check_same_transform

_DISTORTION = 1e-3
"""Relative change of an output's size above which an output action is not orthogonal."""

_ERRORS: tuple[str, ...] = ("error", "error_if_asymmetric", "lower", "upper", "profile")
_COSTS: tuple[str, ...] = ("symmetry_cost", "symmetry_cost_lower", "symmetry_cost_upper")
_BRACKETS: tuple[str, ...] = (
    *("invariant_error_lower", "invariant_error_upper"),
    *("free_error_lower", "free_error_upper"),
)
"""Bounds on the share of wrong labels of the best classifiers, exactly invariant and any."""

_WORTH_SAYING = 0.005
"""Probability of exact symmetry from which the error without it is another than the error."""

_WHY = {
    Case.HAAR: "inputs and moved inputs are equally likely, and the transformations uniform",
    Case.INVARIANT: "inputs and moved inputs are equally likely",
    Case.NEITHER: "moved inputs are not known to be as likely as the inputs",
}


@dataclass(frozen=True, kw_only=True)
class DataErrorFacts(OrbitFacts):
    """What travels with the task's own equivariance error.

    Args:
        method: The name of the method.
        case: What is known of the law of the inputs.
        auc: Of the check of the law; None if it was promised, or is unknown.
        kappa: The largest ratio of densities that the check of the law found; None if not known.
        least_eigenvalue: Of what the law does to changes; None if not known.
        largest_eigenvalue: The largest one; None if not known.
        of_method: What the method says of itself, by name: see there.
    """

    method: str
    case: str
    auc: float | None
    kappa: float | None
    least_eigenvalue: float | None
    largest_eigenvalue: float | None
    of_method: Mapping[str, Any]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class DataEquivarianceErrorResult(AbstractResult):
    """Posterior of the data equivariance error; made by `DataEquivarianceError.fit`.

    Args:
        process: The posterior of the truth at the rows, from `methods.GaussianProcess` (not saved
            with the result).
    """

    facts: DataErrorFacts = field(repr=False)

    process: Any = field(default=None, repr=False)

    @property
    def case(self) -> Case:
        """What was known of the law of the inputs."""
        return Case(self.facts.case)

    @property
    def p_symmetric(self) -> float | None:
        """Posterior probability of exact symmetry, where the method has one."""
        value = self.facts.of_method.get("p_symmetric")
        return None if value is None else float(value)

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Joint draws of a lower and an upper bound on the error; None where it is withheld.

        The upper one is infinite where nothing is known from above.
        """
        if "error" in self.draws:
            return self.draws["error"], self.draws["error"]
        if "lower" in self.draws:
            lower = self.draws["lower"]
            return lower, self.draws.get("upper", np.full_like(lower, np.inf))
        return None

    def __str__(self) -> str:
        """Say what was found."""
        text = f"Over {self.facts.transform}, {_WHY[self.case]} (case '{self.case}'). "
        if "error" in self.draws:
            low, high = credible_interval(self.draws["error"], 0.9)
            text += (
                f"The task itself changes by {np.median(self.draws['error']):.3g} (root mean "
                f"square; 90% credible interval {low:.3g} to {high:.3g})."
            )
        elif "lower" in self.draws:
            low = np.quantile(self.draws["lower"], 0.05)
            most = ""
            if "upper" in self.draws:
                most = f" and at most {np.quantile(self.draws['upper'], 0.95):.3g}"
            text += (
                f"The task itself changes by at least {low:.3g}{most} (root mean square; each "
                f"bound holds with probability 95%)."
            )
        else:
            text += (
                "The data error is withheld: what is true of moved inputs cannot be known from "
                "these data."
            )
        if "symmetry_cost" in self.draws:
            cost = self.draws["symmetry_cost"]
            low, high = credible_interval(cost, 0.9)
            text += (
                f" The best exactly symmetric predictor has {np.median(cost):.3g} more risk than "
                f"the best predictor ({low:.3g} to {high:.3g}{self._cost_bound})."
            )
        elif self.case is Case.NEITHER and "symmetry_cost_upper" in self.draws:
            high = np.quantile(self.draws["symmetry_cost_upper"], 0.95)
            text += (
                f" Exact symmetry costs at most {high:.3g} in risk (with probability 95%); "
                f"methods.TrainedPair estimates it."
            )
        if "invariant_error_lower" in self.draws:
            least, most, free = (
                np.median(self.draws[name])
                for name in ("invariant_error_lower", "invariant_error_upper", "free_error_upper")
            )
            text += (
                f" The best exactly invariant classifier is wrong on a share of {least:.2g} to "
                f"{most:.2g} of rows, the best of any kind on at most {free:.2g} (bounds by the "
                f"nearest neighbour, as the number of rows grows)."
            )
        if self.p_symmetric is not None:
            text += f" Probability of exact symmetry: {self.p_symmetric:.2f}"
            if "error_if_asymmetric" in self.draws and self.p_symmetric >= _WORTH_SAYING:
                low, high = credible_interval(self.draws["error_if_asymmetric"], 0.9)
                text += f"; if it does not hold, the task changes by {low:.3g} to {high:.3g} (90%)"
            text += "."
        return text + self.cautions

    @property
    def _cost_bound(self) -> str:
        """The upper bound on the symmetry cost beside its estimate, in words."""
        if "symmetry_cost_upper" not in self.draws:
            return ""
        high = np.quantile(self.draws["symmetry_cost_upper"], 0.95)
        return f"; at most {high:.3g} with probability 95%"


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class DataEquivarianceError(AbstractEstimator):
    """Estimate how far the task is from equivariant, with a posterior.

    Args:
        method: How: `methods.Symmetrization` (bounds from any predictor), `methods.Neighbours`
            (from the data alone), `methods.TrainedPair`, `methods.GaussianProcess`,
            `methods.Oracle` or `methods.MeasuredPairs`.

    Assumptions:
        Rows (or groups) are independent, and the predictor was not trained on them.

    References:
        Petrache & Trivedi, NeurIPS 2023; Wang et al., NeurIPS 2023 (points outside the
        data); docs/data_error.md.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: rows[:, 0], x, turns, y=x[:, 0])
        >>> method = ep.methods.Symmetrization(noise_variance=0.0)
        >>> result = ep.DataEquivarianceError(method=method).fit(orbits, law=ep.InvariantLaw())
        >>> bool(np.quantile(result.draws["lower"], 0.05) <= np.sqrt(2))  # the truth
        True
    """

    method: AbstractMethod = field(default_factory=Symmetrization)

    def fit(
        self, orbits: OrbitTable, *, law: InvariantLaw | InvarianceCheckResult | None = None
    ) -> DataEquivarianceErrorResult:
        """Fit to an orbit table with targets.

        Args:
            orbits: The table of one output.
            law: What is known of the law of the inputs: ``InvariantLaw()`` promises that it is
                invariant, an `InvarianceCheck` result has looked. When left out, the check is run
                (where the method depends on it).

        Returns:
            Draws of ``error``, or of ``lower`` and ``upper`` where only bounds are identified, and
            of ``symmetry_cost`` (or its bounds). In case N the error is withheld. With prior
            probability of exact symmetry also of ``error_if_asymmetric``: `error` is that, or zero.

        Raises:
            ValueError: If targets are missing, the output action is not orthogonal, or the method
                cannot be used on this table.
            TypeError: If `law` or the method is of another type.
        """
        if not isinstance(self.method, AbstractMethod):
            raise TypeError(f"method must be one of ep.methods, got {self.method!r}")
        if law is not None and not isinstance(law, InvariantLaw | InvarianceCheckResult):
            raise TypeError(
                f"law must be ep.InvariantLaw(), the result of ep.InvarianceCheck().fit(...) or "
                f"None, got {law!r}"
            )
        _check_orthogonal(orbits)
        if isinstance(law, InvarianceCheckResult):
            named = ("orbits", "law")
            checked = law.facts.fingerprint
            check_same_transform(orbits.fingerprint, checked, named=named, besides=OF_OUTPUT)
        found = design_diagnostics(orbits)
        if law is None and self.method.depends_on_law:
            check, rows = (
                InvarianceCheck(n_draws=self.n_draws, weight_seed=self.weight_seed),
                orbits.finite,
            )
            law = check.fit(rows.x, rows.transform, groups=rows.unit_ids if rows.grouped else None)
        case = _case(orbits, law)
        if isinstance(law, InvarianceCheckResult) and case is not Case.NEITHER:
            found.add(Diagnostic.INDICATIVE)
        if case is Case.NEITHER and self.method.depends_on_law:
            found.add(Diagnostic.LAW_NOT_INVARIANT)
        kappa = law.kappa if isinstance(law, InvarianceCheckResult) else None
        if case is Case.NEITHER and kappa is not None and np.isinf(kappa):
            found.add(Diagnostic.KAPPA_INFINITE)
        evidence = self.method.evidence(orbits, case, n_draws=self.n_draws, seed=self.weight_seed)
        table, changes = orbits.finite, eigenvalues(orbits.transform)
        used = slice(None) if evidence.used is None else evidence.used
        means = RowMeans(table.unit_ids[used], self.n_draws, self.weight_seed)
        rows = RowFindings.of(means, evidence.columns, orbits.positions[used], orbits.left_out)
        order = [*_ERRORS, *_COSTS, *_BRACKETS]
        names = sorted(evidence.draws, key=order.index)
        return DataEquivarianceErrorResult(
            draws={name: evidence.draws[name] for name in names},
            dims=evidence.dims,
            coords=evidence.coords,
            units=dict.fromkeys(_ERRORS, table.only.unit)
            | dict.fromkeys(_COSTS, "risk")
            | dict.fromkeys(_BRACKETS, "probability"),
            diagnostics=worst_first(found | rows.found | evidence.found),
            facts=DataErrorFacts(
                transform=str(table.transform),
                fingerprint=table.fingerprint,
                output=table.outputs[0],
                method=type(self.method).__name__,
                case=case.value,
                n_rows=len(table),
                **rows.facts,
                weight_seed=self.weight_seed,
                auc=None if not isinstance(law, InvarianceCheckResult) else law.facts.auc,
                kappa=kappa,
                least_eigenvalue=changes.least,
                largest_eigenvalue=changes.largest,
                magnitude_label=table.transform.magnitude_label,
                magnitude_unit=table.transform.magnitude_unit,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
                of_method=evidence.facts,
            ),
            rows={"row_id": table.row_ids},
            process=evidence.process,
        )


def _case(orbits: OrbitTable, law: InvariantLaw | InvarianceCheckResult | None) -> Case:
    promised = isinstance(law, InvariantLaw)
    checked = isinstance(law, InvarianceCheckResult) and law.is_invariant
    if not (promised or checked):
        return Case.NEITHER
    return Case.HAAR if orbits.transform.is_haar else Case.INVARIANT


def _check_orthogonal(orbits: OrbitTable) -> None:
    """Raise where the output action changes the size of an output: the identities need it kept."""
    table = orbits.finite
    stats, transform = table.only, table.transform.of_output(table.outputs[0])
    n = min(len(table), 32)
    generator = np.random.default_rng(0)
    values = generator.normal(size=(n, *stats.output_shape))
    acting = transform.on(output=values)
    if acting.keeps_output:
        return
    if acting.reads_more:
        raise ValueError(
            f"the output action of {transform} reads more than that output, of which the "
            f"identities of the data error know nothing; use an output action of the "
            f"transformation alone"
        )
    moves = acting.at(transform.sample_many(generator, n), outputs="forth")
    moved = moves.forth(values).reshape(n, -1)
    size = np.linalg.norm(values.reshape(n, -1), axis=1)
    distortion = np.abs(np.linalg.norm(moved, axis=1) / size - 1).max()
    if distortion > _DISTORTION:
        raise ValueError(
            f"the output action changes the size of an output by up to {distortion:.2g}: the data "
            f"error's identities hold for orthogonal actions only; declare outputs that turn or "
            f"permute (positions as displacements, images without interpolation), or use "
            f"ModelEquivarianceError alone"
        )
