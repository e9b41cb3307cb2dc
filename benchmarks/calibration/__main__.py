"""Simulate, resume, and write the calibration pages.

    python -m benchmarks.calibration --replications 400 --processes 2

A cell (a problem, a number of rows and ten seeds) is written to a file of its own when it is
done, so that a run that was stopped goes on where it was.

Some problems alone, their means printed and no page written (a minute or two):

    python -m benchmarks.calibration --suites decision --problems winner --replications 20 --print
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import pandas as pd

from benchmarks.calibration.data_page import write_data_page, write_laws_page
from benchmarks.calibration.decision_page import write_decision_page
from benchmarks.calibration.few_page import write_few_page
from benchmarks.calibration.geometry_page import write_geometry_page
from benchmarks.calibration.level_page import write_level_page
from benchmarks.calibration.more_page import write_more_page
from benchmarks.calibration.page import write_page
from benchmarks.calibration.runs import RUNS, SUITES, cells, run_cell, sources
from benchmarks.calibration.task_page import write_task_page

PAGES = {
    "model": write_page,
    "task": write_task_page,
    "data": write_data_page,
    "laws": write_laws_page,
    "level": write_level_page,
    "decision": write_decision_page,
    "few": write_few_page,
    "geometry": write_geometry_page,
    "more": write_more_page,
}


def means(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the mean of what is stated and of what is true, by problem, rows and quantity."""
    frame = pd.DataFrame.from_records(records)
    return frame.groupby(["quantity", "problem", "n"])[["value", "truth"]].mean().round(4)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--suites", nargs="+", choices=list(SUITES), default=list(SUITES))
    parser.add_argument(
        "--problems", nargs="+", default=[""], help="simulate only those that begin like this"
    )
    parser.add_argument("--page-only", action="store_true", help="write what there is")
    parser.add_argument("--print", action="store_true", help="print means and write no page")
    options = parser.parse_args()
    folder = RUNS / sources()
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        cell: folder / (hashlib.sha256(repr(cell).encode()).hexdigest()[:16] + ".json")
        for suite in options.suites
        for cell in cells(suite, options.replications)
    }
    wanted = () if options.page_only else tuple(options.problems)
    missing = [
        cell
        for cell, path in files.items()
        if cell.problem.startswith(wanted) and not path.exists()
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting = {pool.submit(run_cell, cell, files[cell]): cell for cell in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"{done} of {len(missing)}: {waiting[future]}", flush=True)
    if options.print:
        shown = [
            json.loads(p.read_text()) for c, p in files.items() if c.problem.startswith(wanted)
        ]
        print(means([record for part in shown for record in part]).to_string())
        return
    for suite in options.suites:
        found = [
            json.loads(path.read_text())
            for cell, path in files.items()
            if cell.suite == suite and path.exists()
        ]
        PAGES[suite]([r for part in found for r in part])


if __name__ == "__main__":
    main()
