"""What share of a pass is spent on looking whether the model may be believed? Prints a table.

    OMP_NUM_THREADS=1 python -m benchmarks.checks

Processor time within the checks over that of the pass that they are a part of, which is steadier
than the difference of two passes: a model that was compiled before, 16 transformations, the median
of a few passes. `repeated`: rows of the first chunk are evaluated twice more, and four alone.
`rounding`: rows changed by 1, 2 and 4 roundings. `at the end`: rows evaluated again, and the
float64 pass. For models that JAX traces `repeated` is the trace for fewer rows: in another batch,
rows are seen within that of `rounding`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import jax.numpy as jnp
import numpy as np

import equiprob as ep
from equiprob.orbits import jax_backend, loop, python_backend, under_way
from equiprob.orbits.floors import ProbedRows

WIDTH = 512
N_TRANSFORMS = 16
ROWS = (64, 128, 256, 1000)
GENERATOR = np.random.default_rng(0)
FIRST = GENERATOR.normal(size=(2, WIDTH)).astype(np.float32)
MIDDLE = (GENERATOR.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)
TURNS = ep.transforms.rotations2d(acts_on="vectors")

CHECKS: dict[str, tuple[tuple[Any, str], ...]] = {
    "repeated": (
        (jax_backend, "may_use_number_of_rows"),
        (jax_backend.JaxBackend, "_require_row_wise"),
    ),
    "rounding": ((under_way, "probed"),),
    "at the end": ((loop, "_ask_again"), (ProbedRows, "see"), (ProbedRows, "floors")),
}
"""What is timed, by where it is looked up."""

CHECKS_OF_PYTHON = {
    **CHECKS,
    "repeated": (
        (python_backend.PythonBackend, "_require_repeatable"),
        (python_backend.PythonBackend, "_require_row_wise"),
    ),
}
"""The same of models that are called from Python."""


def network(xp: Any) -> Callable[[Any], Any]:
    """A network of a few tens of microseconds a row."""

    def predict(x: Any) -> Any:
        hidden = xp.tanh(x @ xp.asarray(FIRST))
        for _ in range(3):
            hidden = xp.tanh(hidden @ xp.asarray(MIDDLE))
        return hidden.mean(axis=1)

    return predict


@contextmanager
def timing(checks: dict[str, tuple[tuple[Any, str], ...]]) -> Iterator[dict[str, float]]:
    """Sum up the processor seconds within checks, by name."""
    spent = dict.fromkeys(checks, 0.0)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.process_time() - began

        return call

    with ExitStack() as stack:
        for name, places in checks.items():
            for owner, attribute in places:
                wrapped = timed(name, getattr(owner, attribute))
                stack.enter_context(mock.patch.object(owner, attribute, wrapped))
        yield spent


def shares(backend: str, n: int, repetitions: int) -> dict[str, float]:
    """Return the median share of a pass that each check takes."""
    x = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    predict = network(jnp if backend == "jax" else np)
    found = []
    for _ in range(repetitions + 1):
        with timing(CHECKS if backend == "jax" else CHECKS_OF_PYTHON) as spent:
            began = time.process_time()
            ep.evaluate_orbits(
                predict, x, TURNS, n_transforms=N_TRANSFORMS, backend=backend, progress=False
            )
            whole = time.process_time() - began
        found.append({name: seconds / whole for name, seconds in spent.items()})
    return {name: float(np.median([each[name] for each in found[1:]])) for name in CHECKS}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    print(f"| | rows | {' | '.join(CHECKS)} | together |")
    print("|---" * (len(CHECKS) + 3) + "|")
    for backend in ("python", "jax"):
        for n in ROWS:
            each = shares(backend, n, options.repetitions)
            cells = " | ".join(f"{100 * share:.1f} %" for share in each.values())
            print(f"| {backend} | {n} | {cells} | {100 * sum(each.values()):.1f} % |", flush=True)


if __name__ == "__main__":
    main()
