"""Finite sets of matrices or permutations, the cyclic and the dihedral groups among them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_array, as_numbers
from equiprob.arguments.checked import checked
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters
from equiprob.transforms.rotations2d import rotation_matrix
from equiprob.transforms.transform import Transform

_MOST_CONDITION = 1e10
"""Condition number above which a matrix counts as singular."""

_MOST_ORDER = 360
"""Largest order: a table of products is made, in time that grows with the cube of the order."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Finite(AbstractLaw):
    """A finite set of transformations; made by `finite`, `cyclic` and `dihedral`.

    The parameter is the index of the element.
    """

    elements: NDArray[Any]
    weights: NDArray[np.float64]
    name: str = "finite"

    def __post_init__(self) -> None:
        """Check that the elements are permutations or invertible matrices."""
        shape = self.elements.shape
        if self.is_permutations:
            if (np.sort(self.elements, axis=1) != np.arange(shape[1])).any():
                raise ValueError(
                    f"integer elements must be permutations of 0..{shape[1] - 1}, one a row; "
                    f"pass matrices as floats of shape (element, d, d)"
                )
        elif len(shape) != 3 or shape[1] != shape[2] or not np.isfinite(self.elements).all():
            raise ValueError(
                f"elements must be finite matrices (element, d, d) or integer permutations "
                f"(element, items), got {self.elements.dtype} of shape {shape}"
            )
        elif (np.linalg.cond(self.elements) > _MOST_CONDITION).any():
            raise ValueError(
                "elements must be invertible matrices, and some are singular; pass such maps with "
                "ep.transforms.from_functions"
            )

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"{self.name} set of {len(self.weights)} elements"

    @property
    def is_permutations(self) -> bool:
        """Whether the elements are permutations rather than matrices."""
        return self.elements.ndim == 2 and np.issubdtype(self.elements.dtype, np.integer)

    @override
    def call(self) -> Call:
        made = {"cyclic": _turns, "dihedral": _turns_and_flips}.get(self.name)
        order = len(self.elements) // (2 if self.name == "dihedral" else 1)
        if made is not None and order and np.array_equal(made(order), self.elements):
            return Call(self.name, (order,))
        even = np.allclose(self.weights, self.weights[0])
        weights = {} if even else {"weights": self.weights}
        return Call("finite", (self.elements,), weights)

    @property
    @override
    def n_uniforms(self) -> int:
        return 1

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        edges = np.cumsum(self.weights)
        return np.searchsorted(edges[:-1], uniforms, side="right").astype(np.float64)

    @override
    def enumeration(self) -> Enumeration:
        return Enumeration(np.arange(len(self.weights), dtype=np.float64)[:, None], self.weights)

    @property
    @override
    def is_haar(self) -> bool:
        return self.products is not None and bool(np.allclose(self.weights, self.weights[0]))

    @property
    @override
    def identity(self) -> Parameters:
        if self._identity_index is None:
            raise ValueError(
                f"{self} does not contain the identity, which the float floor and the checks need; "
                f"add it"
            )
        return np.array([float(self._identity_index)])

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        index = parameters[..., 0].astype(int)
        chosen = self.elements[index]
        if self.is_permutations:
            return {"source": np.argsort(chosen, axis=-1).astype(np.int32), "index": index}
        return {"matrix": chosen, "index": index}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        if self.products is None:
            return super().inverse(parameters)
        inverses = np.argmax(self.products == self._identity_index, axis=1)
        return inverses[parameters[..., 0].astype(int)].astype(np.float64)[..., None]

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        if self.products is None:
            return None
        i, j = first[..., 0].astype(int), second[..., 0].astype(int)
        return self.products[i, j].astype(np.float64)[..., None]

    @property
    @override
    def magnitude_label(self) -> str:
        return "items moved" if self.is_permutations else "largest turn of a vector"

    @property
    @override
    def magnitude_unit(self) -> str:
        return "" if self.is_permutations else "deg"

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return self._magnitudes[parameters[..., 0].astype(int)]

    @override
    def restricted(self, max_magnitude: float) -> Self:
        keep = self._magnitudes <= max_magnitude * (1 + 1e-9)
        if not keep.any():
            raise ValueError(f"{self} has no element of a magnitude up to {max_magnitude}")
        weights = self.weights[keep] / self.weights[keep].sum()
        return replace(self, elements=self.elements[keep], weights=weights)

    @cached_property
    def _magnitudes(self) -> NDArray[np.float64]:
        if self.is_permutations:
            return (self.elements != np.arange(self.elements.shape[1])).sum(axis=1).astype(float)
        moved = self.elements - np.eye(self.elements.shape[1])
        norm = np.linalg.norm(moved, ord=2, axis=(1, 2))
        # An orthogonal matrix at distance |g - 1| turns some unit vector by this angle, and none by
        # more; rounding keeps equal turns equal.
        return np.round(np.rad2deg(2 * np.arcsin(np.clip(norm / 2, 0, 1))), 6)

    def _index(self, elements: NDArray[Any]) -> NDArray[np.int64] | None:
        """Return the index of each given element in the set, or None if one is not in it."""
        flat = self.elements.reshape(len(self.weights), -1)
        apart = np.abs(elements.reshape(-1, 1, flat.shape[1]) - flat).max(axis=2)
        found = apart.argmin(axis=1)
        return found if (apart.min(axis=1) < 1e-8).all() else None

    @cached_property
    def _identity_index(self) -> int | None:
        size = self.elements.shape[1]
        index = self._index(np.arange(size) if self.is_permutations else np.eye(size))
        return None if index is None else int(index[0])

    @cached_property
    @override
    def products(self) -> NDArray[np.int64] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._identity_index is None:
            return None
        rows = []
        for g in self.elements:
            row = self._index(g[self.elements] if self.is_permutations else g @ self.elements)
            if row is None or len(set(row.tolist())) < len(row):
                return None
            rows.append(row)
        return np.stack(rows)


