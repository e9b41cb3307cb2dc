"""More rows than are weighed one by one: units pooled by their ids, and rows pooled into blocks.

Rows of the same linear model as everywhere, with tails and groups that the laws of fewer rows have
not. ``blocks`` holds sums over blocks of rows, and its ratios and profiles have no tails of their
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import (
    GAUSSIAN,
    LAWS,
    N_DRAWS,
    Array,
    Data,
    Law,
    Outcome,
    Problem,
    simulate,
)

SIZES = (300, 6000, 20000)
"""Beyond 4,096 units weights are drawn for blocks of units; 300 rows are there to compare with."""

_N_TRANSFORMS = 4


def student(g: np.random.Generator, n: int) -> Array:
    """Squared sizes whose tail index is .8 (their own variance is infinite), with mean 1."""
    return np.abs(g.standard_t(2.5, n)) ** 2 / 5


def one_in_500(g: np.random.Generator, n: int) -> Array:
    return np.where(g.random(n) < 0.002, 30.0**2, 1.0) / (0.998 + 0.002 * 30.0**2)


MANY_ROWS_LAWS = (
    GAUSSIAN,
    LAWS[2],
    Law("Student t with 2.5 degrees of freedom", student),
    Law("1 in 500 rows 30 times larger", one_in_500),
)


def pooled(law: Law, keep: Literal["rows", "blocks"], n: int, seed: int) -> Iterator[Outcome]:
    """One model's error, relative error, profile and risk."""
    yield from _outcomes(simulate(law, n, seed), keep, seed)


def grouped(keep: Literal["rows", "blocks"], n: int, seed: int) -> Iterator[Outcome]:
    """Groups of 1 to 3 rows of one size, of which there are more than 4,096 from 20,000 rows on."""
    data = simulate(GAUSSIAN, n, seed)
    generator = np.random.default_rng([seed, n, 3])
    groups = np.repeat(np.arange(n), generator.integers(1, 4, n))[:n]
    x = data.x * np.sqrt(generator.chisquare(2, n) / 2)[groups, None]
    truth = data.common + data.optimum * (data.matrix - data.common)
    y = data.y + (x - data.x) @ truth
    yield from _outcomes(replace(data, x=x, y=y, groups=groups), keep, seed)


def _outcomes(data: Data, keep: Literal["rows", "blocks"], seed: int) -> Iterator[Outcome]:
    orbits = ep.evaluate_orbits(
        lambda batch: batch @ data.matrix,
        data.x,
        ep.transforms.rotations2d(acts_on="vectors", output_action="vectors"),
        y=data.y,
        groups=data.groups,
        n_transforms=_N_TRANSFORMS,
        seed=seed,
        keep=keep,
        row_ids=np.arange(len(data.x)),
        backend="python",
    )
    draws = ep.ModelEquivarianceError(n_draws=N_DRAWS, weight_seed=seed).fit(orbits).draws
    error = np.sqrt(2 * data.asymmetry)
    yield Outcome("error", draws["error"], error)
    yield Outcome("relative_error", draws["relative_error"], error / np.linalg.norm(data.matrix))
    low, high = np.pi * 5 / 12, np.pi * 6 / 12
    mean_sq = 2 - (np.sin(2 * high) - np.sin(2 * low)) / (high - low)
    yield Outcome("profile", draws["profile"][:, 5], np.sqrt(mean_sq * data.asymmetry))
    yield Outcome("risk", draws["risk"], data.risk(1))
    share = (data.risk(1) - data.risk(0)) / data.risk(1)
    yield Outcome("asymmetry_share", draws["asymmetry_share"], share)


MANY_ROWS_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"{name}, {keep}": (problem, SIZES)
    for keep in ("rows", "blocks")
    for name, problem in {
        **{law.name: partial(pooled, law, keep) for law in MANY_ROWS_LAWS},
        "groups of 1 to 3": partial(grouped, keep),
    }.items()
}
"""Problems by name, and the numbers of rows each is simulated at."""
