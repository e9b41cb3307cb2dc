"""Simulate, resume, and write docs/calibration.md.

    python -m benchmarks.calibration --replications 400 --processes 2

A cell (a problem, a number of rows and fifty seeds) is written to a file of its own when it is
done, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

import equiprob as ep
from benchmarks.calibration.page import NOMINAL, SIZES, write_page
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
    """Return which intervals hold the truth, and the width of the one at 0.9."""
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page-only", action="store_true", help="write what there is")
    options = parser.parse_args()
    folder = RUNS / sources()
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        cell: folder / (hashlib.sha256(repr(cell).encode()).hexdigest()[:16] + ".json")
        for cell in cells(options.replications)
    }
    missing = [] if options.page_only else [c for c, path in files.items() if not path.exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting = {pool.submit(run_cell, cell, files[cell]): cell for cell in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"{done} of {len(missing)}: {waiting[future]}", flush=True)
    found = [json.loads(path.read_text()) for path in files.values() if path.exists()]
    write_page([r for part in found for r in part])


if __name__ == "__main__":
    main()
