"""Decisions whose best answer is known: do stated probabilities, regrets and values come true?

Candidates are linear models at random distances from the truth, from so small that no test set can
tell them apart to so large that any can; or learning curves that cross beyond the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import equiprob as ep
from benchmarks.calibration.problems import LAWS, N_DRAWS, NOISE, Array, Law, Problem, Score

SPREADS = {"alike": 0.1, "close": 0.3, "apart": 1.0}
"""Standard deviation of the entries of a candidate's error."""

SEED_SPREAD = 0.25
"""The same of a training's distance from its architecture, over the architecture's own."""

TRANSFORM = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def scored(decision: ep.Decision, risks: dict[str, float], lowest: str) -> Iterator[Score]:
    """Hold a decision against the true risks; `lowest` has the lowest mean of the data."""
    least, chosen = min(risks.values()), decision.candidates[0]
    for name, p in zip(decision.candidates, decision.choice.p_best, strict=True):
        yield Score("p_best", float(p), float(risks[name] == least))
    p_best = float(decision.choice.p_best[0])
    yield Score("p_best, recommended", p_best, float(risks[chosen] == least))
    expected = decision.value_of_perfect_information
    yield Score("expected_regret", expected, risks[chosen] - least)
    yield Score("regret of the lowest mean", expected, risks[lowest] - least)


def comparison(law: Law, spread: float, k: int, n_seeds: int, n: int, seed: int) -> Iterator[Score]:
    """k candidates, judged on n rows; with several seeds, architectures whose runs differ."""
    g = np.random.default_rng([seed, n, k, 21])
    direction = g.normal(size=(2 * n, 2))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    size = np.concatenate([law.draw(g, n), law.draw(g, n)])  # now, and what could be had
    x = direction * np.sqrt(2 * size)[:, None]
    y = NOISE * g.normal(size=(2 * n, 2))  # the truth is 0: a candidate's error is its matrix
    centres = spread * g.normal(size=(k, 1, 2, 2))
    scatter = SEED_SPREAD * spread if n_seeds > 1 else 0.0
    runs = centres + scatter * g.normal(size=(k, n_seeds, 2, 2))
    excess = (centres[:, 0] ** 2).sum(axis=(1, 2)) + 4 * scatter**2
    names = [str(i) for i in range(k)]
    risks = {name: float(e) for name, e in zip(names, excess, strict=True)}
    groups = None if law.n_groups is None else np.arange(n) // -(-n // law.n_groups)

    def evaluated(matrix: Array) -> ep.OrbitTable:
        return ep.evaluate_orbits(
            lambda rows: rows @ matrix,
            x[:n],
            TRANSFORM,
            y=y[:n],
            n_transforms=1,
            groups=groups,
            backend="python",
            keep="rows",
        )

    tables: dict[str, Any] = {
        name: [evaluated(m) for m in matrices] if n_seeds > 1 else evaluated(matrices[0])
        for name, matrices in zip(names, runs, strict=True)
    }
    n_units = n if law.n_groups is None else law.n_groups
    decision = ep.decide(
        ep.compare(tables, n_draws=N_DRAWS), information=[ep.information.Rows(n_units)]
    )
    loss = ((y[None, None] - np.einsum("ra,ksab->ksrb", x, runs)) ** 2).sum(axis=3).mean(axis=1)
    yield from scored(decision, risks, names[loss[:, :n].mean(axis=1).argmin()])
    later = names[loss.mean(axis=1).argmin()]
    yield Score(
        "value of as many rows again",
        decision.facts.information[0]["value"],
        risks[decision.candidates[0]] - risks[later],
    )


# ---- learning curves ----------------------------------------------------------------------------

SIZES = (100, 200, 400)
HORIZON = 4000
N_RUNS = 2
PRIOR = np.array([1.0, 4.0]), np.array([0.1, 1.5])
"""Means and standard deviations of a candidate's limit and of what it loses at n = 1."""
SEED_NOISE = 0.02


@dataclass(frozen=True)
class Curves:
    """Curves ``limit + loss / sqrt(n)`` with their exact posterior, given runs with normal noise.

    Args:
        draws: Of both coefficients, ``(draw, candidate, 2)``.
        noise: Standard normal, ``(draw, candidate)``: the seed of a fresh run.
    """

    draws: Array
    noise: Array
    diagnostics: tuple[()] = ()

    @property
    def candidates(self) -> list[str]:
        return [str(i) for i in range(self.draws.shape[1])]

    @property
    def n_observed(self) -> Array:
        return np.array(SIZES, dtype=np.float64)

    def risk(self, n: Any, predictive: bool = False, n_seeds: int = 1) -> pd.DataFrame:
        risk = self.draws @ features(n)
        if predictive:
            risk = risk + SEED_NOISE / np.sqrt(n_seeds) * self.noise
        return pd.DataFrame(risk, columns=self.candidates)


def features(n: Any) -> Array:
    return np.stack([np.ones_like(n, dtype=np.float64), np.asarray(n, float) ** -0.5], axis=-1)


def posterior(at: Array, runs: Array, g: np.random.Generator) -> Curves:
    """Return the posterior given the risks ``(candidate, run)`` of runs at rows ``(run,)``."""
    mean, sd = PRIOR
    precision = features(at).T @ features(at) / SEED_NOISE**2 + np.diag(sd**-2.0)
    covariance = np.linalg.inv(precision)
    pull = runs @ features(at) / SEED_NOISE**2 + mean / sd**2
    k = len(runs)
    normal = g.multivariate_normal(np.zeros(2), covariance, size=(N_DRAWS, k))
    return Curves(pull @ covariance + normal, g.normal(size=(N_DRAWS, k)))


def curves(k: int, n: int, seed: int) -> Iterator[Score]:
    """k candidates whose risks at 4000 rows are forecast from runs at up to n = 400."""
    g = np.random.default_rng([seed, k, 22])
    truth = PRIOR[0] + PRIOR[1] * g.normal(size=(k, 2))
    at = np.repeat(SIZES, N_RUNS).astype(np.float64)
    runs = truth @ features(at).T + SEED_NOISE * g.normal(size=(k, len(at)))
    risks = {str(i): float(r) for i, r in enumerate(truth @ features(HORIZON))}
    decision = ep.decide(
        posterior(at, runs, g), horizon=HORIZON, information=[ep.information.Run(None, n)]
    )
    yield from scored(decision, risks, str(runs[:, -N_RUNS:].mean(axis=1).argmin()))
    further = truth @ features(n) + SEED_NOISE * g.normal(size=k)
    more = np.append(at, n), np.column_stack([runs, further])
    later = ep.decide(posterior(*more, g), horizon=HORIZON, information=()).candidates[0]
    yield Score(
        "value of a run of each",
        decision.facts.information[0]["value"],
        risks[decision.candidates[0]] - risks[later],
    )


DECISION_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    **{
        f"{law.name}, {k} candidates {words}{', 3 seeds' if seeds > 1 else ''}": (
            partial(comparison, law, spread, k, seeds),
            (32, 128),
        )
        for law, seeds in [*((law, 1) for law in LAWS), (LAWS[0], 3)]
        for words, spread in SPREADS.items()
        for k in (2, 5)
    },
    **{f"learning curves, {k} candidates": (partial(curves, k), (400, 1600)) for k in (2, 5)},
}
"""Problems by name, and the numbers of rows each is simulated at (curves: of the run to come)."""
