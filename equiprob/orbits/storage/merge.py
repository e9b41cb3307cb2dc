"""How do the tables of two sets of rows become the table of both?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from equiprob.arguments.checked import checked
from equiprob.orbits.failures import Skipped
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.storage.blocks import BlockState
from equiprob.orbits.storage.store import pool_rows
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.fingerprint import check_same_transform


@checked
def merge(first: OrbitTable, second: OrbitTable) -> OrbitTable:
    """Return the table of the rows of two tables: as of one pass over the rows of both.

    Args:
        first: A table.
        second: A table of other rows, evaluated in the same way; its rows follow.

    Returns:
        The table. Where either holds blocks, so does it; counts are exact, sums are to rounding.
        The float floors, found on a few rows, are the root mean squares of both.

    Raises:
        ValueError: If the tables were evaluated in different ways, or share rows.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> first = ep.evaluate_orbits(lambda rows: rows[:, 0], x[:300], turns)
        >>> second = ep.evaluate_orbits(lambda rows: rows[:, 0], x[300:], turns)
        >>> len(ep.merge(first, second))
        500
    """
    _check_alike(first, second)
    n = len(first)
    skipped = [
        *first.skipped,
        *(Skipped(s.start + n, s.stop + n, s.reason) for s in second.skipped),
    ]
    alike = first.floor_method == second.floor_method
    common = {
        "grouped": first.grouped or second.grouped,
        "skipped": tuple(skipped),
        "floor_method": first.floor_method if alike else "perturbation",
        "stopped": second.stopped or first.stopped,
        "batch_dependent": first.batch_dependent or second.batch_dependent,
        "cross_fitted": first.cross_fitted and second.cross_fitted,
    }
    if first.blocks is None and second.blocks is None:
        joined = _joined_rows(first, second)
    else:
        joined = _joined_blocks(first, second, common["grouped"])
    floors = {
        name: float(np.hypot(s.float_floor, second.statistics[name].float_floor) / np.sqrt(2))
        for name, s in first.statistics.items()
    }
    statistics = {
        name: replace(
            s,
            float_floor=floors[name],
            rounding=max(s.rounding, second.statistics[name].rounding),
            apart=max(s.apart, second.statistics[name].apart),
            n_components=_mean_components(first, second, name),
        )
        for name, s in joined.statistics.items()
    }
    return replace(joined, statistics=statistics, **common)


def _check_alike(first: OrbitTable, second: OrbitTable) -> None:
    named = ("the first table", "the second table")
    check_same_transform(first.transform.fingerprint, second.transform.fingerprint, named=named)
    one, other = first.design, second.design
    settings = {
        "design": (one.kind, other.kind),
        "n_transforms": (one.n_transforms, other.n_transforms),
        "seed": (one.seed, other.seed),
        "outputs": (first.outputs, second.outputs),
        "noise_repeats": (first.noise_repeats, second.noise_repeats),
        "targets": tuple([s.y is None for s in t.statistics.values()] for t in (first, second)),
        "shapes": tuple([s.output_shape for s in t.statistics.values()] for t in (first, second)),
    }
    different = {k: v for k, v in settings.items() if v[0] != v[1]}
    if different:
        raise ValueError(
            f"the tables were not evaluated in the same way: {different}; evaluate both with the "
            f"same design, n_transforms, seed and kind of targets"
        )


def _joined_rows(first: OrbitTable, second: OrbitTable) -> OrbitTable:
    shared = np.intersect1d(first.row_ids, second.row_ids)
    if len(shared):
        raise ValueError(
            f"the tables share {len(shared)} row(s) (or hold equal ones): merge tables of disjoint "
            f"rows, or pass row_ids to evaluate_orbits, which tell them apart"
        )
    kept = [s.raw is not None for t in (first, second) for s in t.statistics.values()]
    statistics = {}
    for name, one in first.statistics.items():
        each = [one, second.statistics[name]]
        each = each if all(kept) else [replace(s, raw=None) for s in each]
        statistics[name] = RowStatistics.concatenate(each)
    return replace(
        first,
        statistics=statistics,
        row_ids=np.concatenate([first.row_ids, second.row_ids]),
        unit_ids=np.concatenate([first.unit_ids, second.unit_ids]),
        count=np.concatenate([first.count, second.count]),
        x=_joined_inputs(first.x, second.x),
    )


def _joined_blocks(first: OrbitTable, second: OrbitTable, grouped: bool) -> OrbitTable:
    one, other = _pooled(first, 0), _pooled(second, len(first))
    if (one.n, one.mixed) == (other.n, other.mixed):
        raise ValueError(
            f"the tables share their {one.n} row(s): merge tables of disjoint rows, or pass "
            f"row_ids to evaluate_orbits, which tell equal rows apart"
        )
    blocks = one + other
    statistics, mass, ids, units = blocks.entries(first.statistics, grouped)
    return replace(
        first,
        statistics=statistics,
        row_ids=ids,
        unit_ids=units,
        count=np.full(len(ids), first.design.n_transforms, dtype=np.int64),
        x=None,
        blocks=blocks,
        mass=mass,
    )


def _pooled(table: OrbitTable, start: int) -> BlockState:
    """Return the rows of a table in blocks, the first of them numbered `start`."""
    if table.blocks is None:
        blocks = BlockState()
        pool_rows(blocks, start, table.row_ids, table.unit_ids, dict(table.statistics))
        return blocks
    return table.blocks.moved(start)


def _joined_inputs(first: Any, second: Any) -> Any:
    """Return the inputs of both, where both are in memory."""
    leaves = jax.tree.leaves(first) + jax.tree.leaves(second)
    mapped = any(isinstance(leaf, np.memmap) for leaf in leaves)
    if mapped or not leaves or not all(isinstance(v, np.ndarray | jax.Array) for v in leaves):
        return None
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), first, second)


def _mean_components(first: OrbitTable, second: OrbitTable, name: str) -> float:
    components = [t.statistics[name].n_components for t in (first, second)]
    return float(np.average(components, weights=[len(first), len(second)]))
