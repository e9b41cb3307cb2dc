"""An equivariance test for test suites and for CI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from equiprob.arguments.checked import check_fields, checked
from equiprob.equivariance.model_error import ModelEquivarianceError, ModelEquivarianceErrorResult
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.posterior.results import credible_interval
from equiprob.transforms.base import AbstractTransform


@final
@dataclass(frozen=True, kw_only=True)
class Gate:
    """A statement that a model's error has to meet.

    Args:
        max_error: Largest equivariance error, root mean square, in output units.
        credibility: Probability with which the error must be no larger.
        relative: Whether `max_error` is a share of the output's own variation instead.

    Raises:
        ValueError: If `max_error` is not a positive number or `credibility` not in (0, 1).
    """

    max_error: float
    credibility: float = 0.95
    relative: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fields(self)
        if not (np.isfinite(self.max_error) and self.max_error > 0):
            raise ValueError(f"max_error must be a positive number, got {self.max_error!r}")
        if not 0 < self.credibility < 1:
            raise ValueError(f"credibility must lie between 0 and 1, got {self.credibility!r}")

    @property
    def _quantity(self) -> str:
        return "relative_error" if self.relative else "error"

    def probability(self, result: ModelEquivarianceErrorResult) -> float:
        """Return the probability that the error is within the limit.

        Raises:
            ValueError: If the relative error is asked for and withheld.
        """
        if self._quantity not in result.draws:
            raise ValueError(
                "the output hardly varies over rows, so that there is no relative error: state "
                "max_error in output units"
            )
        return float((result.draws[self._quantity] <= self.max_error).mean())

    def passes(self, result: ModelEquivarianceErrorResult) -> bool:
        """Whether the error is within the limit with the stated probability."""
        return self.probability(result) >= self.credibility

    def failure(self, result: ModelEquivarianceErrorResult) -> str:
        """Say how the limit is missed, where, and what to look at."""
        draws = result.draws[self._quantity]
        low, high = credible_interval(draws, 0.9)
        what = "relative equivariance error" if self.relative else "equivariance error"
        unit = "" if self.relative else f" {result.units['error']}"
        lines = [
            f"P({what} <= {self.max_error:g}) is {self.probability(result):.3f}, less than the "
            f"{self.credibility:g} asked for.",
            f"  error over {result.facts['transform']}: {np.median(draws):.3g}{unit} "
            f"(90% credible interval {low:.3g} to {high:.3g}; rounding alone makes "
            f"{result.float_floor:.2g} output units)",
            f"  rows: {result.facts['n_rows']}, transformations each: "
            f"{result.facts['n_transforms']}; largest errors at rows "
            f"{', '.join(map(str, result.worst_rows().tolist()))}",
            f"  {_by_size(result)}",
        ]
        if low <= self.max_error < high:
            lines.append(
                "  the limit lies inside the interval: more rows would decide it, one way or the "
                "other"
            )
        cautions = result.cautions.strip()
        return "\n".join([*lines, f"  {cautions}"] if cautions else lines)


def _by_size(result: ModelEquivarianceErrorResult) -> str:
    """Say at which size of the transformation the error is least and largest."""
    (dimension,) = result.dims["profile"]
    sizes, profile = result.coords[dimension], np.median(result.draws["profile"], axis=0)
    unit = result.facts["magnitude_unit"] and f" {result.facts['magnitude_unit']}"
    least, most = int(profile.argmin()), int(profile.argmax())
    return (
        f"by {result.facts['magnitude_label']}: {profile[least]:.3g} at "
        f"{sizes[least]:.3g}{unit}, {profile[most]:.3g} at {sizes[most]:.3g}{unit}"
    )


@checked
def assert_equivariant(
    predict: Callable[[Any], Any],
    x: Any,
    transform: AbstractTransform,
    *,
    max_error: float,
    credibility: float = 0.95,
    relative: bool = False,
    **options: Any,
) -> ModelEquivarianceErrorResult:
    """Fail unless a model's equivariance error is small, with the probability you state.

    Args:
        predict: The model.
        x: Inputs, rows first.
        transform: The distribution over transformations.
        max_error: Largest error that passes: root mean square, in output units.
        credibility: Probability with which the error must be no larger.
        relative: Take `max_error` for a share of the output's own variation.
        **options: Further arguments of `evaluate_orbits`, such as ``n_transforms``, ``seed``,
            ``groups`` or ``batch_size``.

    Returns:
        The posterior of the error.

    Raises:
        AssertionError: If the error may be larger. The message has the error with its interval, the
            rows on which it is largest and the size of the transformations that make it.
        ValueError: If `max_error` or `credibility` is out of range, or inputs do not fit.

    Assumptions:
        Rows (or groups) are independent draws from the inputs that matter. Few rows widen the
        interval, so that a test with few of them fails rather than passes. That is a posterior's
        word, no guarantee: failures rarer than about 3 in n rows (the fact ``invisible_rate``) may
        not be among them, and where `result.status` says that a few rows carry the error, or that
        its tail is heavy, models that should fail pass more often than stated. Where the range of
        outputs is known, ``ep.certify(orbits, bound=...)`` holds for every law of the rows.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> invariant = lambda rows: (rows**2).sum(axis=1)
        >>> result = ep.assert_equivariant(invariant, x, turns, max_error=1e-3)
        >>> ep.assert_equivariant(lambda rows: rows[:, 0], x, turns, max_error=0.1)
        Traceback (most recent call last):
            ...
        AssertionError: P(equivariance error <= 0.1) is 0.000, less than the 0.95 asked for.
            ...
    """
    gate = Gate(max_error=max_error, credibility=credibility, relative=relative)
    result = ModelEquivarianceError().fit(evaluate_orbits(predict, x, transform, **options))
    if not gate.passes(result):
        raise AssertionError(gate.failure(result))
    return result
