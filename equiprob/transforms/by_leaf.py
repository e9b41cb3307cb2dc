"""How do the leaves of a batch move, compiled or not, in the library they come from?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from numpy.typing import NDArray

from equiprob.arguments.lending import advised, read_only
from equiprob.arguments.tensors import is_torch
from equiprob.transforms.actions import AbstractLeafAction, Invariant
from equiprob.transforms.representations import Transformations

Elements = tuple[dict[str, NDArray[Any]], ...]
"""The arrays of each leaf."""


@dataclass(frozen=True)
class ByLeaf:
    """The actions of a transform on the leaves of one pytree, in leaf order (hashable)."""

    names: tuple[str, ...]
    actions: tuple[AbstractLeafAction, ...]

    @property
    def undo(self) -> ByLeaf:
        """What takes the leaves back, by ``arrays(..., back=True)``.

        Raises:
            ValueError: If nothing does.
        """
        undone = [action.undo for action in self.actions]
        lacking = [name for name, undo in zip(self.names, undone, strict=True) if undo is None]
        if lacking:
            raise ValueError(
                f"the action on {' and '.join(lacking) or 'the leaf'} has no inverse; pass "
                f"ep.transforms.Action(function, inverse)"
            )
        return ByLeaf(self.names, tuple(undo for undo in undone if undo is not None))

    def arrays(
        self, some: Transformations, dtypes: Sequence[Any], *, back: bool = False
    ) -> Elements:
        """Return the arrays of each leaf, cast from float64 to its dtype.

        Args:
            some: The transformations, ``(...)``.
            dtypes: Of each leaf.
            back: Whether the leaves are to be taken back, by `undo`.
        """

        def cast(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
            if not np.issubdtype(values.dtype, np.inexact):
                return values
            return values.astype(dtype if jnp.issubdtype(dtype, jnp.inexact) else np.float32)

        pairs = zip(self.actions, dtypes, strict=True)
        return tuple(
            {name: cast(v, dtype) for name, v in action.arrays(some, back=back).items()}
            for action, dtype in pairs
        )

    def apply(self, elements: Elements, tree: Any, x: Any = None, *, axes: int = 1) -> Any:
        """Return what a batch becomes, in the kind of arrays that it holds.

        Within a function that JAX traces it is a part of that; otherwise it is compiled by itself,
        or a user's function that takes nothing but NumPy arrays is called row by row.

        Args:
            elements: Arrays of each leaf, ``(*batch, ...)``.
            tree: A pytree of arrays ``(*batch, *row)``.
            x: The rows that it belongs to, as they were before they moved: a pytree of arrays
                ``(*batch, *row)``, of which actions may read leaves.
            axes: How many batch axes all have; those of length 1 are like the others'.

        Raises:
            ValueError: If an action changes the shape of a row, or reads a leaf that is not there.
            RuntimeError: If a user's action raises.
        """
        is_traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((elements, tree)))
        leaves, treedef = jax.tree.flatten(tree)
        elements, moved = self._with_given(elements, tree, x), []
        for name, action, element, leaf in zip(
            self.names, self.actions, elements, leaves, strict=True
        ):
            if isinstance(action, Invariant):
                moved.append(leaf)
            elif action.changes_shape:
                moved.append(_resized(name, action, element, leaf))
            elif is_traced:
                element, leaf = jax.tree.map(jnp.asarray, (element, leaf))
                moved.append(_moved(name, action, element, leaf, axes))
            elif is_torch(leaf):
                if action.is_users:  # it may write into what it is given
                    element, leaf = jax.tree.map(lambda v: v.clone(), (element, leaf))
                moved.append(_moved(name, action, element, leaf, axes))
            else:
                moved.append(_as_given(leaf, _by_itself(name, action, element, leaf, axes)))
        return treedef.unflatten(moved)

    def each(self, elements: Elements, tree: Any, n: int) -> Iterator[Any]:
        """Yield a batch moved by one of `n` transformations after another.

        All are made in one call: calling JAX between the calls of a quick model that is not JAX
        costs more than such a model.

        Args:
            elements: Arrays of each leaf, ``(transformation, row, ...)``.
            tree: A pytree of arrays with rows first.
            n: How many transformations there are.
        """
        if any(action.changes_shape for action in self.actions):
            for j in range(n):
                yield self.apply(jax.tree.map(lambda v, j=j: v[j], elements), tree, tree)
            return
        once = jax.tree.map(lambda leaf: leaf[None], tree)
        leaves, treedef = jax.tree.flatten(self.apply(elements, once, once, axes=2))
        for j in range(n):
            # What no transformation moves is there once.
            yield treedef.unflatten([leaf[j if len(leaf) > 1 else 0] for leaf in leaves])

    def _with_given(self, elements: Elements, tree: Any, x: Any) -> Elements:
        """Return elements with the other leaves that actions read."""
        if not any(action.given for action in self.actions):
            return elements
        own, rows = _leaves_by_path(tree), _leaves_by_path(x)
        found: list[dict[str, Any]] = []
        for name, action, element in zip(self.names, self.actions, elements, strict=True):
            others: dict[str, Any] = {}
            for one in action.given:
                leaves = own if one.own else rows
                if one.leaf not in leaves:
                    raise ValueError(
                        f"the action on leaf {name or 'of the output'} reads the leaf {one.leaf} "
                        f"of the input; pass the input, too, with that leaf"
                    )
                others[one.key] = leaves[one.leaf]
            found.append({**element, **others})
        return tuple(found)


def _leaves_by_path(tree: Any) -> dict[str, Any]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in paths}


def _resized(name: str, action: AbstractLeafAction, element: Mapping[str, Any], leaf: Any) -> Any:
    """Return all rows of a leaf, of another shape, under the transformation that all share."""
    where = f"the action on leaf {name}" if name else "the action"
    given, first = {one.key for one in action.given}, {}
    for key, values in element.items():
        if key not in given and (values != values[:1]).any():
            raise ValueError(
                f"{where} changes the shape of rows, so that all of them must move by the same "
                "transformation, and here each has its own: pass n_transforms no smaller than the "
                "number of elements of a finite set, or design='crossed'"
            )
        first[key] = values if key in given else values[0]
    try:
        return np.asarray(action.on_all(first, leaf))
    except Exception as error:
        raise RuntimeError(f"{where} raised {type(error).__name__}: {advised(error)}") from error


def _moved(
    name: str, action: AbstractLeafAction, element: Mapping[str, Any], leaf: Any, axes: int
) -> Any:
    where = f"the action on leaf {name}" if name else "the action"
    try:
        moved = action.apply(element, leaf, axes)
    except Exception as error:
        if action.is_users:
            raise RuntimeError(
                f"{where} raised {type(error).__name__}: {advised(error)}"
            ) from error
        raise
    if np.shape(moved)[axes:] != leaf.shape[axes:] and not action.makes_rows:
        raise ValueError(
            f"{where} made a row of shape {tuple(leaf.shape[axes:])} into one of shape "
            f"{np.shape(moved)[axes:]}; an action must keep the shape"
        )
    return moved


_compiled = jax.jit(_moved, static_argnames=("name", "action", "axes"))


def _by_itself(
    name: str, action: AbstractLeafAction, element: Mapping[str, Any], leaf: Any, axes: int
) -> Any:
    """Move a leaf in a call of its own."""
    with _all_digits_of(leaf):
        try:
            return _compiled(name, action, element, leaf, axes)
        except Exception:
            if not action.is_users:
                raise
    # A user's function that needs concrete arrays goes row by row; what is wrong raises again.
    values = [read_only(np.asarray(v)) for v in (*element.values(), leaf)]
    batch = np.broadcast_shapes(*(v.shape[:axes] for v in values))
    flat = [
        np.broadcast_to(v, (*batch, *v.shape[axes:])).reshape(-1, *v.shape[axes:]) for v in values
    ]
    moved = np.stack(
        [
            _moved(name, action, dict(zip(element, own, strict=True)), row, 0)
            for *own, row in zip(*flat, strict=True)
        ]
    )
    return moved.reshape(*batch, *moved.shape[1:])


def _as_given(leaf: Any, moved: Any) -> Any:
    """Return values as the kind of array that a leaf is, NumPy's or JAX's."""
    return moved if isinstance(leaf, jax.Array) else np.asarray(moved)


def _all_digits_of(leaf: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps the 64 bits of a leaf, floats or whole numbers."""
    wide = np.dtype(leaf.dtype).kind in "fciu" and np.dtype(leaf.dtype).itemsize >= 8
    return jax.enable_x64(True) if wide else nullcontext()


def precision_of(x: Any) -> AbstractContextManager[Any]:
    """Return a context in which JAX keeps the float64 of any leaf of `x`."""
    wide = any(np.dtype(leaf.dtype) == np.float64 for leaf in jax.tree.leaves(x))
    return jax.enable_x64(True) if wide else nullcontext()
