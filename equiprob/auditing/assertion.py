"""An equivariance test for test suites and for CI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from equiprob.arguments.checked import check_fields, checked
from equiprob.errors.certificate import Certificate, certify
from equiprob.errors.error_draws import error_draws
from equiprob.errors.model_error import ModelEquivarianceError, ModelEquivarianceErrorResult
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.results import credible_interval
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True)
class Gate:
    """A statement that a model's error has to meet.

    Args:
        max_error: Largest equivariance error, root mean square, in output units.
        credibility: Probability with which the error must be no larger.
        relative: Whether `max_error` is a share of the output's own variation instead.
        bound: The largest possible squared error of a single pair, where it is known: the limit is
            then held against a certificate, and `credibility` is its confidence.

    Raises:
        ValueError: If `max_error` is not a positive number or `credibility` not in (0, 1), or a
            bound is given for a relative error.
    """

    max_error: float
    credibility: float = 0.95
    relative: bool = False
    bound: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fields(self)
        if not (np.isfinite(self.max_error) and self.max_error > 0):
            raise ValueError(f"max_error must be a positive number, got {self.max_error!r}")
        if not 0 < self.credibility < 1:
            raise ValueError(f"credibility must lie between 0 and 1, got {self.credibility!r}")
        if self.relative and self.bound is not None:
            raise ValueError(
                "a certificate is of the error in output units, and none of the relative error: "
                "pass bound or relative=True, not both"
            )

    @property
    def _quantity(self) -> str:
        return "relative_error" if self.relative else "error"

    def judge(self, orbits: OrbitTable, result: ModelEquivarianceErrorResult) -> Judgement:
        """Hold the limit against a table.

        Args:
            orbits: The table.
            result: The posterior of its error.

        Raises:
            ValueError: If the relative error is asked for and withheld, or a certificate cannot be
                made of this table.
        """
        if self.bound is not None:
            certificate = certify(orbits, bound=self.bound, delta=1 - self.credibility)
            return Judgement(self, result, certificate=certificate)
        table = orbits.finite
        # Tails are taken to be heavier where few rows carry the error: what passes has to hold.
        means = RowMeans.of(table, result.n_draws, result.facts.weight_seed, from_above=True)
        draws = error_draws(table, means).draws
        if self._quantity not in draws:
            raise ValueError(
                "the output hardly varies over rows, so that there is no relative error: state "
                "max_error in output units"
            )
        probability = float((draws[self._quantity] <= self.max_error).mean())
        return Judgement(self, result, probability=probability)


@final
@dataclass(frozen=True, eq=False)
class Judgement:
    """Whether an error meets a limit; made by `Gate.judge`.

    Args:
        gate: The limit.
        result: The posterior of the error.
        probability: That the error is within the limit, where it is not certified. Where few rows
            carry the error it is less than the share of the result's own draws.
        certificate: Of the error, where its range is known.
    """

    gate: Gate
    result: ModelEquivarianceErrorResult
    probability: float = 0.0
    certificate: Certificate | None = None

    @property
    def passes(self) -> bool:
        """Whether the error is within the limit with the stated probability, or for certain."""
        if self.certificate is not None:
            return self.certificate.upper["error"] <= self.gate.max_error
        return self.probability >= self.gate.credibility

    @property
    def failure(self) -> str:
        """Say how the limit is missed, where, and what to look at."""
        gate, result = self.gate, self.result
        draws = result.draws["relative_error" if gate.relative else "error"]
        low, high = credible_interval(draws, 0.9)
        what = "relative equivariance error" if gate.relative else "equivariance error"
        unit = "" if gate.relative else f" {result.units['error']}"
        if self.certificate is not None:
            head = (
                f"The {what} is certified to be at most {self.certificate.upper['error']:.3g} with "
                f"confidence {gate.credibility:g}, more than the {gate.max_error:g} asked for."
            )
        else:
            head = (
                f"P({what} <= {gate.max_error:g}) is {self.probability:.3f}, less than the "
                f"{gate.credibility:g} asked for."
            )
        lines = [
            head,
            f"  error over {result.facts.transform}: {np.median(draws):.3g}{unit} "
            f"(90% credible interval {low:.3g} to {high:.3g}; rounding alone makes "
            f"{result.float_floor:.2g} output units)",
            f"  rows: {result.facts.n_rows}, transformations each: "
            f"{result.facts.n_transforms}; largest errors at rows "
            f"{', '.join(map(str, result.worst_rows().tolist()))}",
            f"  {_by_size(result)}",
        ]
        if low <= gate.max_error < high:
            lines.append(
                "  the limit lies inside the interval: more rows would decide it, one way or the "
                "other"
            )
        elif high <= gate.max_error:
            lines.append(
                "  the limit lies above the interval, but not by what rows of "
                f"{'such a range' if self.certificate is not None else 'such tails'} may hide: "
                "more rows would decide it"
            )
        cautions = result.cautions.strip()
        return "\n".join([*lines, f"  {cautions}"] if cautions else lines)


def _by_size(result: ModelEquivarianceErrorResult) -> str:
    """Say at which size of the transformation the error is least and largest."""
    (dimension,) = result.dims["profile"]
    sizes, profile = result.coords[dimension], np.median(result.draws["profile"], axis=0)
    unit = result.facts.magnitude_unit and f" {result.facts.magnitude_unit}"
    least, most = int(profile.argmin()), int(profile.argmax())
    return (
        f"by {result.facts.magnitude_label}: {profile[least]:.3g} at "
        f"{sizes[least]:.3g}{unit}, {profile[most]:.3g} at {sizes[most]:.3g}{unit}"
    )


@checked
def assert_equivariant(
    predict: Callable[[Any], Any],
    x: Any,
    transform: Transform,
    *,
    max_error: float,
    credibility: float = 0.95,
    relative: bool = False,
    bound: float | None = None,
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
        bound: The largest possible squared error of a single pair, known beforehand (2 for class
            probabilities, ``(b - a)^2`` for one output in [a, b]): the error then has to be
            *certified* to be small, which holds for every law of the rows, with confidence
            `credibility`. That takes more rows: where nothing fails, 3 / n of the bound is left.
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
        interval, so that a test with few of them fails rather than passes, and where few rows carry
        the error, tails are taken to be heavy. That is a posterior's word, no guarantee: failures
        rarer than about 3 in n rows (the fact ``invisible_rate``) may not be among them, and no
        posterior knows of those. Where they must not pass, give `bound`. How often models pass that
        should not is simulated in ``docs/calibration_few.md``.

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
    gate = Gate(max_error=max_error, credibility=credibility, relative=relative, bound=bound)
    orbits = evaluate_orbits(predict, x, transform, **options)
    result = ModelEquivarianceError().fit(orbits)
    judgement = gate.judge(orbits, result)
    if not judgement.passes:
        raise AssertionError(judgement.failure)
    return result
