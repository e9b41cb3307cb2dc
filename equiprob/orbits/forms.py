"""Rows as users have them, a dict each, as arrays that transformations move, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.padding import padded
from equiprob.transforms.declarations import with_leaves

Array = NDArray[Any]

THERE = ": there"
"""What the leaf is called, after its key, that says which items of a row are no padding."""


class Key(NamedTuple):
    """What rows hold under one key.

    Args:
        is_ragged: Whether its length differs from row to row.
        names: The strings that numbers stand for.
        is_plain: Whether it is a number or a string, and no array.
    """

    is_ragged: bool
    names: tuple[str, ...]
    is_plain: bool


@final
@dataclass(frozen=True, eq=False)
class RowForm:
    """How dicts become arrays with rows first, and rows of these dicts again.

    Args:
        keys: What rows hold.
    """

    keys: Mapping[str, Key]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> tuple[Self, dict[str, Array]]:
        """Return the form of some rows, and the rows as arrays: padded, strings by number.

        Raises:
            ValueError: If keys differ, or arrays of a key in more than the length of the first
                axis; if there is something else than numbers, booleans and strings.
        """
        arrays: list[dict[str, Array]] = []
        names: dict[str, set[str]] = {}
        for place, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise ValueError(
                    f"row {place} is a {type(row).__name__}; expected a dict of arrays"
                )
            arrays.append({key: np.asarray(values) for key, values in row.items()})
            for key, values in arrays[-1].items():
                if values.dtype.kind in "US":
                    names.setdefault(key, set()).update(map(str, values.ravel()))
                elif values.dtype.kind not in "biufc":
                    raise ValueError(
                        f"row {place} holds {values.dtype} under {key!r}; expected numbers, "
                        f"booleans or strings: leave it out"
                    )
        known = {key: tuple(sorted(own)) for key, own in names.items()}
        coded = [
            {key: _coded(v, known[key]) if key in known else v for key, v in row.items()}
            for row in arrays
        ]
        x, masks = padded(coded)
        first = arrays[0] if arrays else {}
        keys = {key: Key(key in masks, known.get(key, ()), first[key].ndim == 0) for key in x}
        return cls(keys), x | {key + THERE: mask for key, mask in masks.items()}

    def restored(self, x: Mapping[str, Array]) -> list[dict[str, Any]]:
        """Return rows of arrays as dicts, without what is padding."""
        n = len(next(iter(x.values())))
        return [{key: self._restored(key, x, row) for key in self.keys} for row in range(n)]

    def _restored(self, key: str, x: Mapping[str, Array], row: int) -> Any:
        values, own = np.asarray(x[key])[row], self.keys[key]
        if own.is_ragged:
            values = values[np.asarray(x[key + THERE])[row]]
        if own.names:
            values = np.array(own.names)[values]
        return values.item() if own.is_plain else values

    def declared(self, what: Any) -> Any:
        """Return a declaration of the keys as one of all leaves: padding moves with its items."""
        return with_leaves(what, self._with_padding)

    def _with_padding(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        there = {
            key + THERE: "items" if _moves_items(declared.get(key)) else "invariant"
            for key, own in self.keys.items()
            if own.is_ragged
        }
        return {**declared, **there}


def _coded(values: Array, names: Sequence[str]) -> Array:
    """Return strings as their places among those there are."""
    return np.searchsorted(np.array(names), values.astype(str)).astype(np.int32)


def _moves_items(word: Any) -> bool:
    """Whether the first axis of a row is a list that changes its order."""
    words = word.split() if isinstance(word, str) else word
    return isinstance(words, list | tuple) and bool(words) and words[0] in ("items", "permuted")