@checked
def finite(
    elements: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    acts_on: Any = "vectors",
    output_action: Any = "invariant",
    fill: float = 0.0,
) -> Transform:
    """Draw from a finite set of matrices or permutations.

    Args:
        elements: Matrices ``(element, d, d)`` as floats, or permutations ``(element, items)`` as
            integers (item i moves to place ``elements[g, i]``). The identity must be among them.
        weights: Probabilities, one for each element; uniform when left out.
        acts_on: How the input transforms: ``"vectors"``, ``"points"``, ``"image"`` (2 x 2
            matrices), ``"permuted"``, ``"invariant"``, a function, or a dict of these by leaf.
        output_action: How the output transforms, in the same words.
        fill: What images read outside their frame.

    Returns:
        The transform. It is a Haar measure where the elements form a group of equal weights, which
        is found from their products.

    Raises:
        ValueError: If elements are neither matrices nor permutations, or weights do not fit.
    """
    array = as_array("elements", elements)
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        array = as_numbers("elements", elements)
    n = len(array) if array.ndim else 0
    mass = np.ones(n) if weights is None else as_numbers("weights", weights)
    if n == 0 or mass.shape != (n,) or not (np.isfinite(mass) & (mass > 0)).all():
        raise ValueError(
            f"weights must be positive numbers, one for each of the {n} elements, got {mass}"
        )
    law = Finite(elements=array, weights=mass / mass.sum())
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill)


def _of_equal_weights(name: str, matrices: NDArray[np.float64]) -> Finite:
    n = len(matrices)
    return Finite(elements=matrices, weights=np.full(n, 1 / n), name=name)


def _turns(order: int) -> NDArray[np.float64]:
    return rotation_matrix(2 * np.pi * np.arange(order) / order)


def _turns_and_flips(order: int) -> NDArray[np.float64]:
    return np.concatenate([_turns(order), _turns(order) @ np.diag([1.0, -1.0])])


@checked
def cyclic(
    order: int,
    *,
    acts_on: Any = "image",
    output_action: Any = "invariant",
    fill: float = 0.0,
) -> Transform:
    """Rotate the plane by multiples of ``360 / order`` degrees (exact on images for order 4).

    Args:
        order: The number of rotations, at least 1.
        acts_on: As in `rotations2d`.
        output_action: As in `rotations2d`.
        fill: What an image reads outside its frame.

    Raises:
        ValueError: If `order` is not a positive integer.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.cyclic(4))
        cyclic set of 4 elements
    """
    _require_order(order)
    law = _of_equal_weights("cyclic", _turns(order))
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill)


@checked
def dihedral(
    order: int,
    *,
    acts_on: Any = "image",
    output_action: Any = "invariant",
    fill: float = 0.0,
) -> Transform:
    """Rotate the plane by multiples of ``360 / order`` degrees, with and without a reflection.

    Args:
        order: The number of rotations, at least 1; the group has twice as many elements.
        acts_on: As in `rotations2d`.
        output_action: As in `rotations2d`.
        fill: What an image reads outside its frame.

    Raises:
        ValueError: If `order` is not a positive integer.
    """
    _require_order(order)
    law = _of_equal_weights("dihedral", _turns_and_flips(order))
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill)


@checked
def mirror(
    axis: str = "x", *, dimensions: int = 3, acts_on: Any = "vectors", output_action: Any = None
) -> Transform:
    """Reflect space in a plane, or leave it as it is.

    Args:
        axis: The axis that changes its sign: ``"x"``, ``"y"`` or ``"z"``. In a picture, ``"x"``
            exchanges left and right.
        dimensions: 2 or 3.
        acts_on: How the input transforms, in the words of `finite`; joints and keypoints by
            `reflected`.
        output_action: How the output transforms; ``"invariant"`` when left out.

    Returns:
        The group of two elements, the identity and the reflection.

    Raises:
        ValueError: If there is no such axis.
    """
    axes = "xyz"[:dimensions] if dimensions in (2, 3) else ""
    if axis not in tuple(axes):
        raise ValueError(
            f"axis must be one of {tuple(axes or 'xyz')} in 2 or 3 dimensions, got {axis!r} in "
            f"{dimensions}"
        )
    flip = np.eye(dimensions)
    flip[axes.index(axis), axes.index(axis)] = -1.0
    law = _of_equal_weights("mirror", np.stack([np.eye(dimensions), flip]))
    return Transform(law=law, acts_on=acts_on, output_action=output_action or "invariant")


def _require_order(order: int) -> None:
    if not isinstance(order, int | np.integer) or order < 1:
        raise ValueError(f"order must be a positive integer, got {order!r}")
    if order > _MOST_ORDER:
        raise ValueError(
            f"order must be at most {_MOST_ORDER}, got {order}: finer turns are "
            f"ep.transforms.rotations2d()"
        )
