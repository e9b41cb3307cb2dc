"""The path of averages over ever larger transformations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.levels.path_risk import SquaredPathRisk
from equiprob.levels.paths.base import SHARED_ROW, AbstractPath, Positions, Shipment, residuals
from equiprob.orbits.designs import make_design
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True)
class Range(AbstractPath):
    """Averages over transformations of a magnitude up to theta; theta = 0 is the model.

    The shipped squared error adds the variance of an average over as many independent
    transformations as the table has for each row; the lattice that `predictor` uses does no worse
    where outputs are smooth. Other losses are those of averages over the transformations of the
    table that fall into the range, and so many are shipped: a small range needs many
    transformations, or a transform that goes no further than the ranges of interest.

    Args:
        positions: The magnitudes theta, in the transform's magnitude unit (degrees for rotations).
            When left out: those the table has sums for, else 24 equal steps up to the largest.
    """

    positions: Sequence[float] | None = None

    label = "averaged up to"
    full: ClassVar[int | None] = -1

    @override
    def grid(self, transform: Transform) -> Positions:
        asked = self._asked()
        return np.concatenate([[0.0], _default_grid(transform) if asked is None else asked])

    @override
    def weight(
        self, transform: Transform, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        inside = transform.magnitude(parameters) <= position * (1 + 1e-9)
        return inside.astype(np.float64)

    @override
    def unit(self, transform: Transform) -> str:
        return transform.magnitude_unit

    @override
    def risk(self, table: OrbitTable) -> SquaredPathRisk:
        """Return the squared error along the path, from sums up to each magnitude."""
        magnitudes, sums, squares = self._range_sums(table)
        probability = np.array([table.transform.probability_within(m) for m in magnitudes])
        residual, design = residuals(table), table.design
        # Dividing by the probability, not by the count of transformations in range, keeps the sums
        # unbiased in every row, and products of replicates with them.
        inside, mean_sq = sums / probability[:, None], squares / probability
        average = design.average(inside)
        product = design.squared_average(inside, mean_sq / probability)
        excess = product - 2 * np.einsum("ik,itk->it", residual, average)
        spread = (
            np.zeros_like(product)
            if design.kind == "full"
            else (mean_sq - product) / design.n_transforms
        )
        n = len(magnitudes)
        one, none = np.eye(n, n + 1, 1), np.zeros((n, n + 1))
        return SquaredPathRisk(
            positions=np.concatenate([[0.0], magnitudes]),
            loss=(residual**2).sum(axis=1),
            unchanged=0,
            full=n,
            columns=np.column_stack([excess, spread]),
            limit=np.concatenate([one, none]),
            shipped=np.concatenate([one, one]),
        )

    @override
    def orbit_variance(self, table: OrbitTable, position: float) -> Rows | None:
        magnitudes, sums, squares = self._range_sums(table)
        if position <= 0 or table.transform.enumeration() is not None:
            return None
        place = int(np.abs(magnitudes - position).argmin())
        probability = table.transform.probability_within(magnitudes[place])
        inside, mean_sq = sums[:, :, place] / probability, squares[:, place] / probability
        return mean_sq - table.design.squared_average(inside, mean_sq / probability)

    @override
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        return self._within(table, position, table.design.n_transforms)

    @override
    def shipment_as_evaluated(self, table: OrbitTable, position: float) -> Shipment:
        share = table.transform.probability_within(position)
        return self._within(table, position, max(round(share * table.design.n_transforms), 1))

    @staticmethod
    def _within(table: OrbitTable, position: float, n_transforms: int) -> Shipment:
        if position <= 0:
            return Shipment.of_the_model(table.transform)
        within = table.transform.restricted(position)
        design = make_design(within, "quasi", n_transforms, table.design.seed)
        return Shipment(0.0, design.parameters(within, SHARED_ROW)[0], design.weights, within)

    def _range_sums(self, table: OrbitTable) -> tuple[Positions, Rows, Rows]:
        """Return magnitudes, replicate sums ``(row, replicate, magnitude, k)`` and square sums."""
        stats, asked = table.only, self._asked()
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
        magnitudes = self.grid(table.transform)[1:]
        return magnitudes, *table.sums_up_to(magnitudes)

    def _asked(self) -> Positions | None:
        if self.positions is None:
            return None
        asked = np.unique(as_numbers("positions", self.positions))
        asked = asked[asked > 0]
        if not asked.size or not np.isfinite(asked).all():
            raise ValueError(f"positions must hold positive magnitudes, got {self.positions}")
        return asked


def _default_grid(transform: Transform) -> Positions:
    magnitudes, _ = transform.magnitude_law()
    if transform.enumeration() is not None:
        distinct = np.unique(np.round(magnitudes, 9))
        return distinct[distinct > 0]
    largest = float(np.ceil(magnitudes.max() * 100) / 100)
    return np.linspace(0, largest, 25)[1:]
