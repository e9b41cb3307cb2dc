"""Which rows are models trained on, and which are they judged by?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.inputs import check_inputs, take_rows, units_of_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.output_arrays import checked_targets
from equiprob.transforms.transform import Transform


@dataclass(frozen=True, eq=False)
class RunData:
    """Rows to train on and rows to judge by, with the units that they belong to.

    Args:
        x: Inputs to train on.
        y: Their targets.
        x_test: Inputs of the rows that are held out.
        y_test: Their targets.
        units: The unit of each row to train on, ``(row,)``; None where each row is one.
        units_test: The same of the rows that are held out.
        transform: The transform that errors are about.
        n_transforms: Transformations for each held-out row.
        backend: As in `evaluate_orbits`.
        digest: What tells the data and the settings from others.
    """

    x: Any
    y: Any
    x_test: Any
    y_test: Any
    units: Ids | None
    units_test: Ids | None
    transform: Transform
    n_transforms: int
    backend: str
    digest: str


def split_rows(
    x: Any,
    y: Any,
    transform: Transform,
    test_size: float | int,
    n_transforms: int,
    seed: int,
    groups: ArrayLike | None,
    backend: str,
) -> RunData:
    """Hold out some rows, or groups of rows, to judge all runs by.

    Raises:
        ValueError: If there are no targets, or too few rows or groups to split.
    """
    x = all_on_host(x)
    n = check_inputs(x)
    host = jax.tree.map(np.asarray, x)
    targets = checked_targets(y, n)
    if targets is None:
        raise ValueError("run_learning_curve trains on targets: pass y")
    share = isinstance(test_size, float)
    held_out = (round(test_size * n) if 0 < test_size < 1 else 0) if share else int(test_size)
    if not 2 <= held_out < n:
        raise ValueError(
            f"test_size must leave rows to train on and hold out 2 or more of {n}, got {test_size}"
        )
    units = None if groups is None else units_of_rows(groups, n)
    order = shuffled(units, n, check_seed(seed), 17)
    if units is not None:  # the last group that is held out is held out whole
        held_out = int(np.flatnonzero(units[order] == units[order[held_out - 1]])[-1]) + 1
        if held_out == n:
            raise ValueError(
                f"no group is left to train on: groups are held out whole; pass a test_size below "
                f"{test_size}, or more groups"
            )
    test, rest = np.sort(order[:held_out]), np.sort(order[held_out:])
    digest = hashlib.sha256(f"{transform} {n_transforms} {seed} {held_out}".encode())
    for leaf in jax.tree.leaves((host, targets, units)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return RunData(
        take_rows(host, rest),
        take_rows(targets, rest),
        take_rows(host, test),
        take_rows(targets, test),
        None if units is None else units[rest],
        None if units is None else units[test],
        transform,
        n_transforms,
        backend,
        digest.hexdigest()[:12],
    )


def shuffled(units: Ids | None, n: int, seed: int, purpose: int) -> NDArray[np.int64]:
    """Return `n` rows in random order, those of a group one after the other."""
    generator = np.random.default_rng([seed, purpose])
    if units is None:
        return generator.permutation(n)
    place = np.unique(units, return_inverse=True)[1]
    return np.argsort(generator.permutation(place.max() + 1)[place], kind="stable")
