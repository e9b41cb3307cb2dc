"""How often does a model pass a limit that its error does not meet, and fail one that it does?

A limit is held against the upper end of the credible interval, as it is; as `ep.assert_equivariant`
does, which takes tails to be heavier where few rows carry the error; and, where the largest error
is known, against a certificate (``bound=``). At a limit of the true error itself 5 % may pass.

    python -m benchmarks.calibration --suites few --problems limit --replications 200
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.many_rows_problems import student
from benchmarks.calibration.problems import LAWS, N_DRAWS, Law, Problem, Score
from equiprob.auditing.assertion import Gate

SIZES = (100, 300, 1000)
FACTORS = (1.0, 1.2, 1.5, 2.0, 3.0)
"""Limits, over the true error: the first is just missed, the others are met."""

RULES = ("interval alone", "assert_equivariant", "with bound=")

CREDIBILITY = 0.95

ONE_IN_100, ONE_IN_500 = (0.01, 20.0), (0.002, 30.0)
"""How many rows are larger, and how many times."""


def rare(share: float, times: float, g: np.random.Generator, n: int) -> np.ndarray:
    return np.where(g.random(n) < share, times**2, 1.0) / (1 - share + share * times**2)


LIMIT_LAWS: dict[str, tuple[Law, float | None]] = {
    **{law.name: (law, None) for law in LAWS[:3]},
    "bounded": (LAWS[3], 2.0),
    "Student t with 2.5 degrees of freedom": (Law("t", student), None),
    **{
        f"1 in {1 / share:.0f} rows {times:.0f} times larger": (
            Law("rare", partial(rare, share, times)),
            times**2 / (1 - share + share * times**2),
        )
        for share, times in (ONE_IN_100, ONE_IN_500)
    },
}
"""Laws of squared sizes with mean 1, and the largest there is, where there is one."""


def limit(law: Law, largest: float | None, n: int, seed: int) -> Iterator[Score]:
    """A number that changes its sign under one of two transformations; rows differ in its size."""
    g = np.random.default_rng([seed, n, 29])
    x = np.sqrt(law.draw(g, n))[:, None]
    mirrored = ep.transforms.finite(
        np.array([[[1.0]], [[-1.0]]]), acts_on="vectors", output_action="invariant"
    )
    orbits = ep.evaluate_orbits(
        lambda rows: rows[:, 0], x, mirrored, backend="python", row_ids=np.arange(n)
    )
    result = ep.ModelEquivarianceError(n_draws=N_DRAWS, weight_seed=seed).fit(orbits)
    truth = np.sqrt(2.0)
    for factor in FACTORS:
        most = float(factor * truth)
        gates = {"assert_equivariant": Gate(max_error=most, credibility=CREDIBILITY)}
        if largest is not None:
            gates["with bound="] = Gate(
                max_error=most, credibility=CREDIBILITY, bound=2 * largest * (1 + 1e-9)
            )
        alone = (result.draws["error"] <= most).mean() >= CREDIBILITY
        passed = {"interval alone": bool(alone)}
        passed |= {name: gate.judge(orbits, result).passes for name, gate in gates.items()}
        for name, met in passed.items():
            yield Score(f"{name}; {factor:g}", float(met), float(factor > 1))


LIMIT_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    f"limit, {name}": (partial(limit, law, largest), SIZES)
    for name, (law, largest) in LIMIT_LAWS.items()
}
"""Problems by name, and the numbers of rows each is simulated at."""
