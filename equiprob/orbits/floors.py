"""Which few rows tell rounding from a broken symmetry, as all of them stream past?

Those of the smallest ids: the same whatever their order and however they were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from equiprob.orbits.chunk import Chunk, OrbitPass
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.output import joined, measures, rows_of
from equiprob.orbits.rounding import (
    IN_QUESTION,
    PROBED_ROWS,
    PROBED_TRANSFORMS,
    float64_floors,
    is_low_precision,
)
from equiprob.orbits.statistics import Rows, RowStatistics
from equiprob.orbits.table import FloorMethod, OrbitTable


@dataclass
class ProbedRows:
    """Remembers the rows of the smallest ids; each is a chunk of one row."""

    _rows: list[Chunk] = field(default_factory=list)

    def see(self, chunk: Chunk) -> None:
        """Look at one more chunk."""
        limit = self._rows[-1].ids[0] if len(self._rows) == PROBED_ROWS else None
        small = np.argsort(chunk.ids)[:PROBED_ROWS]
        new = [
            Chunk(
                chunk.start + i,
                jax.tree.map(np.asarray, take_rows(chunk.x, slice(i, i + 1))),
                None,
                chunk.ids[i : i + 1],
                chunk.units[i : i + 1],
                rows_of(chunk.declared, slice(i, i + 1)),
            )
            for i in small
            if limit is None or chunk.ids[i] < limit
        ]
        if new:
            rows = sorted(self._rows + new, key=lambda row: row.ids[0])
            self._rows = rows[:PROBED_ROWS]

    def floors(
        self,
        orbit_pass: OrbitPass,
        table: OrbitTable,
        outputs: Mapping[str, Any],
    ) -> tuple[dict[str, float], FloorMethod]:
        """Return each output's floor: of a float64 pass, where that is possible and needed.

        Args:
            orbit_pass: The pass.
            table: What it found.
            outputs: Shapes of the outputs, rows first.
        """
        found = {name: s.float_floor for name, s in table.statistics.items()}
        in_question = any(
            _rms(s, table.mass) <= IN_QUESTION * s.float_floor for s in table.statistics.values()
        )
        if not self._rows or not in_question or table.backend != "jax":
            return found, "perturbation"
        x = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(row.x for row in self._rows))
        if not is_low_precision(x):
            return found, "perturbation"
        ids = np.concatenate([row.ids for row in self._rows])
        declared = joined([row.declared for row in self._rows])
        shapes = {name: (len(ids), *s.shape[1:]) for name, s in outputs.items()}
        measured = float64_floors(
            orbit_pass.predict,
            orbit_pass.transform,
            x,
            orbit_pass.design.parameters(orbit_pass.transform, ids)[:, :PROBED_TRANSFORMS],
            list(found.values()),
            [m.factor for m in measures(declared, shapes).values()],
        )
        if measured is None:
            return found, "perturbation"
        return dict(zip(found, measured, strict=True)), "float64 pass"


def with_floors(
    statistics: Mapping[str, RowStatistics], floors: Mapping[str, float]
) -> dict[str, RowStatistics]:
    """Return row statistics with the floors put in."""
    return {name: replace(s, float_floor=floors[name]) for name, s in statistics.items()}


def _rms(statistics: RowStatistics, mass: Rows | None) -> float:
    """Return the rms displacement over rows with finite outputs; infinite where there are none."""
    finite = statistics.n_nonfinite == 0
    if not finite.any():
        return np.inf
    weights = None if mass is None else mass[finite]
    return float(np.sqrt(np.average(statistics.pair_sq[finite], weights=weights)))
