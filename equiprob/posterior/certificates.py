"""What all certificates say alike: bounds that hold together with a confidence fixed beforehand.

Confidence, not credibility: a certificate has no draws, and is never mixed with a posterior.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.kinds import Drawn

if TYPE_CHECKING:
    import pandas as pd


class AbstractCertificate(Drawn, abc.ABC):
    """Upper confidence bounds on means over independent units, which hold together."""

    delta: float
    n_rows: int
    n_units: int
    diagnostics: tuple[Diagnostic, ...]
    of_what: str
    """What the bounds are listed by: the name of a table's index."""

    @property
    @abc.abstractmethod
    def upper(self) -> dict[str, float]:
        """The bounds, by name."""

    @property
    @abc.abstractmethod
    def estimates(self) -> dict[str, float]:
        """The same of these rows: what the bounds are above, by name."""

    @abc.abstractmethod
    def _told(self) -> Mapping[str, list[Any]]:
        """Return further columns of the summary, in the order of the bounds."""

    @property
    def status(self) -> str:
        """The worst caution in words, or "no problem found"."""
        return next((d.value for d in self.diagnostics if d.is_caution), "no problem found")

    def interval(self) -> pd.DataFrame:
        """Return the confidence intervals, from 0 to the bound.

        The intervals hold together with confidence ``1 - delta``, which was fixed beforehand.

        Returns:
            A table indexed by what is bounded, with columns ``ci_low`` and ``ci_high``.
        """
        import pandas as pd

        upper = self.upper
        index = pd.Index(list(upper), name=self.of_what)
        return pd.DataFrame({"ci_low": 0.0, "ci_high": list(upper.values())}, index=index)

    def summary(self) -> pd.DataFrame:
        """Return estimates, bounds and diagnostics.

        Returns:
            A table indexed by what is bounded: ``estimate`` (of these rows), ``ci_low``,
            ``ci_high``, then of an error its ``unit`` and of a risk its ``divergence`` (from the
            prior, in nats), ``confidence``, and ``diagnostics`` in words.
        """
        table, estimates = self.interval(), self.estimates
        table.insert(0, "estimate", [estimates[name] for name in table.index])
        for name, values in self._told().items():
            table[name] = values
        table["confidence"] = 1 - self.delta
        table["diagnostics"] = self.status
        return table

    @property
    def _units(self) -> str:
        """How many independent units there are, in words."""
        units = "rows" if self.n_units == self.n_rows else f"groups of {self.n_rows} rows"
        return f"On {self.n_units} {units}."

    @property
    def _cautions(self) -> str:
        """All cautions, as sentences that follow others."""
        cautions = [d.value for d in self.diagnostics if d.is_caution]
        return f" Caution: {'; '.join(cautions)}." if cautions else ""
