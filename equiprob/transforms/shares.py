"""Which axes of a leaf does each of several laws move, where all are declared as one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from equiprob.transforms.actions import AbstractLeafAction, Along, Invariant
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.words import moves_with


def entries_of(law: AbstractLaw) -> set[str]:
    """Return what is known of the transformations of a law, or of the laws that it is made of."""
    if law.factors:
        return set[str]().union(*map(entries_of, law.factors))
    return set(law.element(law.identity))


def share_of(entries: set[str], action: AbstractLeafAction) -> AbstractLeafAction:
    """Return what a law with such entries does to a leaf."""
    if not isinstance(action, Along):
        return action if moves_with(action, dict.fromkeys(entries)) else Invariant()
    axes = tuple((axis, held) for axis, held in action.axes if set(held.reads) & entries)
    if not axes:
        return Invariant()
    words = ["_"] * -min(axis for axis, _ in action.axes)
    for axis, held in axes:
        words[axis] = str(held)
    return replace(action, axes=axes, phrase=" ".join(words))


def left_by(action: AbstractLeafAction, each: Sequence[AbstractLeafAction]) -> list[Any]:
    """Return what of an action is known to no factor, given what each of them does."""
    if isinstance(action, Invariant):
        return []
    if not isinstance(action, Along):
        return [action] if all(isinstance(own, Invariant) for own in each) else []
    known = {axis for own in each for axis, _ in getattr(own, "axes", ())}
    return [held for axis, held in action.axes if axis not in known]
