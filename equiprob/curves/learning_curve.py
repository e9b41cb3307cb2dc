"""Which symmetry level, and which candidate, is best at which sample size?

Learning curves of several candidates, fitted together: each candidate's risk at any n, the optimal
symmetry level at any n, the sample size at which one candidate overtakes another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.seeds import check_seed
from equiprob.curves.free import free_curves, nodes_of
from equiprob.curves.importance import MOST_PARETO_K
from equiprob.curves.priors import DEFAULT_PRIORS, CurvePriors
from equiprob.curves.result import CurveFacts, LearningCurveResult
from equiprob.curves.runs import Runs, read_runs
from equiprob.curves.tied import TiedCurves, TiedModel
from equiprob.curves.tied_data import TiedData
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.results import AbstractEstimator
from equiprob.task.data_error import DataEquivarianceErrorResult

if TYPE_CHECKING:
    import pandas as pd


_WEIGHTS = {"uniform and invariant": 0.5, "invariant": 0.25, "unknown": 0.25}
_WEIGHTS |= {"H": 0.5, "I": 0.25, "N": 0.25}  # the same by the letters of the papers
_RISKS: tuple[str, ...] = ("risk", "floor", "noise", "symmetric_cost", "asymmetric_cost")
_ERRORS: tuple[str, ...] = ("data_error", "model_error")
_LEAST_FIT = 0.01
"""Where residuals or slacks as large as those seen have less probability, the theory does not hold
here."""

_MOST_ODDS = float(np.log(20))
"""Of the risks' squares going with the errors, over the risks themselves."""

