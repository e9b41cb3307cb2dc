"""How much faster are two processes than one? Prints a table.

    OMP_NUM_THREADS=1 python -m benchmarks.processes --pairs 5

Passes by one worker and by two alternate, so that both see the same load of the machine; where
others use its cores, their ratio says little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

import equiprob as ep

ROWS, BATCH, TRANSFORMS = 2048, 64, 8
WIDTH = 1024
GENERATOR = np.random.default_rng(0)
FIRST = GENERATOR.normal(size=(2, WIDTH))
MIDDLE = GENERATOR.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
LAST = GENERATOR.normal(size=(WIDTH, 2)) / np.sqrt(WIDTH)
X = GENERATOR.normal(size=(ROWS, 2))


def network(x: Any) -> Any:
    hidden = np.tanh(x @ FIRST)
    for _ in range(4):
        hidden = np.tanh(hidden @ MIDDLE)
    return hidden @ LAST


@dataclass(frozen=True)
class Pair:
    """A pass by one worker and one by two: seconds, and by how much their numbers differ."""

    one: float
    two: float
    difference: float
    load: float


def timed(pool: ProcessPoolExecutor) -> tuple[float, ep.OrbitTable]:
    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    began = time.perf_counter()
    table = ep.evaluate_orbits(
        network,
        X,
        turn,
        n_transforms=TRANSFORMS,
        batch_size=BATCH,
        backend="python",
        progress=False,
        executor=pool,
    )
    return time.perf_counter() - began, table


def pairs(n: int) -> Iterator[Pair]:
    """Yield paired timings of warm workers."""
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as single,
        ProcessPoolExecutor(2, mp_context=context) as double,
    ):
        for pool in (single, double, double, double):  # until both workers have compiled
            timed(pool)
        for _ in range(n):
            load = os.getloadavg()[0]
            one, table = timed(single)
            two, other = timed(double)
            difference = np.abs(table.only.pair_sq - other.only.pair_sq).max()
            yield Pair(one, two, float(difference), load)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    found = []
    print("| one worker, s | two, s | ratio | largest difference | load before |")
    print("|---|---|---|---|---|")
    for pair in pairs(parser.parse_args().pairs):
        found.append(pair)
        print(
            f"| {pair.one:.2f} | {pair.two:.2f} | {pair.one / pair.two:.2f} | "
            f"{pair.difference:g} | {pair.load:.1f} |",
            flush=True,
        )
    print(f"median ratio {np.median([p.one / p.two for p in found]):.2f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
