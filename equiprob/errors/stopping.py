"""When are there rows enough? Rules for ``evaluate_orbits(..., stop_when=)``.

A rule is called with the table of the rows so far after each chunk, and returns the reason to stop
there, or None. A certificate holds however one stops. A credible interval does not mind the rule
either, as a statement given the rows; how often it holds the truth when one stops as soon as it is
narrow is a matter of measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, final

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.errors.betting import FRACTIONS, SHARES, log_growth
from equiprob.errors.claims import (
    AbstractClaim,
    check_delta,
    check_independent_rows,
    claims_of,
    closed_units,
    unit_means,
)
from equiprob.errors.model_error import ModelEquivarianceError
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import ENOUGH_FOR_FAILURES
from equiprob.posterior.results import AbstractResult, credible_interval

__all__ = ["certificate_reached", "interval_narrower"]


def __dir__() -> list[str]:
    return list(__all__)


StopRule = Callable[[OrbitTable], str | None]

_GROWTH = 1.1
"""How much a table grows between two fits: all together then cost about ten times the last."""


class FittedToTables(Protocol):
    """An estimator that is fitted to an orbit table alone."""

    def fit(self, orbits: OrbitTable, /) -> AbstractResult:
        """Return the result."""
        ...


@checked
def certificate_reached(
    *,
    squared_error: float | None = None,
    bound: float | None = None,
    share: float | None = None,
    tolerance: float | None = None,
    delta: float = 0.05,
    output: str | None = None,
) -> StopRule:
    """Stop as soon as the error is certified to be small enough.

    Afterwards ``ep.certify(orbits, bound=..., tolerance=..., delta=...)``, with what was given
    here, returns the certificate. Where the error is not that small, the pass goes on to the last
    row.

    Args:
        squared_error: The squared error to certify, in squared output units.
        bound: The largest possible squared error of a single pair, as in `equiprob.certify`.
        share: The share of pairs above the tolerance to certify.
        tolerance: The tolerance, in output units.
        delta: Probability that any of the bounds is ever too small.
        output: Which output, where there are several.

    Returns:
        The rule, for one pass or for one after the other.

    Raises:
        ValueError: If nothing is asked, or a level is given without its bound or tolerance, or is
            not below the largest possible.
    """
    levels = {"squared_error": squared_error, "share": share}
    for (name, level), (other, needed) in zip(
        levels.items(), {"bound": bound, "tolerance": tolerance}.items(), strict=True
    ):
        if (level is None) != (needed is None):
            raise ValueError(f"{name}= and {other}= go together, got {level!r} and {needed!r}")
    claims = claims_of(bound, tolerance)
    for claim in claims:
        level = levels[claim.quantity]
        if level is None or not 0 < level < claim.largest:
            raise ValueError(
                f"{claim.quantity} must lie between 0 and the largest possible, "
                f"{claim.largest:g}, got {level!r}"
            )
    each = check_delta(delta) / len(claims)
    asked = {c.quantity: level for c in claims if (level := levels[c.quantity]) is not None}
    return CertificateReached([Bet(c, asked[c.quantity], each) for c in claims], output)


@checked
def interval_narrower(
    width: float,
    *,
    quantity: str = "error",
    relative: bool = False,
    ci_prob: float = 0.9,
    at_least: int = ENOUGH_FOR_FAILURES,
    estimator: FittedToTables | None = None,
    output: str | None = None,
) -> StopRule:
    """Stop as soon as a credible interval is narrow enough.

    Args:
        width: The width asked for, from end to end, in units of the quantity.
        quantity: Which of the result's draws.
        relative: Whether `width` is a share of the median.
        ci_prob: Probability of the interval (equal tails).
        at_least: Rows before which nothing is fitted.
        estimator: What is fitted; ``ep.ModelEquivarianceError()`` when left out.
        output: Which output, where there are several.

    Returns:
        The rule. It fits whenever the table has grown by a tenth.

    Raises:
        ValueError: If the width is not positive.
    """
    if not (np.isfinite(width) and width > 0):
        raise ValueError(f"width must be a positive number, got {width!r}")
    if not 0 < ci_prob < 1:
        raise ValueError(f"ci_prob must lie between 0 and 1, got {ci_prob!r}")
    fitted = ModelEquivarianceError() if estimator is None else estimator
    return IntervalNarrower(width, quantity, relative, ci_prob, at_least, fitted, output)


def _of_one_output(table: OrbitTable, output: str | None) -> OrbitTable:
    return table if output is None else table[output]


@final
@dataclass
class Bet:
    """The capital of bets against one claim at one level.

    Args:
        claim: What is certified.
        level: The value it is to be below.
        delta: Probability of being wrong.
    """

    claim: AbstractClaim
    level: float
    delta: float
    _log_capital: Array = field(default_factory=lambda: np.log(SHARES))
    _largest: float = 0.0

    def restart(self) -> None:
        """Go back to the capital at the start."""
        self._log_capital, self._largest = np.log(SHARES), 0.0

    def add(self, values: Array) -> None:
        """Bet on the values of further units, which are shares of the largest possible."""
        mean = self.level / self.claim.largest
        grown = np.array([log_growth(values, mean, f) for f in FRACTIONS]).cumsum(axis=1)
        # As in `certify`, a bet is won at any unit, not only at the last one of a chunk.
        capital = np.logaddexp.reduce(self._log_capital[:, None] + grown, axis=0)
        self._log_capital = self._log_capital + grown[:, -1]
        self._largest = max(self._largest, float(capital.max()))

    @property
    def is_won(self) -> bool:
        """Whether the mean has been shown to be below the level."""
        return self._largest >= -np.log(self.delta)


@final
@dataclass
class CertificateReached:
    """The rule of `certificate_reached`. Each row is bet on once, however often it is called.

    Args:
        bets: One for each claim.
        output: Which output, where there are several.
    """

    bets: list[Bet]
    output: str | None
    _seen: Array = field(default_factory=lambda: np.zeros(0))

    def __call__(self, table: OrbitTable) -> str | None:
        """Return the reason to stop, or None."""
        one = _of_one_output(table, self.output)
        check_independent_rows(one)
        stats, done = one.only, len(self._seen)
        if not np.array_equal(stats.pair_sq[:done], self._seen, equal_nan=True):
            done = 0  # another pass
            for bet in self.bets:
                bet.restart()
        sizes = closed_units(one, complete=False)
        ends = np.cumsum(sizes)
        new = sizes[ends > done]
        if len(new):
            part = stats.take(slice(done, int(ends[-1])))
            for bet in self.bets:
                bet.add(unit_means(bet.claim.of_rows(part, one.design), new))
            self._seen = stats.pair_sq[: int(ends[-1])].copy()
        if not all(bet.is_won for bet in self.bets):
            return None
        return " and ".join(
            f"{bet.claim.quantity.replace('_', ' ')} certified to be at most {bet.level:g}"
            for bet in self.bets
        )


@final
@dataclass
class IntervalNarrower:
    """The rule of `interval_narrower`.

    Args:
        width: The width asked for.
        quantity: Which of the result's draws.
        relative: Whether the width is a share of the median.
        ci_prob: Probability of the interval.
        at_least: Rows before which nothing is fitted.
        estimator: What is fitted.
        output: Which output, where there are several.
    """

    width: float
    quantity: str
    relative: bool
    ci_prob: float
    at_least: int
    estimator: FittedToTables
    output: str | None
    _fitted_at: int = 0

    def __call__(self, table: OrbitTable) -> str | None:
        """Return the reason to stop, or None."""
        if len(table) <= self._fitted_at:
            self._fitted_at = 0  # another pass
        if len(table) < max(self.at_least, _GROWTH * self._fitted_at):
            return None
        self._fitted_at = len(table)
        draws = self._draws(self.estimator.fit(_of_one_output(table, self.output)))
        low, high = credible_interval(draws, self.ci_prob, "eti")
        asked = self.width * (float(np.median(draws)) if self.relative else 1.0)
        if high - low > asked:
            return None
        return (
            f"the {100 * self.ci_prob:.3g} % credible interval of {self.quantity}, "
            f"{low:.4g} to {high:.4g}, is no wider than {asked:.3g}"
        )

    def _draws(self, result: AbstractResult) -> Any:
        draws: Any = result.draws.get(self.quantity)
        if draws is None or draws.ndim != 1:
            single = [name for name, values in result.draws.items() if values.ndim == 1]
            raise ValueError(f"quantity must be one of {single}, got {self.quantity!r}")
        return draws
