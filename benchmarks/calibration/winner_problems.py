"""The best of several candidates, judged on the rows that chose it: what of its lead is luck?

Candidates whose risks are known: 0/1 losses that go together row by row, and Brier scores of
probabilities; alike, spread by as much as their noise, or one ahead of all others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy import stats

import equiprob as ep
from benchmarks.calibration.decision_problems import scored
from benchmarks.calibration.problems import N_DRAWS, Array, Problem, Score

NOTHING = ep.transforms.finite(
    np.stack([np.eye(2), -np.eye(2)]), acts_on="invariant", output_action="invariant"
)

BASE = 0.25
"""The rate of errors that all are about."""


def risks_of(words: str, k: int, n: int, g: np.random.Generator) -> Array:
    """Return rates of errors ``(candidate,)``, with `n` rows to tell them apart by."""
    unit = np.sqrt(0.2 / n)  # about the standard error of a difference
    off = {
        "alike": np.zeros(k),
        "spread": unit * g.normal(size=k),
        "one ahead": -5 * unit * (np.arange(k) == g.integers(k)),
        "skewed": -unit * g.exponential(size=k),
    }[words]
    return np.clip(BASE + off + 1e-9 * g.normal(size=k), 0.01, 0.9)


def probabilities(rates: Array, n: int, g: np.random.Generator, *, soft: bool) -> Array:
    """Return the probability ``(row, candidate)`` that each gives to the wrong class."""
    shared, own = g.normal(size=(n, 1)), g.normal(size=(n, len(rates)))
    place = stats.norm.cdf((shared + own) / np.sqrt(2))
    if soft:
        # Of mean square `rate`, so that the Brier score is twice that.
        return np.clip(np.sqrt(3 * rates) * place, 0.0, 1.0)
    return (place < rates).astype(float)


def true_risk(rates: Array, *, soft: bool) -> Array:
    """Return the Brier scores ``(candidate,)``."""
    if not soft:
        return 2 * rates
    top = np.sqrt(3 * rates)  # a uniform number up to it, cut off at 1
    inside = np.minimum(1 / top, 1.0)
    return 2 * (top**2 * inside**3 / 3 + (1 - inside))


def winner(words: str, k: int, soft: bool, n: int, seed: int) -> Iterator[Score]:
    """k candidates on n rows, and n more to decide again."""
    g = np.random.default_rng([seed, n, k, 25])
    rates = risks_of(words, k, n, g)
    wrong = probabilities(rates, 2 * n, g, soft=soft)
    names = [str(i) for i in range(k)]
    risks = dict(zip(names, true_risk(rates, soft=soft).tolist(), strict=True))
    y = np.tile([1.0, 0.0], (n, 1))
    tables = {
        name: ep.evaluate_orbits(
            lambda rows: rows,
            np.column_stack([1 - wrong[:n, i], wrong[:n, i]]),
            NOTHING,
            y=y,
            n_transforms=2,
            row_ids=np.arange(n),
            backend="python",
        )
        for i, name in enumerate(names)
    }
    comparison = ep.compare(tables, n_draws=N_DRAWS, weight_seed=seed)
    decision = ep.decide(comparison, information=[ep.information.Rows(n)])
    losses = 2 * wrong**2
    yield from scored(decision, risks, names[losses[:n].mean(axis=0).argmin()])
    chosen, found = risks[comparison.candidates[0]], comparison.winner
    yield Score("risk of the winner", found.expected, chosen)
    yield Score("risk on the rows that chose it", found.apparent, chosen)
    for quantity, draws in (("interval of the winner", found.draws), ("plain", found.loss)):
        low, high = np.quantile(draws, [0.05, 0.95])
        yield Score(quantity, 0.9, float(low <= chosen <= high))
    later = names[losses.mean(axis=0).argmin()]
    value = decision.facts.information[0]["value"]
    yield Score("value of as many rows again", value, chosen - risks[later])


WINNER_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"winner, {'Brier score' if soft else '0/1 loss'}, {k} candidates {words}": (
        partial(winner, words, k, soft),
        (60, 300),
    )
    for soft in (False, True)
    for words in ("alike", "spread", "one ahead", "skewed")
    for k in (2, 4, 12)
}
"""Problems by name, and the numbers of rows each is simulated at."""
