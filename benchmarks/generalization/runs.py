"""Parts of the study, in a file each when they are done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equiprob as ep
from benchmarks.generalization import observed_gaps, trained_models, worst_of_class

RUNS = Path("calibration-runs")
SAMPLES_IN_A_PART = 50
SEEDS = {100: 12, 300: 8, 1000: 4, 5000: 1}
REPEATS = 4
MODELS = ("kernel ridge", "network")

Part = tuple[Any, ...]


def parts(samples: int) -> Iterator[Part]:
    """Return the parts of the study, such that all kinds are there before any has many."""
    for repeat in range(REPEATS):
        for task in trained_models.TASKS:
            yield "observed", task, repeat
    for first in range(0, samples, SAMPLES_IN_A_PART):
        for law in worst_of_class.LAWS:
            yield "worst", law, first
    for seed in range(max(SEEDS.values())):
        for n in (n for n, seeds in SEEDS.items() if seed < seeds):
            for model in MODELS:
                for task in trained_models.TASKS:
                    yield "trained", task, model, n, seed


def run(part: Part, path: Path) -> None:
    """Simulate a part and write its records; the file appears whole or not at all."""
    if part[0] == "worst":
        _, law, first = part
        seeds = range(first, first + SAMPLES_IN_A_PART)
        records = [r | {"law": law} for r in worst_of_class.study(law, seeds)]
    elif part[0] == "observed":
        records = observed_gaps.study(*part[1:])
    else:
        records = trained_models.study(*part[1:])
    partial = path.with_suffix(f".partial-{os.getpid()}")
    partial.write_text(json.dumps(records))
    partial.replace(path)


def sources() -> str:
    """Return a digest of the code: results of other code are not taken over."""
    files = [
        *sorted((Path(ep.__file__).parent / "bounds").rglob("*.py")),
        *(
            Path(__file__).parent / name
            for name in ("observed_gaps.py", "trained_models.py", "worst_of_class.py")
        ),
    ]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]
