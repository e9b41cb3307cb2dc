"""What does a user wait for? The pass by the clock, on one core and on all of them.

python -m benchmarks.performance.wall [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write
from benchmarks.performance.models import Timed, timed_models
from benchmarks.performance.page import processor, versions
from benchmarks.performance.passes import Work, bare_passes, our_pass

PAGE = Path(__file__).parents[2] / "docs" / "wall_time.md"
TRANSFORMS, ASKED = 16, 1.10
FEW, MANY = 256, 1024
"""Rows of the two passes whose difference is free of what a pass costs once."""

QUICK_JAX = "MLP on 16 points, JAX"


def models(rows: int) -> list[Timed]:
    """Return the models; one that is quick in larger chunks, too."""
    found = timed_models(rows)
    (quick,) = [model for model in found if model.name == QUICK_JAX]
    larger = replace(quick, name=f"{QUICK_JAX}, 1024 a call", batch=1024)
    return [*found, larger]


def timed(work: Work) -> tuple[float, float]:
    """Return the seconds of some work by the clock, and those of the processors."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def measured(few: Timed, many: Timed, seconds: float) -> dict[str, Any]:
    """Time the pass and the bare passes over few and many rows, in turn."""
    works: dict[tuple[str, int], Work] = {}
    for model in (few, many):
        works["bare", len(model.x)] = bare_passes(model, TRANSFORMS)
        in_python = model.backend == "python"
        works["ours", len(model.x)] = our_pass(model, TRANSFORMS, chosen=in_python)
    for work in [*works.values()] * 2:
        work()
    times: dict[Any, list[tuple[float, float]]] = {key: [] for key in works}
    order, end = list(works), time.monotonic() + seconds
    generator = np.random.default_rng(0)
    while time.monotonic() < end or len(times[order[0]]) < 4:
        for place in generator.permutation(len(order)):
            times[order[place]].append(timed(works[order[place]]))
    found: dict[str, Any] = {"name": few.name, "n": len(times[order[0]])}
    found["in_python"] = few.backend == "python"
    n_few, n_many = len(few.x), len(many.x)
    for j, clock in enumerate(("wall", "cpu")):
        each = {key: np.array(values)[:, j] for key, values in times.items()}
        least = {key: float(values.min()) for key, values in each.items()}
        ours, bare = ("ours", n_many), ("bare", n_many)
        slope = {
            kind: (least[kind, n_many] - least[kind, n_few]) / (n_many - n_few)
            for kind in ("bare", "ours")
        }
        found[clock] = {
            "bare": 1e6 * least[bare] / n_many / (TRANSFORMS + 1),
            "least": least[ours] / least[bare],
            "median": float(np.median(each[ours]) / np.median(each[bare])),
            "slope": slope["ours"] / slope["bare"],
            "once": 1e3 * (least["ours", n_few] - n_few * slope["ours"]),
        }
    return found


def on_cores(cores: int, *, quick: bool) -> list[dict[str, Any]]:
    """Return what a process that may use so many cores measures."""
    command = [sys.executable, "-m", "benchmarks.performance.wall", "--cores", str(cores)]
    options = ["--quick"] if quick else []
    return json.loads(subprocess.check_output([*command, *options], text=True).splitlines()[-1])


def lines(found: list[dict[str, Any]]) -> str:
    rows = []
    for f in found:
        long = [f"{f['wall']['slope']:.2f}", f"{f['cpu']['slope']:.2f}", f"{f['cpu']['once']:.0f}"]
        cells = [
            *(f["name"], f"{f['wall']['bare']:.2f}"),
            *(f"{f[clock][kind]:.2f}" for clock in ("wall", "cpu") for kind in ("least", "median")),
            # The longer pass has larger chunks, too.
            *(["-"] * len(long) if f["in_python"] else long),
            str(f["n"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return (
        "| model | bare pass of a row, microseconds by the clock | clock, least | median | "
        "processor, least | median | clock, more rows | processor, more rows | once, milliseconds "
        "| rounds |\n|---|---|---|---|---|---|---|---|---|---|\n" + "\n".join(rows)
    )


def page(one: list[dict[str, Any]], every: list[dict[str, Any]], cores: int) -> str:
    missed = [
        f"- {f['name']}, {where}: {f['wall']['least']:.2f}"
        for where, found in (("one core", one), (f"{cores} cores", every))
        for f in found
        if f["wall"]["least"] > ASKED
    ]
    return (
        "# Wall time\n\n"
        f"Written by `python -m benchmarks.performance.wall` ({versions()}; {processor()}, {cores} "
        "cores, shared with other work). What a user waits for, next to the processor time of "
        "[performance](performance.md): `evaluate_orbits` with "
        f"{TRANSFORMS} transformations of each row over the bare passes, in shuffled rounds, by "
        "the least times and by the medians. On a machine that others use, the least times are "
        "those of its quiet moments, and medians drift.\n\n"
        f"*Once* is what a pass costs whatever the number of rows (looks at the model, its trace), "
        "from passes of two lengths; *more rows* is the ratio without it, which long passes "
        "approach. Models in Python are given as many rows a call as the pass chooses; their bare "
        "passes 512. Their longer pass has larger chunks than the shorter one, so that these two "
        "columns are not theirs.\n\n"
        f"## One core\n\n{lines(one)}\n\n## {cores} cores\n\n{lines(every)}\n\n"
        f"## Above {ASKED:.2f} by the clock\n\n" + ("\n".join(missed) or "None.") + "\n\n"
        "## What was tried for JAX models, and is not done\n\n"
        "- A call for each transformation in place of a scan over them, two under way: the same "
        "numbers to the last bit, no quicker for images on two cores, and slower on one.\n"
        "- The next chunk asked for while the sums of one are made on the host: no quicker where "
        "the model uses all cores itself.\n"
        "- Larger chunks by themselves: quick JAX models gain as others do (pass "
        "`batch_size=1024`), but are compiled anew for each other number of rows.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds; print, not write")
    parser.add_argument("--cores", type=int, help="measure on so many, and print")
    options = parser.parse_args()
    if options.cores is None:
        cores = os.cpu_count() or 1
        text = page(on_cores(1, quick=options.quick), on_cores(cores, quick=options.quick), cores)
        print(text)
        if not options.quick:
            write(PAGE, text)
        return
    if hasattr(os, "sched_setaffinity"):  # before the first call starts threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    seconds = 2.0 if options.quick else 4.0
    pairs = zip(models(FEW), models(MANY), strict=True)
    print(json.dumps([measured(few, many, seconds) for few, many in pairs]))


if __name__ == "__main__":
    main()
