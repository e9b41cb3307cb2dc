"""What is one chunk of rows?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.output import rows_of


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive rows.

    Args:
        start: The number of the first.
        x: Inputs, a pytree of arrays.
        y: Targets: an array, a dict of such, or None.
        ids: Their ids, ``(row,)``.
        units: The ids of their independent units, ``(row,)``.
        declared: The outputs declared for these rows (see `equiprob.orbits.output.rows_of`).
    """

    start: int
    x: Any
    y: Any
    ids: Ids
    units: Ids
    declared: Any = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    @property
    def stop(self) -> int:
        """One more than the number of the last row."""
        return self.start + len(self)

    def take(self, part: slice) -> Chunk:
        """Return some of the rows, that follow each other."""
        first, *_ = part.indices(len(self))
        x, y, ids, units = take_rows((self.x, self.y, self.ids, self.units), part)
        return Chunk(self.start + first, x, y, ids, units, rows_of(self.declared, part))
