"""How much is kept of each row: every displacement, its statistics, or sums over many rows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers

MOST_ROWS = 1_000_000
"""Rows up to which keep="auto" keeps the statistics of each."""

_MOST_KEPT = 2**23
"""Numbers up to which keep="auto" keeps all displacements (64 MiB)."""


@dataclass(frozen=True)
class Keep:
    """What is kept of each row.

    Args:
        what: ``"auto"``, ``"all"``, ``"rows"``, ``"blocks"`` or ``"magnitudes"``.
        magnitudes: Those up to which displacements are summed, or None.
        entries: Rows times transformations, where the number of rows is known.
        may_pool: Whether the statistics can be pooled.
    """

    what: str
    magnitudes: NDArray[np.float64] | None
    entries: int | None
    may_pool: bool = True

    @classmethod
    def of(cls, keep: str | Sequence[float], entries: int | None, *, may_pool: bool = True) -> Keep:
        """Return what is kept as the user asks for it.

        Raises:
            ValueError: If it is not known, or not possible.
        """
        if not isinstance(keep, str):
            magnitudes = np.unique(as_numbers("keep", keep))
            if magnitudes.size == 0 or not np.isfinite(magnitudes).all() or (magnitudes <= 0).any():
                raise ValueError(f"keep must list positive magnitudes, got {keep}")
            return cls("magnitudes", magnitudes, entries)
        if keep not in ("auto", "all", "rows", "blocks"):
            raise ValueError(
                f"keep must be 'auto', 'all', 'rows', 'blocks' or magnitudes, got {keep!r}"
            )
        if keep == "blocks" and not may_pool:
            raise ValueError(
                "keep='blocks' holds sums that a crossed design, outputs with a mask (or "
                "per='item') and stochastic models with targets have not; pass keep='rows'"
            )
        return cls(keep, None, entries, may_pool)

    def for_rules(self) -> Keep:
        """Return the same, for tables that a rule looks at, which may need their rows."""
        return replace(self, may_pool=False)

    def displacements(self, outputs: Mapping[str, Any]) -> bool:
        """Whether all displacements of outputs of the given shapes are kept."""
        if self.what != "auto" or self.entries is None:
            return self.what == "all"
        numbers = self.entries * sum(int(np.prod(s.shape[1:])) for s in outputs.values())
        return numbers <= _MOST_KEPT

    def pools(self, n: int) -> bool:
        """Whether so many rows are pooled into blocks."""
        return self.what == "blocks" or (self.what == "auto" and self.may_pool and n > MOST_ROWS)

    @property
    def counted(self) -> float:
        """Rows up to which equal ones of a stream are told apart."""
        if self.what == "blocks":
            return 0
        return MOST_ROWS if self.what == "auto" and self.may_pool else np.inf
