"""How are some rows of an array taken that is not in memory, without reading it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Some rows of an array, read when they are asked for.

    Args:
        array: A memory-mapped file, or an array of zarr, h5py or xarray, rows first.
        chosen: The rows' numbers in it.
    """

    array: Any
    chosen: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, of these rows alone."""
        return (len(self.chosen), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype."""
        return self.array.dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.chosen)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read the rows that an index of these rows names."""
        rows, *rest = index if isinstance(index, tuple) else (index,)
        numbers = self.chosen[rows]
        # Files are read in order, and each row once.
        asked, place = np.unique(numbers, return_inverse=True)
        values = np.asarray(self.array[asked])[place.reshape(numbers.shape)]
        return values[(..., *rest)] if rest else values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read them all."""
        return np.asarray(self[:], dtype=dtype)


def choose_rows(x: Any, rows: NDArray[np.int64]) -> Any:
    """Return rows of every leaf of a pytree; of arrays that are not in memory nothing is read."""

    def chosen(leaf: Any) -> Any:
        if isinstance(leaf, ChosenRows):
            return ChosenRows(leaf.array, leaf.chosen[rows])
        in_memory = isinstance(leaf, np.ndarray | jax.Array) and not isinstance(leaf, np.memmap)
        if in_memory or not hasattr(leaf, "dtype"):
            return np.asarray(leaf)[rows]
        return ChosenRows(leaf, rows)

    return jax.tree.map(chosen, x)
