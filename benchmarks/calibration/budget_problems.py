"""What averages over few transformations lose: waves around a circle, higher far out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem

N_EVALUATED = 16
OF_ONE, OF_THREE = 1.0, 0.5
"""Heights of the waves of one and of three crests, at radius 1."""


def waves(power: float, x: Array) -> Array:
    angle, radius = np.arctan2(x[:, 1], x[:, 0]), np.hypot(x[:, 0], x[:, 1])
    return radius**power * (OF_ONE * np.cos(angle) + OF_THREE * np.cos(3 * angle))


def few(power: float, design: str, n: int, seed: int) -> Iterator[Outcome]:
    """Budget the average of a model of waves; the mean of r^(2 power) is 2^power Gamma(1 + power).

    Args:
        power: Of the radius: how unequal rows are.
        design: Of the table.
        n: Rows.
        seed: Of the rows.
    """
    g = np.random.default_rng([seed, n, int(10 * power)])
    x = g.normal(size=(n, 2))
    orbits = ep.evaluate_orbits(
        partial(waves, power),
        x,
        ep.transforms.rotations2d(acts_on="vectors"),
        y=0.3 * g.normal(size=n),
        n_transforms=N_EVALUATED,
        design=design,
        backend="python",
        seed=seed,
    )
    level = ep.SymmetryLevel(n_draws=N_DRAWS).fit(orbits)
    size = 2.0 if power == 1 else 8.0  # the mean of the squared radius, and of its square
    variance = size * (OF_ONE**2 + OF_THREE**2) / 2
    budget = level.budget(variance / 8, position=0, spacing="random")
    place = int(np.flatnonzero(budget.coords["n_transforms"] == 8)[0])
    yield Outcome("risk lost by 8 at random", budget.draws["excess_risk"][:, place], variance / 8)
    yield Outcome("error left by 8", budget.draws["error"][:, place], np.sqrt(variance / 4))
    if design == "quasi":
        lattices = level.budget(variance / 8, position=0)
        of_three = size * OF_THREE**2 / 2
        yield Outcome("risk lost by lattices of 3", lattices.draws["excess_risk"][:, 1], of_three)


_SIZES = (32, 128, 512)

BUDGET_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "Budget, waves by the radius": (partial(few, 1.0, "quasi"), _SIZES),
    "Budget, waves by its square": (partial(few, 2.0, "quasi"), _SIZES),
    "Budget, waves by the radius, random design": (partial(few, 1.0, "random"), _SIZES),
}
"""Problems by name, and the numbers of rows each is simulated at."""
