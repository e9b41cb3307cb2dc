"""Cells of the simulation: a problem, a number of rows and fifty seeds, in a file when done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import equiprob as ep
from benchmarks.calibration.page import NOMINAL, SIZES
from benchmarks.calibration.problems import PROBLEMS, Outcome

RUNS = Path("calibration-runs")
SEEDS_IN_A_CELL = 50

Cell = tuple[str, int, int]


def sources() -> str:
    """Return a digest of the package's code: results of other code are not taken over."""
    files = [
        *sorted(Path(ep.__file__).parent.rglob("*.py")),
        Path(__file__).with_name("problems.py"),
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def record(outcome: Outcome, n: int, problem: str) -> dict[str, object]:
    """Return which intervals hold the truth, the width of the one at 0.9, and the truth's rank."""
    covered, widths = [], {}
    for prob in NOMINAL:
        low, high = np.quantile(outcome.draws, [0.5 - prob / 2, 0.5 + prob / 2])
        covered.append(bool(low <= outcome.truth <= high))
        widths[prob] = high - low
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
    problem, n, first = cell
    records = [
        record(outcome, n, problem)
        for seed in range(first, first + SEEDS_IN_A_CELL)
        for outcome in PROBLEMS[problem](n, seed)
    ]
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(records))
    partial.replace(path)


def cells(replications: int) -> Iterator[Cell]:
    for first in range(0, replications, SEEDS_IN_A_CELL):
        for n in SIZES:
            for problem in PROBLEMS:
                yield problem, n, first
