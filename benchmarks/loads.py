"""Do the sizes work that pages speak of? Runs each, bounded, in a process of its own; a page.

    python -m benchmarks.loads --seconds 600 --gib 23

Time (of the clock and of the processor, which others may use), memory and a word on the answer.
What takes more than the bounds is on the page as such.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.pages import write

PAGE = Path(__file__).parents[1] / "docs" / "loads.md"
MATRIX = np.array([[1.0, 0.4], [-0.7, 0.5]], np.float32)
MIB, GIB = 2**20, 2**30


def turns() -> Any:
    return ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def drawn(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def jax_model(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.tanh(x @ MATRIX)


def numpy_models(n: int) -> dict[str, Callable[[Any], Any]]:
    return {f"m{i}": lambda x, a=1 + 0.01 * i: np.tanh(a * (x @ MATRIX)) for i in range(n)}


def stream() -> str:
    def batches() -> Iterator[Any]:
        for i in range(1000):
            yield drawn(10_000, i)

    table = ep.evaluate_orbits(
        jax_model, batches(), turns(), n_transforms=4, batch_size=10_000, progress=False
    )
    result = ep.ModelEquivarianceError(n_draws=1000).fit(table)
    return f"{len(table):,} rows; error {result.summary()['estimate'].iloc[0]:.3g}"


def kept_rows() -> str:
    table = ep.evaluate_orbits(
        jax_model,
        drawn(100_000),
        turns(),
        n_transforms=64,
        batch_size=5000,
        keep="rows",
        progress=False,
    )
    result = ep.ModelEquivarianceError().fit(table)
    return f"error {result.summary()['estimate'].iloc[0]:.3g}"


def many_models() -> str:
    x = drawn(1000)
    tables = {
        name: ep.evaluate_orbits(
            model, x, turns(), y=x @ MATRIX, n_transforms=4, keep="rows", backend="python"
        )
        for name, model in numpy_models(200).items()
    }
    return f"{len(ep.compare(tables).table)} models, {len(x)} rows each"


def long_audit() -> str:
    x = drawn(300)
    found = ep.audit(
        numpy_models(50), x, x @ MATRIX, turns(), n_transforms=4, progress=False, backend="python"
    )
    with tempfile.TemporaryDirectory() as folder:
        size = found.report(f"{folder}/page.html").stat().st_size
    return f"a page of {size / MIB:.1f} MiB"


def long_curve() -> str:
    import pandas as pd

    generator, lines = np.random.default_rng(0), []
    for k in range(60):
        for n in (100, 300, 1000, 3000, 10_000, 30_000, 100_000):
            for seed in range(5):
                risk = 0.1 + (1 + 0.02 * k) * n**-0.5 * np.exp(generator.normal(0, 0.05))
                lines.append((f"c{k}", n, seed, risk))
    table = pd.DataFrame(lines, columns=["candidate", "n", "seed", "risk"])
    table = table.drop(index=range(20, len(lines), 21))  # a few runs failed, of any candidate
    result = ep.LearningCurve().fit(table)
    best = result.p_best(10**6)
    return f"{len(table)} runs of {table.candidate.nunique()} candidates; {best.idxmax()} is best"


LOADS: dict[str, tuple[str, Callable[[], str]]] = {
    "stream": ("10 million rows that stream past, 4 transformations", stream),
    "rows": ("100,000 rows x 64 transformations, `keep='rows'`", kept_rows),
    "compare": ("200 models in `compare`", many_models),
    "audit": ("50 models in `ep.audit`, and its page", long_audit),
    "curve": ("2000 runs of 60 candidates in `LearningCurve`", long_curve),
}


def run_here(name: str, gib: float) -> None:
    """Run one load and print its line of the page."""
    limit = int(gib * GIB)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    words, load = LOADS[name]
    began, worked = time.monotonic(), time.process_time()
    answer = load()
    took, worked = time.monotonic() - began, time.process_time() - worked
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    print(f"| {words} | {took:.0f} s | {worked:.0f} s | {most:.1f} GiB | {answer} |")


def line_of(name: str, seconds: float, gib: float) -> str:
    command = [sys.executable, "-m", "benchmarks.loads", "--one", name, "--gib", str(gib)]
    words = LOADS[name][0]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"| {words} | more than {seconds:.0f} s | | | |"
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        return f"| {words} | failed | | | {last[0][:120]} |"
    return done.stdout.strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description="Run large loads and write their page.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--gib", type=float, default=23.0)
    parser.add_argument("--one", choices=list(LOADS))
    asked = parser.parse_args()
    if asked.one is not None:
        run_here(asked.one, asked.gib)
        return
    lines = [line_of(name, asked.seconds, asked.gib) for name in LOADS]
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    write(
        PAGE,
        "# Loads that were run\n\n"
        f"Written by `python -m benchmarks.loads --seconds {asked.seconds:g} --gib {asked.gib:g}` "
        f"({versions}, Python {platform.python_version()}), one at a time, each in a process of "
        "its own; the start of Python is left out of the time. Where others use the processor, its "
        "own time (of all cores together) says more.\n\n"
        "| load | time | of the processor | memory, at most | answer |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n",
    )
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
