"""Which loss is the gap of, and how large and how steep can it be?

A bound on a gap needs two numbers of a loss: its range, which no loss of any predictor of the class
exceeds, and its slope, the most that it changes for a unit of change of the prediction or of the
target.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final, override

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.bounds.assumptions import Assumption, seen
from equiprob.orbits.table import OrbitTable


class LossConstants(NamedTuple):
    """What a bound knows of a loss.

    Args:
        range: Losses lie in [0, range].
        slope: Lipschitz constant in the prediction, and in the target.
        assumption: Where they come from.
    """

    range: float
    slope: float
    assumption: Assumption


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractLoss(abc.ABC):
    """A loss of a prediction and a target, from zero to a largest value."""

    @abc.abstractmethod
    def constants(self, table: OrbitTable) -> LossConstants:
        """Return range and slope over the class; a table stands in for what is not stated."""

    @abc.abstractmethod
    def values(self, prediction: Array, target: Array) -> Array:
        """Return losses ``(...)`` of predictions and targets ``(..., k)``."""

    def of_rows(self, table: OrbitTable) -> Array:
        """Return the loss of each row's own prediction, ``(row,)``."""
        return self.values(table.only.base, targets_of(table))

    def defect(self, table: OrbitTable) -> Array:
        """Return ``h - S h`` of each row's loss h, ``(row,)``, S the average over its orbit.

        Raises:
            ValueError: If displacements were not kept, or there are no targets.
        """
        raw = table.only.raw
        if raw is None:
            raise ValueError(
                f"the average of a {type(self).__name__} over an orbit needs every displacement: "
                f"pass keep='all' to evaluate_orbits"
            )
        moved = table.only.base[:, None] + raw
        losses = self.values(moved, targets_of(table)[:, None])
        return self.of_rows(table) - losses @ table.design.weights


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SquaredError(AbstractLoss):
    """The squared error ``|y - f(x)|^2``, summed over components; the Brier score of labels.

    Args:
        largest_residual: The largest ``|y - f(x)|`` of any predictor of the class, in output units.
            When left out, sqrt(2) for class labels (no two probability vectors are further apart),
            and otherwise the largest one seen, which makes a bound indicative.
    """

    largest_residual: float | None = None

    def __post_init__(self) -> None:
        """Check the residual."""
        check_fields(self)
        if self.largest_residual is not None:
            check_positive("largest_residual", self.largest_residual)

    @override
    def constants(self, table: OrbitTable) -> LossConstants:
        largest = self.largest_residual
        if largest is not None:
            assumption = Assumption(f"losses are at most {largest**2:.3g}")
        elif holds_labels(table):
            largest = float(np.sqrt(2))
            assumption = Assumption("losses are at most 2", "Brier scores")
        else:
            largest = float(np.sqrt(self.of_rows(table).max()))
            assumption = seen(f"losses are at most {largest**2:.3g}")
            if largest == 0:
                raise ValueError(
                    "every residual is zero, so that the range of the loss cannot be seen; pass "
                    "loss=ep.bounds.SquaredError(largest_residual=...)"
                )
        return LossConstants(largest**2, 2 * largest, assumption)

    @override
    def values(self, prediction: Array, target: Array) -> Array:
        return ((prediction - target) ** 2).sum(axis=-1)

    @override
    def defect(self, table: OrbitTable) -> Array:
        # |r|^2 - E |r - D|^2, which needs no more of the displacements D than row statistics.
        residual = targets_of(table) - table.only.base
        return 2 * (residual * table.mean_displacement).sum(axis=1) - table.only.pair_sq


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class BoundedLoss(AbstractLoss):
    """Any loss whose range and slope you state.

    Args:
        range: The largest loss of any predictor of the class.
        slope: Lipschitz constant in the prediction and in the target.
        function: ``function(prediction, target) -> loss`` over arrays ``(..., k)``, where losses of
            the model at hand are needed.
    """

    range: float
    slope: float
    function: Callable[[Any, Any], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the constants."""
        check_fields(self)
        check_positive("range", self.range)
        check_positive("slope", self.slope)

    @override
    def constants(self, table: OrbitTable) -> LossConstants:
        statement = f"losses are at most {self.range:.3g} and {self.slope:.3g}-Lipschitz"
        return LossConstants(self.range, self.slope, Assumption(statement))

    @override
    def values(self, prediction: Array, target: Array) -> Array:
        if self.function is None:
            raise ValueError(
                "losses of the model at hand are needed here: pass function= to BoundedLoss"
            )
        return np.asarray(self.function(prediction, target), dtype=np.float64)


_ROUNDED = 1e-3
"""What probabilities may miss of 0, 1 or their sum in a low precision."""


def holds_labels(table: OrbitTable) -> bool:
    """Whether the targets are class labels, one-hot, and the outputs their probabilities."""
    y, base = table.only.y, table.only.base
    if y is None or y.shape[1] < 2:
        return False
    are_labels = np.isin(y, (0.0, 1.0)).all() and (y.sum(axis=1) == 1).all()
    inside = base.min() >= -_ROUNDED and np.abs(base.sum(axis=1) - 1).max() <= _ROUNDED
    return bool(are_labels and inside)


def targets_of(table: OrbitTable) -> Array:
    """Return the targets ``(row, k)``.

    Raises:
        ValueError: If the table has none.
    """
    if table.only.y is None:
        raise ValueError("losses compare predictions with targets: pass y= to evaluate_orbits")
    return table.only.y


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise a ValueError unless `value` is an integer in a range."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        raise ValueError(
            f"{name} must be an integer of at least {least} and at most {most:,}, got {value!r}"
        )


def check_positive(name: str, value: float) -> None:
    """Raise a ValueError unless `value` is a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value}")
