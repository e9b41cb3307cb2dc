"""How does time grow with rows and transformations, and what does one more machine cost?

Each number of rows is a process of its own, whose memory no earlier one has left in disorder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.performance.models import perceptron

BATCH = 1024


def measure(rows: int, transforms: int, keep: str) -> dict[str, float]:
    """Evaluate rows of 16 points in this process; return what that took."""
    x = np.random.default_rng(0).normal(size=(rows, 16, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d(acts_on="points", output_action="vectors")
    settings: Any = {
        "n_transforms": transforms,
        "batch_size": BATCH,
        "keep": keep,
        "progress": False,
    }
    predict = perceptron(jnp)
    ep.evaluate_orbits(predict, x[:BATCH], turn, **settings)  # compiles
    began = time.process_time()
    table = ep.evaluate_orbits(predict, x, turn, **settings)
    spent = time.process_time() - began
    return {"seconds": spent, "rows": len(table)}


def measured(rows: int, transforms: int, keep: str) -> dict[str, float]:
    """Measure one case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.performance.scaling"]
    case = [str(rows), str(transforms), keep]
    done = subprocess.run([*command, *case], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def parts(m: int) -> dict[str, float]:
    """Measure what a pass over very many rows is made of.

    Returns:
        Seconds of a pass beyond the bare passes, for each row; bytes of one row's input; bytes of
        a table pooled into blocks; seconds to merge two of them.
    """
    n = 16 * BATCH
    x = np.random.default_rng(0).normal(size=(n, 16, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d(acts_on="points", output_action="vectors")
    predict = perceptron(jnp)
    plain = jax.jit(predict)
    settings: Any = {"n_transforms": m, "batch_size": BATCH, "keep": "blocks", "progress": False}
    halves = x[: n // 2], x[n // 2 :]

    def passed() -> list[Any]:
        each = [np.arange(n // 2), np.arange(n // 2, n)]
        pairs = zip(halves, each, strict=True)
        return [ep.evaluate_orbits(predict, h, turn, row_ids=i, **settings) for h, i in pairs]

    def bare() -> None:
        for start in range(0, n, BATCH):
            for _ in range(m + 1):
                np.asarray(plain(x[start : start + BATCH]))

    passed(), bare()
    beyond, merges = [], []
    for _ in range(5):
        began = time.process_time()
        tables = passed()
        middle = time.process_time()
        bare()
        end = time.process_time()
        beyond.append(((middle - began) - (end - middle)) / n)
        began = time.process_time()
        ep.merge(*tables)
        merges.append(time.process_time() - began)
    return {
        "beyond": float(np.median(beyond)),
        "row_bytes": float(x[0].nbytes),
        "table_bytes": float(_bytes_of(tables[0])),
        "merge": float(np.median(merges)),
    }


def _bytes_of(table: Any) -> int:
    """Return the bytes of all arrays of a table's statistics."""
    arrays = [value for s in table.statistics.values() for value in vars(s).values()]
    arrays += [table.row_ids, table.unit_ids, table.count]
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int)
    parser.add_argument("transforms", type=int)
    parser.add_argument("keep")
    case = parser.parse_args()
    print(json.dumps(measure(case.rows, case.transforms, case.keep)))
