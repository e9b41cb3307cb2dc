"""What lies where a transformation takes a row?

The nearest other rows say two things of a place: whether it is among the data, and what the target
is there. Both are asked at images of rows, and at the rows themselves, where the answer is known:
what is seen there (rows at the edge of any law, noise, a truth that is rougher than the data are
dense) is what is not the transformation's doing.

Among the data is a place whose neighbours are no farther from it than they are from each other, so
that sparse data are data, too: the local outlier factor without its smoothing.

References:
    Breunig et al., "LOF: identifying density-based local outliers", SIGMOD 2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.row_metrics import leaf_scales, scaled_rows, squared_distances
from equiprob.orbits.keys import Ids
from equiprob.task.local_means import centring_weights
from equiprob.task.resampling import TurnedAway
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

N_AROUND = 5
"""Rows that are asked of a place: odd, so that two classes have a majority."""

_SEED = 14
"""Of the turns away and back where moving interpolates."""

_ENTRIES = 2**22


@final
@dataclass(frozen=True, eq=False)
class Landing:
    """What lies where images of rows are, and where the rows are.

    Args:
        far: Whether an image is far from all rows of other units, ``(row, transformation)``.
        other: How far the target there, turned back, is from the row's own,
            ``(row, transformation)``: 0 or 1 for labels.
        around: The rows that are asked, nearest first, ``(row, transformation, N_AROUND)``.
        remoteness: Distance of the last of the rows that are asked, over that which they have
            among themselves, ``(row, transformation)``.
        nearest: Of the first of them, ``(row, transformation)``.
        own_far: The same of the rows themselves, ``(row,)``.
        own_other: How far the target that others tell of a row's place is from its own, ``(row,)``.
        own_around: As `around`, ``(row, N_AROUND)``.
        own_nearest: As `nearest`, ``(row,)``.
        typical: The median distance of the last of the rows that are asked.
    """

    far: NDArray[np.bool_]
    other: Array
    around: Index
    remoteness: Array
    nearest: Array
    own_far: NDArray[np.bool_]
    own_other: Array
    own_around: Index
    own_nearest: Array
    typical: float

    @classmethod
    def of(
        cls,
        x: Any,
        y: Array,
        units: Ids,
        transform: Transform,
        parameters: Parameters,
        *,
        labelled: bool,
        near: float,
    ) -> Landing:
        """Look around every image and every row.

        Args:
            x: A pytree of arrays, rows first.
            y: Targets ``(row, ...)`` as the transform's output action takes them; of labels one-hot
                ``(row, class)``.
            units: The unit of each row: neighbours are of other ones.
            transform: The transform, as it acts on this target.
            parameters: ``(row, transformation, n_parameters)``.
            labelled: Whether targets are labels, so that the majority of neighbours is the answer.
            near: The share of rows that are not far where they are.
        """
        away = TurnedAway.of(x, transform, len(y), 1, [_SEED])
        scales = leaf_scales(away.still)
        rows = scaled_rows(away.still, scales)
        acting = transform.on(output=y)
        data = _Data(rows, y.reshape(len(y), -1), units, labelled)
        own = data.look(rows)
        far = float(np.quantile(own.remoteness, near))
        shape = parameters.shape[:2]
        other, remoteness, nearest = np.empty(shape), np.empty(shape), np.empty(shape)
        around = np.empty((*shape, N_AROUND), dtype=np.int64)
        for j in range(shape[1]):
            images = data.look(scaled_rows(away.moved(parameters[:, j]), scales))
            target = images.target.reshape(y.shape)
            back = np.asarray(acting.at(parameters[:, j]).back(target, x))
            other[:, j] = data.apart(back.reshape(len(y), -1))
            remoteness[:, j], nearest[:, j] = images.remoteness, images.first
            around[:, j] = images.around
        return cls(
            far=remoteness > far,
            other=other,
            around=around,
            remoteness=remoteness,
            nearest=nearest,
            own_far=own.remoteness > far,
            own_other=data.apart(own.target),
            own_around=own.around,
            own_nearest=own.first,
            typical=float(np.median(data.apart_from_each_other[:, N_AROUND - 1])),
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the nearest rows say of one place for each row.

    Args:
        target: ``(row, component)``.
        around: These rows, nearest first, ``(row, N_AROUND)``.
        first: The distance of the first, ``(row,)``.
        remoteness: That of the last, over what they have among themselves, ``(row,)``.
    """

    target: Array
    around: Index
    first: Array
    remoteness: Array


