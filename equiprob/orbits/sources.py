"""Where do the rows come from?"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final, override

from equiprob.orbits.chunk import Chunk
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.output import rows_of
from equiprob.orbits.outputs import check_target, named_targets


class AbstractRows(abc.ABC):
    """Rows, one chunk after another."""

    n: int | None
    """How many there are, where that is known beforehand."""

    @abc.abstractmethod
    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield all rows in chunks of `size`, the last one perhaps shorter."""

    @abc.abstractmethod
    def check_targets(self, outputs: Mapping[str, Any]) -> None:
        """Check all targets at hand against the shapes of the outputs, rows first.

        Raises:
            ValueError: If they do not fit.
        """

    @abc.abstractmethod
    def reference(self, n: int) -> Any:
        """Return the first `n` inputs, for the table to refer to; None where they are gone."""


@final
@dataclass(frozen=True, eq=False)
class ArrayRows(AbstractRows):
    """Rows in memory, checked already.

    Args:
        x: Inputs, a pytree of arrays.
        y: Targets: an array, a dict of such, or None.
        ids: The rows' ids, ``(row,)``.
        units: The ids of their independent units, ``(row,)``.
        declared: Declared outputs.
    """

    x: Any
    y: Any
    ids: Ids
    units: Ids
    declared: Any = None

    @property
    def n(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many there are."""
        return len(self.ids)

    @override
    def chunks(self, size: int) -> Iterator[Chunk]:
        for start in range(0, self.n, size):
            part = slice(start, min(start + size, self.n))
            yield Chunk(
                start,
                take_rows(self.x, part),
                take_rows(self.y, part),
                self.ids[part],
                self.units[part],
                rows_of(self.declared, part),
            )

    @override
    def check_targets(self, outputs: Mapping[str, Any]) -> None:
        given = named_targets(self.y, outputs)
        for name, shape in outputs.items():
            check_target(given[name], shape)

    @override
    def reference(self, n: int) -> Any:
        return self.x if n == self.n else take_rows(self.x, slice(n))
