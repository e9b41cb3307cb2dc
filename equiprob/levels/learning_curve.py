"""Which symmetry level, and which candidate, is best at which sample size?

Learning curves of several candidates, fitted together: each candidate's risk at any n, the optimal
symmetry level at any n, the sample size at which one candidate overtakes another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from equiprob.equivariance.data_error import DataEquivarianceErrorResult
from equiprob.levels.curve_data import curve_data, nodes_of
from equiprob.levels.curve_forecast import Forecast
from equiprob.levels.curve_model import compiled_chains, named_draws
from equiprob.levels.curve_priors import DEFAULT_PRIORS, CurvePriors
from equiprob.levels.curve_runs import Runs, read_runs
from equiprob.posterior.chains import MOST_R_HAT, one_after_another
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.sampler_settings import check_chains

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_WEIGHTS = {"H": 0.5, "I": 0.25, "N": 0.25}

_LEVEL_DRAWS: tuple[str, ...] = (
    "data_error",
    "model_error",
    "noise",
    "symmetric_cost",
    "asymmetric_cost",
)

_CROSSING_GRID = 400


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurveResult(AbstractResult):
    """Posterior of learning curves; made by `LearningCurve.fit`."""

    @property
    def candidates(self) -> list[str]:
        """The candidates, in order of appearance."""
        return [str(name) for name in self.coords["candidate"]]

    @property
    def n_observed(self) -> Array:
        """The sample sizes that runs were made at, ascending."""
        return np.array(self.facts["n_observed"], dtype=np.float64)

    @cached_property
    def _forecast(self) -> Forecast:
        return Forecast(self.draws, self.coords["n"], int(self.facts["seed"]))

    def risk(self, n: float, *, predictive: bool = False, n_seeds: int = 1) -> pd.DataFrame:
        """Return draws of each candidate's risk at a sample size.

        Args:
            n: Rows, from the smallest sample size observed to 10000 times the largest.
            predictive: Whether to return the mean risk of fresh runs, seed noise included, rather
                than the expectation over training sets and seeds.
            n_seeds: How many fresh runs that is.

        Returns:
            A row for each draw, a column for each candidate; rows of other results for other n are
            the same draws.

        Raises:
            ValueError: If n is outside that range, or `n_seeds` not positive.
        """
        import pandas as pd

        self._check(n)
        if n_seeds < 1:
            raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
        values = self._forecast.run(n, n_seeds) if predictive else self._forecast.risk(n)
        return pd.DataFrame(values, columns=pd.Index(self.candidates, name="candidate"))

    def p_best(self, n: float) -> pd.Series[float]:
        """Return each candidate's probability of having the least expected risk at n.

        Raises:
            ValueError: If n is out of range.
        """
        import pandas as pd

        risk = self.risk(n).to_numpy()
        best = np.eye(risk.shape[1])[risk.argmin(axis=1)].mean(axis=0)
        return pd.Series(best, index=pd.Index(self.candidates, name="candidate"), name="p_best")

    def optimal_level(self, n: float) -> Array:
        """Return draws ``(draw,)`` of the model equivariance error that is best at n.

        It is the level to design for, the limit of many rows: ``e* a / (a + C(n) / e_ref^2)``,
        with C(n) what the asymmetric part costs at n. See `measured_level`.

        Raises:
            ValueError: If the runs had no errors, or n is out of range.
        """
        self._check(n)
        self._check_levels("optimal_level")
        weight, unit = self.facts["weight"], self.facts["unit_of_errors"]
        cost = self.draws["asymmetric_cost"] * np.exp(self._forecast.log_decay(n))
        return self.draws["data_error"] * weight / (weight + cost / unit**2)

    def measured_level(self, n: float) -> Array:
        """Return draws ``(draw,)`` of the error that a model of the optimal level shows at n.

        A model trained on n rows shows its level's error and estimation noise on top.

        Raises:
            ValueError: If the runs had no errors, or n is out of range.
        """
        level = self.optimal_level(n)
        share = self.draws["estimation_share"] * np.exp(self._forecast.log_decay(n))
        return level * np.sqrt(1 + share)

    def crossover(self, a: str, b: str) -> Array:
        """Return draws ``(draw,)`` of the sample size from which on `b` has less risk than `a`.

        Looked for from the smallest sample size observed to 10000 times the largest: where `b` is
        better throughout, the smallest; ``inf`` where it never is for good. The share of ``inf`` is
        the probability of never.

        Raises:
            ValueError: If a name is not a candidate's, or both are the same.
        """
        first, second = self._index(a), self._index(b)
        if first == second:
            raise ValueError(f"crossover compares two candidates, got {a!r} twice")
        sizes = np.geomspace(self.n_observed[0], 1e4 * self.n_observed[-1] * 0.999, _CROSSING_GRID)
        better = np.empty((self.n_draws, len(sizes)), dtype=bool)
        for j, risk in enumerate(map(self._forecast.risk, sizes)):
            better[:, j] = risk[:, second] < risk[:, first]
        last_worse = len(sizes) - 1 - np.argmax(~better[:, ::-1], axis=1)
        found = sizes[np.minimum(last_worse + 1, len(sizes) - 1)]
        found = np.where(better.all(axis=1), sizes[0], found)
        return np.where(better[:, -1], found, np.inf)

    def exchange_rate(self, a: str, b: str, n: float) -> Array:
        """Return draws ``(draw,)`` of the rows that `b` needs for one row of `a`.

        At n rows, `a` has some risk; the ratio is the sample size at which `b` reaches it, over n.
        Above 1 the symmetry of `a` is worth that many times the data; ``inf`` where `b` never
        reaches it, and the least ratio looked at where `b` is there from the smallest n observed.

        Raises:
            ValueError: If a name is not a candidate's, or n is out of range.
        """
        self._check(n)
        first, second = self._index(a), self._index(b)
        target = self._forecast.risk(n)[:, first]
        sizes = np.geomspace(self.n_observed[0], 1e4 * self.n_observed[-1] * 0.999, _CROSSING_GRID)
        reached = np.full(self.n_draws, np.inf)
        for size in sizes[::-1]:
            there = self._forecast.risk(size)[:, second] <= target
            reached[there] = size
        return reached / n

    def _check(self, n: float) -> None:
        low, high = self.n_observed[0], 1e4 * self.n_observed[-1]
        if not low <= n <= high:
            raise ValueError(
                f"n must lie between the smallest sample size observed and 10000 times the "
                f"largest, {low:g} to {high:g}; got {n}"
            )

    def _check_levels(self, asked: str) -> None:
        if "data_error" not in self.draws:
            relative = self.facts["has_relative_error"]
            raise ValueError(
                f"{asked} needs each candidate's equivariance error: a column 'error' in the runs, "
                f"in the units of the outputs"
                + (" (a 'relative_error' cannot take its place)" if relative else "")
            )

    def _index(self, name: str) -> int:
        if name not in self.candidates:
            raise ValueError(f"{name!r} is no candidate: expected one of {self.candidates}")
        return self.candidates.index(name)

    def __str__(self) -> str:
        """Say what was found at the largest sample size, and at ten times that."""
        last = float(self.n_observed[-1])
        text = (
            f"{len(self.candidates)} candidates, {self.facts['n_runs']} runs at n up to {last:g}."
        )
        if self.facts["is_prior"]:
            text = f"Prior, not posterior: {text[0].lower()}{text[1:]}"
        for n in (last, 10 * last):
            best = self.p_best(n)
            name = str(best.idxmax())
            low, high = credible_interval(self.risk(n)[name].to_numpy(), 0.9)
            text += (
                f" At n = {n:g}, {name!r} is best with probability {best[name]:.2f}; its risk is "
                f"{low:.3g} to {high:.3g} (90% credible interval)."
            )
        if "data_error" in self.draws:
            low, high = credible_interval(self.optimal_level(last), 0.9)
            text += (
                f" The optimal symmetry level at n = {last:g} is an equivariance error of "
                f"{low:.3g} to {high:.3g}, where the task's own is "
                f"{np.median(self.draws['data_error']):.3g}."
            )
        return text + self.cautions

    def summary(
        self,
        ci_prob: float | None = None,
        ci_kind: Literal["eti", "hdi"] | None = None,
    ) -> pd.DataFrame:
        """Return estimates, intervals and diagnostics, with R-hat and effective sample size.

        Args:
            ci_prob: As in `interval`.
            ci_kind: As in `interval`.

        Raises:
            ValueError: If `ci_prob` is outside (0, 1) or `ci_kind` is unknown.
        """
        table = super().summary(ci_prob, ci_kind)
        names = [str(label).split("[")[0] for label in table.index]
        for column in ("r_hat", "ess"):
            known = self.facts[column]
            table[column] = [known.get(name, np.nan) for name in names]
        return table

    def plot(self, **kwargs: Any) -> Any:
        """Draw the candidates' curves with intervals, beyond the data too."""
        from equiprob.plots.learning_curve import plot_learning_curve

        return plot_learning_curve(self, **kwargs)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurve(AbstractEstimator):
    """Fit learning curves of several candidates together, by NUTS.

    Args:
        priors: What is believed beforehand; see `CurvePriors`, and `prior` for what they imply.
        case: ``"H"`` where the law of the inputs is invariant and the transformations have the Haar
            law of a group; ``"I"`` or ``"N"`` otherwise: the mismatch of errors then costs at least
            half as much, which is what the floors are tied to.
        seed: Seed of the chains and of what is drawn beyond the data.
        num_warmup: Warm-up steps of each chain in each round.
        num_samples: Samples of each chain in each round. Chains run in rounds, four at least and
            ten at most, until R-hat is below 1.01; those of the first quarter are dropped.
        num_chains: Chains.

    Assumptions:
        A run's risk is that on fresh rows; where errors are given, it is a squared error, and
        errors are root mean squares in the same units. Expected risks do not rise with n beyond
        the data.

    References:
        Petrache & Trivedi, NeurIPS 2023; Hoffman & Gelman, JMLR 2014; Viering & Loog, IEEE TPAMI
        2023.
    """

    priors: CurvePriors = field(default=DEFAULT_PRIORS)
    case: Literal["H", "I", "N"] = "H"
    seed: int = 0
    num_warmup: int = 150
    num_samples: int = 250
    num_chains: int = 4

    def __post_init__(self) -> None:
        """Check the configuration."""
        super().__post_init__()
        if self.case not in _WEIGHTS:
            raise ValueError(f"case must be 'H', 'I' or 'N', got {self.case!r}")
        if not isinstance(self.priors, CurvePriors):
            raise TypeError(f"priors must be CurvePriors(...), got {self.priors!r}")
        check_chains(self)

    def fit(self, runs: pd.DataFrame | Any, *, data_error: Any = None) -> LearningCurveResult:
        """Fit to a table of runs.

        Args:
            runs: A DataFrame with a row for each training run: ``candidate``, ``n``, ``seed``,
                ``risk``, and optionally ``risk_se``, ``error``, ``error_se``. Runs whose risk is
                not finite are left out, and named.
            data_error: What is known of the data error e*, which takes the place of its prior: a
                result of `DataEquivarianceError`, or draws.

        Returns:
            Draws of ``risk`` at the observed sizes, ``floor``, ``exponent``, what seeds do, and,
            where runs have errors, ``data_error`` and ``model_error`` in the limit of many rows.
            `LearningCurveResult.risk` and its other methods speak of any n.

        Raises:
            ValueError: If the runs cannot be used (see the message), or `data_error` is given where
                no run has an error.
        """
        checked = read_runs(runs)
        return self._sampled(checked, self._elicited(checked, data_error), evidence=1.0)

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
        return self._sampled(read_runs(runs), None, evidence=0.0)

    def _sampled(
        self, runs: Runs, data_error: Array | None, *, evidence: float
    ) -> LearningCurveResult:
        """Sample the posterior, or the prior where the runs count as no evidence."""
        import jax

        shape, data = curve_data(
            runs, weight=_WEIGHTS[self.case], data_error=data_error, evidence=evidence
        )
        sample = compiled_chains(
            shape, self.priors, self.num_warmup, self.num_samples, self.num_chains
        )
        named, mixed, n_divergences, n_rounds = sample(
            jax.random.key(self.seed), data, partial(named_draws, data=data)
        )
        found = runs.diagnostics()
        if n_divergences or max(mixed["r_hat"].values()) > MOST_R_HAT:
            found.add(Diagnostic.NOT_CONVERGED)
        draws, n_chains = one_after_another(named, self.n_draws)
        facts = {
            **mixed,
            "n_chains": n_chains,
            "n_divergences": n_divergences,
            "n_rounds": n_rounds,
            "is_prior": evidence == 0,
        }
        if shape.structured:
            facts["unit_of_errors"] = float(data["top_error"])
        return self._result(runs, draws, found, facts)

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
        self, runs: Runs, drawn: dict[str, Array], found: set[Diagnostic], facts: dict[str, Any]
    ) -> LearningCurveResult:
        by_candidate = ("exponent", "floor", "seed_sd", "own_slope", "model_error")
        return LearningCurveResult(
            draws=drawn,
            dims={"risk": ("candidate", "n"), "shared_bend": ("n",)}
            | {name: ("candidate",) for name in by_candidate if name in drawn},
            coords={"candidate": np.array(runs.candidates), "n": nodes_of(runs.sizes)},
            units=dict.fromkeys(("risk", "floor", *_LEVEL_DRAWS[2:]), "risk")
            | dict.fromkeys(_LEVEL_DRAWS[:2], "output units"),
            diagnostics=worst_first(found),
            facts={
                **facts,
                "n_observed": runs.sizes.tolist(),
                "n_runs": len(runs.risk),
                "left_out": list(runs.left_out),
                "weight": _WEIGHTS[self.case],
                "has_relative_error": runs.has_relative_error,
                "seed": self.seed,
            },
            rows={
                "candidate": np.array(runs.candidates)[runs.candidate],
                "n": runs.sizes[runs.size],
                "seed": runs.seed,
                "risk": runs.risk,
                "error": runs.error,
            },
        )
