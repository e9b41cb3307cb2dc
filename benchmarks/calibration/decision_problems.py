"""Decisions whose best answer is known: do stated probabilities and regrets come true?

Candidates are linear models at random distances from the truth, from so small that no test set can
tell them apart to so large that any can.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import LAWS, N_DRAWS, NOISE, Law, Problem, Score

SPREADS = {"alike": 0.1, "close": 0.3, "apart": 1.0}
"""Standard deviation of the entries of a candidate's error."""

TRANSFORM = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def decision(law: Law, spread: float, k: int, n_seeds: int, n: int, seed: int) -> Iterator[Score]:
    """k candidates, judged on n rows; with several seeds, architectures whose runs differ."""
    g = np.random.default_rng([seed, n, k, 21])
    direction = g.normal(size=(n, 2))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x = direction * np.sqrt(2 * law.draw(g, n))[:, None]
    y = NOISE * g.normal(size=(n, 2))  # the truth is 0: a candidate's error is its matrix
    groups = None if law.n_groups is None else np.arange(n) // -(-n // law.n_groups)
    risks, tables = {}, {}
    for i in range(k):
        centre = spread * g.normal(size=(2, 2))
        # Trainings scatter around the architecture's centre by a quarter of its distance.
        runs = [centre + spread / 4 * g.normal(size=(2, 2)) for _ in range(n_seeds)]
        if n_seeds == 1:
            runs = [centre]
        expected = (centre**2).sum() + (4 * (spread / 4) ** 2 if n_seeds > 1 else 0.0)
        risks[f"{i}"] = float(expected) + 2 * NOISE**2
        evaluated = [
            ep.evaluate_orbits(
                lambda rows, m=matrix: rows @ m,
                x,
                TRANSFORM,
                y=y,
                n_transforms=1,
                groups=groups,
                backend="python",
                keep="rows",
            )
            for matrix in runs
        ]
        tables[f"{i}"] = evaluated if n_seeds > 1 else evaluated[0]
    made = ep.decide(ep.compare(tables, n_draws=N_DRAWS), information=())
    least = min(risks.values())
    for name, p in zip(made.candidates, made.choice.p_best, strict=True):
        yield Score("p_best", float(p), float(risks[name] == least))
    chosen = made.candidates[0]
    yield Score("p_best, recommended", float(made.choice.p_best[0]), float(risks[chosen] == least))
    yield Score("expected_regret", made.value_of_perfect_information, risks[chosen] - least)
    mean = {
        name: np.mean(
            [
                ((t.only.y - t.only.base) ** 2).sum(axis=1).mean()
                for t in (v if n_seeds > 1 else [v])
            ]
        )
        for name, v in tables.items()
    }
    lowest = min(mean, key=lambda name: mean[name])
    yield Score("regret of the lowest mean", 0.0, risks[lowest] - least)


DECISION_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"{law.name}, {k} candidates {words}{', 3 seeds' if seeds > 1 else ''}": (
        partial(decision, law, spread, k, seeds),
        (32, 128),
    )
    for law, seeds in [*((law, 1) for law in LAWS), (LAWS[0], 3)]
    for words, spread in SPREADS.items()
    for k in (2, 5)
}
"""Problems by name, and the numbers of rows each is simulated at."""
