"""How far apart are two rows, when moving along a symmetry is free?

``min over g of d(g.x_i, x_j) + w |rho(g) y_i - y_j|``: exact over a finite set; over a continuous
law at a finite subset of it, with the best element refined for the nearest pairs. Any subset gives
a distance that is too large if anything, so that bounds stay bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.geometry.row_metrics import flattened, squared_distances
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_CHECKED_ROWS = 48
_CHECKED_ELEMENTS = 8
_SAME = 1e-6
_ROUNDS = 10
_EDGE = 1e-12


@dataclass(frozen=True, eq=False)
class Targets:
    """What rows are labelled with, and how far apart two labels are.

    Args:
        values: Targets ``(row, k)``, labels one-hot; None where there are none.
        are_labels: Whether they are classes: two different ones are infinitely far apart.
        moved: ``moved(parameter) -> (row, k)``, the targets under a transformation; None where
            transformations leave them as they are.
    """

    values: Array | None = None
    are_labels: bool = False
    moved: Callable[[Parameters], Array] | None = None

    def distances(self, moved: Array | None, n: int) -> Array:
        """Return distances ``(row, row)`` between moved targets and targets as they are."""
        if self.values is None or moved is None:
            return np.broadcast_to(0.0, (n, n))
        if self.are_labels:
            ours, theirs = moved.argmax(axis=1), self.values.argmax(axis=1)
            return np.where(ours[:, None] == theirs, 0.0, np.inf)
        return np.sqrt(_squared(moved, self.values))

    def take(self, rows: NDArray[np.int64]) -> Targets:
        """Return the targets of the given rows."""
        if self.values is None:
            return self
        moved = self.moved
        part = None if moved is None else lambda parameter: moved(parameter)[rows]
        return Targets(self.values[rows], self.are_labels, part)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Distances of all pairs of rows: between inputs and between targets, ``(row, row)`` each."""

    inputs: Array
    targets: Array

    def closer(self, other: Pairs, weight: float) -> Pairs:
        """Return for each pair what is closer in inputs plus `weight` times targets."""
        if self.targets is other.targets:
            return Pairs(np.minimum(self.inputs, other.inputs), self.targets)
        better = _total(other, weight) < _total(self, weight)
        return Pairs(
            np.where(better, other.inputs, self.inputs),
            np.where(better, other.targets, self.targets),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PairDistance:
    """Distances between rows and between their orbits.

    Args:
        transform: The set of transformations.
        embed: ``embed(x) -> (row, feature)``: distances are Euclidean between its rows. Inputs
            flattened to one row of numbers when left out.
        n_elements: Transformations that stand for a law that is not finite.
        n_neighbours: For how many nearest rows of each row the best transformation of such a law is
            refined.
    """

    transform: Transform
    embed: Callable[[Any], Any] | None = field(default=None, repr=False)
    n_elements: int = 128
    n_neighbours: int = 8

    def rows(self, x: Any) -> Array:
        """Return the points ``(row, feature)`` whose Euclidean distances count."""
        if self.embed is not None:
            with calling("metric"):
                found = self.embed(x)
            points = as_numbers("what metric returns", found)
            n = len(jax.tree.leaves(x)[0])
            if points.ndim != 2 or len(points) != n or not np.isfinite(points).all():
                raise ValueError(
                    f"metric must return finite numbers, one row of features for each of {n} "
                    f"inputs, got shape {points.shape}"
                )
            return points
        return flattened(x)

    def elements(self) -> Parameters:
        """Return the parameters ``(element, n_parameters)`` over which the minimum runs."""
        return law_nodes(self.transform, self.n_elements)[0]

    def keeps_distances(self, x: Any) -> bool:
        """Whether the transformations keep distances, as far as some rows and elements show."""
        few = jax.tree.map(lambda leaf: leaf[:_CHECKED_ROWS], in_float64(x))
        apart = np.sqrt(_squared(self.rows(few), self.rows(few)))
        elements = self.elements()
        chosen = elements[:: max(1, len(elements) // _CHECKED_ELEMENTS)]
        moved = [self.rows(self.transform.apply(parameter, few)) for parameter in chosen]
        return all(
            np.abs(np.sqrt(_squared(m, m)) - apart).max() <= _SAME * apart.max() for m in moved
        )

    def plain(self, x: Any, targets: Targets) -> Pairs:
        """Return the distances of all pairs of rows as they are."""
        points = self.rows(in_float64(x))
        squares = _squared(points, points)
        return Pairs(np.sqrt(squares), targets.distances(targets.values, len(points)))

    def nearest(self, x: Any, targets: Targets, weight: float) -> Pairs:
        """Return the distances of all pairs of rows when either may be moved.

        Args:
            x: Inputs, rows first.
            targets: Their targets.
            weight: Of the distance of targets against that of inputs.
        """
        x = in_float64(x)
        points = self.rows(x)
        if targets.moved is None:
            squares = _squared(points, points)
            for parameter in self.elements():
                moved = self.rows(self.transform.apply(parameter, x))
                np.minimum(squares, _squared(moved, points), out=squares)
            best = Pairs(np.sqrt(squares), targets.distances(targets.values, len(points)))
        else:
            best = self.plain(x, targets)
            for parameter in self.elements():
                moved = self.rows(self.transform.apply(parameter, x))
                apart = targets.distances(targets.moved(parameter), len(points))
                best = best.closer(Pairs(np.sqrt(_squared(moved, points)), apart), weight)
        if self._refines:
            self._refine(best, x, points, targets, weight)
        exchanged = best.targets if targets.moved is None else best.targets.T
        return best.closer(Pairs(best.inputs.T, exchanged), weight)

    @property
    def _refines(self) -> bool:
        finite = self.transform.enumeration() is not None
        return not finite and self.transform.n_uniforms > 0 and self.n_neighbours > 0

    def _refine(self, best: Pairs, x: Any, points: Array, targets: Targets, weight: float) -> None:
        """Search between the elements for each row's nearest others; writes into `best`."""
        if targets.moved is not None:
            return  # each pair would need its own targets; the subset stands as it is
        n, d = len(points), self.transform.n_uniforms
        k = min(self.n_neighbours, n - 1)
        apart = np.where(np.eye(n, dtype=bool), np.inf, _total(best, weight))
        others = np.argpartition(apart, k - 1, axis=1)[:, :k]
        design = hammersley(self.n_elements, d, centred=True)
        u, reached = self._best_of(design, x, points, others)
        step = 0.5 * self.n_elements ** (-1 / d)
        for _ in range(_ROUNDS):
            for axis in np.concatenate([np.eye(d), -np.eye(d)]):
                for rank in range(k):
                    tried = np.clip((u[:, rank] + step * axis) % 1.0, _EDGE, 1 - _EDGE)
                    length = self._lengths(tried, x, points[others[:, rank]])
                    better = length < reached[:, rank]
                    u[better, rank], reached[better, rank] = tried[better], length[better]
            step /= 2
        rows = np.arange(n)[:, None]
        best.inputs[rows, others] = np.minimum(best.inputs[rows, others], reached)

    def _best_of(
        self, design: Array, x: Any, points: Array, others: NDArray[np.int64]
    ) -> tuple[Array, Array]:
        """Return the best point of a design for each row and each of its `others`."""
        u = np.zeros((*others.shape, design.shape[1]))
        reached = np.full(others.shape, np.inf)
        for point in design:
            moved = self.rows(self.transform.apply(self.transform.parameters(point), x))
            for rank, column in enumerate(others.T):
                length = np.linalg.norm(moved - points[column], axis=1)
                better = length < reached[:, rank]
                u[better, rank], reached[better, rank] = point, length[better]
        return u, reached

    def _lengths(self, u: Array, x: Any, points: Array) -> Array:
        """Return the distance of each row, moved by its own transformation, to a point."""
        moved = self.transform.on(x).at(self.transform.parameters(u)).move(x)
        return np.linalg.norm(self.rows(moved) - points, axis=1)


def law_nodes(transform: Transform, n: int) -> tuple[Parameters, Array]:
    """Return parameters and weights that stand for a law: exact for finite ones, else `n` of it."""
    finite = transform.enumeration()
    if finite is not None:
        return finite.parameters, finite.weights
    if transform.n_uniforms:
        points = hammersley(n, transform.n_uniforms, centred=True)
        return transform.parameters(points), np.full(n, 1 / n)
    return transform.sample_many(np.random.default_rng(0), n), np.full(n, 1 / n)


def in_float64(x: Any) -> Any:
    """Return inputs as NumPy arrays, floats in float64: isometries then are to its rounding."""

    def wide(leaf: Any) -> Any:
        array = np.asarray(leaf)
        return array.astype(np.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(wide, x)


def _total(pairs: Pairs, weight: float) -> Array:
    return pairs.inputs + weight * pairs.targets if weight else pairs.inputs


def _squared(points: Array, others: Array) -> Array:
    """Return squared distances ``(point, other)``."""
    centre = others.mean(axis=0)  # the closer to zero, the less is lost in the difference
    return squared_distances(points - centre, others - centre)
