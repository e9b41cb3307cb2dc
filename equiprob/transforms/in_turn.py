"""Actions of several laws on one leaf, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final, override

from equiprob.transforms.actions import AbstractLeafAction, Given, Invariant, within
from equiprob.transforms.representations import Array, Element, Transformations


@final
@dataclass(frozen=True)
class InTurn(AbstractLeafAction):
    """Actions of the factors of a law on a leaf, in the order in which they act.

    Args:
        steps: The place of each factor in the law, and its action.
    """

    steps: tuple[tuple[int, AbstractLeafAction], ...]

    @classmethod
    def of(cls, each: Sequence[AbstractLeafAction]) -> AbstractLeafAction:
        """Return the actions of all factors, of which the last one acts first."""
        steps = [(i, a) for i, a in enumerate(each) if not isinstance(a, Invariant)]
        return cls(tuple(reversed(steps))) if steps else Invariant()

    @property
    @override
    def tolerance(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return max(action.tolerance for _, action in self.steps)

    @property
    @override
    def keeps_integers(self) -> bool:
        return all(action.keeps_integers for _, action in self.steps)

    @property
    @override
    def interpolates(self) -> bool:
        return any(action.interpolates for _, action in self.steps)

    @property
    @override
    def makes_rows(self) -> bool:
        return any(action.makes_rows for _, action in self.steps)

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        each = ((place, one) for place, action in self.steps for one in action.given)
        return tuple(one._replace(key=f"{place}.{one.key}") for place, one in each)

    @override
    def weights(self, shape: tuple[int, ...]) -> Array | None:
        each = (action.weights(shape) for _, action in self.steps)
        return next((weight for weight in each if weight is not None), None)

    @property
    @override
    def is_users(self) -> bool:
        return any(action.is_users for _, action in self.steps)

    @property
    @override
    def undo(self) -> AbstractLeafAction | None:
        undone = [(place, action.undo) for place, action in reversed(self.steps)]
        known = tuple((place, undo) for place, undo in undone if undo is not None)
        return InTurn(known) if len(known) == len(undone) else None

    @override
    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        return {
            f"{place}.{name}": values
            for place, action in self.steps
            for name, values in action.arrays(some.factors[place], back=back).items()
        }

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        for place, action in self.steps:
            leaf = action.apply(within(element, f"{place}."), leaf, axes)
        return leaf

    def __str__(self) -> str:
        """Name it for people."""
        return ", then ".join(str(action) for _, action in self.steps)
