"""Which axes of a leaf does each of several transforms move, where all are declared as one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax

from equiprob.transforms.actions import AbstractLeafAction, Along, Invariant
from equiprob.transforms.base import AbstractTransform, actions_by_leaf, leaf_names
from equiprob.transforms.words import moves_with


def shares(
    factors: Sequence[AbstractTransform], declared: Any, tree: Any, *, argument: str
) -> list[Any]:
    """Return the declarations of each factor, of the structure of `tree`.

    Args:
        factors: The transforms.
        declared: How leaves transform under all of them.
        tree: Inputs or outputs, rows first.
        argument: ``"acts_on"`` or ``"output_action"``.

    Raises:
        ValueError: If an axis is known to no factor, or a factor moves no leaf of the inputs.
    """
    names = " and ".join(map(str, factors))
    if argument == "output_action" and isinstance(declared, str) and declared == "invariant":
        return ["invariant"] * len(factors)
    whole = actions_by_leaf(declared, tree, argument)
    each = [[_share(factor, action) for action in whole] for factor in factors]
    for place, (name, action) in enumerate(zip(leaf_names(tree), whole, strict=True)):
        if not isinstance(action, Along):
            left = [action] if all(isinstance(own[place], Invariant) for own in each) else []
        else:
            known = {axis for own in each for axis, _ in getattr(own[place], "axes", ())}
            left = [held for axis, held in action.axes if axis not in known]
        if left and not isinstance(action, Invariant):
            raise ValueError(
                f"{argument}{name} is {str(action)!r}, and neither of {names} moves "
                f"{str(left[0])!r}"
            )
    for factor, own in zip(factors, each, strict=True):
        if argument == "acts_on" and all(isinstance(action, Invariant) for action in own):
            raise ValueError(
                f"acts_on declares nothing that {factor} moves: say which leaves it moves, or "
                f"leave it out"
            )
    return [jax.tree.structure(tree).unflatten(own) for own in each]


def _share(factor: AbstractTransform, action: AbstractLeafAction) -> AbstractLeafAction:
    """Return what one factor does to a leaf."""
    probe = factor.element(factor.identity)
    if not isinstance(action, Along):
        return action if moves_with(action, probe) else Invariant()
    axes = tuple((axis, held) for axis, held in action.axes if set(held.reads) & set(probe))
    if not axes:
        return Invariant()
    words = ["_"] * -min(axis for axis, _ in action.axes)
    for axis, held in axes:
        words[axis] = str(held)
    return replace(action, axes=axes, phrase=" ".join(words))