_LOST_PARETO_K = 1.0
"""Above this tail index weights have no mean, and draws by them stand for nothing: where the theory
holds it was .7 at most, with errors of other candidates 2 to 5."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve(AbstractEstimator):
    """Fit learning curves of several candidates together.

    Args:
        priors: What is believed beforehand; see `CurvePriors`, and `prior` for what they imply.
        case: ``"uniform and invariant"`` where moved inputs are as likely as the inputs and
            transformations are drawn uniformly from a group; ``"invariant"`` or ``"unknown"``
            otherwise: the mismatch of errors then costs at least half as much, which is what the
            floors are tied to. (Or ``"H"``, ``"I"``, ``"N"``.)
        risk_max: The largest possible risk (1 for a rate of errors), where there is one: curves can
            then come down from a plateau below it, and never exceed it.
        test_rows: Whether the runs of a candidate were judged on the ``"same"`` rows, whose
            particulars then move its whole curve, or each on ``"own"`` rows (the roll-outs of a
            robot). It matters where runs have a ``risk_se``.
        size: The column of the runs that curves run over: another number of samples, or what
            training costs (``"compute"``); messages and methods call it n all the same.
        n_total: What sizes in percent are of.
        seed: Seed of the draws.

    Assumptions:
        Where errors are given, a run's risk is a squared error, and errors are root mean squares in
        the same units. What sets in only beyond the data is as probable as on real curves.

    References:
        docs/learning_curves.md; Petrache & Trivedi, NeurIPS 2023; Viering & Loog, IEEE TPAMI
        2023; Mohr, Viering, Loog & van Rijn, ECML PKDD 2022.
    """

    priors: CurvePriors = field(default=DEFAULT_PRIORS)
    case: Literal["uniform and invariant", "invariant", "unknown", "H", "I", "N"] = (
        "uniform and invariant"
    )
    risk_max: float | None = None
    test_rows: Literal["same", "own"] = "same"
    size: str = "n"
    n_total: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the configuration."""
        super().__post_init__()
        check_seed(self.seed)
        if self.case not in _WEIGHTS:
            raise ValueError(
                f"case must be 'uniform and invariant', 'invariant' or 'unknown', got {self.case!r}"
            )
        if self.test_rows not in ("same", "own"):
            raise ValueError(f"test_rows must be 'same' or 'own', got {self.test_rows!r}")
        if not isinstance(self.priors, CurvePriors):
            raise TypeError(f"priors must be CurvePriors(...), got {self.priors!r}")
        if self.risk_max is not None and not 0 < self.risk_max < np.inf:
            raise ValueError(f"risk_max must be a number above 0, got {self.risk_max!r}")
        if self.n_total is not None and not 0 < self.n_total < np.inf:
            raise ValueError(f"n_total must be a number of rows, got {self.n_total!r}")

    def fit(self, runs: pd.DataFrame | Any, *, data_error: Any = None) -> LearningCurveResult:
        """Fit to a table of runs.

        Args:
            runs: A DataFrame with a row for each training run: ``candidate``, ``n``, ``seed`` and
                ``risk``, and optionally ``risk_se``, ``error``, ``error_se``. In place of the risk:
                ``accuracy``, or ``failures`` (or ``successes``) and ``trials``, which may be 0.
                Without ``seed`` the rows of one candidate and n are its seeds; a mean of several
                has ``sd`` and ``seeds``. A table without ``candidate`` has a column of risks for
                each. Sizes may be "1k" or "5%". Runs whose risk is not finite are left out, and
                named.
            data_error: What is known of the data error e*, which takes the place of its prior: a
                result of `DataEquivarianceError`, or draws.

        Returns:
            Draws of ``risk`` at the observed sizes and in doublings beyond, ``floor``,
            ``exponent``, what seeds do, and, where runs have errors, ``data_error`` and
            ``model_error`` in the limit of many rows. `LearningCurveResult.risk` and its other
            methods speak of any n.

        Raises:
            ValueError: If the runs cannot be used (see the message), or `data_error` is given where
                no run has an error.
        """
        checked = self._read(runs)
        return self._fitted(checked, self._elicited(checked, data_error), evidence=True)

    def prior(self, runs: pd.DataFrame | Any) -> LearningCurveResult:
        """Draw curves from the priors, for the sizes and candidates of a table of runs.

        Where the curves lie is taken from the runs, within a factor of about four, since risks have
        no scale beforehand; how they bend, fall and level off is what the priors say. Plot it to
        judge them.

        Args:
            runs: As in `fit`.

        Raises:
            ValueError: If the runs cannot be used.
        """
        return self._fitted(self._read(runs), None, evidence=False)

    def _read(self, runs: Any) -> Runs:
        checked = read_runs(runs, self.size, self.n_total)
        if self.risk_max is not None and checked.risk.max() > self.risk_max:
            raise ValueError(
                f"no risk may exceed risk_max={self.risk_max:g}, and the largest is "
                f"{checked.risk.max():.6g}; rates of errors lie between 0 and 1: are these "
                f"percentages?"
            )
        return checked

    def _fitted(
        self, runs: Runs, data_error: Array | None, *, evidence: bool
    ) -> LearningCurveResult:
        """Draw from the posterior, or from the prior where the runs count as no evidence."""
        nodes = nodes_of(runs.sizes)
        found = runs.diagnostics()
        risk_max = 1.0 if runs.trials is not None else self.risk_max
        if risk_max is None and runs.may_be_rates and not runs.has_levels:
            found.add(Diagnostic.MAY_BE_RATES)
        generator = np.random.default_rng([self.seed, 41])
        draws: dict[str, Array] = {}
        facts: dict[str, Any] = {"is_prior": not evidence}
        tied: TiedCurves | None = None
        if runs.has_levels:
            told = TiedData(runs, _WEIGHTS[self.case])
            model = TiedModel(told, self.priors, data_error, evidence)
            tied = model.draw(np.log(nodes), self.n_draws, generator)
            draws |= {"risk": np.exp(tied.log_risk), "cost_decay": np.exp(tied.log_decay)}
            draws |= tied.draws
            facts |= {
                "unit_of_errors": told.top_error,
                "pareto_k": tied.weighed.pareto_k,
                "effective_draws": tied.weighed.effective,
                "fit": tied.fit,
            }
            if not tied.weighed.pareto_k <= MOST_PARETO_K:
                found.add(Diagnostic.UNEVEN_WEIGHTS)
            lost = not tied.weighed.pareto_k <= _LOST_PARETO_K
            if evidence and (tied.fit < _LEAST_FIT or lost):
                found.add(Diagnostic.THEORY_DOUBTED)
            elif evidence:
                squares = np.random.default_rng([self.seed, 43])
                odds = model.log_odds_of_roots(tied.weighed.log_evidence, squares)
                if odds > _MOST_ODDS:
                    found |= {Diagnostic.THEORY_DOUBTED, Diagnostic.ROOTED_RISKS}
        if tied is None or Diagnostic.THEORY_DOUBTED in found:
            free = free_curves(
                runs,
                self.priors,
                nodes,
                risk_max=risk_max,
                same_test=self.test_rows == "same",
                n_draws=self.n_draws,
                evidence=evidence,
                generator=generator,
            )
            draws |= free.draws
            draws.pop("shared_seed_sd", None)
            facts |= free.facts
        return self._result(runs, nodes, draws, found, facts | {"risk_max": risk_max})

    def _elicited(self, runs: Runs, data_error: Any) -> Array | None:
        if data_error is None:
            return None
        if not runs.has_levels:
            raise ValueError(
                "data_error says something of the optimal level, for which the runs need a column "
                "'error'; leave data_error out, or give the candidates' errors"
            )
        if not isinstance(data_error, DataEquivarianceErrorResult):
            values = np.asarray(data_error, dtype=np.float64)
            if values.ndim != 1 or len(values) < 2 or not (values >= 0).all():
                raise ValueError(
                    f"data_error must be a result of DataEquivarianceError or its draws, at least "
                    f"2 numbers of at least 0; got shape {values.shape}"
                )
            return values
        draws: Mapping[str, Array] = data_error.draws
        if "error" in draws:
            return draws["error"]
        if "lower" not in draws:
            raise ValueError(
                "this data_error withholds e* (see its diagnostics): it says nothing of the "
                "optimal level; leave it out"
            )
        # Anything between the bounds is as good: that is what set identification says.
        place = np.random.default_rng([self.seed, 5]).random(len(draws["lower"]))
        return draws["lower"] + place * np.maximum(draws["upper"] - draws["lower"], 0.0)

    def _result(
        self,
        runs: Runs,
        nodes: Array,
        drawn: dict[str, Array],
        found: set[Diagnostic],
        facts: dict[str, Any],
    ) -> LearningCurveResult:
        by_candidate = ("exponent", "floor", "seed_sd", "test_offset", "model_error")
        units = dict.fromkeys(_RISKS, "risk") | dict.fromkeys(_ERRORS, "output units")
        return LearningCurveResult(
            draws=drawn,
            dims={"risk": ("candidate", "n"), "cost_decay": ("n",)}
            | {name: ("candidate",) for name in by_candidate if name in drawn},
            coords={"candidate": np.array(runs.candidates), "n": nodes},
            units=units,
            diagnostics=worst_first(found),
            facts=CurveFacts(
                **facts,
                n_observed=runs.sizes.tolist(),
                n_runs=len(runs.risk),
                left_out=list(runs.left_out),
                weight=_WEIGHTS[self.case],
                has_relative_error=runs.has_relative_error,
                seed=self.seed,
            ),
            rows={
                "candidate": np.array(runs.candidates)[runs.candidate],
                "n": runs.sizes[runs.size],
                "seed": runs.seed,
                "risk": runs.risk,
                "error": runs.error,
            },
        )
