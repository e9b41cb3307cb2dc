"""Which transformations does each row see, and which averages do they make unbiased?

- ``"quasi"``: two independent replicates, each an equispaced lattice in as many dimensions as the
  law has (on rotations of space a design of least energy) with its own random shift per row.
  The replicates' sizes are coprime to the symmetry of the pixel grid, with which equispaced
  transformations would alias.
- ``"random"``: independent draws for each row.
- ``"crossed"``: one list of independent draws shared by all rows, for profiles over them.
- ``"full"``: all elements of a finite set, with their probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.keys import Ids, Purpose, keyed_generators, keyed_uniforms
from equiprob.transforms.counts import MOST_QUASI, require_room
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

Kind = Literal["quasi", "random", "crossed", "full"]


@dataclass(frozen=True)
class Design:
    """The transformations of every row, as a function of its id.

    Args:
        kind: The kind in use, after "quasi" has given way where it has to.
        asked: The kind the user asked for.
        replicates: How many transformations each independent replicate has; one entry where there
            is no second replicate.
        weights: Probability of each transformation ``(n_transforms,)``.
        seed: The seed of the transformations.
    """

    kind: Kind
    asked: Kind
    replicates: tuple[int, ...]
    weights: NDArray[np.float64]
    seed: int

    @property
    def n_transforms(self) -> int:
        """Transformations per row."""
        return len(self.weights)

    @property
    def is_independent(self) -> bool:
        """Whether the transformations of a row are independent draws."""
        return self.kind in ("random", "crossed")

    def average(self, replicates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean ``(row, ...)`` of means over each replicate ``(row, replicate, ...)``."""
        shares = np.array(self.replicates) / sum(self.replicates)
        return np.einsum("r,ir...->i...", shares, replicates)

    def squared_average(
        self, replicates: NDArray[np.float64], mean_sq: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return an unbiased squared norm ``(row, ...)`` of an average over the orbit.

        A product of two averages takes distinct transformations in its factors: all pairs of
        independent draws, the two independently shifted lattices of the quasi design, the orbit
        itself where it is complete.

        Args:
            replicates: Means over each replicate, ``(row, replicate, ..., k)``.
            mean_sq: Means of the squared norms over all transformations, ``(row, ...)``.
        """
        squared = (self.average(replicates) ** 2).sum(axis=-1)
        if self.kind == "full":
            return squared
        if self.is_independent:
            return squared - np.maximum(mean_sq - squared, 0.0) / (self.n_transforms - 1)
        return (replicates[:, 0] * replicates[:, 1]).sum(axis=-1)

    def parameters(self, transform: Transform, row_ids: Ids) -> Parameters:
        """Return the parameters ``(row, transformation, n_parameters)`` of the given rows."""
        if self.kind == "full":
            finite = transform.enumeration()
            assert finite is not None, "a full design is only made for a finite set"
            require_room(len(row_ids), *finite.parameters.shape)
            return np.broadcast_to(
                finite.parameters, (len(row_ids), *finite.parameters.shape)
            ).copy()
        if self.kind == "crossed":
            shared = self._draw(transform, np.zeros(1, dtype=np.uint64))
            return np.broadcast_to(shared, (len(row_ids), *shared.shape[1:])).copy()
        return self._draw(transform, row_ids)

    def _draw(self, transform: Transform, ids: Ids) -> Parameters:
        m, dimensions = self.n_transforms, transform.n_uniforms
        require_room(len(ids), m, max(dimensions, len(transform.identity)))
        if not dimensions:
            generators = keyed_generators(self.seed, ids)
            return np.stack([transform.sample_many(g, m) for g in generators])
        if self.kind != "quasi":
            uniforms = keyed_uniforms(self.seed, Purpose.TRANSFORMS, ids, m * dimensions)
            return transform.parameters(uniforms.reshape(len(ids), m, dimensions))
        n_shifts = len(self.replicates)
        shifts = keyed_uniforms(self.seed, Purpose.TRANSFORMS, ids, n_shifts * dimensions)
        shifts = shifts.reshape(len(ids), n_shifts, dimensions)
        lattices = [transform.spread(size, shifts[:, r]) for r, size in enumerate(self.replicates)]
        return np.concatenate(lattices, axis=1)


_MOST_TRANSFORMS = 1_000_000


def split_replicates(m: int, grid_symmetry: int) -> tuple[int, ...]:
    """Split `m` transformations into two lattices that alias least with the pixel grid."""
    if m == 1:
        return (1,)
    splits = [(a, m - a) for a in range((m + 1) // 2, m)]

    def aliasing(split: tuple[int, int]) -> tuple[int, int, int]:
        shared = [math.gcd(size, grid_symmetry) for size in split]
        # What a symmetric model sees of a lattice is its size over what it shares with the grid.
        least = min(size // common for size, common in zip(split, shared, strict=True))
        return sum(shared), -least, split[0] - split[1]

    return min(splits, key=aliasing)


def make_design(transform: Transform, kind: str, n_transforms: int, seed: int) -> Design:
    """Return the design of an orbit pass.

    "quasi" over a finite set with no more elements than `n_transforms` is the full orbit, and over
    a law without quantile function, or of more than 1024 numbers each, it is random; the design
    records both.

    Raises:
        ValueError: If `kind` is not known, `n_transforms` is not positive, or "full" is asked for a
            set that is not finite.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"design must be one of {list(get_args(Kind))}, got {kind!r}")
    whole = isinstance(n_transforms, int | np.integer)
    if not whole or not 1 <= n_transforms <= _MOST_TRANSFORMS:
        raise ValueError(
            f"n_transforms must be a positive integer, at most {_MOST_TRANSFORMS:,}, got "
            f"{n_transforms!r}"
        )
    asked: Any = kind
    finite = transform.enumeration()
    if kind == "full" and finite is None:
        raise ValueError(
            f"design='full' needs a finite set of transformations and {transform} is not one; "
            f"pass design='quasi'"
        )
    if kind == "full" or (
        kind == "quasi" and finite is not None and len(finite.weights) <= n_transforms
    ):
        assert finite is not None
        return Design("full", asked, (len(finite.weights),), finite.weights, seed)
    if kind == "quasi" and not 0 < transform.n_uniforms <= MOST_QUASI:
        kind = "random"
    m = int(n_transforms)
    if kind == "quasi":
        replicates = split_replicates(m, transform.grid_symmetry)
    else:
        replicates = (m,) if m == 1 else (m - m // 2, m // 2)
    return Design(kind, asked, replicates, np.full(m, 1 / m), seed)  # pyright: ignore[reportArgumentType]
