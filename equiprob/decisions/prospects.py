"""What can be chosen, and which parts of the uncertainty could more data take away?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from equiprob.decisions.choice import Draws
from equiprob.decisions.compare import Comparison
from equiprob.decisions.shrinkage import Shrinkage, noise_variances
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.results import details_of
from equiprob.posterior.row_means import RowMeans

if TYPE_CHECKING:
    import pandas as pd

AVERAGED = "averaged"
AS_TRAINED = "as trained"


@runtime_checkable
class Curve(Protocol):
    """What a decision takes of learning curves: see `equiprob.LearningCurve`."""

    @property
    def candidates(self) -> list[str]:
        """The candidates' names."""
        ...

    @property
    def n_observed(self) -> NDArray[Any]:
        """The numbers of training rows there are runs at, increasing."""
        ...

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What to know of the fit."""
        ...

    def risk(self, n: float, *, predictive: bool = False, n_seeds: int = 1) -> pd.DataFrame:
        """Return joint draws of the risk at `n`, a column for each candidate.

        Args:
            n: Training rows.
            predictive: Of the mean of fresh runs, with the spread between seeds, rather than of the
                expected risk.
            n_seeds: How many fresh runs.
        """
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the uncertainty that more data of one kind would take away.

    Args:
        known: Draws ``(draw, candidate)`` of the risk that would be expected if this part were
            known and nothing else were learned.
        size: How much there is of this kind of data, ``(candidate,)`` or a number.
    """

    known: Draws
    size: Any

    def after(self, more: float) -> Draws:
        """Return draws of the risk that will be expected after so much more of this data.

        The mean of a normal with a flat prior: of its variance V over `size` data, the share
        ``more / (size + more)`` is that of the mean to be expected. Other laws are scaled likewise.
        """
        share = more / (np.asarray(self.size, dtype=np.float64) + more)
        middle = self.known.mean(axis=0)
        return middle + np.sqrt(share) * (self.known - middle)


