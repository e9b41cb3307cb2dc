"""What does a bound get, and what does it return?"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.bounds.assumptions import Assumption
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.row_means import RowMeans


@dataclass(frozen=True, eq=False)
class Units:
    """The independent units of a table: its rows, or groups of rows that belong together.

    Args:
        ids: Id of each unit.
        rows: The rows of each unit.
        of_row: The place of the unit of each row.
    """

    ids: Ids
    rows: Sequence[NDArray[np.int64]]
    of_row: NDArray[np.int64]

    @classmethod
    def of(cls, table: OrbitTable) -> Units:
        """Return the units of a table, in the order of their ids."""
        ids, place = np.unique(table.unit_ids, return_inverse=True)
        order = np.argsort(place, kind="stable")
        starts = np.searchsorted(place[order], np.arange(1, len(ids)))
        return cls(ids, np.split(order, starts), place)

    def means(self, values: Array) -> Array:
        """Return the mean of row values ``(row,)`` within each unit, ``(unit,)``."""
        return np.bincount(self.of_row, values) / np.bincount(self.of_row)


@dataclass(frozen=True, eq=False)
class Given:
    """A table that was given, for messages.

    Args:
        name: Of the argument.
        table: Its rows with finite outputs.
        positions: Their numbers among all rows, ``(row,)``.
    """

    name: str
    table: OrbitTable
    positions: NDArray[np.int64]

    def row(self, i: int) -> str:
        """Name a row by its number in the table that was given."""
        return f"row {self.positions[i]} of {self.name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class GapProblem:
    """What the gap is to be bounded from.

    Args:
        orbits: The table of rows that the model was not trained on.
        train: The table of the rows that it was trained on, where there is one.
        geometry: The result of ``ep.Geometry``, where there is one.
        n_draws: How many draws.
        weight_seed: Seed of the rows' weights, and of everything else that is random.
        delta: The probability, over samples, with which a bound may fail.
        tables: What to compare promises with: the tables whose model is one of the class.
    """

    orbits: OrbitTable
    train: OrbitTable | None
    geometry: Any
    n_draws: int
    weight_seed: int
    delta: float
    tables: Sequence[Given] = ()

    @property
    def sample(self) -> OrbitTable:
        """The rows that the bound is about: those of `train`, or else of `orbits`."""
        return self.orbits if self.train is None else self.train

    @cached_property
    def units(self) -> Units:
        """The independent units of the sample."""
        return Units.of(self.sample)

    @property
    def n(self) -> int:
        """How many independent units the sample has."""
        return len(self.units.rows)

    def mean(self, table: OrbitTable, values: Array) -> Array:
        """Return draws ``(draw,)`` of the mean over units of row values ``(row,)`` of a table."""
        units = Units.of(table)
        return RowMeans(units.ids, self.n_draws, self.weight_seed).mean(units.means(values))

    def geometry_draws(self, name: str, needed_for: str) -> Array:
        """Return draws of a quantity of the geometry.

        Raises:
            ValueError: If there is no geometry, it lacks the quantity, or has other draws.
        """
        if self.geometry is None or name not in self.geometry.draws:
            raise ValueError(
                f"{needed_for} needs {name!r} of the geometry: pass geometry=ep.Geometry()"
                f".fit(x, transform, predict=predict)"
            )
        if self.geometry.n_draws != self.n_draws:
            raise ValueError(
                f"the geometry has {self.geometry.n_draws} draws and the gap {self.n_draws}; fit "
                f"both with the same n_draws"
            )
        return self.geometry.draws[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class GapCurve:
    """The bound at other numbers of rows.

    Args:
        n: Numbers of independent rows, increasing, ``(n,)``.
        expected: Draws of the bound on the expected gap, ``(draw, n)``.
        without: The same without the symmetry.
        penalty: What the bound of high probability adds, ``(n,)``.
    """

    n: Array
    expected: Array
    without: Array
    penalty: Array

    @property
    def draws(self) -> dict[str, Array]:
        """Draws by the names of a forecast."""
        return {
            "expected_bound": self.expected,
            "bound": self.expected + self.penalty,
            "without": self.without,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class ObservedCurve:
    """The gap itself at other numbers of rows.

    Args:
        n: Numbers of independent training rows, increasing, ``(n,)``.
        expected: Draws of the mean gap of training runs, ``(draw, n)``.
        gap: Draws of the gap of one run, with the same noise at every n, ``(draw, n)``.
        without: Draws of the mean gap without the symmetry, where it is known.
    """

    n: Array
    expected: Array
    gap: Array
    without: Array | None = None

    @property
    def draws(self) -> dict[str, Array]:
        """Draws by the names of a forecast."""
        draws = {"expected_gap": self.expected, "gap": self.gap}
        return draws if self.without is None else draws | {"without": self.without}


def at_sizes(draws: Mapping[str, Array], known: Array, n: Array) -> dict[str, Array]:
    """Return draws at other numbers of rows: on lines in log n, and beyond the known ones, too.

    What is positive goes along lines of its logarithm, a power law; what is not, of itself.

    Args:
        draws: ``(draw, known)``, by name.
        known: Numbers of rows, increasing.
        n: Numbers of rows, ``(n,)``.
    """
    right = np.clip(np.searchsorted(known, n), 1, len(known) - 1)
    left, at = right - 1, np.log(known)
    share = (np.log(n) - at[left]) / (at[right] - at[left])

    def between(values: Array) -> Array:
        return values[:, left] * (1 - share) + values[:, right] * share

    return {
        name: np.exp(between(np.log(values))) if values.min() > 0 else between(values)
        for name, values in draws.items()
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class GapEvidence:
    """What a bound found.

    Args:
        draws: ``bound`` (holds with probability 1 - delta) and ``expected_bound`` (of the expected
            gap), or ``gap`` (the gap itself); further quantities of the bound's own.
        without: Draws of ``expected_bound`` without the symmetry.
        rate: Draws of the exponent at which that falls with the number of rows, a positive number.
        curve: The bound, or the gap, at other numbers of rows.
        loss_range: The largest loss; a bound above it is vacuous.
        assumptions: What has to be true for the bound to hold.
        facts: As in `AbstractResult`.
        found: Diagnostics.
        columns: The row values ``(row,)`` of whose means there are draws, by what they are: see
            `RowFindings.of`.
        of_train: Whether these are rows of `train`, not of `orbits`.
    """

    draws: dict[str, Array]
    without: Array | None = None
    rate: Array | None = None
    curve: GapCurve | ObservedCurve | None = None
    loss_range: float | None = None
    assumptions: tuple[Assumption, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    found: set[Diagnostic] = field(default_factory=set)
    columns: dict[str, Array] = field(default_factory=dict)
    of_train: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractBound(abc.ABC):
    """A way to bound, or to estimate, the generalization gap."""

    def __post_init__(self) -> None:
        """Check the kinds of the settings."""
        check_fields(self)

    @abc.abstractmethod
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        """Return the bound in every draw.

        Args:
            problem: The rows, the geometry, and the number of draws.

        Raises:
            ValueError: If the problem does not hold what the bound needs.
        """
