"""What do fitted learning curves say, at any n?

Curves are drawn at the observed sizes, between them where these are far apart, and in doublings
beyond them; in between, log risks are straight lines in log n. All methods speak of the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractResult, credible_interval

if TYPE_CHECKING:
    import pandas as pd


FARTHEST = 1e4
"""How far beyond the largest sample size anything is said, as a ratio."""

_CROSSING_GRID = 400


@dataclass(frozen=True, kw_only=True)
class CurveFacts(Facts):
    """What travels with learning curves.

    Args:
        is_prior: Whether they are of the priors alone.
        risk_max: The largest risk there is; None for none.
        n_observed: Numbers of training rows that have runs.
        n_runs: How many.
        left_out: Runs that were left out, in words.
        weight: Of the squared mismatch of errors in the risk.
        has_relative_error: Whether errors of models are relative to the task's.
        seed: Of the draws.
        unit_of_errors: The largest error of a candidate; None without errors.
        pareto_k: Of the importance weights; None without errors.
        effective_draws: How many equal ones the weighted draws are worth; None without errors.
        fit: How well the theory's form fits the runs (1 as well as noise allows); None without.
        slope_at_edge: Posterior mass at the ends of the grid of slopes.
        p_noise_free: Probability that the task has no noise.
        unconverged: The largest share of the grid where no mode was found.
    """

    is_prior: bool
    risk_max: float | None
    n_observed: Sequence[float]
    n_runs: int
    left_out: Sequence[str]
    weight: float
    has_relative_error: bool
    seed: int
    unit_of_errors: float | None = None
    pareto_k: float | None = None
    effective_draws: float | None = None
    fit: float | None = None
    slope_at_edge: float | None = None
    p_noise_free: float | None = None
    unconverged: float | None = None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurveResult(AbstractResult):
    """Posterior of learning curves; made by `LearningCurve.fit`."""

    facts: CurveFacts = field(repr=False)

    @property
    def candidates(self) -> list[str]:
        """The candidates, in order of appearance."""
        return [str(name) for name in self.coords["candidate"]]

    @property
    def n_observed(self) -> Array:
        """The sample sizes that runs were made at, ascending."""
        return np.array(self.facts.n_observed, dtype=np.float64)

    def risk(
        self,
        n: float,
        *,
        predictive: bool = False,
        n_seeds: int = 1,
        test_rows: Literal["fresh", "same"] = "fresh",
    ) -> pd.DataFrame:
        """Return draws of each candidate's risk at a sample size.

        Args:
            n: Rows, from the smallest sample size observed to 10000 times the largest.
            predictive: Whether to return the mean risk of fresh runs, seed noise included, rather
                than the expectation over training sets and seeds.
            n_seeds: How many fresh runs that is.
            test_rows: Judged on fresh rows, or on the same as the runs: what is particular to those
                moves whole curves, and is known only where runs have a ``risk_se``.

        Returns:
            A row for each draw, a column for each candidate; rows of other results for other n are
            the same draws.

        Raises:
            ValueError: If n is outside that range, `n_seeds` not positive, or `test_rows` unknown.
        """
        import pandas as pd

        self._check(n)
        if n_seeds < 1:
            raise ValueError(f"n_seeds must be at least 1, got {n_seeds}")
        if test_rows not in ("fresh", "same"):
            raise ValueError(f"test_rows must be 'fresh' or 'same', got {test_rows!r}")
        logs = self._log_risk(np.array([n]), fresh=test_rows == "fresh")[:, :, 0]
        if predictive:
            logs = logs + self._seed_noise(logs, n, n_seeds)
        values = np.minimum(np.exp(logs), self.facts.risk_max or np.inf)
        return pd.DataFrame(values, columns=pd.Index(self.candidates, name="candidate"))

    def _log_risk(self, n: Array, *, fresh: bool = True, candidates: Any = slice(None)) -> Array:
        """Return log risks ``(draw, candidate, n)``."""
        risk = self.draws["risk"][:, candidates]
        logs = _between(np.log(self.coords["n"]), risk, np.log(n))
        if fresh and "test_offset" in self.draws:
            logs = logs + self.draws["test_offset"][:, candidates, None]
        return logs

    def _seed_noise(self, logs: Array, n: float, n_seeds: int) -> Array:
        """Return what seeds add to log risks ``(draw, candidate)``, as the mean of some runs."""
        generator = np.random.default_rng([self.facts.seed, 31, round(n)])
        spread, together = self.draws["seed_sd"], np.zeros((len(logs), 1))
        if "shared_seed_sd" in self.draws:  # seeds make noise of what more data would remove
            share = np.clip(1 - self.draws["floor"] / np.exp(logs), 0.0, 1.0)
            spread = spread * share
            together = share * self.draws["shared_seed_sd"][:, None]
        total = np.zeros(logs.shape)
        for _ in range(n_seeds):
            shared = together * generator.normal(size=(len(logs), 1))
            total += np.exp(shared + spread * generator.normal(size=logs.shape))
        return np.log(total / n_seeds)

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
        decay = self._decay(n, "optimal_level")
        weight, unit = self.facts.weight, self.facts.unit_of_errors
        assert unit is not None, "known where the runs had errors"
        cost = self.draws["asymmetric_cost"] * decay
        return self.draws["data_error"] * weight / (weight + cost / unit**2)

    def measured_level(self, n: float) -> Array:
        """Return draws ``(draw,)`` of the error that a model of the optimal level shows at n.

        A model trained on n rows shows its level's error and estimation noise on top.

        Raises:
            ValueError: If the runs had no errors, or n is out of range.
        """
        level, decay = self.optimal_level(n), self._decay(n, "measured_level")
        return level * np.sqrt(1 + self.draws["estimation_share"] * decay)

    def _decay(self, n: float, asked: str) -> Array:
        self._check(n)
        if "data_error" not in self.draws:
            relative = self.facts.has_relative_error
            raise ValueError(
                f"{asked} needs each candidate's equivariance error: a column 'error' in the runs, "
                f"in the units of the outputs, and candidates whose errors differ"
                + (" (a 'relative_error' cannot take its place)" if relative else "")
            )
        decay = self.draws["cost_decay"][:, None]
        at = _between(np.log(self.coords["n"]), decay, np.log(np.array([n])))
        return np.exp(at[:, 0, 0])

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
        sizes = self._sizes()
        logs = self._log_risk(sizes, candidates=[first, second])
        better = logs[:, 1] < logs[:, 0]
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
        target = self._log_risk(np.array([n]), candidates=[first])[:, 0]
        sizes = self._sizes()
        there = self._log_risk(sizes, candidates=[second])[:, 0] <= target
        return np.where(there.any(axis=1), sizes[there.argmax(axis=1)], np.inf) / n

    def _sizes(self) -> Array:
        observed = self.n_observed
        return np.geomspace(observed[0], FARTHEST * observed[-1], _CROSSING_GRID)

    def _check(self, n: float) -> None:
        low, high = self.n_observed[0], FARTHEST * self.n_observed[-1]
        if not low <= n <= high:
            raise ValueError(
                f"n must lie between the smallest sample size observed and 10000 times the "
                f"largest, {low:g} to {high:g}; got {n}"
            )

    def _index(self, name: str) -> int:
        if name not in self.candidates:
            raise ValueError(f"{name!r} is no candidate: expected one of {self.candidates}")
        return self.candidates.index(name)

    def __str__(self) -> str:
        """Say what was found at the largest sample size, and at ten times that."""
        last = float(self.n_observed[-1])
        text = f"{len(self.candidates)} candidates, {self.facts.n_runs} runs at n up to {last:g}."
        if self.facts.is_prior:
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


def _between(nodes: Array, values: Array, at: Array) -> Array:
    """Return logarithms ``(draw, candidate, at)`` of values, straight lines between nodes."""
    left = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, len(nodes) - 2)
    share = (at - nodes[left]) / (nodes[left + 1] - nodes[left])
    first = int(left.min())
    logs = np.log(values[:, :, first : int(left.max()) + 2])
    return (1 - share) * logs[:, :, left - first] + share * logs[:, :, left - first + 1]
