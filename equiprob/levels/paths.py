"""Along which family of predictors, from the model to a more symmetric one, is the optimum sought?

A path maps row statistics to the risk at each of its positions. Risks are relative to the model as
it is, and unbiased at a finite number of transformations: with displacement ``d = S f - f`` and
residual ``r = Y - f``, moving by a share t costs ``-2 t <r, d> + t^2 |d|^2``, where the square
takes distinct transformations in its factors. A new path is one class with two methods.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.subgroups import subgroups


class PathRisk(NamedTuple):
    """The risk along a path, relative to the model as it is.

    The excess risk at position p is ``mean(columns) @ coefficients[:, p]``.

    Args:
        positions: ``(position,)``.
        columns: Row statistics, ``(row, column)``.
        limit: Coefficients ``(column, position)`` for the average over all transformations.
        shipped: Coefficients for the average over as many transformations as the table has.
        optimum: Row columns whose ratio of means is the position of least risk, before it is
            clipped to the path; None where there is no closed form.
        full: Index of the most symmetric position, if there is one.
        names: What positions are called where they are not numbers.
    """

    positions: NDArray[np.float64]
    columns: Rows
    limit: NDArray[np.float64]
    shipped: NDArray[np.float64]
    optimum: tuple[Rows, Rows] | None = None
    full: int | None = None
    names: tuple[str, ...] | None = None


class Shipment(NamedTuple):
    """The predictor at one position: ``keep * f + (1 - keep) * average over parameters``."""

    keep: float
    parameters: Parameters
    weights: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AbstractPath(abc.ABC):
    """A one-parameter family of predictors made from one model."""

    label = "position"

    @abc.abstractmethod
    def risk(self, table: OrbitTable) -> PathRisk:
        """Return the risk along the path.

        Raises:
            ValueError: If the table does not hold what the path needs.
        """

    @abc.abstractmethod
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        """Return the predictor at a position, with as many transformations as the table has."""

    def unit(self, transform: AbstractTransform) -> str:
        """Return the unit of positions."""
        return ""


_MOST_NAMED = 4
"""Order up to which a subgroup is named by its elements."""

_SHARED_ROW = np.zeros(1, dtype=np.uint64)
"""A shipped predictor uses the same transformations for every row: those of this id."""


@final
@dataclass(frozen=True, kw_only=True)
class Blend(AbstractPath):
    """``S f + s (f - S f)``: s = 1 is the model, s = 0 its average over the transformations.

    Args:
        n_positions: How finely s is resolved.
    """

    n_positions: int = 201

    label = "share of the model kept, s"

    def __post_init__(self) -> None:
        """Check the resolution."""
        if self.n_positions < 2:
            raise ValueError(f"n_positions must be at least 2, got {self.n_positions}")

    @override
    def risk(self, table: OrbitTable) -> PathRisk:
        residual, average = _residual(table), table.mean_displacement
        squared = table.mean_displacement_sq
        assert squared is not None, "the level checks that orbit averages are available"
        gained = (residual * average).sum(axis=1)
        columns = np.column_stack([gained, squared, (average**2).sum(axis=1)])
        kept = np.linspace(0, 1, self.n_positions)
        moved = 1 - kept
        none = np.zeros_like(moved)
        return PathRisk(
            positions=kept,
            columns=columns,
            limit=np.stack([-2 * moved, moved**2, none]),
            shipped=np.stack([-2 * moved, none, moved**2]),
            optimum=(squared - gained, squared),
            full=0,
        )

    @override
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        design = table.design
        return Shipment(
            position, design.parameters(table.transform, _SHARED_ROW)[0], design.weights
        )


@final
@dataclass(frozen=True, kw_only=True)
class Range(AbstractPath):
    """Averages over transformations of a magnitude up to theta; theta = 0 is the model.

    The shipped risk adds the variance of an average over as many independent transformations as the
    table has for each row; the lattice that `predictor` uses does no worse where outputs are
    smooth.

    Args:
        positions: The magnitudes theta, in the transform's magnitude unit (degrees for rotations).
            When left out: those the table has sums for, else 24 equal steps up to the largest.
    """

    positions: Sequence[float] | None = None

    label = "averaged up to"

    @override
    def risk(self, table: OrbitTable) -> PathRisk:
        magnitudes, sums, squares = self._range_sums(table)
        probability = np.array([table.transform.probability_within(m) for m in magnitudes])
        residual, design = _residual(table), table.design
        # Dividing by the probability, not by the count of transformations in range, keeps the sums
        # unbiased in every row, and products of replicates with them.
        inside = sums / probability[:, None]
        shares = np.array(design.replicates) / sum(design.replicates)
        average = np.einsum("r,irtk->itk", shares, inside)
        mean_sq = squares / probability
        if design.kind == "full":
            product = (average**2).sum(axis=2)
        elif design.is_independent:
            within = mean_sq / probability - (average**2).sum(axis=2)
            product = (average**2).sum(axis=2) - within / (design.n_transforms - 1)
        else:
            product = (inside[:, 0] * inside[:, 1]).sum(axis=2)
        excess = -2 * np.einsum("ik,itk->it", residual, average) + product
        spread = (
            np.zeros_like(product)
            if design.kind == "full"
            else (mean_sq - product) / design.n_transforms
        )
        n = len(magnitudes)
        origin = np.zeros((len(excess), 1))
        start, one, none = np.zeros((1, n + 1)), np.eye(n, n + 1, 1), np.zeros((n, n + 1))
        return PathRisk(
            positions=np.concatenate([[0.0], magnitudes]),
            columns=np.column_stack([origin, excess, spread]),
            limit=np.concatenate([start, one, none]),
            shipped=np.concatenate([start, one, one]),
            full=n,
        )

    @override
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        from equiprob.orbits.designs import make_design

        if position <= 0:
            return Shipment(1.0, table.transform.identity[None], np.ones(1))
        within = table.transform.restricted(position)
        design = make_design(within, "quasi", table.design.n_transforms, table.design.seed)
        return Shipment(0.0, design.parameters(within, _SHARED_ROW)[0], design.weights)

    @override
    def unit(self, transform: AbstractTransform) -> str:
        return transform.magnitude_unit

    def _range_sums(self, table: OrbitTable) -> tuple[NDArray[np.float64], Rows, Rows]:
        """Return magnitudes, replicate sums ``(row, replicate, magnitude, k)`` and square sums."""
        stats, asked = table.only, self._asked(table)
        if stats.range_sum is not None and stats.range_sq is not None:
            available = table.range_magnitudes
            assert available is not None, "declared magnitudes travel with their sums"
            chosen = available if asked is None else asked
            index = np.abs(available[:, None] - chosen).argmin(axis=0)
            if not np.allclose(available[index], chosen):
                raise ValueError(
                    f"the table has sums up to {available.tolist()}, but the path asks for "
                    f"{chosen.tolist()}; evaluate_orbits(..., keep=[...]) declares them"
                )
            return chosen, stats.range_sum[:, :, index], stats.range_sq[:, index]
        if stats.raw is None:
            raise ValueError(
                "paths.Range needs displacements by magnitude: pass keep='all', or keep=[...] with "
                "the magnitudes of the path, to evaluate_orbits"
            )
        magnitudes = self._default_grid(table) if asked is None else asked
        return magnitudes, *table.sums_up_to(magnitudes)

    def _asked(self, table: OrbitTable) -> NDArray[np.float64] | None:
        if self.positions is None:
            return None
        asked = np.unique(np.asarray(self.positions, dtype=np.float64))
        asked = asked[asked > 0]
        if not asked.size or not np.isfinite(asked).all():
            raise ValueError(f"positions must hold positive magnitudes, got {self.positions}")
        return asked

    @staticmethod
    def _default_grid(table: OrbitTable) -> NDArray[np.float64]:
        magnitudes, _ = table.transform.magnitude_law()
        if table.transform.enumeration() is not None:
            distinct = np.unique(np.round(magnitudes, 9))
            return distinct[distinct > 0]
        largest = float(np.ceil(magnitudes.max() * 100) / 100)
        return np.linspace(0, largest, 25)[1:]


@final
@dataclass(frozen=True, kw_only=True)
class Subgroups(AbstractPath):
    """Averages over the subgroups of a finite group, from the model itself to the whole group.

    The positions are subgroups, smallest first; they are named by their order and, where they are
    small, by their elements' indices. The table must hold the whole orbit: averages are exact, and
    what is shipped is what was judged.
    """

    label = "averaged over the subgroup"

    @override
    def risk(self, table: OrbitTable) -> PathRisk:
        groups, stats, residual = self._groups(table), table.only, _residual(table)
        assert stats.raw is not None, "checked with the groups"
        columns = np.zeros((len(table), len(groups)))
        for k, group in enumerate(groups):
            average = stats.raw[:, sorted(group)].mean(axis=1)
            columns[:, k] = (average**2).sum(axis=1) - 2 * (residual * average).sum(axis=1)
        columns[:, 0] = 0.0  # the model itself, without rounding
        same = np.eye(len(groups))
        same[0, 0] = 0.0
        return PathRisk(
            positions=np.arange(len(groups), dtype=np.float64),
            columns=columns,
            limit=same,
            shipped=same,
            full=len(groups) - 1,
            names=_names(groups),
        )

    @override
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        if position == 0:
            return Shipment(1.0, table.transform.identity[None], np.ones(1))
        group = sorted(self._groups(table)[round(position)])
        finite = table.transform.enumeration()
        assert finite is not None, "subgroups are of finite groups"
        return Shipment(0.0, finite.parameters[group], np.full(len(group), 1 / len(group)))

    @staticmethod
    def _groups(table: OrbitTable) -> tuple[frozenset[int], ...]:
        groups = subgroups(table.transform)
        if groups is None:
            raise ValueError(
                f"paths.Subgroups needs a finite group, and {table.transform} is none; use "
                f"transforms such as cyclic or dihedral, or paths.Range()"
            )
        if table.design.kind != "full" or table.only.raw is None:
            raise ValueError(
                "paths.Subgroups needs the whole orbit of each row: pass design='full' and "
                "keep='all' to evaluate_orbits"
            )
        return groups


def _names(groups: Sequence[frozenset[int]]) -> tuple[str, ...]:
    """Return a name for each subgroup: its order, and its elements or a letter."""
    names = []
    for k, group in enumerate(groups):
        alike = [g for g in groups if len(g) == len(group)]
        name = f"order {len(group)}"
        if len(group) == 1:
            name = "none"
        elif len(alike) > 1 and len(group) <= _MOST_NAMED:
            name += f" {{{', '.join(map(str, sorted(group)))}}}"
        elif len(alike) > 1:
            name += f" ({alike.index(groups[k]) + 1} of {len(alike)})"
        names.append(name)
    return tuple(names)


def _residual(table: OrbitTable) -> Rows:
    stats = table.only
    if stats.y is None:
        raise ValueError(
            "the optimal level compares predictions with targets: pass y= to evaluate_orbits"
        )
    return stats.y - stats.base
