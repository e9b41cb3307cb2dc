"""Functions of users as actions, on one leaf or on a whole row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final, override

import jax

from equiprob.arguments.tensors import is_torch
from equiprob.transforms.actions import AbstractLeafAction, Given, Reads, leaf_path, within
from equiprob.transforms.representations import Element, Transformations


def over_rows(function: Callable[..., Any], arguments: tuple[Any, ...], axes: int) -> Any:
    """Map a function of one row over batch axes; those of length 1 are like the others'.

    Args:
        function: A function of pytrees of arrays.
        arguments: Its arguments, arrays ``(*batch, ...)`` of JAX or PyTorch.
        axes: How many batch axes there are.
    """
    if axes == 0:
        return function(*arguments)
    leaves, treedef = jax.tree.flatten(arguments)
    n = max(leaf.shape[0] for leaf in leaves)
    alone = [leaf.shape[0] == 1 < n for leaf in leaves]
    vmap = sys.modules["torch"].func.vmap if any(map(is_torch, leaves)) else jax.vmap

    def inner(*own: Any) -> Any:
        return over_rows(function, treedef.unflatten(own), axes - 1)

    over = tuple(None if one else 0 for one in alone)
    return vmap(inner, over)(*(v[0] if one else v for v, one in zip(leaves, alone, strict=True)))


@final
@dataclass(frozen=True)
class Action(AbstractLeafAction):
    """A user's own action, on one leaf or on one output of one row.

    Args:
        function: ``function(parameter, row, *given) -> row``; `parameter` is the transform's
            parameter vector (radians for angles), `row` one row of the leaf. It may be compiled
            once and used again, so arrays it captures must not be changed.
        inverse: ``inverse(parameter, row, *given) -> row``, which undoes `function`. Only outputs
            need it.
        given: Names of leaves of the input that the functions read, too, as they are before the
            transformation (of an output: those of the row that it belongs to).
        reads: What they get instead of the parameter: ``"matrix"``, ``"shift"``, ``"scale"``,
            ``"index"`` (the place in a finite set), a tuple of such, or ``"element"``, the dict of
            all that the transform has.
        changes_shape: The functions get all rows at once, and make rows of another shape, as a
            supercell does. All rows then move by the same transformation: that takes a finite law
            all of which is drawn, or ``design="crossed"``. The inverse returns outputs of the shape
            of before.
        makes_rows: The model never sees rows as they are, only what the function makes of them,
            with the identity's parameter where nothing moves: of a crop, rows of another shape.
    """

    function: Callable[..., Any]
    inverse: Callable[..., Any] | None = None
    given_leaves: tuple[Any, ...] = ()
    reads: str | tuple[str, ...] = "parameter"
    resizes: bool = False
    is_pipeline: bool = False

    tolerance: ClassVar[float] = 0.5

    def __init__(
        self,
        function: Callable[..., Any],
        inverse: Callable[..., Any] | None = None,
        *,
        given: Any = (),
        reads: str | Sequence[str] = "parameter",
        changes_shape: bool = False,
        makes_rows: bool = False,
    ) -> None:
        """Keep names as tuples."""
        names = tuple(given) if isinstance(given, tuple | list) else (given,)
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "inverse", inverse)
        object.__setattr__(self, "given_leaves", names)
        object.__setattr__(self, "reads", reads if isinstance(reads, str) else tuple(reads))
        object.__setattr__(self, "resizes", changes_shape)
        object.__setattr__(self, "is_pipeline", makes_rows)

    @property
    @override
    def changes_shape(self) -> bool:
        return self.resizes

    @property
    @override
    def makes_rows(self) -> bool:
        return self.is_pipeline

    @property
    @override
    def requires(self) -> Reads:
        if self.reads in ("parameter", "element"):
            return ()
        names = (self.reads,) if isinstance(self.reads, str) else self.reads
        return tuple((name,) for name in names if name != "parameter")

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        each = enumerate(self.given_leaves)
        return tuple(Given(f"given.{place}", leaf_path(name)) for place, name in each)

    @property
    @override
    def undo(self) -> AbstractLeafAction | None:
        if self.inverse is None:
            return None
        return Action(
            self.inverse,
            self.function,
            given=self.given_leaves,
            reads=self.reads,
            changes_shape=self.resizes,
        )

    @property
    @override
    def is_users(self) -> bool:
        return True

    @override
    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        if self.reads == "element":
            return {f"read.{name}": values for name, values in some.element.items()}
        names = (self.reads,) if isinstance(self.reads, str) else self.reads
        return {
            f"read.{name}": some.parameters if name == "parameter" else some.element[name]
            for name in names
        }

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return over_rows(self._of_row, (element, leaf), axes)

    @override
    def on_all(self, element: Element, leaf: Any) -> Any:
        return self._of_row(element, leaf)

    def _of_row(self, element: Element, row: Any) -> Any:
        others = [element[one.key] for one in self.given]
        read: Any = within(element, "read.")
        if self.reads != "element":
            names = (self.reads,) if isinstance(self.reads, str) else self.reads
            read = tuple(read[name] for name in names)
            read = read[0] if isinstance(self.reads, str) else read
        return self.function(read, row, *others)


@final
@dataclass(frozen=True)
class PartOfRow(AbstractLeafAction):
    """One leaf of what a user's function makes of a whole row, a pytree of leaves.

    Args:
        action: The function of the whole row.
        place: Which leaf.
        treedef: The structure of a row.
        leaves: The paths of its leaves.
    """

    action: Action
    place: int
    treedef: Any
    leaves: tuple[str, ...]

    tolerance: ClassVar[float] = 0.5

    @property
    @override
    def requires(self) -> Reads:
        return self.action.requires

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        own = (Given(f"own.{i}", leaf, own=True) for i, leaf in enumerate(self.leaves))
        return (*own, *self.action.given)

    @property
    @override
    def undo(self) -> AbstractLeafAction | None:
        undo = self.action.undo
        return None if undo is None else replace(self, action=undo)

    @property
    @override
    def keeps_integers(self) -> bool:
        return True

    @property
    @override
    def changes_shape(self) -> bool:
        return self.action.changes_shape

    @property
    @override
    def makes_rows(self) -> bool:
        return self.action.makes_rows

    @property
    @override
    def is_users(self) -> bool:
        return True

    @override
    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        return self.action.arrays(some, back=back)

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return self._part(self.action.apply(element, self._row(element), axes))

    @override
    def on_all(self, element: Element, leaf: Any) -> Any:
        return self._part(self.action.on_all(element, self._row(element)))

    def _row(self, element: Element) -> Any:
        return self.treedef.unflatten([element[f"own.{i}"] for i in range(len(self.leaves))])

    def _part(self, moved: Any) -> Any:
        parts, treedef = jax.tree.flatten(moved)
        if treedef != self.treedef:
            raise ValueError(f"the row came back as {treedef}, where {self.treedef} went in")
        return parts[self.place]

    def __str__(self) -> str:
        """Name it for people."""
        return "action on the row"
