"""What are the mean risks of each candidate at each n, and how noisy is each?

The noise of a mean has a part that training seeds make, whose scale few seeds hardly tell: each
cell's variance is drawn towards the candidate's, that towards the table's, and that towards what is
usual; a factor on it is left to the model. The other part is of the test rows (``risk_se``): where
all runs are judged on the same rows, most of it is common to the whole curve, which moves its level
and not its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.curves.runs import Runs

_USUAL_SD = 0.08
_USUAL_WEIGHT = 3.0
_TABLE_WEIGHT = 4.0
_LEAST_VARIANCE = 1e-4
_MOST_CELLS = 14

SHARED_TEST = 0.75
"""Share of the variance that test rows make which is common to a curve judged on the same rows."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Mean risks of one candidate.

    Args:
        u: Log sample sizes, ascending, ``(cell,)``.
        means: Mean risks, above 0, ``(cell,)``.
        seed_variance: What seeds make of the variance of their logarithms, up to a factor common to
            the candidate, ``(cell,)``.
        other_variance: What the test rows, and anything else, make of it, ``(cell,)``.
        run_variance: What seeds make of a single run's log risk at the last size, up to the factor.
        test_variance: What the test rows make of it there.
        failures: Summed over runs, ``(cell,)``, where runs are counts.
        trials: The same.
    """

    u: Array
    means: Array
    seed_variance: Array
    other_variance: Array
    run_variance: float
    test_variance: float
    failures: Array | None = None
    trials: Array | None = None

    @property
    def log_mean(self) -> Array:
        """Logarithms of the mean risks."""
        return np.log(self.means)


def cells_of(runs: Runs, *, same_test: bool) -> list[Cells]:
    """Return the cells of each candidate.

    Args:
        runs: Checked runs.
        same_test: Whether all runs of a candidate are judged on the same rows.
    """
    log, u = np.log(runs.risk), _binned(np.log(runs.sizes))
    relative = np.log1p((runs.risk_se / runs.risk) ** 2)  # the variance of logarithms
    every = []
    for k in range(len(runs.candidates)):
        mine = np.flatnonzero(runs.candidate == k)
        at, cell = np.unique(u[runs.size[mine]], return_inverse=True)
        count = np.bincount(cell)
        mean = np.bincount(cell, runs.risk[mine]) / count
        centre = np.bincount(cell, log[mine]) / count
        test = np.bincount(cell, relative[mine]) / count
        around = np.bincount(cell, (log[mine] - centre[cell]) ** 2)
        free = count - 1.0
        within = np.divide(around, free, out=np.zeros(len(at)), where=free > 0)
        excess = np.maximum(within - test, 0.0) * free
        every.append((mine, at, cell, count, mean, test, excess, free))
    total, freedom = (sum(float(e[i].sum()) for e in every) for i in (6, 7))
    usual = _USUAL_WEIGHT * _USUAL_SD**2
    table = (usual + total) / (_USUAL_WEIGHT + freedom)
    found = []
    for mine, at, cell, count, mean, test, excess, free in every:
        own = (_TABLE_WEIGHT * table + excess.sum()) / (_TABLE_WEIGHT + free.sum())
        each = (_TABLE_WEIGHT * own + excess) / (_TABLE_WEIGHT + free)
        left = 1 - SHARED_TEST if same_test else 1.0
        failures = trials = None
        if runs.failures is not None and runs.trials is not None:
            left = 0.0  # the binomial law has it
            failures, trials = (np.bincount(cell, v[mine]) for v in (runs.failures, runs.trials))
        found.append(
            Cells(
                u=at,
                means=mean,
                seed_variance=each / count,
                other_variance=(left * test + _LEAST_VARIANCE) / count,
                run_variance=float(own),
                test_variance=float(test[-1]),
                failures=failures,
                trials=trials,
            )
        )
    return found


def _binned(u: Array) -> Array:
    """Return the place of each size: its own, or that of its bin where there are many."""
    if len(u) <= _MOST_CELLS:
        return u
    edges = np.linspace(u[0], u[-1], _MOST_CELLS + 1)[1:-1]
    place = np.searchsorted(edges, u)
    middle = np.bincount(place, u) / np.maximum(np.bincount(place), 1)
    return middle[place]
