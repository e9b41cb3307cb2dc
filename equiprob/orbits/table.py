"""What does one pass over the model leave behind?

Row statistics by output, the ids of the rows, and which transformations they saw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.allocation import Allocation, VarianceParts, allocate, variance_parts
from equiprob.orbits.chosen_rows import choose_rows
from equiprob.orbits.designs import Design
from equiprob.orbits.failures import Skipped
from equiprob.orbits.keys import Ids
from equiprob.orbits.statistics import LARGEST, Rows, RowStatistics
from equiprob.orbits.storage.blocks import BlockState
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

FloorMethod = Literal["float64 pass", "perturbation"]


@dataclass(frozen=True, eq=False)
class OrbitTable:
    """Row statistics of one orbit pass: what every estimator is fitted to.

    Made by `evaluate_orbits`. With several outputs, ``table["forces"]`` is the table of one.

    Args:
        statistics: Row statistics by output name.
        row_ids: 64-bit id of each row, ``(row,)``.
        unit_ids: Id of the independent unit of each row: its group, else the row itself.
        grouped: Whether groups were given.
        design: Which transformations each row saw.
        transform: The transform.
        x: The inputs (a reference).
        count: Transformations evaluated per row.
        bin_magnitude: Mean magnitude of each bin.
        range_magnitudes: The magnitudes of `range_sum`, where declared.
        backend: ``"jax"`` (one compiled pass), ``"python"``, or ``"torch"``, which names what the
            host moves, if it does.
        floor_method: How the float floors were found: by a ``"float64 pass"`` of a few rows, or by
            a ``"perturbation"`` of the input by one rounding.
        noise_repeats: Calls on each input of a stochastic model; 1 for a deterministic one.
        batch_dependent: Whether outputs were declared to depend on the batch that rows came in.
        cross_fitted: Whether each row was predicted by a model trained on others of these rows.
        skipped: Rows that were passed over because the model raised on them.
        stopped: Why the pass ended before the last row, where a rule of `stop_when` ended it.
        blocks: The sums over blocks of rows where rows are pooled; else None. Entries of the
            arrays above are then the rows of largest error, and blocks of all others.
        mass: How many rows each entry stands for, where rows are pooled.
    """

    statistics: Mapping[str, RowStatistics]
    row_ids: Ids
    unit_ids: Ids
    grouped: bool
    design: Design
    transform: Transform
    x: Any = field(repr=False)
    count: NDArray[np.int64] = field(repr=False)
    bin_magnitude: NDArray[np.float64] = field(repr=False)
    range_magnitudes: NDArray[np.float64] | None = field(repr=False)
    backend: str = "jax"
    noise_repeats: int = 1
    floor_method: FloorMethod = "perturbation"
    batch_dependent: bool = False
    cross_fitted: bool = False
    skipped: tuple[Skipped, ...] = ()
    stopped: str | None = None
    blocks: BlockState | None = field(default=None, repr=False)
    mass: Rows | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        blocks = self.blocks
        return len(self.row_ids) if blocks is None else blocks.n + blocks.n_nonfinite

    def __getitem__(self, name: str) -> OrbitTable:
        """Return the table of one output, over the same rows."""
        if name not in self.statistics:
            raise KeyError(f"no output {name!r}; the outputs are {list(self.statistics)}")
        return replace(self, statistics={name: self.statistics[name]})

    def __str__(self) -> str:
        """Summarize the table in one line."""
        bad = len(self) - self.n_finite
        return (
            f"orbit table: {len(self)} rows x {self.design.n_transforms} transformations of "
            f"{self.transform}, {self.design.kind} design, outputs {list(self.statistics)}, "
            f"{self.backend} backend"
            + (", pooled into blocks" if self.blocks is not None else "")
            + (f", {bad} rows not finite" if bad else "")
            + (f", skipped {'; '.join(map(str, self.skipped))}" if self.skipped else "")
            + (f", stopped: {self.stopped}" if self.stopped else "")
        )

    def _repr_html_(self) -> str:
        """Show what was evaluated in a notebook."""
        return f"<p>{escape(str(self))}</p>"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(self.statistics)

    @property
    def fingerprint(self) -> dict[str, str]:
        """What makes the transform; of one output, with what that output does."""
        first, *others = self.outputs
        return (self.transform if others else self.transform.of_output(first)).fingerprint

    @property
    def only(self) -> RowStatistics:
        """The statistics of the one output, row by row.

        Raises:
            ValueError: If there are several (choose with ``table[name]``), or if rows are pooled.
        """
        if self.blocks is not None:
            raise ValueError(
                "this table holds blocks of rows, of which only means of squares and products are "
                "known; pass keep='rows' to evaluate_orbits for what needs the rows themselves"
            )
        return self.moments

    @property
    def moments(self) -> RowStatistics:
        """The statistics of the one output, for means of squares and products of its vectors.

        Where rows are pooled an entry stands for as many as `mass` says, and has a few components
        more than an output: the mean of any quadratic form over its rows is its own.

        Raises:
            ValueError: If there are several: choose with ``table[name]``.
        """
        if len(self.statistics) != 1:
            raise ValueError(
                f"the model has the outputs {list(self.statistics)}: choose one, as in "
                f"orbits[{next(iter(self.statistics))!r}]"
            )
        return next(iter(self.statistics.values()))

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Which rows have only finite outputs; the others enter no estimate."""
        return np.logical_and.reduce([s.n_nonfinite == 0 for s in self.statistics.values()])

    @property
    def n_finite(self) -> int:
        """How many rows have only finite outputs."""
        return int(self.valid.sum()) if self.blocks is None else self.blocks.n

    @cached_property
    def n_units(self) -> int:
        """How many independent units there are; of groups in blocks, at least as many."""
        if self.blocks is not None and not self.grouped:
            return self.blocks.n
        return len(np.unique(self.unit_ids))

    @cached_property
    def finite(self) -> OrbitTable:
        """The same table without the rows that have outputs that are not finite.

        Raises:
            ValueError: If fewer than two rows are left.
        """
        if self.n_finite < 2:
            raise ValueError(
                f"{self.n_finite} of {len(self)} rows have only finite outputs; at least 2 "
                f"are needed (numbers above {LARGEST:g} count as infinite): look at the model's "
                f"outputs on rows {describe_rows(self.nonfinite_rows)}"
            )
        if self.blocks is not None or self.valid.all():
            return self
        return self._take(np.flatnonzero(self.valid))

    @property
    def left_out(self) -> str | None:
        """Which rows have no finite outputs, how large a share they are, and why; None if none."""
        n_bad = len(self) - self.n_finite
        if not n_bad:
            return None
        reason = f"; {self.skipped[0].reason}" if self.skipped else ""
        return (
            f"{n_bad} of {len(self)} rows ({100 * n_bad / len(self):.2g} %): "
            f"{describe_rows(self.nonfinite_rows)}{reason}"
        )

    @property
    def positions(self) -> NDArray[np.int64]:
        """Numbers of the rows with finite outputs, of those that are not pooled."""
        if self.blocks is None:
            return np.flatnonzero(self.valid)
        return np.empty(0, np.int64) if self.blocks.top is None else self.blocks.top.position

    def rows(self, row_ids: Ids) -> OrbitTable:
        """Return the table of the rows with the given ids, in their order.

        Raises:
            KeyError: If an id is not in the table.
            ValueError: If rows are pooled.
        """
        if self.blocks is not None:
            raise ValueError("rows are pooled into blocks: pass keep='rows' to evaluate_orbits")
        order = np.argsort(self.row_ids)
        place = np.searchsorted(self.row_ids, row_ids, sorter=order)
        found = order[np.minimum(place, len(order) - 1)]
        if not np.array_equal(self.row_ids[found], row_ids):
            raise KeyError("some row ids are not in the table")
        return self._take(found)

    def _take(self, rows: NDArray[np.int64]) -> OrbitTable:
        return replace(
            self,
            statistics={name: s.take(rows) for name, s in self.statistics.items()},
            row_ids=self.row_ids[rows],
            unit_ids=self.unit_ids[rows],
            count=self.count[rows],
            x=choose_rows(self.x, rows),
        )

    @property
    def nonfinite_rows(self) -> NDArray[np.int64]:
        """Positions of the rows that were set aside; in blocks, of the first thousand."""
        if self.blocks is not None:
            return np.array(self.blocks.nonfinite, dtype=np.int64)
        return np.flatnonzero(~self.valid)

    def allocation(self, budget: int) -> Allocation:
        """Return the best split of a budget between rows and transformations, this table a pilot.

        Args:
            budget: Model evaluations: rows times (1 + transformations of each).

        Returns:
            The split of least expected variance of the squared error, with at least 30 rows (or
            groups) where the budget allows; ``str`` says it in words.

        Raises:
            ValueError: If the budget is too small for two rows, displacements were not kept, or the
                table has several outputs.
        """
        parts = self.variance_parts
        if parts is None:
            raise ValueError("displacements were not kept: pass keep='all' to evaluate_orbits")
        return allocate(
            parts,
            budget,
            rows_per_unit=len(self) / parts.n_units,
            may_change=self.design.kind != "full",
        )

    @cached_property
    def variance_parts(self) -> VarianceParts | None:
        """Rows' and transformations' shares in the uncertainty of the mean squared error.

        None where displacements were not kept.
        """
        table = self.finite
        squares, raw = table.moments.pair_sq_each, table.moments.raw
        if squares is None and raw is not None:
            squares = (raw**2).sum(axis=2)
        if squares is None:
            return None
        return variance_parts(squares, table.design, table.unit_ids)

    def parameters(self) -> Parameters:
        """Return the parameters ``(row, transformation, n_parameters)`` that were evaluated."""
        return self.design.parameters(self.transform, self.row_ids)

    @property
    def replicates(self) -> Rows:
        """Means of the back-transformed outputs in each replicate, ``(row, replicate, k)``."""
        return self.moments.base[:, None] + self.moments.displacement

    @cached_property
    def mean_displacement(self) -> Rows:
        """Mean of all displacements of a row, ``(row, k)``: unbiased for ``S f(x) - f(x)``."""
        return self.design.average(self.moments.displacement)

    @cached_property
    def mean_displacement_sq(self) -> Rows | None:
        """Unbiased ``|S f(x) - f(x)|^2`` for each row, ``(row,)``; None with one draw a row.

        None where rows of a stochastic model are pooled, too.
        """
        stats, design = self.moments, self.design
        if design.n_transforms < 2 and design.kind != "full":
            return None
        if self.noise_repeats == 1:
            return design.squared_average(stats.displacement, stats.pair_sq)
        if stats.base_noise is None:
            return None
        if design.kind == "quasi":  # two lattices share the noise of f(x), and no other
            both = design.squared_average(stats.displacement, stats.pair_sq)
            return both - stats.base_noise
        shipped = self.shipped_displacement_sq
        if design.kind == "full":
            return shipped
        return shipped - (stats.pair_sq - shipped) / (design.n_transforms - 1)

    @property
    def shipped_displacement_sq(self) -> Rows:
        """Squared mean displacement over the table's own transformations, ``(row,)``."""
        squared = (self.mean_displacement**2).sum(axis=1)
        return squared - self._noise_of(("base_noise", "mean_noise"))

    @property
    def squared_residual(self) -> Rows:
        """Squared error of the model, ``(row,)``: of a random one, that of its mean, unbiased.

        Raises:
            ValueError: If the table has no targets.
        """
        return (self._residual**2).sum(axis=1) - self._noise_of(("base_noise",))

    @property
    def gain(self) -> Rows:
        """Unbiased ``<Y - f(x), S f(x) - f(x)>``, ``(row,)``: half of what averaging saves first.

        Raises:
            ValueError: If the table has no targets.
        """
        return (self._residual * self.mean_displacement).sum(axis=1) - self._noise_of(
            ("base_noise",)
        )

    @property
    def _residual(self) -> Rows:
        stats = self.moments
        if stats.y is None:
            raise ValueError("the table has no targets: pass y= to evaluate_orbits")
        return stats.y - stats.base

    def _noise_of(self, names: tuple[str, ...]) -> Rows | float:
        """Return what noise adds to a square, ``(row,)``: 0 for a deterministic model."""
        if self.noise_repeats == 1:
            return 0.0
        parts = [getattr(self.moments, name) for name in names]
        if any(part is None for part in parts):
            raise ValueError(
                "rows of a stochastic model are pooled into blocks: pass keep='rows' to "
                "evaluate_orbits for what rests on averages over the orbit"
            )
        return np.sum(parts, axis=0)

    def weighted(self, weights: Rows) -> tuple[Rows, Rows]:
        """Return averages of displacements in which transformations weigh unequally.

        Args:
            weights: Of each transformation, relative to its probability, ``(row, transformation)``.

        Returns:
            Means of the weighted displacements over each replicate, ``(row, replicate, k)``, and
            over all of their squared norms, ``(row,)``.

        Raises:
            ValueError: If displacements were not kept.
        """
        moved = weights[..., None] * self.kept_displacements
        means, start = [], 0
        for size in self.design.replicates:
            part = slice(start, start + size)
            shares = self.design.weights[part] / self.design.weights[part].sum()
            means.append(np.einsum("ijk,j->ik", moved[:, part], shares))
            start += size
        return np.stack(means, axis=1), np.einsum("ijk,ijk,j->i", moved, moved, self.design.weights)

    @property
    def kept_displacements(self) -> Rows:
        """All displacements, ``(row, transformation, k)``.

        Raises:
            ValueError: If they were not kept.
        """
        if self.only.raw is None:
            raise ValueError("displacements were not kept: pass keep='all' to evaluate_orbits")
        return self.only.raw

    def sums_up_to(self, magnitudes: NDArray[np.float64]) -> tuple[Rows, Rows]:
        """Return what displacements up to each magnitude add up to, from those that were kept.

        Args:
            magnitudes: ``(magnitude,)``.

        Returns:
            Weighted means over each replicate of the displacements within each magnitude,
            ``(row, replicate, magnitude, k)``, and over all of their squares, ``(row, magnitude)``.

        Raises:
            ValueError: If displacements were not kept.
        """
        raw = self.kept_displacements
        sizes = self.transform.magnitude(self.parameters())
        inside = (sizes[:, :, None] <= magnitudes * (1 + 1e-9)).astype(np.float64)
        weights = self.design.weights
        squares = np.einsum("ijt,ij,j->it", inside, (raw**2).sum(axis=2), weights)
        sums, start = [], 0
        for size in self.design.replicates:
            part = slice(start, start + size)
            shares = weights[part] / weights[part].sum()
            sums.append(np.einsum("ijt,ijk,j->itk", inside[:, part], raw[:, part], shares))
            start += size
        return np.stack(sums, axis=1), squares


def describe_rows(rows: NDArray[Any], most: int = 8) -> str:
    """Return row numbers for a message: the first few and how many there are."""
    shown = ", ".join(str(int(r)) for r in rows[:most])
    return f"[{shown}]" if len(rows) <= most else f"[{shown}, ...] ({len(rows)} in all)"
