"""How much do targets vary between neighbours?

A row's target is predicted from its nearest rows, with weights that sum to one and place the row at
their centre as well as neighbours can (locally linear embedding): what is linear in the inputs then
leaves no trace. A squared residual has mean ``variance (1 + sum of squared weights)``, whatever the
weights, as long as they do not look at targets.

References:
    Roweis & Saul, "Nonlinear dimensionality reduction by locally linear embedding", Science 2000
    (the weights); Levina & Bickel, "Maximum likelihood estimation of intrinsic dimension", NIPS
    2004.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.geometry.row_metrics import squared_distances
from equiprob.orbits.keys import Ids
from equiprob.transforms.law import Parameters

MovedTargets = Callable[[Index, Parameters], Array]
"""``moved(rows, parameters) -> (row, k)``: targets, each moved by its own transformation."""

N_NEAREST = 12
"""Neighbours of each row. Simulated in 1 to 10 dimensions, 6 to 24 of them: fewer have more noise,
more are farther away."""

_RIDGE = 1e-3
"""Keeps weights small where neighbours are more than there are directions, relative to the mean
squared distance."""

_ENTRIES = 2**22


@dataclass(frozen=True, eq=False)
class LocalSpread:
    """The variance of targets among neighbours, by row.

    Args:
        variance: Of each row's target given its neighbours, ``(row,)``, summed over components.
        nearest: The nearest other row, ``(row,)``.
        distance: Of the neighbours ``(row, neighbour)``, ascending.
    """

    variance: Array
    nearest: Index
    distance: Array


def spread_between_rows(
    rows: Array, y: Array, units: Ids, among: Sequence[Index], k: int = N_NEAREST
) -> list[LocalSpread]:
    """Return how much targets vary between rows that are near each other.

    Args:
        rows: Inputs as vectors, ``(row, entry)``.
        y: Targets, ``(row, component)``.
        units: The unit of each row: neighbours are of other ones.
        among: Labels of rows ``(row,)``, each for an answer of its own: neighbours have one label.
        k: Neighbours of each row.
    """
    nearest = np.empty((len(among), len(rows), k), dtype=np.int64)
    distance = np.empty(nearest.shape)
    step = max(_ENTRIES // len(rows), 1)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        squares = squared_distances(rows[part], rows)
        squares[units[part][:, None] == units] = np.inf
        for i, labels in enumerate(among):
            mine = np.where(labels[part][:, None] == labels, squares, np.inf)
            near = np.argpartition(mine, k - 1, axis=1)[:, :k]
            near_squares = np.take_along_axis(mine, near, axis=1)
            order = np.argsort(near_squares, axis=1, kind="stable")
            nearest[i, part] = np.take_along_axis(near, order, axis=1)
            distance[i, part] = np.sqrt(np.take_along_axis(near_squares, order, axis=1))
    found = []
    for rows_near, apart in zip(nearest, distance, strict=True):

        def near_rows(part: slice, chosen: Index = rows_near) -> tuple[Array, Array]:
            return rows[chosen[part]], y[chosen[part]]

        found.append(LocalSpread(_variances(rows, y, near_rows), rows_near[:, 0], apart))
    return found


def spread_between_orbits(
    metric: OrbitMetric,
    y: Array,
    moved: MovedTargets,
    units: Ids,
    among: Sequence[Index],
    k: int = N_NEAREST,
) -> list[LocalSpread]:
    """Return how much targets vary between rows whose orbits are near each other.

    Each neighbour is moved onto the row, its target with it.

    Args:
        metric: The distance modulo the group.
        y: Targets, ``(row, component)``.
        moved: The same, moved.
        units: The unit of each row: neighbours are of other ones.
        among: Labels of rows ``(row,)``, each for an answer of its own: neighbours have one label.
        k: Neighbours of each row.
    """
    return [
        _spread_modulo(metric, y, moved, rows, there)
        for rows, there in metric.matched(k, units, among)
    ]


def _spread_modulo(
    metric: OrbitMetric, y: Array, moved: MovedTargets, rows: Index, there: Parameters
) -> LocalSpread:
    """Return the spread between rows and neighbours ``(row, neighbour)`` that are moved back."""
    back = metric.transform.inverse(there.reshape(rows.size, -1)).reshape(*rows.shape, -1)
    distance = np.empty(rows.shape)

    def near(part: slice) -> tuple[Array, Array]:
        chosen, parameters = rows[part].ravel(), back[part].reshape(rows[part].size, -1)
        shape = rows[part].shape
        images = metric.moved_in_blocks(chosen, parameters).reshape(*shape, -1)
        distance[part] = np.linalg.norm(images - metric.rows[part, None], axis=2)
        return images, moved(chosen, parameters).reshape(*shape, -1)

    return LocalSpread(_variances(metric.rows, y, near), rows[:, 0], distance)


def dimension_of(distance: Array) -> float:
    """Return the dimension that rows fill, from the distances of their nearest ones.

    Args:
        distance: ``(row, neighbour)``, ascending; rows that coincide with others are passed over.
    """
    apart = distance[distance[:, 0] > 0]
    if not len(apart):
        return 0.0
    slower = np.log(apart[:, -1:] / apart[:, :-1]).mean()
    freedom = (apart.shape[1] - 2) / (apart.shape[1] - 1)
    return float(freedom / slower) if slower > 0 else float("inf")


def _variances(rows: Array, y: Array, near: Callable[[slice], tuple[Array, Array]]) -> Array:
    """Return squared residuals over what noise of variance one would make of them, ``(row,)``."""
    found = np.empty(len(rows))
    step = max(_ENTRIES // (N_NEAREST * rows.shape[1]), 1)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        images, targets = near(part)
        weights = centring_weights(images - rows[part, None])
        residual = y[part] - np.einsum("nq,nqk->nk", weights, targets)
        found[part] = (residual**2).sum(axis=1) / (1 + (weights**2).sum(axis=1))
    return found


def centring_weights(apart: Array) -> Array:
    """Return weights ``(row, neighbour)`` of sum one whose mean of `apart` is nearly zero.

    Args:
        apart: Neighbours less the row, ``(row, neighbour, entry)``.
    """
    q = apart.shape[1]
    gram = np.einsum("nqe,nre->nqr", apart, apart)
    ridge = _RIDGE * np.trace(gram, axis1=1, axis2=2) / q
    # Rows that coincide are all alike: any ridge gives them equal weights.
    gram += np.where(ridge > 0, ridge, 1.0)[:, None, None] * np.eye(q)
    weights = np.linalg.solve(gram, np.ones((len(apart), q, 1)))[..., 0]
    return weights / weights.sum(axis=1, keepdims=True)
