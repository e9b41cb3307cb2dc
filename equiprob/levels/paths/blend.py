"""The path between a model and its average over all transformations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import check_fields
from equiprob.levels.path_risk import SquaredPathRisk
from equiprob.levels.paths.base import AbstractPath, Positions, Shipment
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True)
class Blend(AbstractPath):
    """``S f + s (f - S f)``: s = 1 is the model, s = 0 its average over the transformations.

    Args:
        n_positions: How finely s is resolved.
    """

    n_positions: int = 201

    label = "share of the model kept, s"
    full: ClassVar[int | None] = 0

    def __post_init__(self) -> None:
        """Check the resolution."""
        check_fields(self)
        if self.n_positions < 2:
            raise ValueError(f"n_positions must be at least 2, got {self.n_positions}")

    @override
    def grid(self, transform: Transform) -> Positions:
        return np.linspace(0, 1, self.n_positions)

    @override
    def weight(
        self, transform: Transform, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        return np.ones(parameters.shape[:-1])

    @override
    def kept(self, position: float) -> float:
        return float(position)

    @override
    def risk(self, table: OrbitTable) -> SquaredPathRisk:
        """Return the squared error along the path, from row statistics alone."""
        gained, squared = table.gain, table.mean_displacement_sq
        assert squared is not None, "the level checks that orbit averages are available"
        kept = self.grid(table.transform)
        moved, none = 1 - kept, np.zeros_like(kept)
        return SquaredPathRisk(
            positions=kept,
            loss=table.squared_residual,
            unchanged=len(kept) - 1,
            full=0,
            columns=np.column_stack([gained, squared, table.shipped_displacement_sq]),
            limit=np.stack([-2 * moved, moved**2, none]),
            shipped=np.stack([-2 * moved, none, moved**2]),
            ratio=(squared - gained, squared),
        )

    @override
    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        return super().shipment(table, position)._replace(of=table.transform)

    @override
    def n_elements(self, table: OrbitTable, position: float) -> int | None:
        finite = table.transform.enumeration()
        if finite is None or np.ptp(finite.weights) > 1e-9:
            return None
        return len(finite.weights)

    @override
    def displacements(self, table: OrbitTable, positions: Positions) -> Iterator[Rows]:
        for kept in positions:
            yield (1 - kept) * table.mean_displacement

    @override
    def replicates(self, table: OrbitTable, position: float) -> Rows:
        return (1 - position) * table.only.displacement
