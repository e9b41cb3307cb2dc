"""The page that the command writes: ratios first."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks.performance.passes import Ratios
from benchmarks.performance.precision import Gain, NewInputs
from benchmarks.processes import Pair

PEERS = ("e3nn-jax", "equivariance-regularizer", "escnn")

GROUPED, PER_ROW, NOT_JAX, MEMORY = 1.10, 1.20, 1.15, 1.10
SMOOTH, STEPS, NEVER_BELOW, FEWER = 10.0, 5.0, 0.95, 10.0
TWO = 1.7
QUICK = 10.0
"""Microseconds of a bare pass of a row."""


@dataclass
class Findings:
    """All that was measured in one run."""

    transforms: int
    ratios: list[Ratios] = field(default_factory=list)
    memory: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)
    gains: list[Gain] = field(default_factory=list)
    new_inputs: tuple[list[NewInputs], NewInputs] | None = None
    processes: list[Pair] = field(default_factory=list)
    growth: list[tuple[int, int, str, dict[str, float]]] = field(default_factory=list)
    fits: dict[int, tuple[float, float]] = field(default_factory=dict)


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def versions() -> str:
    each = [f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy")]
    return ", ".join([*each, f"Python {platform.python_version()}"])


def processor() -> str:
    """Return the name of the processor where the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def is_jax(ratios: Ratios) -> bool:
    return not any(word in ratios.name for word in ("NumPy", "scikit-learn", "ONNX", "PyTorch"))


def saving(found: Findings) -> float:
    """Return the most by which a pass of a JAX model exceeds the floor."""
    return max(r.median("ours") - 1 for r in found.ratios if is_jax(r))


def around(found: Findings) -> float:
    """Return the most microseconds that a pass adds to one call of a quick model, not JAX."""
    quick = [r for r in found.ratios if not is_jax(r) and r.bare < QUICK]
    return max((r.median("ours") - 1) * r.bare for r in quick)


def passes(found: Findings) -> str:
    lines = [
        f"| {r.name} | {r.bare:.2f} | {r.words('ours')} | {r.words('cached')} | "
        f"{r.words('recomputed')} | {r.words('peer')} |"
        for r in found.ratios
    ]
    peers = ", ".join(f"{name} {installed(name)}" for name in PEERS)
    return (
        "| model | bare pass of a row, microseconds | equiprob | loop, f(x) kept | loop, f(x) anew "
        "| peer's own function |\n|---|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nPeers: {peers}. The functions: e3nn-jax's `equivariance_test` for the cloud, "
        "equivariance-regularizer's for the PyTorch model, one transformation for a whole batch in "
        "each.\n"
    )


def memory(found: Findings) -> str:
    lines = [
        f"| {name} | {m} | {ours:.2f} | {bare:.2f} | {ours / bare:.2f} |"
        for name, each in found.memory.items()
        for m, ours, bare in each
    ]
    return (
        "| model | transformations | our program, MiB | bare pass, MiB | ratio |\n"
        "|---|---|---|---|---|\n" + "\n".join(lines)
    )


def gains(found: Findings) -> str:
    lines = [f"| {g.name} | {g.size} | {g.ratio:.1f} | {g.low:.2f} |" for g in found.gains]
    return (
        "| problem | transformations | variance of independent draws over ours | lower 95 % end |\n"
        "|---|---|---|---|\n" + "\n".join(lines)
    )


def on_new_inputs(loops: list[NewInputs], ours: NewInputs) -> str:
    def line(name: str, new: NewInputs, passes: str) -> str:
        return (
            f"| {name} | {new.rows} | {new.transforms} | {new.passes} | {new.rmse:.4f} | "
            f"{new.coverage:.3f} | {new.width:.4f} | {passes} |"
        )

    shared = [line("one list shared by all rows", n, f"{n.passes_over(ours):.1f}") for n in loops]
    return (
        "| design | rows | transformations | model passes | root mean squared error | coverage of "
        "nominal 95 % | width | passes for ours' error, times ours |\n"
        "|---|---|---|---|---|---|---|---|\n"
        + "\n".join([*shared, line("transformations of each row's own", ours, "1")])
        + f"\n\n{ours.samples} samples each.\n"
    )


def processes(found: Findings) -> str:
    lines = [f"| {p.one:.2f} | {p.two:.2f} | {p.one / p.two:.2f} |" for p in found.processes]
    return (
        "| one process, seconds | two, seconds | ratio |\n|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nMedian {two_over_one(found):.2f}; largest difference between their numbers "
        f"{max(p.difference for p in found.processes):g}.\n"
    )


def two_over_one(found: Findings) -> float:
    return float(np.median([p.one / p.two for p in found.processes]))


def growth(found: Findings) -> str:
    lines = [
        f"| {rows:,} | {m} | `{keep!r}` | {1e6 * each['seconds'] / (rows * (m + 1)):.2f} |"
        for rows, m, keep, each in found.growth
    ]
    return (
        "| rows | transformations | `keep` | microseconds a model pass |\n|---|---|---|---|\n"
        + "\n".join(lines)
    )


def fits(found: Findings) -> str:
    lines = [f"| {n:,} | {a:.3f} | {1e3 * b:.0f} |" for n, (a, b) in found.fits.items()]
    return (
        "| rows | first fit in a process, seconds | a later fit, milliseconds |\n|---|---|---|\n"
        + "\n".join(lines)
    )