@dataclass(frozen=True, eq=False)
class NoisePart:
    """A part of the noise of estimates that show how much candidates differ.

    Args:
        expected: Draws ``(draw, candidate)`` of the risks.
        shrinkage: Of the candidates' differences.
        noise: The variances ``(candidate,)`` of this part of their noise.
        size: How much there is of this kind of data, ``(candidate,)`` or a number.
    """

    expected: Draws
    shrinkage: Shrinkage
    noise: NDArray[np.float64]
    size: Any

    def after(self, more: float) -> Draws:
        """Return draws of the risk that will be expected after so much more of this data.

        Of the variance over `size` data the share ``more / (size + more)`` goes.
        """
        goes = more / (np.asarray(self.size, dtype=np.float64) + more)
        left = self.shrinkage.noise - goes * self.noise
        return self.shrinkage.to_be_expected(self.expected, left)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prospect:
    """What a decision is about.

    Args:
        candidates: Their names.
        risk: Joint draws, ``(draw, candidate)``, for probabilities.
        expected: The same for expectations.
        test_risk: The same for intervals of single risks; `risk` when left out.
        estimates: Their risks ``(candidate,)`` as the data have them; the expectations when left
            out.
        words: What the risk is.
        where: What it rests on.
        rope: Difference in risk that makes no practical difference.
        found: Diagnostics.
        details: What numbers belong to them, as in the facts of an `AbstractResult`.
        n_chains: Of how many Markov chains the draws are, as in an `AbstractResult`.
        parts: Parts of the uncertainty by the kind of data that takes them away.
        reasons: Why a kind of data has no part here.
        weight_seed: That of the rows, if the decision rests on a comparison.
        largest_loss: Which a row can have.
        curve: The learning curves, if the decision rests on them.
        horizon: The number of training rows it is about, then.
        rows: As in `AbstractResult`.
        twins: As in `Choice`.
    """

    candidates: Sequence[str]
    risk: Draws
    expected: Draws
    test_risk: Draws | None = None
    estimates: NDArray[np.float64] | None = None
    words: str
    where: str
    rope: float = 0.0
    found: set[Diagnostic]
    details: Mapping[str, str] = field(default_factory=dict)
    n_chains: int = 1
    parts: Mapping[str, Part | NoisePart] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    weight_seed: int | None = None
    largest_loss: float = np.inf
    curve: Curve | None = None
    horizon: float | None = None
    rows: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    twins: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The risks ``(candidate,)`` as the data have them."""
        return self.expected.mean(axis=0) if self.estimates is None else self.estimates

    def part(self, kind: str) -> Part | NoisePart:
        """Return a part of the uncertainty.

        Raises:
            ValueError: If it has none of this kind.
        """
        if kind not in self.parts:
            reason = self.reasons.get(kind, "this decision does not rest on them")
            raise ValueError(f"more {kind} have no value to be computed here: {reason}")
        return self.parts[kind]

    @classmethod
    def of_comparison(cls, comparison: Comparison) -> Prospect:
        """Return the prospect of shipping one of the candidates compared."""
        facts, factors, estimates = (
            comparison.facts,
            comparison.seed_factors,
            comparison.expected_risk,
        )
        risk, expected = comparison.likely_risk
        reasons = {"transformations": "the risks of these candidates do not depend on them"}
        sizes: dict[str, Any] = {"rows": facts.n_units}
        known = {"rows": estimates}
        if factors is None:
            reasons["seeds"] = (
                "this compares trained models; pass a list of tables, one a training seed, to "
                "compare, to speak of architectures"
            )
        else:
            sizes["seeds"] = np.array([facts.n_seeds[name] for name in comparison.candidates])
            known = {"rows": estimates / factors, "seeds": estimates.mean(axis=0) * factors}
        return cls(
            candidates=comparison.candidates,
            risk=risk,
            expected=expected,
            test_risk=comparison.draws["risk"],
            estimates=comparison.losses.mean(axis=0),
            words=facts.loss,
            where=f"{facts.n_rows} held-out rows",
            rope=facts.rope,
            found=set(comparison.diagnostics),
            details=details_of(comparison),
            parts={
                kind: NoisePart(expected, comparison.shrinkage, noise_variances(draws), sizes[kind])
                for kind, draws in known.items()
            },
            reasons=reasons,
            weight_seed=facts.weight_seed,
            largest_loss=comparison.limits[1],
            rows=comparison.rows,
            twins=facts.twins,
        )

    @classmethod
    def of_level(cls, level: SymmetryLevelResult) -> Prospect:
        """Return the prospect of shipping a model averaged as its level recommends, or as it is.

        Where no averaging is recommended, it is that of the averages that were judged.

        Raises:
            ValueError: If averaging changes nothing.
        """
        if "risk_saved_shipped" not in level.draws:
            raise ValueError(
                "there is nothing to decide: on these rows averaging the model changes nothing"
            )
        facts, rows = level.facts, level.rows
        before = level.unchanged_risk
        low = 0.0 if (before >= 0).all() else -np.inf  # no loss is negative that was not
        chosen_elsewhere = {Diagnostic.STEP_LOSS, Diagnostic.FEW_IN_RANGE}
        if not (level.recommended and chosen_elsewhere.isdisjoint(level.diagnostics)):
            drawn = level.draws["risk_saved_cross_fitted"]
            saved = drawn + facts.risk_saved_cross_fitted - drawn.mean()
        else:
            means = RowMeans(rows["unit_id"], level.n_draws, facts.weight_seed)
            saved = means.differences(rows["saved"][:, None], tails=False)[:, 0]
            saved += rows["saved"].mean() - facts.optimism - saved.mean()
            drawn = level.draws["risk_saved_shipped"]
        expected = np.stack([before, before - saved], axis=1)
        parts = {"rows": Part(expected, facts.n_units)}
        share, reasons = facts.monte_carlo_share, {}
        if share is None:
            reasons["transformations"] = "their share of the uncertainty is not known for this path"
        else:
            noise = np.sqrt(share) * (saved - saved.mean())
            known = expected.mean(axis=0) - np.stack([np.zeros_like(noise), noise], axis=1)
            parts["transformations"] = Part(known, facts.n_transforms)
        return cls(
            candidates=[AS_TRAINED, AVERAGED],
            risk=np.stack([before, np.maximum(before - drawn, low)], axis=1),
            expected=expected,
            words=facts.loss,
            where=f"{facts.n_rows} held-out rows",
            found=set(level.diagnostics),
            details=details_of(level),
            parts=parts,
            reasons=reasons,
            rows=rows,
        )

    @classmethod
    def of_curve(cls, curve: Curve, horizon: float | None) -> Prospect:
        """Return the prospect of training one of the candidates on `horizon` rows.

        Raises:
            ValueError: If the horizon is no positive number.
        """
        found, largest = set(curve.diagnostics), float(np.max(curve.n_observed))
        note = ""
        if horizon is None:
            horizon, note = largest, ", the largest observed, as no horizon was stated"
            found.add(Diagnostic.HORIZON_LARGEST)
        if not np.isfinite(horizon) or horizon <= 0:
            raise ValueError(f"horizon must be a number of training rows, got {horizon}")
        table = curve.risk(horizon)
        draws = table.to_numpy(dtype=np.float64)
        if horizon > largest:
            note = f", a forecast: runs reach n = {largest:g}"
        reason = "a decision on learning curves takes information.Run(...)"
        return cls(
            candidates=[str(name) for name in table.columns],
            risk=draws,
            expected=draws,
            words="expected risk of a training run",
            where=f"at n = {horizon:g}{note}",
            found=found,
            reasons=dict.fromkeys(("rows", "seeds", "transformations"), reason),
            curve=curve,
            horizon=float(horizon),
            n_chains=int(getattr(curve, "n_chains", 1)),
        )
