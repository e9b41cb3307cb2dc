"""Simulate, resume, and write the page of the generalization bounds.

    python -m benchmarks.generalization --processes 1

A part (a law and fifty samples, or a task, a model, a number of rows and a seed) is written to a
file of its own when it is done, so that a run that was stopped goes on where it was.
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
from typing import Any

import equiprob as ep
from benchmarks.generalization.page import write_page
from benchmarks.generalization.trained_models import TASKS
from benchmarks.generalization.trained_models import study as trained
from benchmarks.generalization.worst_of_class import LAWS
from benchmarks.generalization.worst_of_class import study as worst

RUNS = Path("calibration-runs")
SAMPLES_IN_A_PART = 50
SEEDS = {100: 20, 300: 12, 1000: 5, 5000: 1}
MODELS = ("kernel ridge", "network")

Part = tuple[Any, ...]


def parts(samples: int) -> Iterator[Part]:
    """Return the parts of the study, such that all kinds are there before any has many."""
    for first in range(0, samples, SAMPLES_IN_A_PART):
        for law in LAWS:
            yield "worst", law, first
    for n, seeds in SEEDS.items():
        for seed in range(seeds):
            for model in MODELS:
                for task in TASKS:
                    yield "trained", task, model, n, seed


def run(part: Part, path: Path) -> None:
    """Simulate a part and write its records; the file appears whole or not at all."""
    if part[0] == "worst":
        _, law, first = part
        records = [r | {"law": law} for r in worst(law, range(first, first + SAMPLES_IN_A_PART))]
    else:
        records = trained(*part[1:])
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(records))
    partial.replace(path)


def sources() -> str:
    """Return a digest of the code: results of other code are not taken over."""
    files = [
        *sorted((Path(ep.__file__).parent / "bounds").rglob("*.py")),
        *(Path(__file__).parent / name for name in ("trained_models.py", "worst_of_class.py")),
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generalization", description=__doc__
    )
    parser.add_argument("--samples", type=int, default=1000, help="of each law")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page-only", metavar="DIGEST", help="write the page from a stored run")
    options = parser.parse_args()
    folder = RUNS / f"generalization-{options.page_only or sources()}"
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        part: folder / (hashlib.sha256(repr(part).encode()).hexdigest()[:16] + ".json")
        for part in parts(options.samples)
    }
    missing = [] if options.page_only else [p for p, path in files.items() if not path.exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        waiting = {pool.submit(run, part, files[part]): part for part in missing}
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            print(f"{done} of {len(missing)}: {waiting[future]}", flush=True)
    found = {part: json.loads(path.read_text()) for part, path in files.items() if path.exists()}
    write_page(
        [r for part, records in found.items() if part[0] == "worst" for r in records],
        [r for part, records in found.items() if part[0] == "trained" for r in records],
    )


if __name__ == "__main__":
    main()
