"""Candidates that few rows tell apart: what of their risks, their difference, and who is best?

Classifiers that differ on a few rows, regressors whose rare failures are most of their risk, and
small test sets on which one candidate makes no error. How often each candidate fails is drawn anew
for every test set.

And means of rows in a few groups of unequal sizes.

    python -m benchmarks.calibration --suites few --replications 200
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem, Score

SURE = 0.99

SIZES = (50, 300, 1000)

GROUPS = (8, 20)

Sample = tuple[Array, Array, bool]
"""Losses ``(row, candidate)``, their expectations ``(candidate,)``, and whether they are labels."""


def labels(n: int, g: np.random.Generator, n_apart: float = 1.0) -> Sample:
    """Two classifiers: 7 % both get wrong, a few rows one of them."""
    rate = np.minimum(n_apart * np.exp(1.2 * g.normal(size=2)) / n, 0.4)
    kind = g.choice(4, p=[0.07, *rate, 0.93 - rate.sum()], size=n)
    wrong = np.stack([(kind == 0) | (kind == 1 + k) for k in range(2)], axis=1)
    return wrong.astype(np.float64), 0.07 + rate, True


def dominated(n: int, g: np.random.Generator) -> Sample:
    """Three classifiers: the second and the third get wrong what the first does, and more."""
    more = np.minimum(np.exp(1.2 * g.normal(size=3)) / n, 0.3)
    u = g.random(n)
    edges = 0.07 + np.cumsum(more)
    return (u[:, None] < edges).astype(np.float64), edges, True


def error_free(n: int, g: np.random.Generator) -> Sample:
    """Two classifiers, independently wrong on 2 % and 10 % or so of rows."""
    rate = np.minimum(np.array([0.02, 0.1]) * np.exp(0.8 * g.normal(size=2)), 0.5)
    return (g.random((n, 2)) < rate).astype(np.float64), rate, True


def failures(n: int, g: np.random.Generator) -> Sample:
    """Two regressors, as good where they work, which fail on 1 to 4 % of rows each."""
    rate = 0.02 * np.exp(0.5 * g.normal(size=2))
    usual = 0.1 * g.normal(size=(n, 1)) ** 2 * np.array([1.0, 1.1])
    size = 50 * np.exp(0.5 * g.normal(size=(n, 2)) - 0.125)
    return usual + size * (g.random((n, 2)) < rate), np.array([0.1, 0.11]) + 50 * rate, False


def table(loss: Array, are_labels: bool, groups: Array | None = None) -> ep.OrbitTable:
    """Return a table with these squared errors; of wrong labels the Brier score is 2."""
    n = len(loss)
    transform = ep.transforms.finite(
        np.stack([np.eye(2), -np.eye(2)]), acts_on="invariant", output_action="invariant"
    )
    y = np.tile([1.0, 0.0], (n, 1))
    shift = loss[:, None] * [-1.0, 1.0] if are_labels else np.sqrt(loss)[:, None] * [1.0, 0.0]
    return ep.evaluate_orbits(
        lambda rows: rows,
        y + shift,
        transform,
        y=y,
        n_transforms=2,
        backend="python",
        row_ids=np.arange(n),
        groups=groups,
        keep="rows",
    )


def few_rows(
    sample: Callable[[int, np.random.Generator], Sample], n: int, seed: int
) -> Iterator[Outcome | Score]:
    """Compare the candidates of a sample."""
    g = np.random.default_rng([seed, n, 23])
    loss, expected, are_labels = sample(n, g)
    unit = 2.0 if are_labels else 1.0
    names = [str(k) for k in range(loss.shape[1])]
    tables = {name: table(loss[:, k], are_labels) for k, name in enumerate(names)}
    comparison = ep.compare(tables, n_draws=N_DRAWS, weight_seed=seed)
    risk = dict(zip(comparison.candidates, comparison.draws["risk"].T / unit, strict=True))
    truth = dict(zip(names, expected.tolist(), strict=True))
    best = min(names, key=lambda name: truth[name])
    chosen = comparison.candidates[0]
    yield Outcome("risk of the winner", risk[chosen], truth[chosen])
    for name in names[1:]:
        yield Outcome("difference of risks", risk[name] - risk["0"], truth[name] - truth["0"])
    p_best = float(comparison.choice.p_best[0])
    yield Score("p_best, recommended", p_best, float(chosen == best))
    if p_best >= SURE:
        yield Score("p_best, recommended as sure", p_best, float(chosen == best))
    regret = comparison.choice.value_of_perfect_information / unit
    yield Score("expected_regret", regret, truth[chosen] - truth[best])


def grouped(sd: float, correlation: float, n_groups: int, seed: int) -> Iterator[Outcome]:
    """Squared normal errors of rows in groups whose sizes have this log-sd."""
    g = np.random.default_rng([seed, n_groups, 24])
    sizes = np.ceil(20 * np.exp(sd * g.normal(size=n_groups) - sd**2 / 2)).astype(int)
    groups = np.repeat(np.arange(n_groups), sizes)
    shared, own = g.normal(size=n_groups)[groups], g.normal(size=len(groups))
    error = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    orbits = table(error**2, False, groups)
    result = ep.ModelEquivarianceError(n_draws=N_DRAWS, weight_seed=seed).fit(orbits)
    yield Outcome("risk", result.draws["risk"], 1.0)


FEW_ROWS_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "labels that differ on 2 rows or so": (partial(few_rows, labels), SIZES),
    "labels that differ on 8 rows or so": (
        partial(few_rows, partial(labels, n_apart=4.0)),
        SIZES,
    ),
    "three classifiers, each wrong where the one before is": (
        partial(few_rows, dominated),
        SIZES,
    ),
    "30 rows, often without an error": (partial(few_rows, error_free), (30,)),
    "regressors that fail on 2 %": (partial(few_rows, failures), (100, 300)),
    **{
        f"{words} groups, {share:.0%} of the variance shared": (
            partial(grouped, sd, share),
            GROUPS,
        )
        for words, sd in (("equal", 0.0), ("unequal", 1.0))
        for share in (1.0, 0.3)
    },
}
"""Problems by name, and the numbers of rows each is simulated at."""