@dataclass(frozen=True, eq=False)
class _Data:
    """Rows that are asked of places.

    Args:
        rows: ``(row, entry)``.
        y: ``(row, component)``.
        units: ``(row,)``.
        labelled: Whether the majority is the answer.
    """

    rows: Array
    y: Array
    units: Ids
    labelled: bool

    def look(self, places: Array) -> _Seen:
        """Ask rows of other units of one place for each row, ``(row, entry)``."""
        near, apart = self._nearest(places, N_AROUND)
        target = self._majority(near) if self.labelled else self._mean(places, near)
        remoteness = apart[:, -1] / self._among_themselves(near, apart)
        return _Seen(target, near, apart[:, 0], remoteness)

    def _nearest(self, places: Array, k: int) -> tuple[Index, Array]:
        """Return the nearest rows of other units and their distances, ``(row, k)``, ascending."""
        n = len(self.rows)
        near, apart = np.empty((n, k), dtype=np.int64), np.empty((n, k))
        step = max(_ENTRIES // n, 1)
        for start in range(0, n, step):
            part = slice(start, start + step)
            squares = squared_distances(places[part], self.rows)
            squares[self.units[part][:, None] == self.units] = np.inf
            chosen = np.argpartition(squares, k - 1, axis=1)[:, :k]
            at = np.take_along_axis(squares, chosen, axis=1)
            order = np.argsort(at, axis=1, kind="stable")
            near[part] = np.take_along_axis(chosen, order, axis=1)
            apart[part] = np.sqrt(np.take_along_axis(at, order, axis=1))
        return near, apart

    @cached_property
    def _around_rows(self) -> tuple[Index, Array]:
        """The nearest rows of each row, one more than are asked, and their distances."""
        return self._nearest(self.rows, N_AROUND + 1)

    @property
    def apart_from_each_other(self) -> Array:
        """Distances of the nearest rows of each row, ``(row, neighbour)``."""
        return self._around_rows[1]

    def _among_themselves(self, near: Index, apart: Array) -> Array:
        """Return how far the rows around a place are from their own neighbours, ``(row,)``.

        Among these is the place itself, and not the row that it is an image of: for an image as
        for the row itself, as many rows could be near.
        """
        around, distance = self._around_rows
        found = np.empty(apart.shape)
        step = max(_ENTRIES // (N_AROUND * (N_AROUND + 2)), 1)
        for start in range(0, len(near), step):
            part = slice(start, start + step)
            mine = self.units[around[near[part]]] == self.units[part][:, None, None]
            others = np.where(mine, np.inf, distance[near[part]])
            both = np.concatenate([others, apart[part][..., None]], axis=2)
            found[part] = np.sort(both, axis=2)[..., N_AROUND - 1]
        # Where all of them are at one place, so must the image be.
        return np.maximum(found.mean(axis=1), np.finfo(float).tiny)

    def apart(self, target: Array) -> Array:
        """Return how far targets ``(row, component)`` are from the rows' own, ``(row,)``."""
        if self.labelled:
            return (target.argmax(axis=1) != self.y.argmax(axis=1)).astype(np.float64)
        return np.linalg.norm(target - self.y, axis=1)

    def _majority(self, near: Index) -> Array:
        """Return the most frequent class, of equally frequent ones that of the nearest row."""
        # Nearer votes count a little more: less in sum than one vote.
        weight = 1 + 0.5 ** (1 + np.arange(N_AROUND)) / 2
        votes = np.einsum("q,nqk->nk", weight, self.y[near])
        return np.eye(self.y.shape[1])[votes.argmax(axis=1)]

    def _mean(self, places: Array, near: Index) -> Array:
        """Return weighted means whose weights place the place at the centre."""
        found = np.empty_like(self.y)
        step = max(_ENTRIES // (N_AROUND * self.rows.shape[1]), 1)
        for start in range(0, len(near), step):
            part = slice(start, start + step)
            weights = centring_weights(self.rows[near[part]] - places[part, None])
            found[part] = np.einsum("nq,nqk->nk", weights, self.y[near[part]])
        return found
