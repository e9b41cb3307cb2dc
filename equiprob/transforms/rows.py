"""How does a transformation move one row, and a batch whose rows each have their own?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from equiprob.transforms.actions import AbstractLeafAction, Invariant


@dataclass(frozen=True)
class LeafActions:
    """The actions of a transform on the leaves of one pytree, in leaf order (hashable)."""

    names: tuple[str, ...]
    actions: tuple[AbstractLeafAction, ...]


def act_on_row(actions: LeafActions, elements: Sequence[Mapping[str, Any]], row: Any) -> Any:
    """Apply one transformation to one row, leaf by leaf (traceable; `elements` one per leaf).

    Raises:
        ValueError: If an action changes the shape of a leaf.
    """
    leaves, treedef = jax.tree.flatten(row)
    moved = []
    for name, action, element, leaf in zip(
        actions.names, actions.actions, elements, leaves, strict=True
    ):
        moved.append(action.apply(element, leaf))
        if np.shape(moved[-1]) != leaf.shape:
            raise ValueError(
                f"the action{' on ' + name if name else ''} made a row of shape {leaf.shape} into "
                f"one of shape {np.shape(moved[-1])}; an action must keep the shape"
            )
    return treedef.unflatten(moved)


@partial(jax.jit, static_argnames="actions")
def map_rows(actions: LeafActions, elements: Any, x: Any) -> Any:
    """Move each row by its own transformation (traceable actions only)."""
    return jax.vmap(partial(act_on_row, actions))(elements, x)


def move_rows(actions: LeafActions, elements: Any, x: Any) -> Any:
    """Move each row by its own transformation, compiled where the action can be traced.

    Args:
        actions: One action for each leaf.
        elements: One element for each leaf, arrays with rows first.
        x: The batch, a pytree of NumPy or JAX arrays with rows first.

    Returns:
        The moved batch, in the precision of `x`: see `as_given` for the kind of its arrays.
    """
    if all(isinstance(action, Invariant) for action in actions.actions):
        return x
    with precision_of(x):
        try:
            return map_rows(actions, elements, jax.tree.map(_as_array, x))
        except Exception:  # noqa: BLE001, S110 - what a NumPy function makes of a tracer is its own
            pass  # an action that needs concrete arrays goes row by row
    n = len(jax.tree.leaves(x)[0])
    rows = [
        act_on_row(actions, *jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], (elements, x)))
        for i in range(n)
    ]
    return jax.tree.map(lambda *parts: np.stack(parts), *rows)


def as_given(x: Any, values: Any) -> Any:
    """Return `values` as the kind of arrays that `x` holds, NumPy or JAX."""
    return jax.tree.map(
        lambda old, new: new if isinstance(old, jax.Array) else np.asarray(new), x, values
    )


def precision_of(x: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps the float64 of any leaf of `x`."""
    wide = any(np.dtype(leaf.dtype) == np.float64 for leaf in jax.tree.leaves(x))
    return jax.enable_x64(True) if wide else nullcontext()


def _as_array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
