"""How far apart are the orbits of two inputs?

The orbit distance is the least over the transformations, ``d_S(x, x') = min_g |g.x - x'|``: exact
over finite sets; over continuous ones the least over a design is refined around its best element,
since neighbouring orbits are much closer than the elements of any design (with 1024 angles the
plane, modulo rotations, still looks two-dimensional).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final, override

import jax
import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.row_metrics import MOST_ENTRIES, AbstractMetric, flattened, seconds_of
from equiprob.orbits.keys import Ids
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_PAIRS = 4096
"""Pairs refined in one call, so that few shapes are compiled."""

_ELEMENTS = {1: 64, 2: 144}
"""Elements of a design by the number of its dimensions; 256 in more."""

_STEP = 1e-5
"""For derivatives along the transformation's uniform numbers, in float64."""

_REFINEMENTS = 4

_MATCHING_STEPS = 2
"""The same where what is wanted is a transformation, not the last digit of a distance."""

_WIDER = (1, 2, 8, 32)
"""Multiples of the wanted neighbours that are refined, until no other row can be nearer."""


@final
@dataclass(frozen=True, eq=False)
class OrbitMetric(AbstractMetric):
    """The least distance over the transformations of one of the two rows.

    Args:
        x: A pytree of float64 arrays, rows first.
        rows: The same as vectors, ``(row, entry)``.
        transform: The transform.
        eps: Relative rounding of the inputs as they were given.
    """

    x: Any
    rows: Array
    transform: Transform
    eps: float

    @classmethod
    def of(cls, x: Any, transform: Transform, eps: float) -> OrbitMetric:
        """Return the distance between the rows of a pytree."""
        x = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), x)
        return cls(x, flattened(x), transform, eps)

    @override
    def __len__(self) -> int:
        return len(self.rows)

    @override
    def take(self, rows: Index) -> OrbitMetric:
        x = jax.tree.map(lambda leaf: leaf[rows], self.x)
        return OrbitMetric(x, self.rows[rows], self.transform, self.eps)

    @cached_property
    def kind(self) -> Literal["exact", "refined", "sampled"]:
        """Whether the least is over all elements, refined around those of a design, or over a few.

        Transformations that do not vary smoothly, such as many permutations, are sampled.
        """
        if self.transform.enumeration() is not None:
            return "exact"
        if not self.transform.n_uniforms:
            return "sampled"
        rows = np.arange(min(len(self), 8))
        middle = np.full((len(rows), self.transform.n_uniforms), 0.4)
        return "refined" if np.abs(self._slopes(rows, middle)).max() > 0 else "sampled"

    @property
    def is_refined(self) -> bool:
        """Whether it is refined between the elements of a design."""
        return self.kind == "refined"

    @cached_property
    def _uniforms(self) -> Array:
        """The design's uniform numbers ``(element, n_uniforms)``."""
        dimensions = self.transform.n_uniforms
        return hammersley(_ELEMENTS.get(dimensions, 256), dimensions, centred=True)

    @cached_property
    def elements(self) -> Parameters:
        """Parameters ``(element, n_parameters)`` of the set, or of a design of it."""
        finite = self.transform.enumeration()
        if finite is not None:
            return finite.parameters
        if not self.transform.n_uniforms:
            return self.transform.sample_many(np.random.default_rng(0), max(_ELEMENTS.values()))
        return self.transform.parameters(self._uniforms)

    @property
    @override
    def seconds(self) -> float:
        if not self.is_refined:
            return len(self.elements) * seconds_of(self.rows)
        over_design = len(self.elements) * (1 + self.transform.n_uniforms) * seconds_of(self.rows)
        return over_design + 1e-7 * self.rows.size + 0.02

    @property
    @override
    def rounding(self) -> float:
        return 64 * self.eps * float(np.sqrt((self.rows**2).sum(axis=1).max()))

    def moved(self, rows: Index, parameters: Parameters) -> Array:
        """Return rows as vectors ``(row, entry)``, each moved by its own transformation."""
        x = jax.tree.map(lambda leaf: leaf[rows], self.x)
        return flattened(self.transform.on(x).at(parameters).move(x))

    def _images(self, queries: Index) -> tuple[Array, Array]:
        """Return images over the design ``(query, element, entry)`` and their slopes.

        The slopes ``(query, element, n_uniforms, entry)`` are empty where nothing is refined.
        """
        n, m = len(queries), len(self.elements)
        each = np.repeat(queries, m)
        images = self.moved(each, np.tile(self.elements, (n, 1))).reshape(n, m, -1)
        if not self.is_refined:
            return images, np.empty((n, m, 0, images.shape[2]))
        slopes = self._slopes(each, np.tile(self._uniforms, (n, 1)))
        return images, slopes.reshape(n, m, -1, images.shape[2])

    @cached_property
    def _all_images(self) -> tuple[Array, Array] | None:
        """The images of all rows, where they are few numbers: a net asks for most of them."""
        each = len(self.elements) * self.rows.shape[1]
        directions = 1 + self.transform.n_uniforms * self.is_refined
        if len(self) * each * directions > MOST_ENTRIES:
            return None
        return self._images(np.arange(len(self)))

    def _over_design(self, images: Array, slopes: Array) -> tuple[Array, Index]:
        """Return distances ``(query, row)`` near the best element of the design, and which it is.

        Where they are to be refined the orbit there is taken for its tangent plane.
        """
        n_queries, m, width = images.shape
        near = np.empty((n_queries, len(self)))
        best = np.empty(near.shape, dtype=np.int64)
        planes = np.linalg.qr(slopes.swapaxes(2, 3))[0]
        # Rows less their mean keep the digits that squares of large numbers would lose.
        middle = self.rows.mean(axis=0)
        rows, moved = self.rows - middle, images - middle
        halves = np.einsum("qme,qme->qm", moved, moved)[..., None] / 2
        sizes = np.einsum("ne,ne->n", rows, rows)
        step = max(MOST_ENTRIES // (m * len(self)), 1)
        for start in range(0, n_queries, step):
            part = slice(start, start + step)
            flat = moved[part].reshape(-1, width)
            closeness = (flat @ rows.T).reshape(-1, m, len(self))
            closeness -= halves[part]
            best[part] = closeness.argmax(axis=1)
            chosen = best[part, None]
            squares = sizes - 2 * np.take_along_axis(closeness, chosen, axis=1)[:, 0]
            for direction in planes[part].transpose(3, 0, 1, 2):
                along = (direction.reshape(-1, width) @ rows.T).reshape(-1, m, len(self))
                within = np.einsum("qme,qme->qm", moved[part], direction)
                squares -= (
                    np.take_along_axis(along, chosen, axis=1)[:, 0]
                    - np.take_along_axis(within, best[part], axis=1)
                ) ** 2
            near[part] = squares
        return np.sqrt(np.maximum(near, 0.0)), best

    def _between(self, queries: Index, rows: Index, best: Index) -> Array:
        """Return distances ``(pair,)``, refined around the best elements of the design."""
        if not self.is_refined:
            images = self.moved(queries, self.elements[best])
            return np.linalg.norm(images - self.rows[rows], axis=1)
        found = np.empty(len(queries))
        for part, padded in self._blocks(len(queries)):
            refined, _ = self._refined(queries[padded], rows[padded], best[padded])
            found[part] = refined[: len(part)]
        return found

    def moved_in_blocks(self, rows: Index, parameters: Parameters) -> Array:
        """Return moved rows ``(row, entry)``, by calls of few different lengths."""
        found = np.empty((len(rows), self.rows.shape[1]))
        for part, padded in self._blocks(len(rows)):
            moved = self.moved(rows[padded], parameters[padded])
            found[part] = moved[: len(part)]
        return found

    def _blocks(self, n: int) -> Iterator[tuple[Index, Index]]:
        """Yield blocks of ``range(n)``, and the same filled up to a length that compiles once."""
        most = max(min(_PAIRS, MOST_ENTRIES // self.rows.shape[1]), 1)
        for start in range(0, n, most):
            part = np.arange(start, min(start + most, n))
            yield part, np.resize(part, min(1 << int(len(part) - 1).bit_length(), most))

    def _refined(
        self, queries: Index, rows: Index, best: Index, steps: int = _REFINEMENTS
    ) -> tuple[Array, Array]:
        """Minimize over the transformation by Gauss-Newton steps in its uniform numbers.

        Returns:
            Distances ``(pair,)``, and where they are reached ``(pair, n_uniforms)``.
        """
        at, target = self._uniforms[best], self.rows[rows]
        image = self.moved(queries, self.transform.parameters(at))
        distance = np.linalg.norm(image - target, axis=1)
        damping = np.zeros(len(queries))
        for _ in range(steps):
            step = _downhill(self._slopes(queries, at), target - image, damping)
            there = self._inside(at + step)
            moved = self.moved(queries, self.transform.parameters(there))
            new = np.linalg.norm(moved - target, axis=1)
            better = new < distance
            at = np.where(better[:, None], there, at)
            image = np.where(better[:, None], moved, image)
            distance = np.where(better, new, distance)
            damping = np.where(better, 0.0, 4 * damping + 0.1)
        return distance, at

    def _slopes(self, queries: Index, at: Array) -> Array:
        """Return derivatives ``(pair, n_uniforms, entry)`` of the moved rows."""
        slopes = []
        for axis in _STEP * np.eye(at.shape[1]):
            ahead, behind = self._inside(at + axis), self._inside(at - axis)
            image = self.moved(queries, self.transform.parameters(ahead))
            before = self.moved(queries, self.transform.parameters(behind))
            slopes.append((image - before) / (2 * _STEP))
        return np.stack(slopes, axis=1)

    def _inside(self, uniforms: Array) -> Array:
        """Keep uniform numbers in [0, 1): around for a group, at the ends for a range."""
        if self.transform.is_haar:
            return uniforms % 1.0
        return np.clip(uniforms, _STEP, 1 - _STEP)  # laws may reach to infinity

    @override
    def nearest(self, k: int, queries: Index) -> tuple[Array, Index]:
        images = len(self.elements) * self.rows.shape[1]
        step = max(MOST_ENTRIES // max(images, len(self)), 1)
        parts = [
            self._nearest(k, queries[start : start + step])
            for start in range(0, len(queries), step)
        ]
        distances, rows = zip(*parts, strict=True)
        return np.concatenate(distances), np.concatenate(rows)

    def _nearest(self, k: int, queries: Index) -> tuple[Array, Index]:
        """Refine the rows that seem nearest, and more of them until no other can be nearer."""
        near, best = self._over_design(*self._images(queries))
        place = np.arange(len(queries))
        near[place, queries] = np.inf
        distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
        for wider in _WIDER:
            wanted = min(wider * k, len(self) - 1)
            seem = np.argpartition(near[place], wanted - 1, axis=1)[:, :wanted]
            seeming = np.take_along_axis(near[place], seem, axis=1)
            pairs = np.repeat(place, wanted), seem.ravel()
            found = self._between(queries[pairs[0]], pairs[1], best[pairs]).reshape(seem.shape)
            order = np.argsort(found, axis=1)[:, :k]
            distances[place] = np.take_along_axis(found, order, axis=1)
            rows[place] = np.take_along_axis(seem, order, axis=1)
            off = 2 * np.abs(found - seeming).max(axis=1)
            open_ = seeming.max(axis=1) - off < distances[place, -1]
            place = place[open_ & (wanted < len(self) - 1)]
            if not len(place):
                break
        return distances, rows

    def matched(self, k: int, units: Ids, among: Sequence[Index]) -> list[tuple[Index, Parameters]]:
        """Return rows of other units that seem nearest to each row, and what takes it there.

        A row that is nearer may be missed where orbits bend within the spacing of the design.

        Args:
            k: How many.
            units: The unit of each row, ``(row,)``: no row is matched with its own.
            among: Labels of rows ``(row,)``, each for an answer of its own: a row is matched with
                rows of its label.

        Returns:
            For each `among`, rows ``(row, k)``, and parameters ``(row, k, n_parameters)`` of the
            transformations that take each row nearest to them; both in the order of the distance.
        """
        images = len(self.elements) * self.rows.shape[1]
        step = max(MOST_ENTRIES // max(images, len(self)), 1)
        found: list[list[tuple[Index, Parameters]]] = [[] for _ in among]
        for queries in np.split(np.arange(len(self)), range(step, len(self), step)):
            near, best = self._over_design(*self._images(queries))
            near[units[queries][:, None] == units] = np.inf
            for parts, labels in zip(found, among, strict=True):
                mine = np.where(labels[queries][:, None] == labels, near, np.inf)
                parts.append(self._matched(k, queries, mine, best))
        return [
            (np.concatenate([rows for rows, _ in parts]), np.concatenate([p for _, p in parts]))
            for parts in found
        ]

    def _matched(
        self, k: int, queries: Index, near: Array, best: Index
    ) -> tuple[Index, Parameters]:
        rows = np.argpartition(near, k - 1, axis=1)[:, :k]
        element = np.take_along_axis(best, rows, axis=1)
        if not self.is_refined:
            distances = np.take_along_axis(near, rows, axis=1)
            parameters = self.elements[element]
        else:
            each = np.repeat(queries, k)
            distances = np.empty(len(each))
            at = np.empty((len(each), self.transform.n_uniforms))
            for part, padded in self._blocks(len(each)):
                pairs = each[padded], rows.ravel()[padded], element.ravel()[padded]
                reached = self._refined(*pairs, steps=_MATCHING_STEPS)
                distances[part], at[part] = (values[: len(part)] for values in reached)
            distances = distances.reshape(rows.shape)
            parameters = self.transform.parameters(at).reshape(*rows.shape, -1)
        order = np.argsort(distances, axis=1, kind="stable")
        return (
            np.take_along_axis(rows, order, axis=1),
            np.take_along_axis(parameters, order[..., None], axis=1),
        )

    @override
    def lowered(self, row: int, least: Array) -> Array:
        kept = self._all_images
        if kept is None:
            images, slopes = self._images(np.array([row]))
        else:
            images, slopes = (values[row : row + 1] for values in kept)
        near, best = (values[0] for values in self._over_design(images, slopes))
        found, worth = least.copy(), np.flatnonzero(near < least)
        image, target = images[0, best[worth]], self.rows[worth]
        distance = np.linalg.norm(image - target, axis=1)
        if self.is_refined and len(worth):
            # One step from the design is within the fourth power of its spacing.
            step = _downhill(slopes[0, best[worth]], target - image)
            there = self._inside(self._uniforms[best[worth]] + step)
            parameters = self.transform.parameters(there)
            moved = self.moved_in_blocks(np.full(len(worth), row), parameters)
            distance = np.minimum(distance, np.linalg.norm(moved - target, axis=1))
        found[worth] = np.minimum(distance, least[worth])
        found[row] = 0.0
        return found


def _downhill(slopes: Array, away: Array, damping: Array | float = 0.0) -> Array:
    """Return Gauss-Newton steps ``(pair, n_uniforms)`` towards what is `away` ``(pair, entry)``."""
    normal = np.einsum("pie,pje->pij", slopes, slopes)
    size = np.trace(normal, axis1=1, axis2=2) + np.finfo(float).tiny
    ridge = ((1e-9 + damping) * size)[:, None, None] * np.eye(slopes.shape[1])
    along = np.einsum("pie,pe->pi", slopes, away)
    return np.linalg.solve(normal + ridge, along[..., None])[..., 0]
