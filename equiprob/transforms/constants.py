"""Arrays that are part of a declaration: equal, and hashed, by their content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray


@final
@dataclass(frozen=True)
class Constant:
    """An array that never changes.

    Compiled programs are found again by what acts in them, so that it must be hashed by value.

    Args:
        content: Shape, dtype and bytes.
        values: The array, read only.
    """

    content: tuple[tuple[int, ...], str, bytes]
    values: NDArray[Any] = field(compare=False, repr=False)

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Return a copy of an array as a constant."""
        kept = np.array(values, order="C")
        kept.flags.writeable = False
        return cls((kept.shape, kept.dtype.str, kept.tobytes()), kept)

    def __str__(self) -> str:
        """Write it as a list."""
        return str(self.values.tolist())
