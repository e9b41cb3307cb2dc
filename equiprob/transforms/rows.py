"""How does a transformation move one row, and a batch whose rows each have their own?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from equiprob.arguments.lending import advised, read_only
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
        RuntimeError: If a user's action raises.
    """
    leaves, treedef = jax.tree.flatten(row)
    each = zip(actions.names, actions.actions, elements, leaves, strict=True)
    return treedef.unflatten([_act_on_leaf(*leaf) for leaf in each])


def _act_on_leaf(
    name: str, action: AbstractLeafAction, element: Mapping[str, Any], leaf: Any
) -> Any:
    where = f"the action on leaf {name}" if name else "the action"
    try:
        moved = action.apply(element, leaf)
    except Exception as error:
        if action.is_users:
            raise RuntimeError(
                f"{where} raised {type(error).__name__}: {advised(error)}"
            ) from error
        raise
    if np.shape(moved) != leaf.shape:
        raise ValueError(
            f"{where} made a row of shape {leaf.shape} into one of shape {np.shape(moved)}; an "
            f"action must keep the shape"
        )
    return moved


def with_given(
    actions: LeafActions, elements: Sequence[Mapping[str, Any]], tree: Any, x: Any
) -> tuple[dict[str, Any], ...]:
    """Return elements with the other leaves that actions read.

    Args:
        actions: One action for each leaf.
        elements: One element for each leaf, arrays with rows first.
        tree: What moves, rows first.
        x: The rows that it belongs to, as they were before they moved.

    Raises:
        ValueError: If leaves of `x` are read, and there is none.
    """
    own, rows = _leaves_by_path(tree), _leaves_by_path(x)
    found: list[dict[str, Any]] = []
    for name, action, element in zip(actions.names, actions.actions, elements, strict=True):
        others: dict[str, Any] = {}
        for one in action.given:
            leaves = own if one.own else rows
            if one.leaf not in leaves:
                raise ValueError(
                    f"the action on leaf {name or 'of the output'} reads the leaf {one.leaf} of "
                    f"the input; pass the input, too, with that leaf"
                )
            others[one.key] = leaves[one.leaf]
        found.append({**element, **others})
    return tuple(found)


def _leaves_by_path(tree: Any) -> dict[str, Any]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in paths}


@partial(jax.jit, static_argnames="actions")
def map_rows(actions: LeafActions, elements: Any, x: Any) -> Any:
    """Move each row by its own transformation (traceable actions only)."""
    return jax.vmap(partial(act_on_row, actions))(elements, x)


def move_rows(actions: LeafActions, elements: Sequence[Mapping[str, Any]], x: Any) -> Any:
    """Move each row by its own transformation, compiled where the action can be traced.

    Args:
        actions: One action for each leaf.
        elements: One element for each leaf, arrays with rows first.
        x: The batch, a pytree of NumPy or JAX arrays with rows first.

    Returns:
        The moved batch, in the precision of `x`; its arrays may be JAX's (see `as_given`).
    """
    leaves, treedef = jax.tree.flatten(x)
    each = zip(actions.names, actions.actions, elements, leaves, strict=True)
    return treedef.unflatten([_move_leaf(*leaf) for leaf in each])


def _move_leaf(name: str, action: AbstractLeafAction, element: Mapping[str, Any], x: Any) -> Any:
    if isinstance(action, Invariant):
        return x
    alone = LeafActions((name,), (action,))
    with _all_digits_of(x):
        try:
            return map_rows(alone, (element,), x if isinstance(x, jax.Array) else np.asarray(x))
        except Exception:
            if not action.is_users:
                raise
    # A user's function that needs concrete arrays goes row by row; what is wrong raises again.
    rows = zip(*element.values(), read_only(np.asarray(x)), strict=True)
    moved = [act_on_row(alone, (dict(zip(element, row, strict=False)),), row[-1]) for row in rows]
    return np.stack(moved)


@partial(jax.jit, static_argnames="actions")
def _map_block(actions: LeafActions, elements: Any, x: Any) -> Any:
    """Move each row by several transformations of its own (traceable actions only)."""
    return jax.vmap(lambda own: map_rows(actions, own, x))(elements)


def move_block(
    actions: LeafActions, elements: Sequence[Mapping[str, Any]], x: Any, n: int
) -> Iterator[Any]:
    """Yield a batch moved by one of `n` transformations after another.

    All are made by one compiled call: calling JAX between the calls of a quick model that is not
    JAX costs more than such a model.

    Args:
        actions: One action for each leaf.
        elements: One element for each leaf, arrays ``(transformation, row, ...)``.
        x: The batch, a pytree of NumPy or JAX arrays with rows first.
        n: How many transformations there are.
    """
    leaves, treedef = jax.tree.flatten(x)
    each = zip(actions.names, actions.actions, elements, leaves, strict=True)
    moved = [_move_leaf_of_block(*leaf, n) for leaf in each]
    for j in range(n):
        yield treedef.unflatten([batches[j] for batches in moved])


def _move_leaf_of_block(
    name: str, action: AbstractLeafAction, element: Mapping[str, Any], x: Any, n: int
) -> Any:
    if isinstance(action, Invariant):
        return [x] * n
    alone = LeafActions((name,), (action,))
    with _all_digits_of(x):
        try:
            return as_given(x, _map_block(alone, (element,), x))
        except Exception:
            if not action.is_users:
                raise
    own = ({key: values[j] for key, values in element.items()} for j in range(n))
    return [as_given(x, _move_leaf(name, action, one, x)) for one in own]


def as_given(x: Any, values: Any) -> Any:
    """Return `values` as the kind of arrays that `x` holds, NumPy or JAX."""
    return jax.tree.map(
        lambda old, new: new if isinstance(old, jax.Array) else np.asarray(new), x, values
    )


def _all_digits_of(leaf: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps the 64 bits of a leaf, floats or whole numbers."""
    wide = np.dtype(leaf.dtype).kind in "fciu" and np.dtype(leaf.dtype).itemsize >= 8
    return jax.enable_x64(True) if wide else nullcontext()


def precision_of(x: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps the float64 of any leaf of `x`."""
    wide = any(np.dtype(leaf.dtype) == np.float64 for leaf in jax.tree.leaves(x))
    return jax.enable_x64(True) if wide else nullcontext()
