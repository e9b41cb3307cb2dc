"""An action where it means nothing: on entries in another order, about another centre."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final, override

import numpy as np

from equiprob.transforms.actions import AbstractLeafAction, Given, Invariant
from equiprob.transforms.namespaces import dtype_name, namespace
from equiprob.transforms.representations import Element, Transformations


@dataclass(frozen=True)
class _Coordinates:
    """Other coordinates for the entries of a row: another order, about another centre.

    Args:
        seed: Of the order and of the centre.
        scale: Standard deviation of the centre's coordinates.
    """

    seed: int
    scale: float

    def act(self, move: Callable[[Any], Any], leaf: Any, axes: int) -> Any:
        """Go there, move, and come back; the first `axes` of the leaf are those of rows."""
        xp, shape, dtype = namespace(leaf), leaf.shape[axes:], dtype_name(leaf)
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(math.prod(shape))
        centre = xp.asarray((self.scale * generator.normal(size=shape)).astype(dtype))

        def ordered(values: Any, places: Any) -> Any:
            flat = values.reshape((*values.shape[:axes], -1))
            return xp.take(flat, xp.asarray(places), axis=-1).reshape(values.shape)

        return ordered(move(ordered(leaf, order) + centre) - centre, np.argsort(order))


@final
@dataclass(frozen=True)
class InOtherCoordinates(AbstractLeafAction):
    """An action in other coordinates."""

    action: AbstractLeafAction
    coordinates: _Coordinates

    @property
    @override
    def interpolates(self) -> bool:
        return self.action.interpolates

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        return self.action.given

    @property
    @override
    def keeps_integers(self) -> bool:
        return self.action.keeps_integers

    @property
    @override
    def is_users(self) -> bool:
        return self.action.is_users

    @property
    @override
    def undo(self) -> AbstractLeafAction | None:
        undo = self.action.undo
        return None if undo is None else replace(self, action=undo)

    @override
    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        return self.action.arrays(some, back=back)

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return self.coordinates.act(lambda at: self.action.apply(element, at, axes), leaf, axes)

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.action} in other coordinates"


@cache
def in_other_coordinates(action: AbstractLeafAction, seed: int, scale: float) -> AbstractLeafAction:
    """Return the action in other coordinates, the same object for the same arguments."""
    if isinstance(action, Invariant):
        return action
    # A permuted image meets only pixels. Points need another centre, too: two coordinates in
    # another order turn about the same one.
    # Integers keep their own centre: numbers of items mean nothing elsewhere.
    stays = action.interpolates or action.keeps_integers
    coordinates = _Coordinates(seed, 0.0 if stays else scale)
    return InOtherCoordinates(action, coordinates)
