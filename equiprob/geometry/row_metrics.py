"""How far apart are two inputs?

The raw distance is Euclidean over all entries of a row; `orbit_metric` has that of their orbits.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, final, override

import jax
import numpy as np

from equiprob.arguments.array_types import Array, Index

MOST_ENTRIES = 2**22
"""Most numbers in one block of distances or of moved rows (32 MiB)."""

_LARGEST = 1e120
"""Products of two squared distances between inputs of this size are still numbers of float64."""


class AbstractMetric(abc.ABC):
    """Distances between the rows of one sample."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abc.abstractmethod
    def take(self, rows: Index) -> AbstractMetric:
        """Return the same distance between some of the rows."""

    @abc.abstractmethod
    def nearest(self, k: int, queries: Index) -> tuple[Array, Index]:
        """Return the `k` nearest other rows of each query: distances and rows ``(query, k)``."""

    @abc.abstractmethod
    def lowered(self, row: int, least: Array) -> Array:
        """Return distances ``(row,)`` from one row to all, where smaller than `least`, else it."""

    @property
    @abc.abstractmethod
    def seconds(self) -> float:
        """Time that the distances from one row to all take, roughly."""

    @property
    @abc.abstractmethod
    def rounding(self) -> float:
        """Distances up to this are zero up to rounding."""


def flattened(x: Any) -> Array:
    """Return the rows of a pytree as vectors ``(row, entry)`` in float64.

    Raises:
        ValueError: If they are so large, or all so small, that squared distances are lost.
    """
    leaves = [np.asarray(leaf, dtype=np.float64) for leaf in jax.tree.leaves(x)]
    rows = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    largest = np.abs(rows).max(initial=0.0)
    if largest > _LARGEST or 0 < largest < 1 / _LARGEST:
        raise ValueError(
            f"the largest number in the inputs is {largest:.2g}, whose square float64 does not "
            f"hold; give the inputs in another unit"
        )
    return rows


def leaf_scales(x: Any) -> list[float]:
    """Return the spread of each leaf, so that none decides by its unit alone who is near."""
    found = []
    for leaf in jax.tree.leaves(x):
        each = flattened(leaf)
        spread = float(np.sqrt(((each - each.mean(axis=0)) ** 2).sum(axis=1).mean()))
        found.append(spread if spread > 0 else 1.0)
    return found


def scaled_rows(x: Any, scales: list[float]) -> Array:
    """Return rows as vectors ``(row, entry)``, each leaf over its spread."""
    each = zip(jax.tree.leaves(x), scales, strict=True)
    return np.concatenate([flattened(leaf) / scale for leaf, scale in each], axis=1)


def squared_distances(one: Array, other: Array) -> Array:
    """Return squared Euclidean distances ``(row of one, row of other)``, by one matrix product."""
    sizes = np.einsum("ij,ij->i", one, one)[:, None] + np.einsum("ij,ij->i", other, other)
    return np.maximum(sizes - 2 * one @ other.T, 0.0)


def seconds_of(rows: Array) -> float:
    """Return roughly how long the distances from one vector to all rows take (one core)."""
    return 2e-8 * len(rows) * (1 + rows.shape[1] / 50)


@final
@dataclass(frozen=True, eq=False)
class RawMetric(AbstractMetric):
    """The Euclidean distance.

    Args:
        rows: ``(row, entry)``.
        eps: Relative rounding of the inputs as they were given.
    """

    rows: Array
    eps: float

    @override
    def __len__(self) -> int:
        return len(self.rows)

    @override
    def take(self, rows: Index) -> RawMetric:
        return RawMetric(self.rows[rows], self.eps)

    @property
    @override
    def seconds(self) -> float:
        return seconds_of(self.rows)

    @property
    @override
    def rounding(self) -> float:
        return 4 * self.eps * float(np.sqrt((self.rows**2).sum(axis=1).max()))

    @override
    def nearest(self, k: int, queries: Index) -> tuple[Array, Index]:
        from sklearn.neighbors import NearestNeighbors

        found = NearestNeighbors(n_neighbors=k + 1).fit(self.rows)
        step = max(MOST_ENTRIES // len(self.rows), 1)
        distances, neighbours = [], []
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            near, rows = found.kneighbors(self.rows[part])
            # The row itself is dropped; among equal rows it need not come first.
            other = rows != part[:, None]
            other[other.all(axis=1), -1] = False
            distances.append(near[other].reshape(len(part), k))
            neighbours.append(rows[other].reshape(len(part), k))
        return np.concatenate(distances), np.concatenate(neighbours)

    @override
    def lowered(self, row: int, least: Array) -> Array:
        apart = self.rows - self.rows[row]
        return np.minimum(least, np.sqrt(np.einsum("ij,ij->i", apart, apart)))
