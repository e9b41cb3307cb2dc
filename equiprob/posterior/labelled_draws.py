"""What is a posterior, for a reader? Draws, what they mean, and what could make them wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.named import Named

_NAMED = {
    "draws": "draws",
    "dims": "arrays with axes",
    "coords": "axes",
    "units": "quantities with a unit",
    "rows": "entries of rows",
}
"""Fields that are looked up by name, and what they hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledDraws:
    """Posterior draws and what a reader needs to know about them.

    Args:
        draws: Arrays with axis 0 the draw.
        dims: Names of the further axes of each array that has any.
        coords: Values along those axes.
        units: The unit of each array, where it has one.
        diagnostics: Messages, the worst first.
        facts: Single numbers and words that travel with the result.
        rows: One entry a row: ids, and the row's own share of the result.
    """

    draws: Mapping[str, NDArray[np.float64]] = field(repr=False)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    coords: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    units: Mapping[str, str] = field(default_factory=dict, repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()
    facts: Facts = field(default_factory=Facts, repr=False)
    rows: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Name what there is, and make sure that draws which are not finite are said."""
        for name, what in _NAMED.items():
            found = Named.of(getattr(self, name), what, type(self).__name__)
            object.__setattr__(self, name, found)
        finite = all(np.isfinite(values).all() for values in self.draws.values())
        if not finite and Diagnostic.NOT_FINITE not in self.diagnostics:
            diagnostics = worst_first({*self.diagnostics, Diagnostic.NOT_FINITE})
            object.__setattr__(self, "diagnostics", diagnostics)

    @property
    def n_draws(self) -> int:
        """How many draws."""
        return len(next(iter(self.draws.values())))

    @property
    def n_chains(self) -> int:
        """How many Markov chains the draws are of, one after another; 1 for independent draws."""
        return self.facts.n_chains

    @property
    def status(self) -> str:
        """The worst caution in words, or "no problem found"."""
        worst = next((d for d in self.diagnostics if d.is_caution), None)
        return "no problem found" if worst is None else self.in_words(worst)

    @property
    def cautions(self) -> str:
        """All cautions as a sentence, or an empty string."""
        found = [self.in_words(d) for d in self.diagnostics if d.is_caution]
        return f" Caution: {'; '.join(found)}." if found else ""

    def in_words(self, diagnostic: Diagnostic) -> str:
        """Return a diagnostic's message, with the numbers that belong to it here."""
        detail = self.facts.details.get(diagnostic.name)
        return diagnostic.value if detail is None else f"{diagnostic.value} ({detail})"

    @property
    def nonfinite_rows(self) -> tuple[int, ...]:
        """Positions of the rows that were left out because an output was not finite."""
        return tuple(self.facts.nonfinite_rows)
