"""What shares of images leave the data, contradict them, or agree with them?

From yes and no of images and of the rows themselves to draws of three shares that sum to one. A row
enters them twice: by where its images land, and as one of the data that others land among. Draws
know both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array, Index
from equiprob.orbits.keys import Ids
from equiprob.posterior.pooled_shares import pooled_shares
from equiprob.posterior.row_means import RowMeans

Booleans = NDArray[np.bool_]

KINDS = ("extrinsic", "incorrect", "correct")

_ENDS = 0.5
"""Weight of one row more on either side, so that 0 of n rows is not known to be none."""

_LEAST_TELLING = 0.05
"""Where contradiction tells less than this share of wrong from right, it tells nothing."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class MapShares:
    """Draws of the three shares.

    Args:
        units: The unit of each row, ``(row,)``.
        weights: Of the transformations of a row, ``(transformation,)``.
        far: Whether an image is far from the data, ``(row, transformation)``.
        incorrect: Whether it is not, and data there have another target.
        around: The rows next to an image, ``(row, transformation, neighbour)``.
        own_far: The same of the rows themselves, ``(row,)``.
        own_incorrect: Whether a row is not far, and data around it have another target.
        own_around: The rows next to a row, ``(row, neighbour)``.
        n_classes: Of labels; 0 for numbers.
        n_draws: How many draws.
        seed: The weight seed.
    """

    units: Ids
    weights: Array
    far: Booleans
    incorrect: Booleans
    around: Index
    own_far: Booleans
    own_incorrect: Booleans
    own_around: Index
    n_classes: int
    n_draws: int
    seed: int

    def of_all(self) -> dict[str, Array]:
        """Return draws ``(draw,)`` by kind, of all images."""
        left, wrong = self._two(np.ones(self.far.shape, dtype=bool), 0)
        return _three(left, wrong)

    def by(self, parts: Booleans) -> dict[str, Array]:
        """Return draws ``(draw, part)`` by kind, of images ``(part, row, transformation)``."""
        each = [self._two(part, k) for k, part in enumerate(parts)]
        left, wrong = (np.column_stack(columns) for columns in zip(*each, strict=True))
        return _three(left, wrong)

    def pooled(self, parts: Booleans) -> dict[str, Array]:
        """Return the same with what parts of one kind say of each other."""
        each = [self._two(part, k) for k, part in enumerate(parts)]
        left, wrong = (np.column_stack(columns) for columns in zip(*each, strict=True))
        return _three(pooled_shares(left, self.seed), pooled_shares(wrong, self.seed + 1))

    @staticmethod
    def named(shares: Mapping[str, Array], suffix: str) -> dict[str, Array]:
        """Return draws by name."""
        return {f"{kind}_{suffix}": values for kind, values in shares.items()}

    @staticmethod
    def dims(suffix: str, dims: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Return the dimensions of the same, by name."""
        return {f"{kind}_{suffix}": dims for kind in KINDS}

    def _two(self, part: Booleans, k: int) -> tuple[Array, Array]:
        """Return draws ``(draw,)``: the share that left the data, and of the rest what is wrong."""
        generator = np.random.default_rng([self.seed, k, int(part.sum())])
        seen = part @ self.weights
        if not seen.any():
            return generator.random(self.n_draws), generator.random(self.n_draws)
        far, own_far = self._parts(part, part & self.far, seen, seen * self.own_far)
        here, own_here = part & ~self.far, seen * ~self.own_far
        wrong, own_wrong = self._parts(
            here, part & self.incorrect, own_here, seen * self.own_incorrect
        )
        columns = np.column_stack(
            [seen, far, own_far, here @ self.weights, wrong, own_here, own_wrong]
        )
        involved = columns.any(axis=1)
        means, columns = RowMeans(self.units[involved], self.n_draws, self.seed), columns[involved]
        if means.n_units > 1:
            sums = means.plain(columns)
        else:
            sums = np.broadcast_to(columns.mean(axis=0), (self.n_draws, columns.shape[1]))
        seen, far, own_far, here, wrong, own_here, own_wrong = sums.T
        n_seen = means.units.weights_known(columns[:, 0])
        left = _excess(
            _with_ends(_ratio(far, seen), n_seen, generator),
            _with_ends(_ratio(own_far, seen), n_seen, generator),
            1.0,
            generator,
        )
        if not (columns[:, 3].any() and columns[:, 5].any()):
            return left, generator.random(self.n_draws)
        n_here, n_own = (means.units.weights_known(columns[:, j]) for j in (3, 5))
        spoilt = self.n_classes / (self.n_classes - 1) if self.n_classes > 1 else 1.0
        contradicted = _excess(
            _with_ends(_ratio(wrong, here), n_here, generator),
            _with_ends(_ratio(own_wrong, own_here), n_own, generator),
            spoilt,
            generator,
        )
        return left, contradicted

    def _parts(
        self, of: Booleans, true: Booleans, own_of: Array, own_true: Array
    ) -> tuple[Array, Array]:
        """Return sums ``(row,)`` of images of which it is true, and the same of rows.

        To its own images a row adds its part in others, as far as these differ from the rest.
        """
        images, images_true = of * self.weights, true * self.weights
        share = images_true.sum() / max(images.sum(), np.finfo(float).tiny)
        own_share = own_true.sum() / max(own_of.sum(), np.finfo(float).tiny)
        return (
            true @ self.weights + _part_in(images_true - share * images, self.around),
            own_true + _part_in(own_true - own_share * own_of, self.own_around),
        )


def _part_in(values: Array, around: Index) -> Array:
    """Return sums ``(row,)`` of values ``(...)`` of places, in equal parts to the rows around."""
    n, k = len(around), around.shape[-1]
    places = np.broadcast_to(values[..., None] / k, around.shape)
    return np.bincount(around.ravel(), places.ravel(), n)


def _three(left: Array, wrong: Array) -> dict[str, Array]:
    return {
        "extrinsic": left,
        "incorrect": (1 - left) * wrong,
        "correct": (1 - left) * (1 - wrong),
    }


def _ratio(above: Array, below: Array) -> Array:
    return np.clip(above / np.where(below > 0, below, 1.0), 0.0, 1.0)


def _excess(seen: Array, own: Array, spoilt: float, generator: np.random.Generator) -> Array:
    """Return the share of images of which it is true, ``(draw,)``.

    A share `own` of those of which it is not true, and all but ``(spoilt - 1) own`` of those of
    which it is, look as if it were.
    """
    tells = 1 - spoilt * own
    known = tells > _LEAST_TELLING
    share = (seen - own) / np.where(known, tells, 1.0)
    return np.where(known, np.clip(share, 0.0, 1.0), generator.random(len(seen)))


def _with_ends(share: Array, n: float, generator: np.random.Generator) -> Array:
    """Return draws of a share of about `n` rows with half a row more on either side."""
    total = generator.gamma(n, size=len(share))
    more, less = generator.gamma(_ENDS, size=(2, len(share)))
    return (share * total + more) / (total + more + less)
