"""Several transforms, one after the other, on the same inputs."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.actions import AbstractLeafAction, Given, Invariant, within
from equiprob.transforms.base import AbstractTransform
from equiprob.transforms.law import Parameters
from equiprob.transforms.leaf_actions import LeafActions
from equiprob.transforms.representations import Element
from equiprob.transforms.shares import shares

Elements = tuple[dict[str, NDArray[Any]], ...]


@final
@dataclass(frozen=True)
class InTurn(AbstractLeafAction):
    """Actions of several transforms on a leaf, in the order in which they act.

    Args:
        steps: The place of each transform among the factors, and its action.
    """

    steps: tuple[tuple[int, AbstractLeafAction], ...]

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
    def given(self) -> tuple[Given, ...]:
        each = ((place, one) for place, action in self.steps for one in action.given)
        return tuple(one._replace(key=f"{place}.{one.key}") for place, one in each)

    @override
    def weights(self, shape: tuple[int, ...]) -> NDArray[Any] | None:
        each = (action.weights(shape) for _, action in self.steps)
        return next((weight for weight in each if weight is not None), None)

    @property
    @override
    def is_users(self) -> bool:
        return any(action.is_users for _, action in self.steps)

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        for place, action in self.steps:
            leaf = action.apply(within(element, f"{place}."), leaf, axes)
        return leaf

    def __str__(self) -> str:
        """Name it for people."""
        return ", then ".join(str(action) for _, action in self.steps)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AbstractInTurn(AbstractTransform):
    """Several transforms that act in turn, the last one first.

    The parameter is that of each factor, one after the other; what follows is the variant's own.

    Args:
        factors: The transforms.
        ranges: The magnitude of each factor that a magnitude of 1 stands for.
        acts_on: How inputs transform under all of them: each takes the axes that it knows. None:
            each has a declaration of its own.
        output_action: The same for outputs.
    """

    factors: tuple[AbstractTransform, ...]
    ranges: tuple[float, ...]
    acts_on: Any = None
    output_action: Any = None

    magnitude_label = "largest transformation"
    magnitude_unit = "share of the range"

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What kind of combination it is."""

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"{self.title}({', '.join(map(str, self.factors))})"

    def split(self, parameters: Parameters) -> list[Parameters]:
        """Return the parameters of each factor."""
        ends = np.cumsum([factor.identity.size for factor in self.factors])
        return np.split(parameters, ends, axis=-1)[:-1]

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {
            f"{place}.{name}": values
            for place, (factor, own) in enumerate(self._each(parameters))
            for name, values in factor.element(own).items()
        }

    def _each(self, parameters: Parameters) -> Any:
        return zip(self.factors, self.split(parameters), strict=True)

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        each = zip(self._each(parameters), self.ranges, strict=True)
        shares = np.stack([f.magnitude(own) / largest for (f, own), largest in each])
        return shares.max(axis=0)

    @property
    @override
    def grid_symmetry(self) -> int:
        return max(factor.grid_symmetry for factor in self.factors)

    # ---- acting: what the factors do, in turn -------------------------------------------------

    @override
    def input_actions(self, x: Any) -> LeafActions:
        return _in_turn([factor.input_actions(x) for factor in self._declared("acts_on", x)])

    @override
    def output_actions(self, output: Any) -> LeafActions:
        factors = self._declared("output_action", output)
        return _in_turn([factor.output_actions(output) for factor in factors])

    def _declared(self, argument: str, tree: Any) -> Sequence[AbstractTransform]:
        """Return the factors, each with its part of what is declared of all."""
        declared = getattr(self, argument)
        if declared is None:
            return self.factors
        each = shares(self.factors, declared, tree, argument=argument)
        pairs = zip(self.factors, each, strict=True)
        return [replace(factor, **{argument: own}) for factor, own in pairs]

    @override
    def of_output(self, name: str) -> AbstractTransform:
        if self.output_action is not None:
            return super().of_output(name)
        return replace(self, factors=tuple(factor.of_output(name) for factor in self.factors))

    @property
    @override
    def keeps_output(self) -> bool:
        if self.output_action is not None:
            return super().keeps_output
        return all(factor.keeps_output for factor in self.factors)

    @override
    def declared(self) -> dict[str, Any]:
        given = {"acts_on": self.acts_on, "output_action": self.output_action}
        return {name: value for name, value in given.items() if value is not None}

    @override
    def leaf_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Sequence[Any]
    ) -> Elements:
        return _merged(
            factor.leaf_elements(_of_factor(actions, place), own, dtypes)
            for place, (factor, own) in enumerate(self._each(parameters))
        )

    @override
    def inverse_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Sequence[Any]
    ) -> tuple[LeafActions, Elements]:
        undone = [
            factor.inverse_elements(_of_factor(actions, place), own, dtypes)
            for place, (factor, own) in enumerate(self._each(parameters))
        ]
        backwards = _in_turn([undo for undo, _ in undone], last_first=False)
        return backwards, _merged(elements for _, elements in undone)


def ranges_of(factors: Sequence[AbstractTransform]) -> tuple[float, ...]:
    """Return the largest magnitude of each factor (1 where there is none).

    Raises:
        ValueError: If there are fewer than two transforms.
    """
    if len(factors) < 2 or not all(isinstance(f, AbstractTransform) for f in factors):
        raise ValueError(
            f"pass two or more transforms made by functions of ep.transforms, got {list(factors)}"
        )
    return tuple(float(factor.magnitude_law()[0].max()) or 1.0 for factor in factors)


def _in_turn(each: Sequence[LeafActions], *, last_first: bool = True) -> LeafActions:
    """Return the actions of all factors on each leaf."""
    combined: list[AbstractLeafAction] = []
    for actions in zip(*(a.actions for a in each), strict=True):
        steps = [(i, a) for i, a in enumerate(actions) if not isinstance(a, Invariant)]
        ordered = tuple(reversed(steps) if last_first else steps)
        combined.append(InTurn(ordered) if ordered else Invariant())
    return LeafActions(each[0].names, tuple(combined))


def _of_factor(actions: LeafActions, place: int) -> LeafActions:
    """Return what one factor does to each leaf."""
    own = (
        dict(action.steps).get(place, Invariant()) if isinstance(action, InTurn) else action
        for action in actions.actions
    )
    return LeafActions(actions.names, tuple(own))


def _merged(each: Any) -> Elements:
    """Return one element for each leaf, with the names of each factor's arrays kept apart."""
    leaves = zip(*each, strict=True)
    return tuple(
        {f"{place}.{name}": v for place, e in enumerate(own) for name, v in e.items()}
        for own in leaves
    )
