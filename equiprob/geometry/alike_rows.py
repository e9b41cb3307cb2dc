"""Are rows that count as independent in truth steps of a trajectory, or copies of each other?

Nothing in a table proves that its rows are independent, and every interval takes it for granted.
Two things are seen from the inputs. Steps of a trajectory, repeated and sorted rows are nearer to
the next row of the table than to others. Copies with noise, moved or not, have neighbours many
times nearer than whatever comes next, which rows with a density have only by chance: in D
dimensions the distance of the k-th neighbour is a fifth of the next one's with probability
``5^(-k D)``.
"""

from __future__ import annotations

import jax
import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.tensors import all_on_host
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.geometry.row_metrics import AbstractMetric, RawMetric, leaf_scales, scaled_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable

_FEWEST = 40
_OTHERS = 16
"""Random rows that the next row of the table is compared with."""

_NEARER, _SPREAD = 0.35, 1.6
"""Mean rank of the next row among random ones, 1/2 of independent rows, below which rows are alike;
with few rows, by as many times the inverse root of their number below 1/2: five standard
deviations."""

_NEIGHBOURS, _GAP = 8, 5.0
"""Clusters of more rows than neighbours are looked at are laws like any other."""

_PROBES, _ORBITS = 200, 64
"""Rows whose neighbours are sought, and rows whose neighbours modulo the group are."""

_COPIED = 0.5
"""Share of rows with such a gap above which rows are copies. Of independent ones .22 to .29 have it
in one dimension, .06 and fewer in more."""

_GRID = 0.2
"""Where the least distance is one and the same of more rows than this, rows lie on a grid."""

_MOST_NUMBERS = 2 * 10**7
"""Numbers in the rows that are looked at, from the first on."""

_MOST_SECONDS = 5.0
"""What distances between orbits may take, by a careful guess; they take about a third of it."""

_LARGEST = 1e100
"""Of larger inputs no distances are told."""


def are_alike(table: OrbitTable) -> bool:
    """Whether rows of different units are more alike than independent ones are.

    Args:
        table: A table that holds its inputs.
    """
    width = sum(np.asarray(leaf[:1]).size for leaf in jax.tree.leaves(table.x))
    most = max(_MOST_NUMBERS // max(width, 1), _FEWEST)
    given = all_on_host(jax.tree.map(lambda leaf: leaf[:most], table.x))
    x = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), given)
    units = table.unit_ids[:most]
    if len(np.unique(units)) < _FEWEST:
        return False
    if max(np.abs(leaf).max(initial=0.0) for leaf in jax.tree.leaves(x)) > _LARGEST:
        return False
    rows = scaled_rows(x, leaf_scales(x))
    eps = float(np.finfo(float).eps)
    if _next_is_nearer(rows, units):
        return True
    near = _apart(RawMetric(rows, eps), units, _PROBES)
    if _on_grid(near):
        return False
    whole = not all(np.issubdtype(leaf.dtype, np.floating) for leaf in jax.tree.leaves(given))
    orbits = OrbitMetric.of(x, table.transform, eps)
    if whole or orbits.seconds * _ORBITS > _MOST_SECONDS:
        return _have_gaps(near)
    return _have_gaps(near) or _have_gaps(_apart(orbits, units, _ORBITS))


def _next_is_nearer(rows: Array, units: Ids) -> bool:
    """Whether rows are nearer to the next one of the table than to random ones."""
    here = np.flatnonzero(units[1:] != units[:-1])
    if len(here) < _FEWEST:
        return False
    # Any row but these two, and each as often as the others.
    others = np.random.default_rng(0).integers(len(rows) - 2, size=(_OTHERS, len(here)))
    others += others >= here
    others += others >= here + 1
    ahead = ((rows[here + 1] - rows[here]) ** 2).sum(axis=1)
    away = np.stack([((rows[other] - rows[here]) ** 2).sum(axis=1) for other in others])
    rank = (away < ahead).mean() + (away == ahead).mean() / 2
    return bool(rank < min(_NEARER, 0.5 - _SPREAD / np.sqrt(len(here))))


def _apart(metric: AbstractMetric, units: Ids, most: int) -> Array:
    """Return distances of some rows to their nearest rows of other units, ascending.

    Returns:
        ``(row, neighbour)``, infinite where there are not as many.
    """
    n = len(metric)
    probes = np.random.default_rng(1).permutation(n)[:most]
    distance, near = metric.nearest(min(_NEIGHBOURS, n - 1), probes)
    distance = np.where(units[near] == units[probes][:, None], np.inf, distance)
    return np.sort(np.where(distance <= metric.rounding, 0.0, distance), axis=1)


def _on_grid(distance: Array) -> bool:
    """Whether the least distance of many rows is one and the same."""
    least = np.where(distance > 0, distance, np.inf).min(axis=1)
    least = least[np.isfinite(least)]
    if not len(least):
        return True
    _, counts = np.unique(np.round(least / np.median(least), 6), return_counts=True)
    return bool(counts.max() > max(_GRID * len(least), 1))


def _have_gaps(distance: Array) -> bool:
    """Whether most rows have neighbours that are many times nearer than the next ones."""
    gaps = (distance[:, 1:] > _GAP * distance[:, :-1]) & np.isfinite(distance[:, 1:])
    return bool(gaps.any(axis=1).mean() > _COPIED)
