"""How does one element of a transformation act on one leaf?

A transform turns its parameter into an *element*: a dict of small arrays (``"matrix"``,
``"shift"``, ``"scale"``, ``"source"`` or ``"index"``). The leaf actions below are the only code
that reads elements, so that a new transform never has to know about images, and a new kind of leaf
never has to know about rotations. What the axes of a leaf hold is in `representations`, which words
declare an action in `words`.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, final, override

import jax.numpy as jnp
import numpy as np

from equiprob.transforms.item_axes import Items
from equiprob.transforms.kernels import along, relabel
from equiprob.transforms.namespaces import product
from equiprob.transforms.representations import (
    AbstractRepresentation,
    Array,
    Element,
    Law,
    Transformations,
)

Reads = tuple[tuple[str, ...], ...]
"""Groups of entries of an element."""


class Given(NamedTuple):
    """Another leaf that an action reads.

    Args:
        key: What the action's element calls it.
        leaf: The path of the leaf, as ``['cell']``.
        own: Whether it is a leaf of what moves, and not of the rows that an output belongs to.
    """

    key: str
    leaf: str
    own: bool = False


class AbstractLeafAction(abc.ABC):
    """The action of one transformation on one leaf."""

    tolerance: ClassVar[float] = 0.0
    """Relative error of ``g^-1 g x`` that is no mistake (images interpolate)."""

    @property
    def requires(self) -> Reads:
        """Groups of entries of an element, of each of which a transform must have one."""
        return ()

    @property
    def given(self) -> tuple[Given, ...]:
        """Other leaves that it reads, as they are before they move."""
        return ()

    @property
    def undo(self) -> AbstractLeafAction | None:
        """What takes a leaf back, by ``arrays(..., back=True)``; None where nothing does."""
        return self

    @property
    def keeps_integers(self) -> bool:
        """Whether integers and booleans stay what they are."""
        return False

    @property
    def interpolates(self) -> bool:
        """Whether pixels are read between grid points."""
        return False

    @property
    def changes_shape(self) -> bool:
        """Whether it moves all rows at once, by one transformation, to rows of another shape."""
        return False

    @property
    def makes_rows(self) -> bool:
        """Whether a model sees rows as the identity leaves them, maybe in another shape."""
        return False

    def on_all(self, element: Element, leaf: Any) -> Any:
        """Return all rows of a leaf at once, of another shape, where `changes_shape`."""
        raise NotImplementedError

    @property
    def is_users(self) -> bool:
        """Whether a user's function is called, which JAX may be unable to trace."""
        return False

    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        """Return what `apply` reads, computed on the host in float64.

        Args:
            some: The transformations, ``(...)``.
            back: Whether the leaf is to be taken back, by `undo`.

        Raises:
            ValueError: If it is, and the transformations have no inverse.
        """
        of = some.inverse if back else some
        return self.prepare(of.element, of.law)

    def prepare(self, element: Element, law: Law) -> Element:
        """Return the arrays that move a leaf by ``(...)`` elements."""
        return element

    @abc.abstractmethod
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        """Return transformed leaves, of the same shape.

        Args:
            element: What `arrays` returned, ``(*batch, ...)``.
            leaf: ``(*batch, *row)``, of NumPy, JAX or PyTorch.
            axes: How many batch axes both have; those of length 1 are like the other's.
        """

    def keeps_size(self, element: Element, law: Law) -> bool:
        """Whether these ``(...)`` transformations keep the size of an error in the leaf."""
        return True

    def weights(self, shape: tuple[int, ...]) -> Array | None:
        """Return the weight of each component of a row in a squared norm; None where all are 1."""
        return None

    def misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        """Say why a leaf of this row shape cannot be acted on, or return None."""
        return None

    def refuses(self, dtype: Any) -> str | None:
        """Say why a leaf of this dtype cannot be acted on, or return None."""
        if getattr(dtype, "char", None) in ("g", "G"):  # long doubles
            return "JAX does not have it; pass it as float64, x.astype('float64')"
        if self.keeps_integers or jnp.issubdtype(dtype, jnp.inexact):
            return None
        return (
            "declare it 'invariant', or convert it to float (images: x / 255); integers stay so "
            "where they only change places ('items', 'permuted', 'regular', 'mask') or name items "
            "that do ('indices')"
        )

    def __str__(self) -> str:
        """Name it for people."""
        return type(self).__name__.lower()


