"""Where do the statistics of each row go as chunks come in?

Into arrays that grow, so that a table of the rows so far costs nothing: it is a view.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.chunk import Chunk, Evaluated, OrbitPass
from equiprob.orbits.failures import Skipped
from equiprob.orbits.table import OrbitTable, RowStatistics


@dataclass
class GrowingArray:
    """An array to which rows are added; what was not put in is `fill`.

    Args:
        capacity: How many rows there will be, where that is known.
        fill: What rows that were passed over hold.
    """

    capacity: int | None
    fill: float
    _held: NDArray[Any] | None = None

    def put(self, start: int, values: NDArray[Any]) -> None:
        """Put in some rows."""
        stop = start + len(values)
        if self._held is None or stop > len(self._held):
            room = max(self.capacity or 0, 2 * stop if self.capacity is None else stop)
            held = np.full((room, *values.shape[1:]), self.fill, dtype=values.dtype)
            if self._held is not None:
                held[:start] = self._held[:start]
            self._held = held
        self._held[start:stop] = values

    def upto(self, stop: int) -> NDArray[Any]:
        """Return the first rows, a view."""
        assert self._held is not None, "something was put in"
        if stop > len(self._held):
            self.put(stop, self._held[:0])
        return self._held[:stop]


@dataclass
class RowStore:
    """Statistics of all rows so far.

    Args:
        orbit_pass: The pass they are of.
        n: How many rows there will be, where that is known.
    """

    orbit_pass: OrbitPass
    n: int | None
    done: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    last: Evaluated | None = None
    _arrays: dict[tuple[str, str], GrowingArray] = field(default_factory=dict)
    _templates: dict[str, RowStatistics] = field(default_factory=dict)
    _evaluated: int = 0

    def add(self, chunk: Chunk, found: Evaluated) -> None:
        """Add the statistics of one more chunk."""
        self._add_ids(chunk)
        self._evaluated += len(chunk)
        for name, statistics in found.statistics.items():
            template = self._templates.setdefault(name, statistics)
            share = len(chunk) / self._evaluated
            mean = template.n_components
            mean += share * (statistics.n_components - mean)
            self._templates[name] = replace(template, n_components=mean)
            for key, values in arrays_of(statistics).items():
                self._put((name, key), values)
        self.last = found
        self.done += len(chunk)

    def skip(self, chunk: Chunk, reason: str) -> None:
        """Pass over a chunk on which the model raised: its rows have no finite output."""
        self._add_ids(chunk)
        self.skipped.append(Skipped(chunk.start, chunk.stop, reason))
        self.done += len(chunk)

    def table(self, x: Any, stopped: str | None = None) -> OrbitTable:
        """Return the table of the rows so far.

        Args:
            x: Their inputs.
            stopped: Why no more rows will follow, where a rule said so.
        """
        orbit_pass, last = self.orbit_pass, self.last
        assert last is not None, "a chunk has been evaluated"
        statistics = {
            name: replace(
                template,
                **{key: self._arrays[name, key].upto(self.done) for key in arrays_of(template)},
            )
            for name, template in self._templates.items()
        }
        ids, units = (self._arrays["", key].upto(self.done) for key in ("ids", "units"))
        return OrbitTable(
            statistics=statistics,
            row_ids=ids,
            unit_ids=units,
            grouped=not np.array_equal(ids, units),
            design=orbit_pass.design,
            transform=orbit_pass.transform,
            x=x,
            count=np.full(self.done, orbit_pass.design.n_transforms, dtype=np.int64),
            bin_magnitude=orbit_pass.bins().magnitude,
            range_magnitudes=orbit_pass.keep.magnitudes,
            backend=last.backend,
            noise_repeats=1 if orbit_pass.noise is None else orbit_pass.noise.repeats,
            skipped=tuple(self.skipped),
            stopped=stopped,
        )

    def _add_ids(self, chunk: Chunk) -> None:
        self._put(("", "ids"), chunk.ids)
        self._put(("", "units"), chunk.units)

    def _put(self, key: tuple[str, str], values: NDArray[Any]) -> None:
        if key not in self._arrays:
            # A row that was passed over counts as one none of whose outputs are finite.
            missing = self.orbit_pass.design.n_transforms + 1
            fill = missing if key[1] == "n_nonfinite" else 0 if values.dtype.kind == "u" else np.nan
            self._arrays[key] = GrowingArray(self.n, fill)
        self._arrays[key].put(self.done, values)


def arrays_of(statistics: RowStatistics) -> dict[str, NDArray[Any]]:
    """Return what there is one entry a row of."""
    return {k: v for k, v in vars(statistics).items() if isinstance(v, np.ndarray)}
