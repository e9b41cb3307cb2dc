"""What is left to do of a chunk once the model has been called on it?

Where the model runs on a device, its outputs are sums under way: the host prepares the next chunk,
and then waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.accumulate import Sizes
from equiprob.orbits.backend import AbstractBackend
from equiprob.orbits.designs import Design
from equiprob.orbits.expected_outputs import ExpectedOutputs
from equiprob.orbits.failures import naming_rows
from equiprob.orbits.probe import SIZES, Probed, probed
from equiprob.orbits.row_wise import Judged, Seen, batches_of_few, require_row_wise
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.sums import DisplacementSums, Found
from equiprob.transforms.law import Parameters

_FEWEST = 10
"""Rows, at least, of which the floor of rounding is the root mean square."""

Fetched = tuple[list[NDArray[Any]], list[Found]]
"""The outputs at the rows ``(call, row, ...)``, and the sums over their transformations."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What the pass over one chunk leaves behind.

    Args:
        statistics: Row statistics by output.
        outputs: Shapes and dtypes of the outputs, rows first.
        backend: The backend that was used.
    """

    statistics: dict[str, RowStatistics]
    outputs: dict[str, jax.ShapeDtypeStruct]
    backend: str


@dataclass(frozen=True, eq=False)
class UnderWay:
    """A chunk on which the model has been called.

    Args:
        design: Which transformations each row sees.
        engine: What called the model.
        expected: Its outputs.
        start: The number of the first row.
        x: The rows, with padding.
        parameters: Their transformations, with padding.
        sizes: How large these are, without padding.
        moving: Of each leaf of the rows, whether a transformation moves it; None for a stochastic
            model, which has no floor of rounding.
        wait: Waits for what was found.
        looked_at: How many rows a look at the model may evaluate.
    """

    design: Design
    engine: AbstractBackend
    expected: ExpectedOutputs
    start: int
    x: Any
    parameters: Parameters
    sizes: Sizes
    moving: Sequence[bool] | None
    wait: Callable[[], Fetched]
    looked_at: int

    def finish(self, *, probe: bool) -> Evaluated:
        """Wait for the sums, and return what follows from them.

        Args:
            probe: Whether to find the floor of rounding, too; a stochastic model has none.

        Raises:
            PredictionFailed: If the model raises.
            ValueError: If what it returned does not fit.
        """
        expected, n = self.expected, self.expected.n
        with naming_rows(self.start, self.start + n):
            raw, sums = self.wait()
        calls = expected.kept(raw)
        expected.check_probabilities(calls, self.start)
        roundings = expected.roundings(raw, self.engine.computed_in)
        floors = [0.0] * len(roundings)
        apart = [0.0] * len(roundings)
        if probe:
            apart = expected.apart(self.engine.differing, self.engine.repeated)
            if self.moving is not None:
                found = self._probed(raw, self.moving, roundings)
                floors = expected.floors(calls, found.moved, found.rows, roundings)
        floors = [float(np.hypot(*both)) for both in zip(floors, apart, strict=True)]
        found = expected.finish(calls, sums, self.design, self.sizes, floors)
        each = zip(found.items(), apart, roundings, strict=True)
        statistics = {name: replace(s, apart=a, rounding=r) for (name, s), a, r in each}
        return Evaluated(statistics, expected.shapes, self.engine.name)

    def _probed(
        self, raw: list[NDArray[Any]], moving: Sequence[bool], roundings: list[float]
    ) -> Probed:
        """Evaluate a few rows changed by roundings, beside some that are still to be seen so."""
        n, engine = self.expected.n, self.engine
        beside = np.concatenate(batches_of_few(n)) if engine.seen_later else None
        most = max(_FEWEST, self.looked_at // len(SIZES))
        outputs_at = lambda batch: engine.outputs_at(batch, self.parameters)  # noqa: E731
        with naming_rows(self.start, self.start + n):
            found = probed(
                outputs_at,
                self.x,
                moving,
                max(roundings),
                min(most, n),
                beside=beside,
                whole=not engine.takes_fewer,
            )
        if beside is not None:
            padded = np.resize(np.arange(n), len(jax.tree.leaves(self.x)[0]))
            each = zip(raw, roundings, strict=True)
            outputs = [Judged(leaf[0][padded], rounding) for leaf, rounding in each]
            if not Seen(beside, found.beside).is_as(outputs):
                require_row_wise(outputs_at, self.x, outputs, moving, may_shorten=False)
        return found


def fetched(
    engine: AbstractBackend, raw: list[Any], sums: list[DisplacementSums]
) -> Callable[[], Fetched]:
    """Bring what a chunk has come to on its way to the host; calling what is returned waits."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(engine.output)]
    named = [own.arrays() for own in sums]
    arrive = engine.fetch([*raw, *(values for own in named for values in own.values())])

    def wait() -> Fetched:
        arrived = iter(arrive())
        outputs = [next(arrived).astype(dtype, copy=False) for dtype in dtypes]
        return outputs, [Found(**{name: next(arrived) for name in own}) for own in named]

    return wait
