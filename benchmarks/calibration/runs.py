"""Cells of the simulation: a problem, a number of rows and ten seeds, in a file when done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import equiprob as ep
from benchmarks.calibration.budget_problems import BUDGET_PROBLEMS
from benchmarks.calibration.calibrated_problems import CALIBRATED_PROBLEMS
from benchmarks.calibration.changed_decision_problems import CHANGED_DECISION_PROBLEMS
from benchmarks.calibration.decision_problems import DECISION_PROBLEMS
from benchmarks.calibration.few_rows_problems import FEW_ROWS_PROBLEMS
from benchmarks.calibration.generator_problems import GENERATOR_PROBLEMS
from benchmarks.calibration.geometry_problems import GEOMETRY_PROBLEMS
from benchmarks.calibration.harm_problems import HARM_PROBLEMS
from benchmarks.calibration.input_law_problems import INPUT_LAW_PROBLEMS
from benchmarks.calibration.level_problems import LEVEL_PROBLEMS
from benchmarks.calibration.limit_problems import LIMIT_PROBLEMS
from benchmarks.calibration.many_rows_problems import MANY_ROWS_PROBLEMS
from benchmarks.calibration.map_problems import MAP_PROBLEMS
from benchmarks.calibration.neighbour_problems import NEIGHBOUR_PROBLEMS
from benchmarks.calibration.page import NOMINAL, SIZES
from benchmarks.calibration.problems import PROBLEMS, Outcome, Problem, Score
from benchmarks.calibration.reweighted_problems import REWEIGHTED_PROBLEMS
from benchmarks.calibration.structural_problems import STRUCTURAL_PROBLEMS
from benchmarks.calibration.task_problems import TASK_PROBLEMS
from benchmarks.calibration.winner_problems import WINNER_PROBLEMS

RUNS = Path("calibration-runs")
SEEDS_IN_A_CELL = 10


@dataclass(frozen=True)
class Cell:
    """A problem of a suite, a number of rows, and the first of the seeds."""

    suite: str
    problem: str
    n: int
    first: int


SUITES: Mapping[str, Mapping[str, tuple[Problem, tuple[int, ...]]]] = {
    "model": {name: (problem, SIZES) for name, problem in PROBLEMS.items()},
    "task": TASK_PROBLEMS,
    "data": {
        **NEIGHBOUR_PROBLEMS,
        **MAP_PROBLEMS,
        **{name: (each, SIZES) for name, each in CHANGED_DECISION_PROBLEMS.items()},
        **BUDGET_PROBLEMS,
    },
    "laws": {**HARM_PROBLEMS, **REWEIGHTED_PROBLEMS},
    "level": LEVEL_PROBLEMS,
    "decision": {**DECISION_PROBLEMS, **WINNER_PROBLEMS},
    "few": {**FEW_ROWS_PROBLEMS, **LIMIT_PROBLEMS},
    "geometry": {**GEOMETRY_PROBLEMS, **STRUCTURAL_PROBLEMS},
    "more": {
        **MANY_ROWS_PROBLEMS,
        **INPUT_LAW_PROBLEMS,
        **CALIBRATED_PROBLEMS,
        **GENERATOR_PROBLEMS,
    },
}
"""What is simulated together and fills one page."""


def sources() -> str:
    """Return a digest of the code: results of other code are not taken over."""
    files = [
        *sorted(Path(ep.__file__).parent.rglob("*.py")),
        *sorted(Path(__file__).parent.glob("*problems.py")),
        Path(__file__),  # which seeds a cell has
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def record(outcome: Outcome | Score, n: int, problem: str) -> dict[str, object]:
    """Return which intervals hold the truth, the width of the one at 0.9, and the truth's rank.

    The width of a bound is the bound.
    """
    if isinstance(outcome, Score):
        found = {"value": outcome.value, "truth": outcome.truth}
        return {"problem": problem, "n": n, "quantity": outcome.quantity, **found}
    covered, widths = [], {}
    for prob in NOMINAL:
        low, high = np.quantile(outcome.draws, [0.5 - prob / 2, 0.5 + prob / 2])
        if outcome.side == "lower":
            low, high = np.quantile(outcome.draws, 1 - prob), np.inf
            widths[prob] = low
        elif outcome.side == "upper":
            low, high = 0.0, np.quantile(outcome.draws, prob)
        covered.append(bool(low <= outcome.truth <= high))
        widths.setdefault(prob, high - low)
    ratio = None
    if outcome.plain is not None:
        low, high = np.quantile(outcome.plain, [0.05, 0.95])
        ratio = float(widths[0.9] / (high - low)) if high > low else None
    return {
        "problem": problem,
        "n": n,
        "quantity": outcome.quantity,
        "covered": covered,
        "width": float(widths[0.9] / (abs(outcome.truth) or 1.0)),
        "ratio": ratio,
        "rank": float(np.mean(outcome.draws < outcome.truth)),
    }


def run_cell(cell: Cell, path: Path) -> None:
    """Simulate a cell and write its records; the file appears whole or not at all."""
    simulate, _ = SUITES[cell.suite][cell.problem]
    records = [
        record(outcome, cell.n, cell.problem)
        for seed in range(cell.first, cell.first + SEEDS_IN_A_CELL)
        for outcome in simulate(cell.n, seed)
    ]
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(records))
    partial.replace(path)


def cells(suite: str, replications: int) -> Iterator[Cell]:
    """Return the cells of a suite, such that all problems have few seeds before any has many."""
    for first in range(0, replications, SEEDS_IN_A_CELL):
        for problem, (_, sizes) in SUITES[suite].items():
            for n in sizes:
                yield Cell(suite, problem, n, first)
