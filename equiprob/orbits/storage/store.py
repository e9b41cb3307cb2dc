"""Where do the statistics go as chunks of rows come in?

Into arrays that grow with the rows, so that a table of the rows so far is a view; past a million
rows, or on request, into blocks of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.chunk import Chunk
from equiprob.orbits.failures import Skipped
from equiprob.orbits.keys import Ids
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.storage.blocks import BlockState
from equiprob.orbits.table import OrbitTable
from equiprob.orbits.under_way import Evaluated

_POOLED_AT_ONCE = 8192


@dataclass
class RowArrays:
    """Arrays that grow by rows, by name; rows that were passed over hold a fill.

    Args:
        capacity: How many rows there will be, where that is known.
    """

    capacity: int | None
    _held: dict[str, NDArray[Any]] = field(default_factory=dict)
    _fill: dict[str, float] = field(default_factory=dict)

    def put(self, name: str, start: int, values: NDArray[Any], fill: float) -> None:
        """Put in rows that number `start` begins."""
        self._fill[name] = fill
        self._reserve(name, start + len(values), values)[start : start + len(values)] = values

    def upto(self, name: str, stop: int) -> NDArray[Any]:
        """Return the first rows, a view."""
        return self._reserve(name, stop, self._held[name])[:stop]

    def items(self, stop: int) -> Iterator[tuple[str, NDArray[Any], float]]:
        """Yield the name, the first rows and the fill of each array."""
        for name in list(self._held):
            yield name, self.upto(name, stop), self._fill[name]

    def _reserve(self, name: str, stop: int, like: NDArray[Any]) -> NDArray[Any]:
        held = self._held.get(name)
        if held is None or len(held) < stop:
            room = max(stop, self.capacity or 2 * stop)
            grown = np.full((room, *like.shape[1:]), self._fill[name], dtype=like.dtype)
            if held is not None:
                grown[: len(held)] = held
            self._held[name] = held = grown
        return held


@dataclass
class Store:
    """What is known of all rows so far.

    Args:
        orbit_pass: The pass they are of.
        n: How many rows there will be, where that is known.
        grouped: Whether groups were given.
        done: Rows so far.
        skipped: Rows that were passed over.
        outputs: Shapes and dtypes of the outputs, once a chunk has been evaluated.
        backend: The backend in use.
        templates: Row statistics of each output, for what is no array in them.
        evaluated: Rows that were not passed over.
        first: The first rows that were evaluated together, and one more than the last of them.
        blocks: The rows, where they are pooled.
    """

    orbit_pass: OrbitPass
    n: int | None
    grouped: bool
    done: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    outputs: dict[str, jax.ShapeDtypeStruct] = field(default_factory=dict)
    backend: str = ""
    templates: dict[str, RowStatistics] = field(default_factory=dict)
    evaluated: int = 0
    first: tuple[int, int] = (0, 0)
    blocks: BlockState | None = None
    arrays: RowArrays = field(init=False)

    def __post_init__(self) -> None:
        """Pool from the start where that is known to come."""
        self.arrays = RowArrays(self.n)
        if self.orbit_pass.keep.pools(self.n or 0):
            self.blocks = BlockState()

    @property
    def is_empty(self) -> bool:
        """Whether no chunk has been evaluated yet."""
        return not self.templates

    def add(self, chunk: Chunk, found: Evaluated) -> None:
        """Add the statistics of one more chunk."""
        self.outputs, self.backend = found.outputs, found.backend
        if self.is_empty:
            self.first = (chunk.start, chunk.stop)
        self.evaluated += len(chunk)
        for name, statistics in found.statistics.items():
            template = self.templates.setdefault(name, statistics)
            share, mean = len(chunk) / self.evaluated, template.n_components
            mean += share * (statistics.n_components - mean)
            self.templates[name] = replace(template, n_components=mean)
        if self.blocks is None and self.orbit_pass.keep.pools(self.done + len(chunk)):
            self._pool()
        if self.blocks is None:
            self._put(chunk.ids, chunk.units, found.statistics)
        else:
            self.blocks.add(self.done, chunk.ids, chunk.units, found.statistics)
        self.done += len(chunk)

    def skip(self, chunk: Chunk, reason: str) -> None:
        """Pass over rows on which the model raised: they have no finite output."""
        self.skipped.append(Skipped(chunk.start, chunk.stop, reason))
        if self.blocks is None:
            self._put(chunk.ids, chunk.units, {})
        else:
            self.blocks.leave_out(np.arange(chunk.start, chunk.stop))
        self.done += len(chunk)

    def statistics(self) -> dict[str, RowStatistics]:
        """Return the statistics of all rows, views of arrays that grow."""
        found = {}
        for name, template in self.templates.items():
            arrays = {
                key: self.arrays.upto(f"{name}/{key}", self.done) for key in arrays_of(template)
            }
            found[name] = replace(template, **arrays)
        return found

    def table(self, x: Any, stopped: str | None = None) -> OrbitTable:
        """Return the table of the rows so far.

        Args:
            x: Their inputs.
            stopped: Why no more rows will follow, where a rule said so.
        """
        orbit_pass = self.orbit_pass
        if self.blocks is None:
            statistics, mass = self.statistics(), None
            ids, units = (self.arrays.upto(key, self.done) for key in ("ids", "units"))
            blocks = None
        else:
            blocks = self.blocks.copy()
            statistics, mass, ids, units = blocks.entries(self.templates, self.grouped)
        return OrbitTable(
            statistics=statistics,
            row_ids=ids,
            unit_ids=units,
            grouped=self.grouped,
            design=orbit_pass.design,
            transform=orbit_pass.transform,
            x=x,
            count=np.full(len(ids), orbit_pass.design.n_transforms, dtype=np.int64),
            bin_magnitude=orbit_pass.bins().magnitude,
            range_magnitudes=orbit_pass.keep.magnitudes,
            backend=self.backend,
            noise_repeats=1 if orbit_pass.noise is None else orbit_pass.noise.repeats,
            batch_dependent=orbit_pass.batch_dependent,
            skipped=tuple(self.skipped),
            stopped=stopped,
            blocks=blocks,
            mass=mass,
        )

    def _put(self, ids: Ids, units: Ids, statistics: dict[str, RowStatistics]) -> None:
        self.arrays.put("ids", self.done, ids, 0)
        self.arrays.put("units", self.done, units, 0)
        # A row that was passed over counts as one none of whose outputs are finite.
        missing = self.orbit_pass.design.n_transforms + 1
        for name, found in statistics.items():
            for key, values in arrays_of(found).items():
                fill = missing if key == "n_nonfinite" else np.nan
                self.arrays.put(f"{name}/{key}", self.done, values, fill)

    def _pool(self) -> None:
        """Move the rows so far into blocks."""
        self.blocks = BlockState()
        if self.templates and self.done:
            ids, units = (self.arrays.upto(key, self.done) for key in ("ids", "units"))
            pool_rows(self.blocks, 0, ids, units, self.statistics())
        self.arrays = RowArrays(0)


def pool_rows(
    blocks: BlockState, start: int, ids: Ids, units: Ids, statistics: dict[str, RowStatistics]
) -> None:
    """Add many rows, that number `start` begins, a few at a time."""
    for first in range(0, len(ids), _POOLED_AT_ONCE):
        part = slice(first, first + _POOLED_AT_ONCE)
        chunk = {name: s.take(part) for name, s in statistics.items()}
        blocks.add(start + first, ids[part], units[part], chunk)


def arrays_of(statistics: RowStatistics) -> dict[str, NDArray[Any]]:
    """Return what there is one entry a row of."""
    return {k: v for k, v in vars(statistics).items() if isinstance(v, np.ndarray)}
