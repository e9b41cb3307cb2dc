"""What to buy next: more rows, or more transformations of each?

The squared error of a row is seen with Monte Carlo error, that of its few transformations. Over n
rows with m transformations each, the mean has variance ``(between + within / m) / n`` at a price of
``n (1 + m)`` model evaluations; where all rows share a list of transformations, these are a second
sample, ``between_rows / n + between_transforms / m + within / (n m)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.designs import Design
from equiprob.orbits.keys import Ids

_FEWEST_UNITS = 30
"""Intervals rest on independent rows: a split never has fewer, if the budget allows."""

_MOST_TRANSFORMS = 4096


@dataclass(frozen=True)
class VarianceParts:
    """Where the uncertainty of the mean squared error comes from.

    Args:
        between_rows: Variance of the squared error between independent rows (or groups), without
            Monte Carlo error.
        between_transforms: Variance between transformations that all rows share; 0 elsewhere.
        within: Variance that one transformation of one row (or group) adds. Lattices gain more than
            in proportion to their size, so that this overstates what few transformations cost.
        mean: The mean squared error.
        n_units: Independent rows or groups.
        n_transforms: Transformations for each row.
    """

    between_rows: float
    between_transforms: float
    within: float
    mean: float
    n_units: int
    n_transforms: int

    def variance(self, n_units: float, n_transforms: float) -> float:
        """Return the variance of the mean squared error for another number of each."""
        return (
            self.between_rows / n_units
            + self.between_transforms / n_transforms
            + self.within / (n_units * n_transforms)
        )

    @property
    def monte_carlo_share(self) -> float:
        """Share of the estimate's variance that more transformations would remove."""
        total = self.variance(self.n_units, self.n_transforms)
        return 1 - self.between_rows / self.n_units / total if total > 0 else 0.0


@dataclass(frozen=True)
class Allocation:
    """The best split of a budget of model evaluations; made by `OrbitTable.allocation`.

    Args:
        n_units: Independent rows (or groups) to evaluate.
        n_transforms: Transformations for each.
        relative_error: Expected standard error of the equivariance error, relative to it.
        same_budget: The same for the present number of transformations at this budget.
        parts: The pilot's variances.
    """

    n_units: int
    n_transforms: int
    relative_error: float
    same_budget: float
    parts: VarianceParts

    def __str__(self) -> str:
        """Say what to buy."""
        m = self.parts.n_transforms
        plural = "" if self.n_transforms == 1 else "s"
        return (
            f"Best split: {self.n_units} independent rows with {self.n_transforms} "
            f"transformation{plural} each, for an expected standard error of "
            f"{100 * self.relative_error:.2g} % of the equivariance error "
            f"({100 * self.same_budget:.2g} % with {m}, as now). At present "
            f"{100 * self.parts.monte_carlo_share:.0f} % of the variance comes from the "
            f"transformations."
        )


def variance_parts(squares: NDArray[np.float64], design: Design, unit_ids: Ids) -> VarianceParts:
    """Split the variance of the mean squared error.

    Args:
        squares: Squared displacements, ``(row, transformation)``.
        design: The design that chose the transformations.
        unit_ids: The independent unit of each row, ``(row,)``.
    """
    _, place, counts = np.unique(unit_ids, return_inverse=True, return_counts=True)
    n, m = len(counts), design.n_transforms

    def by_unit(values: NDArray[np.float64], power: int) -> NDArray[np.float64]:
        return np.bincount(place, values, minlength=n) / counts**power

    if design.kind == "crossed":
        return _crossed(np.stack([by_unit(column, 1) for column in squares.T], axis=1))
    means = by_unit(squares @ design.weights, 1)
    noise = float(by_unit(_monte_carlo(squares, design), 2).mean())
    between = max(float(means.var(ddof=1)) - noise, 0.0)
    return VarianceParts(between, 0.0, noise * m, float(means.mean()), n, m)


def _monte_carlo(squares: NDArray[np.float64], design: Design) -> NDArray[np.float64]:
    """Return the Monte Carlo variance of each row's mean of squares, ``(row,)``."""
    m = design.n_transforms
    # One draw shows no variance of its own: all of it is counted between rows.
    if design.kind == "full" or m == 1:
        return np.zeros(len(squares))
    if design.is_independent:
        return squares.var(axis=1, ddof=1) / m
    first, second = design.replicates
    difference = squares[:, :first].mean(axis=1) - squares[:, first:].mean(axis=1)
    return difference**2 * first * second / m**2


def _crossed(each: NDArray[np.float64]) -> VarianceParts:
    """Return the parts of a balanced two-way table by its mean squares."""
    n, m = each.shape
    rows, columns, mean = each.mean(axis=1), each.mean(axis=0), each.mean()
    residual = each - rows[:, None] - columns + mean
    noise = float((residual**2).sum() / max((n - 1) * (m - 1), 1))
    between_rows = max(float(rows.var(ddof=1)) - noise / m, 0.0)
    between_transforms = max(float(columns.var(ddof=1)) - noise / n, 0.0) if m > 1 else 0.0
    return VarianceParts(between_rows, between_transforms, noise, float(mean), n, m)


def allocate(
    parts: VarianceParts, budget: int, *, rows_per_unit: float, may_change: bool
) -> Allocation:
    """Return the best split of a budget; see `OrbitTable.allocation`.

    Args:
        parts: A pilot's variances.
        budget: Model evaluations.
        rows_per_unit: Rows in an independent unit.
        may_change: Whether the number of transformations is free (it is not in a full orbit).
    """
    least = 2 * int(np.ceil(2 * rows_per_unit))
    if not isinstance(budget, int | np.integer) or budget < least:
        raise ValueError(
            f"budget must be a number of model evaluations (rows x (1 + transformations)) of at "
            f"least {least}, got {budget!r}"
        )

    def units_at(m: float) -> float:
        return max(budget / (rows_per_unit * (1 + m)), 2.0)

    choices = [parts.n_transforms]
    if may_change:
        most = int(min(_MOST_TRANSFORMS, max(budget / (_FEWEST_UNITS * rows_per_unit) - 1, 1)))
        choices = list(range(1, most + 1))
    best = min(choices, key=lambda m: parts.variance(units_at(m), m))
    now = parts.n_transforms
    return Allocation(
        n_units=int(units_at(best)),
        n_transforms=best,
        relative_error=_relative(parts.variance(units_at(best), best), parts.mean),
        same_budget=_relative(parts.variance(units_at(now), now), parts.mean),
        parts=parts,
    )


def _relative(variance: float, mean: float) -> float:
    """Return the standard error of a root, relative to it, from the variance of its square."""
    return float(np.sqrt(variance) / (2 * mean)) if mean > 0 else 0.0
