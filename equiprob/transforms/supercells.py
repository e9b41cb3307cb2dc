"""The same crystal in a larger cell: energies grow with it, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_array
from equiprob.arguments.checked import checked
from equiprob.transforms.law import Parameters
from equiprob.transforms.listed import AbstractListed
from equiprob.transforms.transform import Transform
from equiprob.transforms.user_actions import Action

Array = NDArray[Any]

_INPUT_WORDS = ("positions", "cell", "items", "invariant")
_OUTPUT_WORDS = ("extensive", "items", "invariant")


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Supercells(AbstractListed):
    """Supercells, all alike probable; made by `supercells`. The parameter is the place of one."""

    repeats: NDArray[np.int64]

    magnitude_label = "cells added"

    def __str__(self) -> str:
        """Name the transform for people."""
        each = ["x".join(map(str, one)) for one in self.repeats.tolist()]
        return f"supercells({', '.join(each)})"

    @property
    @override
    def n_entries(self) -> int:
        return len(self.repeats)

    @override
    def element(self, parameters: Parameters) -> dict[str, Array]:
        return {"repeats": self.repeats[parameters[..., 0].astype(int)]}

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return self.element(parameters)["repeats"].prod(axis=-1) - 1.0


@dataclass(frozen=True)
class _Grown:
    """Rows in a supercell.

    Args:
        words: What each leaf holds, by name.
    """

    words: tuple[tuple[str, str], ...]

    @property
    def declared(self) -> dict[str, str]:
        """How it is declared."""
        return dict(self.words)

    def __call__(self, repeats: Array, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Return all rows, the copies of a cell one after the other."""
        words = self.declared
        (cell,) = (rows[name] for name, word in words.items() if word == "cell")
        places = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1)
        shifts = places.reshape(-1, len(repeats)).astype(cell.dtype) @ cell

        def leaf(name: str, values: Array) -> Array:
            word = words.get(name)
            if word == "cell":
                return values * repeats.astype(values.dtype)[:, None]
            if word == "positions":
                return _joined(values[:, None] + shifts[:, :, None])
            if word == "items":
                return _joined(np.repeat(values[:, None], len(places.reshape(-1, 3)), axis=1))
            return values

        return {name: leaf(name, values) for name, values in rows.items()}


def _joined(values: Array) -> Array:
    """Return ``(row, copy, item, ...)`` as ``(row, copy and item, ...)``."""
    return values.reshape(len(values), -1, *values.shape[3:])


@dataclass(frozen=True)
class _OfCopies:
    """Outputs of a supercell, or of the cell that it is made of.

    Args:
        word: ``"extensive"`` or ``"items"``.
        back: Whether outputs of a supercell become those of one cell.
    """

    word: str
    back: bool

    @property
    def declared(self) -> str:
        """How it is declared."""
        return self.word

    def __call__(self, repeats: Array, output: Array) -> Array:
        """Return the outputs of all rows."""
        copies = int(repeats.prod())
        if self.word == "extensive":
            return output / copies if self.back else output * copies
        if self.back:
            split = output.reshape(len(output), copies, -1, *output.shape[2:])
            return split.mean(axis=1)
        return _joined(np.repeat(output[:, None], copies, axis=1))


def _output(word: Any, where: str) -> Any:
    if isinstance(word, Mapping):
        return {name: _output(own, f"{where}[{name!r}]") for name, own in word.items()}
    if not isinstance(word, str) or word == "invariant":
        return word
    if word not in _OUTPUT_WORDS:
        raise ValueError(f"{where} is {word!r}; supercells know {list(_OUTPUT_WORDS)}")
    there, back = (_OfCopies(word, back) for back in (False, True))
    return Action(there, back, reads="repeats", changes_shape=True)


@checked
def supercells(
    repeats: ArrayLike, *, acts_on: Any = None, output_action: Any = "extensive"
) -> Transform:
    """Repeat periodic cells along their lattice vectors.

    Args:
        repeats: How often along each lattice vector, ``(supercell, 3)``, ``[1, 1, 1]`` first.
        acts_on: What each leaf of the dict of inputs holds: ``"positions"`` (the items of a cell),
            ``"cell"`` (lattice vectors in rows), ``"items"`` (a value for each item, such as
            species) or ``"invariant"``. When left out, ``{"positions": "positions", "cell":
            "cell"}``.
        output_action: How outputs change, one word or a dict: ``"extensive"`` (an energy grows with
            the number of cells), ``"items"`` (forces: those of all copies are averaged) or
            ``"invariant"`` (an energy per atom, a stress).

    Returns:
        The transform, each supercell alike probable. Rows of other shapes: all rows of a chunk move
        alike, and the model is called from Python (it may be compiled).

    Raises:
        ValueError: If the first supercell is not the cell itself, or a word is not known.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.supercells([[1, 1, 1], [2, 1, 1]]))
        supercells(1x1x1, 2x1x1)
    """
    array = as_array("repeats", repeats)
    whole = array.ndim == 2 and len(array) > 1 and np.issubdtype(array.dtype, np.integer)
    if not whole or array.shape[1] != 3 or (array < 1).any() or (array[0] != 1).any():
        raise ValueError(
            f"repeats must be positive integers (supercell, 3), at least two, [1, 1, 1] first, got "
            f"{np.asarray(repeats).tolist()}"
        )
    words = {"positions": "positions", "cell": "cell"} if acts_on is None else dict(acts_on)
    unknown = [word for word in words.values() if word not in _INPUT_WORDS]
    if unknown or list(words.values()).count("cell") != 1:
        raise ValueError(
            f"acts_on must give each leaf one of {list(_INPUT_WORDS)}, and one of them 'cell', got "
            f"{words}"
        )
    grown = Action(_Grown(tuple(words.items())), reads="repeats", changes_shape=True)
    return Transform(
        law=Supercells(repeats=array.astype(np.int64)),
        acts_on=grown,
        output_action=_output(output_action, "output_action"),
    )
