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
from equiprob.orbits.probe import probed
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.sums import DisplacementSums, Found
from equiprob.transforms.law import Parameters

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
        if probe and self.moving is not None:
            with naming_rows(self.start, self.start + n):
                moved, rows = probed(
                    lambda batch: self.engine.outputs_at(batch, self.parameters),
                    self.x,
                    self.moving,
                    max(roundings),
                    n,
                )
            floors = expected.floors(calls, moved, rows, roundings)
        apart = expected.apart(self.engine.differing) if probe else [0.0] * len(roundings)
        floors = [float(np.hypot(*both)) for both in zip(floors, apart, strict=True)]
        found = expected.finish(calls, sums, self.design, self.sizes, floors)
        each = zip(found.items(), apart, roundings, strict=True)
        statistics = {name: replace(s, apart=a, rounding=r) for (name, s), a, r in each}
        return Evaluated(statistics, expected.shapes, self.engine.name)


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
