"""How much memory does a pass over very many rows take? Writes the page.

    python -m benchmarks.memory

Each line of the table is a process of its own, whose largest resident size the system reports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import write

PAGE = Path(__file__).parents[1] / "docs" / "memory.md"
BATCH = 4096
TRANSFORMS = 4
MATRIX = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
CASES = (
    ("iterator of batches", "blocks", 10_000),
    ("iterator of batches", "blocks", 100_000),
    ("iterator of batches", "blocks", 1_000_000),
    ("iterator of batches", "blocks", 10_000_000),
    ("memory-mapped file", "blocks", 10_000),
    ("memory-mapped file", "blocks", 1_000_000),
    ("iterator of batches", "rows", 10_000),
    ("iterator of batches", "rows", 1_000_000),
)


def batches(n: int) -> Iterator[tuple[Any, Any]]:
    generator = np.random.default_rng(1)
    for start in range(0, n, BATCH):
        x = generator.normal(size=(min(BATCH, n - start), 2)).astype(np.float32)
        yield x, x @ MATRIX.T


def written(n: int, folder: str) -> tuple[Any, Any]:
    """Write the rows to files, a batch at a time, and map them."""
    mapped = [
        np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", np.float32, (n, 2))
        for name in ("x", "y")
    ]
    start = 0
    for batch in batches(n):
        for array, values in zip(mapped, batch, strict=True):
            array[start : start + len(values)] = values
        start += len(batch[0])
    mapped.clear()
    x, y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("x", "y"))
    return x, y


def measure(source: str, keep: str, n: int, folder: str) -> None:
    """Evaluate and fit in this process, and print what that took."""
    import equiprob as ep

    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    if source == "memory-mapped file":
        # The file is written elsewhere: what writing takes is not measured.
        x, y = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in ("x", "y"))
    else:
        x, y = batches(n), None
    began = time.process_time()
    table = ep.evaluate_orbits(
        lambda rows: rows @ MATRIX,
        x,
        turn,
        y=y,
        n_transforms=TRANSFORMS,
        keep=keep,
        batch_size=BATCH,
        progress=False,
    )
    spent = time.process_time() - began
    low, high = np.quantile(ep.ModelEquivarianceError().fit(table).draws["error"], [0.05, 0.95])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "seconds": spent, "interval": [low, high], "n": len(table)}))


def measured(source: str, keep: str, n: int) -> dict[str, Any]:
    """Measure one case in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        if source == "memory-mapped file":
            writer = f"from benchmarks.memory import written; written({n}, {folder!r})"
            subprocess.run([sys.executable, "-c", writer], check=True)
        command = [sys.executable, "-m", "benchmarks.memory", "--one", source, keep, str(n), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def truth() -> float:
    """The equivariance error over the population."""
    along = (MATRIX[0, 0] + MATRIX[1, 1]) / 2
    across = (MATRIX[0, 1] - MATRIX[1, 0]) / 2
    rest = MATRIX - np.array([[along, across], [-across, along]])
    return float(np.sqrt(2 * (rest.astype(np.float64) ** 2).sum()))


def page() -> str:
    lines, first = [], {}
    for source, keep, n in CASES:
        found = measured(source, keep, n)
        smallest = first.setdefault((source, keep), found["peak"])
        low, high = found["interval"]
        lines.append(
            f"| {source} | `{keep!r}` | {n:,} | {found['peak']:.0f} | "
            f"{found['peak'] / smallest - 1:+.1%} | {found['seconds']:.0f} | "
            f"{low:.4f} to {high:.4f} |"
        )
        print(lines[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    table = "\n".join(lines)
    return (
        "# Memory\n\n"
        f"Written by `python -m benchmarks.memory` ({versions}, Python "
        f"{platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, shared).\n\n"
        f"Rows of two numbers and their targets, a linear model, {TRANSFORMS} rotations of each "
        f"row, {BATCH} rows in a chunk, and a fit of `ModelEquivarianceError` at the end. Peak: "
        "the largest resident size of the process, the interpreter and the compiler included. Of a "
        "mapped file the system counts what it holds in its cache, too. Seconds: processor time of "
        "the pass, with compilation.\n\n"
        "| rows come from | `keep` | rows | peak, MiB | against 10,000 rows | seconds "
        "| 90 % interval of the error |\n|---|---|---|---|---|---|---|\n"
        f"{table}\n\n"
        f"The error over the population is {truth():.4f}.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        source, keep, n, folder = options.one
        measure(source, keep, int(n), folder)
    else:
        write(PAGE, page())


if __name__ == "__main__":
    main()
