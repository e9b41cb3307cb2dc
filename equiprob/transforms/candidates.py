"""By which declarations could a leaf move that is declared wrongly?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.actions import AbstractLeafAction, Along, Invariant
from equiprob.transforms.in_turn import InTurn
from equiprob.transforms.item_axes import by_element, reflected
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.representations import Element, handedness
from equiprob.transforms.words import ORDERABLE, WORDS, action_of, moves_with

_DRAWS = 8
"""Transformations by which it is seen whether two declarations do the same."""

_MOST_EXCHANGED = 4
"""Entries of an axis up to which they are exchanged in every way."""

_ORDERS = [*permutations("xyz")][1:]

_COMBINED = ("items items", "image of vectors", "image of regular")


@dataclass(frozen=True)
class Choice:
    """One way to declare a leaf, in words, and whether the inverse transformation acts."""

    label: str
    action: AbstractLeafAction
    inverted: bool = False


def alternatives(
    law: AbstractLaw, declared: Choice, leaf: Any, side: str, fill: float = 0.0
) -> Iterator[Choice]:
    """Yield the other declarations that the shape and dtype of a leaf allow.

    Of a product or a mixture, the declaration of one factor changes at a time. Declarations that do
    the same are one.
    """
    if law.factors:
        yield from _of_factors(law, declared, leaf, side)
        return
    some = law.element(law.sample_many(np.random.default_rng(0), _DRAWS))
    before = _effect(declared.action, some, law)
    found: dict[Any, Choice] = {}
    for phrase, action in _fitting(law, some, leaf, side, fill):
        effect, label = _effect(action, some, law), _label(phrase)
        another_order = isinstance(phrase, str) and "[" in phrase
        if effect == before or (effect in found and another_order):
            continue
        known = found.get(effect)
        found[effect] = (
            Choice(label, action)
            if known is None
            else Choice(f"{known.label} or {label}", known.action)
        )
    yield from found.values()
    if isinstance(declared.action, Invariant):
        return
    if side == "inputs":
        try:
            law.inverse(law.identity)
        except ValueError:
            return
        yield Choice("acted on by the inverse (a matrix for its transpose)", declared.action, True)
    elif declared.action.is_users and declared.action.undo is not None:
        yield Choice("an Action with function and inverse exchanged", declared.action.undo)


def _of_factors(law: AbstractLaw, declared: Choice, leaf: Any, side: str) -> Iterator[Choice]:
    """Yield what changes the declaration of one factor."""
    action = declared.action
    steps = dict(action.steps) if isinstance(action, InTurn) else {}
    for place, factor in enumerate(law.factors):
        own = Choice("", steps.get(place, Invariant()))
        for choice in alternatives(factor, own, leaf, side):
            if choice.inverted:
                continue
            changed = {**steps, place: choice.action}
            moving = {p: a for p, a in changed.items() if not isinstance(a, Invariant)}
            ordered = InTurn(tuple(sorted(moving.items(), reverse=True)))
            label = f"{choice.label} (of {factor})"
            yield Choice(label, ordered if moving else Invariant())


def still_moves(law: AbstractLaw, choices: tuple[Choice, ...]) -> bool:
    """Whether each factor of a law moves some leaf: where nothing moves, everything fits."""
    actions = [choice.action for choice in choices]
    if not law.factors:
        return not all(isinstance(action, Invariant) for action in actions)
    moved = {place for a in actions if isinstance(a, InTurn) for place, _ in a.steps}
    return len(moved) == len(law.factors)


def _fitting(
    law: AbstractLaw, some: Element, leaf: Any, side: str, fill: float
) -> Iterator[tuple[Any, AbstractLeafAction]]:
    """Yield phrases, and their actions, that the law knows and that the leaf can take."""
    shape = tuple(leaf.shape[1:])
    for phrase in (*_phrases(len(shape)), *_exchanges(law, some, shape)):
        action = fitting_action(phrase, law, some, leaf, side, fill)
        if action is not None:
            yield phrase, action


def declarations(
    law: AbstractLaw, phrases: Iterable[str], leaf: Any, side: str, fill: float = 0.0
) -> list[str]:
    """Return the phrases that a leaf can be declared by, each of which does something else.

    Args:
        law: The law.
        phrases: Phrases, the simplest first.
        leaf: The leaf, rows first, or what has its shape and dtype.
        side: ``"inputs"`` or ``"outputs"``.
        fill: What images read outside their frame.
    """
    some = law.element(law.sample_many(np.random.default_rng(0), _DRAWS))
    found: dict[Any, str] = {}
    for phrase in phrases:
        action = fitting_action(phrase, law, some, leaf, side, fill)
        if action is not None:
            found.setdefault(_effect(action, some, law), phrase)
    return list(found.values())


def fitting_action(
    phrase: Any, law: AbstractLaw, some: Element, leaf: Any, side: str, fill: float
) -> AbstractLeafAction | None:
    """Return the action of a phrase; None where the law does not know it or the leaf not take it.

    Args:
        phrase: A declaration.
        law: The law.
        some: Some of its elements.
        leaf: The leaf, rows first, or what has its shape and dtype.
        side: ``"inputs"`` or ``"outputs"``, whose size must be kept.
        fill: What images read outside their frame.
    """
    probe, shape = law.element(law.identity), tuple(leaf.shape[1:])
    # Without reflections axial vectors are vectors, and need no name of their own.
    proper = not {"matrix", "scale"} & set(some) or (handedness(some) > 0).all()
    if proper and isinstance(phrase, str) and phrase.startswith("axial"):
        return None
    action = action_of(phrase, len(shape), where=str(phrase), fill=fill)
    if action.refuses(leaf.dtype) or action.given or not moves_with(action, probe):
        return None
    if action.requires and action.misfit(shape, probe, law):
        return None
    return action if side == "inputs" or action.keeps_size(some, law) else None


def _phrases(ndim: int) -> Iterator[str]:
    """Yield phrases for a leaf with rows of `ndim` axes, simplest first."""
    yield from (word for word in WORDS if word != "items" or ndim <= 1)
    for k in range(1, ndim):
        yield from (word + " _" * k for word in ("items", "regular", "axial"))
    yield from _COMBINED
    for word in ORDERABLE:
        yield from (f"{word}[{''.join(order)}]" for order in _ORDERS)
        yield from (f"{word}[{order}]" for order in ("yx", "x-y"))


def _exchanges(law: AbstractLaw, some: Element, shape: tuple[int, ...]) -> list[Any]:
    """Return how the entries of a short last axis, such as classes, may change places."""
    if not shape or not 2 <= shape[-1] <= _MOST_EXCHANGED:
        return []
    orders = [np.array(order) for order in permutations(range(shape[-1]))][1:]
    twice = [order for order in orders if (order[order] == np.arange(len(order))).all()]
    if law.products is not None:
        cycles = (_powers(order, law.products) for order in orders)
        return [by_element(table) for table in cycles if table is not None]
    if {"matrix", "scale"} & set(some) and (handedness(some) < 0).any():
        return [reflected(order) for order in twice]
    return []


def _powers(order: NDArray[Any], products: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return what each element does if the first that is not the identity does `order`.

    None where that element does not make the whole group, or `order` does not fit it.
    """
    n, made, current, place = len(products), {0: np.arange(len(order))}, np.arange(len(order)), 0
    for _ in range(n):
        place, current = int(products[1 % n, place]), order[current]
        if place in made and not np.array_equal(made[place], current):
            return None
        made[place] = current
    return np.stack([made[g] for g in range(n)]) if len(made) == n else None


def _effect(action: AbstractLeafAction, some: Element, law: AbstractLaw) -> Any:
    """Return what tells apart what declarations do: equal for those that do the same."""
    if isinstance(action, Invariant):
        return ()
    if not isinstance(action, Along):
        return action
    effects: list[Any] = []
    for axis, held in action.axes:
        arrays = held.of(some, law)
        sign = arrays.pop("sign", None)
        effects += [(axis, name, values.tobytes()) for name, values in sorted(arrays.items())]
        effects += [] if sign is None or (sign == 1).all() else [sign.tobytes()]
    return tuple(effects)


def _label(phrase: Any) -> str:
    return repr(phrase) if isinstance(phrase, str) else str(phrase)
