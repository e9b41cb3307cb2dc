"""Axes whose entries change places: lists of items, elements of a group, left and right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final, override

import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.arrays import as_array, as_numbers
from equiprob.arguments.checked import checked
from equiprob.transforms.constants import Constant
from equiprob.transforms.representations import (
    AbstractRepresentation,
    Axis,
    Element,
    Law,
    handedness,
)


@final
@dataclass(frozen=True)
class Items(AbstractRepresentation):
    """A list of items that changes its order."""

    reads: ClassVar[tuple[str, ...]] = ("source",)
    keeps_integers: ClassVar[bool] = True

    @override
    def of(self, element: Element, law: Law) -> Axis:
        return {"order": element["source"]}

    @override
    def __str__(self) -> str:
        return "items"


@final
@dataclass(frozen=True)
class Antisymmetric(AbstractRepresentation):
    """Numbers that change their sign where two items change places, as fermions' wave functions."""

    reads: ClassVar[tuple[str, ...]] = ("source",)

    @override
    def of(self, element: Element, law: Law) -> Axis:
        source = element["source"]
        k, swaps = source.shape[-1], np.zeros(source.shape[:-1], dtype=np.int64)
        for i in range(k - 1):
            swaps += (source[..., i + 1 :] < source[..., i : i + 1]).sum(axis=-1)
        return {"sign": 1.0 - 2.0 * (swaps % 2)}

    @override
    def __str__(self) -> str:
        return "antisymmetric"


@final
@dataclass(frozen=True)
class Regular(AbstractRepresentation):
    """One number for each element of a finite group, in its order: ``(g f)(h) = f(g^-1 h)``."""

    reads: ClassVar[tuple[str, ...]] = ("index",)
    keeps_integers: ClassVar[bool] = True

    @override
    def of(self, element: Element, law: Law) -> Axis:
        products = law.products
        if products is None:
            raise ValueError("the set of transformations is no group, so that none is 'regular'")
        identity = int(np.flatnonzero((products == np.arange(len(products))).all(axis=1))[0])
        inverses = np.argmax(products == identity, axis=1)
        return {"order": products[inverses[element["index"]]].astype(np.int32)}

    @override
    def __str__(self) -> str:
        return "regular"


@final
@dataclass(frozen=True)
class ByElement(AbstractRepresentation):
    """A permutation, a sign or a matrix for each element of a finite set; made by `by_element`."""

    table: Constant

    reads: ClassVar[tuple[str, ...]] = ("index",)

    @property
    def keeps_integers(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the elements are permutations."""
        return self.table.values.ndim == 2

    @override
    def of(self, element: Element, law: Law) -> Axis:
        table = self.table.values
        n = None if law.products is None else len(law.products)
        if n is not None and len(table) != n:
            raise ValueError(f"by_element has {len(table)} entries for a set of {n} elements")
        if n is not None and not self._is_representation(law.products):
            raise ValueError(
                "by_element must give products the product of their permutations, signs or "
                "matrices, in the order of the set, and some differ"
            )
        chosen = table[element["index"]]
        if table.ndim == 1:
            return {"sign": chosen}
        if self.keeps_integers:
            return {"order": np.argsort(chosen, axis=-1).astype(np.int32)}
        return {"matrix": chosen}

    def _is_representation(self, products: Any) -> bool:
        table = self.table.values
        if table.ndim == 1:
            return bool((table[:, None] * table == table[products]).all())
        if not self.keeps_integers:
            both = table[:, None] @ table
            return bool(np.allclose(both, table[products], atol=1e-6))
        return bool((table[:, table] == table[products]).all())

    @override
    def __str__(self) -> str:
        return f"by_element({self.table})"


@checked
def by_element(table: ArrayLike) -> ByElement:
    """Declare an axis by what each element of a finite set does to it.

    Args:
        table: Permutations ``(element, k)`` as integers (entry i moves to place ``table[g, i]``),
            signs ``(element,)``, 1 or -1, or matrices ``(element, k, k)`` as floats, in the order
            of the set's elements: of ``cyclic(2)``, first the identity and then the half turn.

    Returns:
        What ``acts_on`` and ``output_action`` take for such an axis, the last one of a leaf. Where
        the set is a group, products must have the products of what the table gives.

    Raises:
        ValueError: If the table is none of these.
    """
    array = as_array("table", table)
    if array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        if (np.sort(array, axis=1) != np.arange(array.shape[1])).any():
            raise ValueError(
                f"table must hold permutations of 0..{array.shape[1] - 1}, one a row; pass "
                f"matrices as floats (element, k, k)"
            )
        return ByElement(Constant.of(array.astype(np.int64)))
    array = as_numbers("table", array)
    if array.ndim == 1 and len(array) and (np.abs(array) == 1).all():
        return ByElement(Constant.of(array))
    if array.ndim != 3 or array.shape[1] != array.shape[2] or not np.isfinite(array).all():
        raise ValueError(
            f"table must be integer permutations (element, k), signs 1 and -1 (element,), or "
            f"finite matrices (element, k, k), got {array.dtype} of shape {array.shape}"
        )
    return ByElement(Constant.of(array))


@final
@dataclass(frozen=True)
class Reflected(AbstractRepresentation):
    """Entries that change places, or signs, where a mirror acts; made by `reflected`."""

    order: Constant
    signs: Constant | None

    reads: ClassVar[tuple[str, ...]] = ("matrix", "scale")

    @property
    def keeps_integers(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether no sign changes."""
        return self.signs is None

    @override
    def of(self, element: Element, law: Law) -> Axis:
        reflects = handedness(element)[..., None] < 0
        order = self.order.values
        found = {"order": np.where(reflects, order, np.arange(len(order))).astype(np.int32)}
        if self.signs is not None:
            found["factor"] = np.where(reflects, self.signs.values, 1.0)
        return found

    @override
    def __str__(self) -> str:
        signs = "" if self.signs is None else f", signs={self.signs}"
        return f"reflected({self.order}{signs})"


@checked
def reflected(order: ArrayLike, *, signs: ArrayLike | None = None) -> Reflected:
    """Declare an axis whose entries change places where a transformation reflects.

    Left and right change sides in a mirror: keypoints, the joints of a robot.

    Args:
        order: Which entry stands in each place after a reflection, ``(k,)``: ``[0, 2, 1]`` swaps
            the last two of three.
        signs: What the entries are multiplied by where they then stand, ``(k,)``: 1 or -1.

    Returns:
        What ``acts_on`` and ``output_action`` take for such an axis.

    Raises:
        ValueError: If `order` and `signs` done twice are not nothing.
    """
    places = as_array("order", order)
    n = len(places) if places.ndim else 0
    if places.ndim != 1 or not np.array_equal(np.sort(places), np.arange(n)) or n == 0:
        raise ValueError(
            f"order must hold each of 0..k-1 once, such as [0, 2, 1] where the last two of three "
            f"are left and right, got {order!r}"
        )
    places = places.astype(np.int64)
    if not np.array_equal(places[places], np.arange(n)):
        raise ValueError(f"order done twice must be the order of before, got {places.tolist()}")
    if signs is None:
        return Reflected(Constant.of(places), None)
    factors = as_numbers("signs", signs)
    if factors.shape != (n,) or not (np.abs(factors) == 1).all():
        raise ValueError(f"signs must be 1 or -1, one for each of the {n} entries, got {signs!r}")
    if (factors * factors[places] != 1).any():
        raise ValueError("signs of entries that change places must be equal, got " + str(signs))
    return Reflected(Constant.of(places), Constant.of(factors))
