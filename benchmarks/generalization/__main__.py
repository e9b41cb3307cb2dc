"""Simulate, resume, and write the page of the generalization bounds.

    python -m benchmarks.generalization --processes 1

A part (a law and fifty samples, or a task, a model, a number of rows and a seed) is written to a
file of its own when it is done, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed

from benchmarks.generalization.page import write_page
from benchmarks.generalization.runs import RUNS, parts, path_of, run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generalization", description=__doc__
    )
    parser.add_argument("--samples", type=int, default=1000, help="of each law")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="*", metavar="KIND", help="run parts of these kinds")
    options = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    files = {part: path_of(part) for part in parts(options.samples)}
    missing = [
        part
        for part, path in files.items()
        if not path.exists() and (options.only is None or part[0] in options.only)
    ]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting = {pool.submit(run, part, files[part]): part for part in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"{done} of {len(missing)}: {waiting[future]}", flush=True)
    found = {part: json.loads(path.read_text()) for part, path in files.items() if path.exists()}
    kinds = {
        kind: [r for part, records in found.items() if part[0] == kind for r in records]
        for kind in dict.fromkeys(part[0] for part in files)
    }
    lacking = [kind for kind, records in kinds.items() if not records]
    if lacking:
        print(f"no page yet: nothing of {', '.join(lacking)}")
        return
    write_page(kinds)


if __name__ == "__main__":
    main()