@final
@dataclass(frozen=True)
class Invariant(AbstractLeafAction):
    """The leaf does not change."""

    @property
    @override
    def keeps_integers(self) -> bool:
        return True

    @override
    def arrays(self, some: Transformations, *, back: bool = False) -> Element:
        return {}

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return leaf

    def __str__(self) -> str:
        """Return the word for it."""
        return "invariant"


@final
@dataclass(frozen=True)
class Along(AbstractLeafAction):
    """One representation for each axis that moves.

    Args:
        axes: The axes, counted from the end (-1 is the last one), and what they hold.
        phrase: How it was declared.
    """

    axes: tuple[tuple[int, AbstractRepresentation], ...]
    phrase: str = field(compare=False)

    @property
    @override
    def requires(self) -> Reads:
        return tuple(held.reads for _, held in self.axes)

    @property
    @override
    def keeps_integers(self) -> bool:
        return all(held.keeps_integers for _, held in self.axes)

    @override
    def prepare(self, element: Element, law: Law) -> Element:
        return {
            f"{place}.{name}": values
            for place, (_, held) in enumerate(self.axes)
            for name, values in held.of(element, law).items()
        }

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        for place, (axis, _) in enumerate(self.axes):
            leaf = along(within(element, f"{place}."), leaf, axis)
        return leaf

    @override
    def keeps_size(self, element: Element, law: Law) -> bool:
        return all(held.keeps_size(element, law) for _, held in self.axes)

    @override
    def weights(self, shape: tuple[int, ...]) -> Array | None:
        found = None
        for axis, held in self.axes:
            own = held.weights()
            if own is not None:
                along_axis = np.ones(len(shape), dtype=np.int64)
                along_axis[axis] = len(own)
                weight = np.broadcast_to(own.reshape(along_axis), shape)
                found = weight if found is None else found * weight
        return found

    @override
    def misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        for axis, held in self.axes:
            try:
                expected = held.length(element, law)
            except ValueError as error:
                return str(error)
            exists = len(shape) >= -axis
            if expected is not None and not (exists and shape[axis] == expected):
                return _missing(axis, len(shape), held, expected)
        return None

    def __str__(self) -> str:
        """Return the words for it."""
        return self.phrase


def _missing(axis: int, ndim: int, held: AbstractRepresentation, expected: int) -> str:
    """Say which axis is not there, or has another length."""
    counted = {-1: "last", -2: "last but one", -3: "last but two"}
    which = "first" if axis == -ndim and ndim > 0 else counted.get(axis, f"{-axis}th from last")
    if isinstance(held, Items):
        return f"it must have {expected} items on its {which} axis"
    if axis == -1:
        return f"{held} must end in an axis of length {expected}"
    return f"{held} must have length {expected} on its {which} axis"


def within(element: Element, prefix: str) -> dict[str, Any]:
    """Return the entries of an element under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in element.items() if k.startswith(prefix)}


@final
@dataclass(frozen=True)
class Indices(AbstractLeafAction):
    """The leaf holds numbers of items, such as the ends of edges; others, as -1, are padding."""

    @property
    @override
    def requires(self) -> Reads:
        return (("source",),)

    @property
    @override
    def keeps_integers(self) -> bool:
        return True

    @override
    def prepare(self, element: Element, law: Law) -> Element:
        return {"place": np.argsort(element["source"], axis=-1).astype(np.int32)}

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return relabel(element["place"], leaf)

    @override
    def refuses(self, dtype: Any) -> str | None:
        if np.issubdtype(dtype, np.integer):
            return None
        return "numbers of items must be integers"

    def __str__(self) -> str:
        """Return the word for it."""
        return "indices"


@final
@dataclass(frozen=True)
class Wrapped(AbstractLeafAction):
    """Points in a periodic cell, moved by whole lattice vectors: the rows of the leaf ``cell``."""

    cell: str = "cell"

    @property
    @override
    def requires(self) -> Reads:
        return (("lattice",),)

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        return (Given("cell", leaf_path(self.cell)),)

    @override
    def prepare(self, element: Element, law: Law) -> Element:
        return {"lattice": element["lattice"]}

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return leaf + product(element["lattice"], element["cell"])

    @override
    def misfit(self, shape: tuple[int, ...], element: Element, law: Law) -> str | None:
        expected = element["lattice"].shape[-2:]
        return None if shape == expected else f"wrapped points must have rows of shape {expected}"

    def __str__(self) -> str:
        """Return the word for it."""
        return "wrapped"


def leaf_path(name: Any) -> str:
    """Return the path of a leaf that is called by its key."""
    is_path = isinstance(name, str) and (name == "" or name.startswith("["))
    return name if is_path else f"[{name!r}]"
