"""What can be certified of a model: means of row statistics whose range is known beforehand."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.orbits.designs import Design
from equiprob.orbits.output import OUTPUT_UNITS
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.table import OrbitTable, describe_rows

_SLACK = 1e-6
"""How far rounding may take a value above its range, as a share of it."""


class AbstractClaim(abc.ABC):
    """A statement on the mean over rows of a number between 0 and `largest`."""

    quantity: str
    largest: float

    @abc.abstractmethod
    def unit_of(self, output_unit: str) -> str:
        """Return the unit of the number, given that of the output."""

    @abc.abstractmethod
    def of_rows(self, stats: RowStatistics, design: Design) -> Array:
        """Return each row's number as a share of the largest, ``(row,)``; 1 if it is not finite."""


@final
@dataclass(frozen=True)
class SquaredErrorClaim(AbstractClaim):
    """The squared equivariance error ``E |rho(g)^-1 f(gX) - f(X)|^2``.

    Args:
        largest: The largest that a single squared displacement can be.
    """

    largest: float
    quantity = "squared_error"

    @override
    def unit_of(self, output_unit: str) -> str:
        return "squared output units" if output_unit == OUTPUT_UNITS else f"({output_unit})^2"

    @override
    def of_rows(self, stats: RowStatistics, design: Design) -> Array:
        shares = np.where(stats.n_nonfinite > 0, 1.0, stats.pair_sq / self.largest)
        above = np.flatnonzero(~(shares <= 1 + _SLACK))
        if len(above):
            raise ValueError(
                f"bound={self.largest:g} is to be the largest possible squared error, but it is up "
                f"to {stats.pair_sq[above].max():.6g} in rows {describe_rows(above)}; pass a bound "
                f"that holds for all outputs (2 for class probabilities), not only for those seen"
            )
        return np.minimum(shares, 1.0)


@final
@dataclass(frozen=True)
class ShareClaim(AbstractClaim):
    """The probability that a transformation changes a row's output by more than a tolerance.

    Args:
        tolerance: Norm of the change that still counts as none, in output units.
    """

    tolerance: float
    quantity = "share"
    largest: float = field(default=1.0, init=False)

    @override
    def unit_of(self, output_unit: str) -> str:
        return "share of pairs"

    @override
    def of_rows(self, stats: RowStatistics, design: Design) -> Array:
        above = self._squares(stats, design) > self.tolerance**2
        return np.where(stats.n_nonfinite > 0, 1.0, np.minimum(above @ design.weights, 1.0))

    def _squares(self, stats: RowStatistics, design: Design) -> Array:
        """Return squared displacements, ``(row, transformation)``."""
        if design.n_transforms == 1:
            return stats.pair_sq[:, None]
        if stats.raw is None:
            raise ValueError(
                "the share of pairs above a tolerance needs every displacement, and they were not "
                "kept: pass keep='all' to evaluate_orbits"
            )
        return np.einsum("ijk,ijk->ij", stats.raw, stats.raw)


def claims_of(bound: float | None, tolerance: float | None) -> tuple[AbstractClaim, ...]:
    """Return what is to be certified.

    Raises:
        ValueError: If that is nothing, or the bound or the tolerance is no positive number.
    """
    if bound is None and tolerance is None:
        raise ValueError(
            "say what to certify: bound=, the largest possible squared error of a single pair (2 "
            "for class probabilities), for the squared error; tolerance=, in output units, for the "
            "share of pairs above it"
        )
    for name, value in {"bound": bound, "tolerance": tolerance}.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive number, got {value!r}")
    if tolerance is not None and not np.isfinite(np.square(np.float64(tolerance))):
        raise ValueError(f"tolerance must be a number whose square is finite, got {tolerance!r}")
    squared = () if bound is None else (SquaredErrorClaim(float(bound)),)
    share = () if tolerance is None else (ShareClaim(float(tolerance)),)
    return (*squared, *share)


def check_delta(delta: float) -> float:
    """Return a probability of error; raise where it is none."""
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 < delta < 1:
        raise ValueError(f"delta must lie strictly between 0 and 1, got {delta!r}")
    return float(delta)


def check_independent_rows(table: OrbitTable) -> None:
    """Refuse tables in which a row's number is not a draw of its own.

    Raises:
        ValueError: If the rows share their transformations, were predicted by models trained on
            each other or in batches that matter, or the model is random.
    """
    if table.design.kind == "crossed":
        raise ValueError(
            "a crossed design shares its transformations among all rows, which are then not "
            "independent; pass design='quasi' to evaluate_orbits"
        )
    if table.cross_fitted:
        raise ValueError(
            "a cross-fitted table is of several models, each trained on others of its rows: "
            "certify one model on rows that it was not trained on"
        )
    if table.batch_dependent:
        raise ValueError(
            "outputs that depend on the batch make its rows depend on each other: certify a model "
            "that is a function of each row alone (model.eval() in PyTorch)"
        )
    if table.noise_repeats > 1:
        raise ValueError(
            "squared errors of a stochastic model have its noise taken off and are not bounded; "
            "certify a deterministic model"
        )


def closed_units(table: OrbitTable, *, complete: bool) -> NDArray[np.int64]:
    """Return the rows of each unit in the order they came, ``(unit,)``.

    Args:
        table: The table, or a table of the rows so far.
        complete: Whether no more rows follow. Otherwise the last group may lack some of its rows,
            and is left out until another begins.

    Raises:
        ValueError: If rows of a group are apart.
    """
    if not table.grouped:
        return np.ones(len(table), dtype=np.int64)
    ids = table.unit_ids
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    if len(starts) > len(np.unique(ids)):
        raise ValueError(
            "rows of a group must follow each other: a certificate goes from one group to the "
            "next; sort the rows by a random order of the groups"
        )
    return np.diff(np.r_[starts, len(ids)] if complete else starts)


def unit_means(values: Array, sizes: NDArray[np.int64]) -> Array:
    """Return the mean of the rows of each unit, ``(unit,)``."""
    starts = np.cumsum(sizes) - sizes
    return np.add.reduceat(values, starts) / sizes