def missed(found: Findings) -> list[str]:
    """Return, in words, every goal that this run did not reach."""
    words = []
    for r in found.ratios:
        limit = PER_ROW if is_jax(r) else NOT_JAX
        if r.median("ours") > limit:
            words.append(f"pass of {r.name}: {r.median('ours'):.2f}, asked {limit:.2f}")
    for name, each in found.memory.items():
        worst = max(ours / bare for _, ours, bare in each)
        if worst > MEMORY:
            words.append(f"temporary memory of {name}: {worst:.2f}, asked {MEMORY:.2f}")
    for g in found.gains:
        where = f"{g.name} at {g.size}"
        if g.low < NEVER_BELOW:
            words.append(f"{where}: lower end {g.low:.2f}, asked {NEVER_BELOW:.2f}")
        asked = STEPS if "0/1" in g.name else SMOOTH
        if g.name.startswith("SO(2),") and g.ratio < asked:
            words.append(f"{where}: variance {g.ratio:.1f} times lower, asked {asked:.0f}")
    if found.new_inputs is not None:
        loops, ours = found.new_inputs
        for loop in loops:
            fewer = loop.passes_over(ours)
            if fewer < FEWER:
                words.append(
                    f"passes against a list shared by {loop.rows} rows: {fewer:.1f} times fewer, "
                    f"asked {FEWER:.0f}"
                )
    if two_over_one(found) < TWO:
        words.append(f"two processes: {two_over_one(found):.2f} of one, asked {TWO:.1f}")
    return words


def page(found: Findings) -> str:
    """Return the page."""
    assert found.new_inputs is not None, "all parts have run"
    words = missed(found)
    listed = "\n".join(f"- {line}" for line in words) or "None."
    return (
        "# Performance\n\n"
        f"Written by `python -m benchmarks.performance` ({versions()}; {processor()}, "
        f"{os.cpu_count()} cores, shared; one thread). Times are processor times; ratios carry "
        "over to other machines better than times.\n\n"
        "## The pass\n\n"
        f"The floor is the bare model: (M + 1) N passes, here M = {found.transforms}, outputs "
        "fetched. *equiprob* is the whole `evaluate_orbits` call with a random shift of its own "
        "for each row: making inputs, taking outputs back, statistics, ids and checks included. "
        "The loops share one list of transformations and return one number for each. Ratios to the "
        "floor, interleaved: median (quartiles).\n\n"
        f"{passes(found)}\n"
        "Shifts are per row only, not shared by groups of rows, which would then depend on each "
        "other: for JAX models, shifts that cost nothing could save at most "
        f"{saving(found):.2f} of the floor.\n\n"
        "## Temporary memory of a chunk\n\n"
        "As the compiler states it; the number of rows does not enter.\n\n"
        f"{memory(found)}\n\n"
        "## What an evaluation is worth\n\n"
        "The variance of a row's mean squared displacement under independent transformations, over "
        "that under the default design, with as many evaluations.\n\n"
        f"{gains(found)}\n\n"
        "Half of a row's transformations are shifted independently of the other half: products of "
        "their means are unbiased squares of the mean displacement, which one lattice of all "
        "could not give. On white noise every pixel's error curve is as rough as the grid: no "
        "design can gain much there.\n\n"
        "## New inputs\n\n"
        "What is said of the mean squared error over the population, by about as many passes: the "
        "usual loops (their interval by Student's t over the rows' means) and rows with one "
        "transformation each.\n\n"
        f"{on_new_inputs(*found.new_inputs)}\n"
        "## Growth\n\n"
        "A network on 16 points, JAX; each line a process of its own. For peak memory see "
        "[memory](memory.md), for clusters [scale](scale.md).\n\n"
        f"{growth(found)}\n\n"
        "## Processes\n\n"
        "`python -m benchmarks.processes`: a NumPy network on a process pool's workers, passes by "
        f"one and by two alternating, on {os.cpu_count()} cores.\n\n"
        f"{processes(found)}\n"
        "## The posterior\n\n"
        "`ModelEquivarianceError().fit(table)`, 4000 draws.\n\n"
        f"{fits(found)}\n\n"
        "## Asked and not reached in this run\n\n"
        f"{listed}\n\n"
        "## When a pass is slow\n\n"
        "- The first call compiles; later calls with the same `predict` object, transform and "
        "shapes do not. A new lambda for each call is a new model and compiles each time.\n"
        "- A model that JAX can trace runs compiled and is fed chunk by chunk; `table.backend` "
        "says whether yours is. Around other models that take less than "
        f"{QUICK:.0f} microseconds the pass took {around(found):.2f} microseconds a row and "
        "transformation at most: that shows only where the model itself is as quick. Larger chunks "
        "(`batch_size=512` here) make it less; where no `batch_size` is passed, the pass chooses "
        "them.\n"
        "- For JAX models of more than a few microseconds a row `batch_size` trades memory for "
        "little: larger chunks are slower on most CPUs. Quicker ones gain by `batch_size=1024`. "
        "Numbers do not depend on it. See [wall time](wall_time.md).\n"
        '- `keep="rows"` needs memory for row statistics only, however many transformations there '
        "are.\n"
        "- Past a few transformations for each row the interval narrows only with more rows.\n\n"
        "`make calibrate` measures the coverage of the intervals and writes "
        "[calibration](calibration.md).\n"
    )
