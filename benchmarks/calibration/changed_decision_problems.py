"""Classifiers by a half plane, whose decisions change under rotations by a formula."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, N_TRANSFORMS, Array, Outcome, Problem

WRONG = 0.1
"""Share of rows with the other label."""

_NODES = 4000


def chance(edge: float) -> float:
    """Return how often a Gaussian point of the plane changes sides when it turns by any angle."""
    radius = np.sqrt(-2 * np.log1p(-(np.arange(_NODES) + 0.5) / _NODES))
    beyond = np.arccos(np.clip(edge / radius, -1, 1)) / np.pi
    return float((2 * beyond * (1 - beyond)).mean())


def half_plane(edge: float, groups: bool, n: int, seed: int) -> Iterator[Outcome]:
    """Decide by ``x > edge``; the groups are eight rows of one distance and nearby angles."""
    g = np.random.default_rng([seed, n, int(100 * edge)])
    if groups:
        centres = np.repeat(g.normal(size=(-(-n // 8), 2)), 8, axis=0)[:n]
        turn = g.normal(scale=0.2, size=n)
        x = np.stack(
            [
                centres[:, 0] * np.cos(turn) - centres[:, 1] * np.sin(turn),
                centres[:, 0] * np.sin(turn) + centres[:, 1] * np.cos(turn),
            ],
            axis=1,
        )
    else:
        x = g.normal(size=(n, 2))
    y = (x[:, 0] > edge) ^ (g.random(n) < WRONG)
    if len(np.unique(y)) < 2:  # one-hot labels need two classes
        y[0] = ~y[0]

    def predict(rows: Array) -> Array:
        right = (rows[:, 0] > edge).astype(float)
        return np.stack([1 - right, right], axis=1)

    orbits = ep.evaluate_orbits(
        predict,
        x,
        ep.transforms.rotations2d(acts_on="vectors"),
        y=y.astype(int),
        groups=np.arange(n) // 8 if groups else None,
        n_transforms=N_TRANSFORMS,
        keep="all",
        backend="python",
        seed=seed,
    )
    draws = ep.ChangedDecisions(n_draws=N_DRAWS).fit(orbits).draws
    truth = chance(edge)
    yield Outcome("share of changed decisions", draws["share"], truth)
    yield Outcome("turned wrong", draws["turned_wrong"], (1 - WRONG) * truth)
    yield Outcome("turned right", draws["turned_right"], WRONG * truth)


CHANGED_DECISION_PROBLEMS: dict[str, Problem] = {
    "half plane, middle": partial(half_plane, 0.0, False),
    "half plane, at 1": partial(half_plane, 1.0, False),
    "half plane, at 2.5": partial(half_plane, 2.5, False),
    "half plane, groups of 8": partial(half_plane, 0.5, True),
}
"""Problems by name: each takes a number of rows and a seed."""
