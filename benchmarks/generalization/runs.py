"""Parts of the study, in a file each when they are done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equiprob as ep
from benchmarks.generalization import (
    many_gaps,
    observed_gaps,
    timings,
    trained_models,
    worst_of_class,
)

RUNS = Path("calibration-runs") / "generalization"
SAMPLES_IN_A_PART = 50
SEEDS = {
    "kernel ridge": {100: 12, 300: 6, 1000: 3, 5000: 1},
    "network": {100: 4, 300: 2, 1000: 1, 5000: 1},
}
MANY = 10**4
"""Where seeds begin of the many samples on which one model is trained."""

_PREDICTS = ("calibrated.py", "gap_model.py", "gap_runs.py")
"""Of the bounds, what only predicts gaps from observed ones."""

Part = tuple[Any, ...]


def parts(samples: int) -> Iterator[Part]:
    """Return the parts of the study, such that all kinds are there before any has many."""
    for n in timings.SIZES:
        yield "timing", n
    for experiment in observed_gaps.EXPERIMENTS:
        yield "observed", *experiment
    for first in range(0, samples, SAMPLES_IN_A_PART):
        for law in worst_of_class.LAWS:
            yield "worst", law, first
        yield "many", first
    for seed in range(max(max(seeds.values()) for seeds in SEEDS.values())):
        for model, sizes in SEEDS.items():
            for n in (n for n, seeds in sizes.items() if seed < seeds):
                for task in trained_models.TASKS:
                    yield "trained", task, model, n, seed
    for seed in range(many_gaps.FIRST_SEED, many_gaps.FIRST_SEED + many_gaps.SAMPLES):
        for model, sizes in SEEDS.items():
            for n in sizes:
                for task in trained_models.TASKS:
                    yield "gap", task, model, n, seed


def records_of(part: Part) -> list[dict[str, Any]]:
    """Simulate a part."""
    match part:
        case ("timing", n):
            return [timings.study(n)]
        case ("gap", *sample):
            return many_gaps.study(*sample)
        case ("observed", *experiment):
            return observed_gaps.study(*experiment)
        case ("worst", law, first):
            seeds = range(first, first + SAMPLES_IN_A_PART)
            return [r | {"law": law} for r in worst_of_class.study(law, seeds)]
        case ("many", first):
            tasks = list(trained_models.TASKS)
            return [
                record
                for seed in range(first, first + SAMPLES_IN_A_PART)
                for record in trained_models.study(
                    tasks[seed % len(tasks)], "kernel ridge", 100, MANY + seed, levels=(0.3,)
                )
            ]
        case _:
            return trained_models.study(*part[1:])


def run(part: Part, path: Path) -> None:
    """Simulate a part and write its records; the file appears whole or not at all."""
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(records_of(part)))
    partial.replace(path)


def path_of(part: Part) -> Path:
    """Return the file of a part, a new one when the code that it runs has changed."""
    name = hashlib.sha256((sources(part[0]) + repr(part)).encode()).hexdigest()[:16]
    return RUNS / f"{name}.json"


def sources(kind: str) -> str:
    """Return a digest of the code of a kind: results of other code are not taken over."""
    bounds = sorted((Path(ep.__file__).parent / "bounds").rglob("*.py"))
    own = {
        "timing": ("timings.py",),
        "observed": ("observed_gaps.py", "trained_models.py", "worst_of_class.py"),
        "worst": ("worst_of_class.py",),
        "gap": ("many_gaps.py", "trained_models.py", "worst_of_class.py"),
    }.get(kind, ("trained_models.py", "worst_of_class.py"))
    files = [f for f in bounds if kind == "observed" or f.name not in _PREDICTS]
    files += [Path(__file__).parent / name for name in own]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]
