"""What does misaligned symmetry cost, whatever the number of samples is?

A model whose equivariance error differs from the task's cannot be right everywhere: its excess risk
is at least a multiple of the squared difference (Petrache & Trivedi), whichever of the two is
larger. The multiple depends on what is known of the law of the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from equiprob.errors.model_error import ModelEquivarianceErrorResult
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import (
    AbstractEstimator,
    AbstractResult,
    credible_interval,
    details_of,
)
from equiprob.task.alignment import in_words
from equiprob.task.asymmetric_parts import alignment, waste
from equiprob.task.data_error import DataEquivarianceErrorResult
from equiprob.task.joined import joined
from equiprob.task.methods.base import Case
from equiprob.transforms.fingerprint import check_same_transform

_UNITS = {
    "waste": "risk",
    "waste_lower": "risk",
    "waste_upper": "risk",
    "waste_share": "share of risk",
    "alignment": "",
    "alignment_lower": "",
    "alignment_upper": "",
    "gap": "risk",
    "gap_mixture": "risk",
    "gap_share": "share of risk",
}

_SURELY = 0.95
"""Probability from which a cost counts as shown."""


@dataclass(frozen=True, kw_only=True)
class ApproximationGapFacts(Facts):
    """What travels with an approximation gap.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        case: What is known of the law of the inputs.
        exact: Whether the cost is known, not bounded.
        shown: Whether there is a cost.
        negligible_share: Share of the risk that would not matter.
    """

    transform: str
    weight_seed: int
    case: str
    exact: bool
    shown: bool
    negligible_share: float


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ApproximationGapResult(AbstractResult):
    """Posterior of what the mismatch costs at least; made by `ApproximationGap.fit`."""

    facts: ApproximationGapFacts = field(repr=False)

    @property
    def verdict(self) -> str:
        """What to make of it, in one sentence."""
        if "gap" not in self.draws:
            return "The model's risk at moved inputs was not observed: there is no share to judge"
        if "gap_share" not in self.draws:
            return "Without the model's risk there is no share to judge: pass y= to evaluate_orbits"
        limit = self.facts.negligible_share
        low, high = credible_interval(self._share, 0.9)
        if low > limit:
            return f"Worth mending: the mismatch costs more than {100 * limit:.3g} % of the risk"
        if high >= limit:
            return f"Undecided: the interval of the share holds {100 * limit:.3g} %"
        if self.facts.exact:
            return f"Not worth mending: less than {100 * limit:.3g} % of the risk is lost to it"
        return f"No cost above {100 * limit:.3g} % of the risk is certain"

    @property
    def _share(self) -> Any:
        """The share of the risk that is lost, or at least as much as is known of it."""
        return self.draws.get("waste_share", self.draws["gap_share"])

    def __str__(self) -> str:
        """Say what was found, what is exact before what is a bound."""
        waste, gap = self._waste, self._gap
        return f"{waste} {gap}".strip() + f" {self.verdict}.{self._alignment}{self.cautions}"

    @property
    def _case(self) -> Case:
        return Case(self.facts.case)

    @property
    def _waste(self) -> str:
        """Say what the model's asymmetric part costs (case H)."""
        name = "waste" if "waste" in self.draws else "waste_lower"
        if name not in self.draws:
            return ""
        draws = self.draws[name]
        low, high = credible_interval(draws, 0.9)
        if low <= 0:
            text = "No waste of the model's asymmetric part is shown"
            ceiling = self.draws.get("waste_upper", draws if name == "waste" else None)
            if ceiling is not None:
                text += f": it is at most {np.quantile(ceiling, 0.95):.3g} in risk (95%)"
            return text + "."
        least = "" if name == "waste" else "at least "
        text = (
            f"The model's asymmetric part wastes {least}{np.median(draws):.3g} in risk (90% "
            f"credible interval {low:.3g} to {high:.3g}; case '{self._case}')"
        )
        if "waste_share" in self.draws:
            low, high = credible_interval(100 * self.draws["waste_share"], 0.9)
            median = 100 * np.median(self.draws["waste_share"])
            text += f", {median:.3g} % of the model's risk ({low:.3g} to {high:.3g} %)"
        return text + "."

    @property
    def _gap(self) -> str:
        """Say what the two sizes alone force."""
        name = "gap" if "gap" in self.draws else "gap_mixture"
        low, high = credible_interval(self.draws[name], 0.9)
        where = "" if name == "gap" else ", averaged over the inputs and the moved inputs"
        if not self.facts.shown:
            return (
                f"No cost is shown of the two errors' being of different size{where} (case "
                f"'{self._case}'): they may be equal, and the bound is below {high:.3g}."
            )
        text = (
            f"The mismatch of symmetry costs{where + ',' if where else ''} at least "
            f"{np.median(self.draws[name]):.3g} in "
            f"risk (90% credible interval of that bound {low:.3g} to {high:.3g}; case "
            f"'{self._case}')"
        )
        if "gap_share" in self.draws:
            low, high = credible_interval(100 * self.draws["gap_share"], 0.9)
            median = 100 * np.median(self.draws["gap_share"])
            text += f", {median:.3g} % of the model's risk ({low:.3g} to {high:.3g} %)"
        return text + "."

    @property
    def _alignment(self) -> str:
        return in_words(self.draws)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ApproximationGap(AbstractEstimator):
    """Bound the excess risk that a mismatch between model and task forces, from below.

    Args:
        negligible_share: Share of the risk below which it would not matter to you.

    Assumptions:
        Those of the two results. Where only bounds on the data error are known, the distance of the
        model error to the interval between them takes the place of the difference.

    References:
        Petrache & Trivedi, NeurIPS 2023; docs/mismatch.md.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: 0 * rows[:, 0], x, turns, y=x[:, 0])
        >>> model_error = ep.ModelEquivarianceError().fit(orbits)
        >>> truth = ep.methods.Oracle(f_star=lambda rows: rows[:, 0])
        >>> data_error = ep.DataEquivarianceError(method=truth).fit(orbits, law=ep.InvariantLaw())
        >>> result = ep.ApproximationGap().fit(model_error, data_error)
        >>> round(float(np.median(result.draws["gap"])))  # invariance misses all of this target
        1
    """

    negligible_share: float = 0.01

    def __post_init__(self) -> None:
        """Check the share."""
        super().__post_init__()
        if not 0 <= self.negligible_share < 1:
            raise ValueError(
                f"negligible_share must lie between 0 and 1, got {self.negligible_share}"
            )

    def fit(
        self,
        model_error: ModelEquivarianceErrorResult,
        data_error: DataEquivarianceErrorResult,
    ) -> ApproximationGapResult:
        """Combine the two errors.

        Args:
            model_error: Of the model, with targets if shares of the risk are wanted.
            data_error: Of the task, on the same output and transformations.

        Returns:
            Draws of ``gap`` (excess risk at least; in case N, where the truth could be asked,
            ``gap_mixture``: averaged over inputs and moved inputs, and ``gap`` only where a check
            of the law found a finite kappa), ``gap_share`` of the model's risk, and in case H
            ``waste``, the exact excess risk of the model's asymmetric part (or ``waste_lower`` and
            ``waste_upper``), ``waste_share`` (of the lower of these), and ``alignment`` of that
            part with the task's (or ``alignment_lower`` and ``alignment_upper``), where neither is
            zero: errors of equal size may be of different functions.

        Raises:
            ValueError: If the results speak of different transformations, have different numbers of
                draws, or nothing is identified (case N, and the model is not exactly equivariant).
        """
        check_same_transform(
            model_error.facts.fingerprint,
            data_error.facts.fingerprint,
            named=("the model error", "the data error"),
        )
        found: set[Diagnostic] = set(model_error.diagnostics) | set(data_error.diagnostics)
        order = joined(model_error, data_error, found)
        case, bounds = data_error.case, data_error.bounds
        e_f = np.zeros_like(model_error.draws["error"])
        if not model_error.is_exact:
            e_f = model_error.draws["error"]
        draws = {}
        shown = False
        if bounds is not None:
            lower, upper = (bound[order] for bound in bounds)
            shown = max(np.mean(e_f < lower), np.mean(e_f > upper)) >= _SURELY
            distance = np.maximum(np.maximum(lower - e_f, e_f - upper), 0.0)
            if case is Case.HAAR:
                draws["gap"] = distance**2 / 2
                draws |= waste(model_error, lower, upper) | alignment(model_error, lower, upper)
                if "waste_lower" in draws:  # what the sizes force is a part of the waste
                    draws["waste_lower"] = np.maximum(draws["waste_lower"], draws["gap"])
            elif case is Case.INVARIANT:
                largest = data_error.facts.largest_eigenvalue
                assert largest is not None, "known of every law that leaves the data's alone"
                draws["gap"] = distance**2 / (2 * largest)
            else:
                draws["gap_mixture"] = distance**2 / 4
                kappa = data_error.facts.kappa
                if kappa is not None and np.isfinite(kappa):
                    draws["gap"] = distance**2 / (1 + np.sqrt(kappa)) ** 2
                    found.add(Diagnostic.KAPPA_ESTIMATED)
        elif model_error.is_exact and "symmetry_cost" in data_error.draws:
            draws["gap"] = np.maximum(data_error.draws["symmetry_cost"][order], 0.0)
            shown = np.mean(draws["gap"] > 0) >= _SURELY
        else:
            raise ValueError(
                "no bound on the approximation gap: moved inputs are not known to be as likely as "
                "the inputs, the data error is withheld and the model is not exactly equivariant; "
                "methods.TrainedPair bounds what exact symmetry costs, methods.Oracle and "
                "methods.MeasuredPairs need no such assumption"
            )
        risk = model_error.draws.get("risk")
        if "gap" in draws and risk is not None:
            # A model without risk has none that a mismatch could force.
            positive = np.where(risk > 0, risk, np.inf)
            draws["gap_share"] = draws["gap"] / positive
            wasted = draws.get("waste", draws.get("waste_lower"))
            if wasted is not None:
                draws["waste_share"] = wasted / positive
        names = [name for name in _UNITS if name in draws]
        return ApproximationGapResult(
            draws={name: draws[name] for name in names},
            units=_UNITS,
            diagnostics=worst_first(found),
            facts=ApproximationGapFacts(
                transform=model_error.facts.transform,
                case=case.value,
                details=details_of(model_error, data_error),
                exact="waste" in draws or (risk is not None and not risk.any()),
                shown=bool(shown),
                negligible_share=self.negligible_share,
                weight_seed=model_error.facts.weight_seed,
                n_chains=model_error.n_chains,
            ),
            rows={"row_id": model_error.rows["row_id"]},
        )
