"""Which few rows tell rounding from a broken symmetry, as all of them stream past?

Those of the smallest ids: the same whatever their order and however they were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.chunk import Chunk
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.lasting import FEWEST, SHARE
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.output import joined, measures, rows_of
from equiprob.orbits.precision import root_mean_square
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
    """Remembers the rows of the smallest ids, as one chunk of them in the order of their ids.

    Args:
        n: How many rows there have been.
    """

    n: int = 0
    _rows: Chunk | None = None
    _found: dict[int, tuple[dict[str, RowStatistics], int]] = field(default_factory=dict)

    def see(self, chunk: Chunk, found: Mapping[str, RowStatistics] | None = None) -> None:
        """Look at one more chunk, and at what was found there in this call, if it was."""
        self.n += len(chunk)
        small = np.argsort(chunk.ids)[:PROBED_ROWS]
        if self._rows is not None and len(self._rows) == PROBED_ROWS:
            small = small[chunk.ids[small] < self._rows.ids[-1]]
        if len(small):
            new = _taken(chunk, small)
            both = new if self._rows is None else _after_each_other(self._rows, new)
            self._rows = _taken(both, np.argsort(both.ids)[:PROBED_ROWS])
            kept = {int(i): self._found[int(i)] for i in self._rows.ids if int(i) in self._found}
            if found is not None:
                few = {name: s.take(small) for name, s in found.items()}
                here = {row_id: (few, i) for i, row_id in enumerate(chunk.ids[small].tolist())}
                kept |= {i: here[i] for i in self._rows.ids.tolist() if i in here}
            self._found = kept

    def sample(self) -> tuple[Chunk, dict[str, RowStatistics]] | None:
        """Return one row in a hundred, and what was found there; None where nothing was."""
        if self._rows is None or not self._found:
            return None
        known = [i for i, row_id in enumerate(self._rows.ids.tolist()) if row_id in self._found]
        rows = np.array(known[: max(FEWEST, self.n // SHARE)])
        each = [self._found[row_id] for row_id in self._rows.ids[rows].tolist()]
        found = {
            name: RowStatistics.concatenate([few[name].take(slice(i, i + 1)) for few, i in each])
            for name in each[0][0]
        }
        return _taken(self._rows, rows), found

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
        sizes = {name: _size(s, table.mass) for name, s in table.statistics.items()}
        # The first chunk told the floor; its rows may be smaller than others.
        found = {
            name: max(s.float_floor, s.rounding * sizes[name])
            for name, s in table.statistics.items()
        }
        in_question = any(
            _rms(s, table.mass) <= max(IN_QUESTION * found[name], np.sqrt(s.rounding) * sizes[name])
            for name, s in table.statistics.items()
        )
        rows = self._rows
        if rows is None or not in_question or table.backend != "jax":
            return found, "perturbation"
        if not is_low_precision(rows.x):
            return found, "perturbation"
        ids, declared = rows.ids, rows.declared
        shapes = {name: (len(ids), *s.shape[1:]) for name, s in outputs.items()}
        weights = {
            name: orbit_pass.transform.of_output(name).on(output=leaf).weights({name: leaf})[name]
            for name, leaf in outputs.items()
        }
        measured = float64_floors(
            orbit_pass.predict,
            orbit_pass.transform,
            rows.x,
            orbit_pass.design.parameters(orbit_pass.transform, ids)[:, :PROBED_TRANSFORMS],
            list(measures(declared, shapes, weights).values()),
        )
        if measured is None:
            return found, "perturbation"
        each = zip(table.statistics.items(), measured, strict=True)
        return {name: float(np.hypot(m, s.apart)) for (name, s), m in each}, "float64 pass"


def _taken(chunk: Chunk, rows: NDArray[np.intp]) -> Chunk:
    """Return some rows of a chunk, on the host and without their targets."""
    x = jax.tree.map(np.asarray, take_rows(chunk.x, rows))
    declared = rows_of(chunk.declared, rows)
    return Chunk(chunk.start, x, None, chunk.ids[rows], chunk.units[rows], declared)


def _after_each_other(first: Chunk, second: Chunk) -> Chunk:
    """Return the rows of two chunks, which need not follow each other, as one."""
    x = jax.tree.map(lambda *leaves: np.concatenate(leaves), first.x, second.x)
    ids, units = (
        np.concatenate(each) for each in ((first.ids, second.ids), (first.units, second.units))
    )
    return Chunk(first.start, x, None, ids, units, joined([first.declared, second.declared]))


def with_floors(
    statistics: Mapping[str, RowStatistics], floors: Mapping[str, float]
) -> dict[str, RowStatistics]:
    """Return row statistics with the floors put in."""
    return {name: replace(s, float_floor=floors[name]) for name, s in statistics.items()}


def _size(statistics: RowStatistics, mass: Rows | None) -> float:
    """Return the rms norm of the outputs of rows with finite ones; 0 where there are none."""
    finite = statistics.n_nonfinite == 0
    if not finite.any():
        return 0.0
    return root_mean_square(statistics.base[finite], None if mass is None else mass[finite])


def _rms(statistics: RowStatistics, mass: Rows | None) -> float:
    """Return the rms displacement over rows with finite outputs; infinite where there are none."""
    finite = statistics.n_nonfinite == 0
    if not finite.any():
        return np.inf
    weights = None if mass is None else mass[finite]
    square = np.average(statistics.pair_sq[finite], weights=weights)
    return float(np.sqrt(max(square, 0.0)))  # noise that was taken off may leave less than nothing
