"""What does the model's pass over a chunk of rows leave behind?

A pass is a value: it can be sent to another process, which evaluates any chunk of rows as this one
would. What it needs to call the model, such as a compiled program, each process makes once.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.accumulate import MagnitudeBins, Sizes
from equiprob.orbits.backend import AbstractBackend
from equiprob.orbits.backend_choice import choose_backend
from equiprob.orbits.chunk import Chunk
from equiprob.orbits.designs import Design
from equiprob.orbits.expected_outputs import ExpectedOutputs
from equiprob.orbits.failures import naming_rows
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keep import Keep
from equiprob.orbits.lasting import SHARE
from equiprob.orbits.noise import Noise
from equiprob.orbits.output import declared_dtypes
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.statistics import Rows
from equiprob.orbits.sums import DisplacementSums
from equiprob.orbits.under_way import Evaluated, UnderWay, fetched
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

LARGER = (512, 1024)
"""Rows in larger chunks, which quick models are tried on: what the host does for a chunk and
transformation is soon more than their passes."""

_NO_SLOWER = 1.1
"""Time of a row in a larger chunk, relative to that before, up to which the chunk stays larger:
1024 rows of a network may not stay in a processor's memory where 512 do."""


@dataclass(frozen=True, eq=False)
class OrbitPass:
    """How chunks of rows are evaluated, wherever that is done.

    Args:
        predict: The model.
        transform: The transform.
        design: Which transformations each row sees.
        size: Rows in a full chunk.
        noise: Of a stochastic model.
        backend: As the user asked for it.
        keep: What is kept of each row.
        batch_dependent: Whether outputs may depend on the batch that rows come in.
        may_grow: Whether chunks of a quick model may hold more than `size` rows.
        token: Names the pass in the processes that work on it.
    """

    predict: Callable[..., Any]
    transform: Transform
    design: Design
    size: int
    noise: Noise | None
    backend: str
    keep: Keep
    batch_dependent: bool = False
    may_grow: bool = False
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def bins(self) -> MagnitudeBins:
        """Return the bins of the error by magnitude."""
        return self._bins

    @cached_property
    def _bins(self) -> MagnitudeBins:
        return MagnitudeBins.of(*self.transform.magnitude_law())

    def evaluate(self, chunk: Chunk, *, probe: bool, fill: bool = False) -> Evaluated:
        """Evaluate the model on a chunk and on its transformations: see `begin` and `UnderWay`."""
        return self.begin(chunk, fill=fill).finish(probe=probe)

    def begin(self, chunk: Chunk, *, fill: bool = False) -> UnderWay:
        """Call the model on a chunk and on its transformations.

        Where it runs on a device, it may not be done when this returns.

        Args:
            chunk: Up to `size` rows.
            fill: Whether a short chunk is padded to a whole batch for any model.

        Raises:
            PredictionFailed: If the model raises.
            ValueError: If what it returns does not fit.
        """
        engine = _engines.of(self, chunk)
        expected = self._expected(engine, chunk)
        n = len(chunk)
        # Padding is copies of the chunk's rows, whose outputs are dropped.
        index = np.resize(np.arange(n), max(self.size, n) if engine.pads or fill else n)
        x = chunk.x if len(index) == n else take_rows(chunk.x, index)
        parameters = self.design.parameters(self.transform, chunk.ids[index])
        with naming_rows(chunk.start, chunk.stop):
            raw, blocks = engine.evaluate(x, parameters, chunk.ids[index])
        sizes = self._sizes(parameters[:n])
        there = expected.put(engine.put)
        sums = self._sums(engine, there.kept(raw), sizes, expected.shapes)
        with naming_rows(chunk.start, chunk.stop):
            for block in blocks:
                for own, values in zip(sums, there.kept(block), strict=True):
                    own.add(values)
        return UnderWay(
            design=self.design,
            engine=engine,
            expected=expected,
            start=chunk.start,
            x=x,
            parameters=parameters,
            sizes=sizes,
            moving=None if self.noise is not None else self.transform.on(x).moving,
            wait=fetched(engine, [leaf[:, :n] for leaf in raw], sums),
            looked_at=self.looked_at,
        )

    @property
    def looked_at(self) -> int:
        """How many rows one look at the model may evaluate: one in a hundred of all."""
        return max(self.keep.entries or 0, self.size * self.design.n_transforms) // SHARE

    @property
    def next_size(self) -> int:
        """Rows of the next chunk: once a model has turned out to be quick, more of them."""
        engine, size = _engines.made_for(self), self.size
        if not self.may_grow or engine is None or not engine.is_quick:
            return size
        seconds = engine.seconds
        for larger in LARGER:
            if seconds.get(larger, 0.0) > _NO_SLOWER * seconds.get(size, np.inf):
                break
            size = larger
            if larger not in seconds:  # to be tried
                break
        return size

    @property
    def runs_ahead(self) -> bool:
        """Whether the model works elsewhere on what it was asked here."""
        engine = _engines.made_for(self)
        return engine is not None and engine.runs_ahead

    @property
    def is_function_of_rows(self) -> bool:
        """Whether the model is meant to answer the same wherever and whenever a row comes."""
        return self.noise is None and not self.batch_dependent

    def base_again(self, chunk: Chunk) -> dict[str, Rows] | None:
        """Return the model's outputs at rows evaluated before, ``(row, k)`` by name.

        None where it was not called in this process, or has nothing that could change.

        Raises:
            PredictionFailed: If the model raises.
        """
        engine = _engines.made_for(self)
        if engine is None or engine.is_pure:
            return None
        expected = self._expected(engine, chunk)
        n = len(chunk)

        def outputs_of(rows: NDArray[np.int64]) -> list[Any]:
            parameters = self.design.parameters(self.transform, chunk.ids[rows])
            return engine.outputs_at(take_rows(chunk.x, rows), parameters)

        def in_full_batches() -> list[Any]:
            rows = np.resize(np.arange(n), -(-n // self.size) * self.size)
            each = [outputs_of(batch) for batch in rows.reshape(-1, self.size)]
            return [np.concatenate(leaves)[:n] for leaves in zip(*each, strict=True)]

        with naming_rows(chunk.start, chunk.stop):
            try:
                found = in_full_batches() if engine.pads else outputs_of(np.arange(n))
            except Exception:  # it may be made for one number of rows
                found = in_full_batches()
        base = expected.kept([leaf[None] for leaf in found])
        return {name: values[0] for name, values in zip(expected.shapes, base, strict=True)}

    def _expected(self, engine: AbstractBackend, chunk: Chunk) -> ExpectedOutputs:
        outputs = named_outputs(engine.output, self.size)
        weights = self.transform.on(output=engine.output).weights(outputs)
        return ExpectedOutputs.of(
            outputs, len(chunk), chunk.start, chunk.y, chunk.declared, weights=weights
        )

    def _sizes(self, parameters: Parameters) -> Sizes:
        return Sizes(
            self.transform.magnitude(parameters),
            self.bins(),
            self.transform.part(parameters),
            len(self.transform.parts),
            self.keep.magnitudes,
        )

    def _sums(
        self, engine: AbstractBackend, calls: list[Any], sizes: Sizes, outputs: Mapping[str, Any]
    ) -> list[DisplacementSums]:
        within = None if sizes.within is None else engine.put(sizes.within)
        weights, keep_raw = engine.put(self.design.weights), self.keep.displacements(outputs)
        return [DisplacementSums(own, self.design, weights, within, keep_raw) for own in calls]


class _Engines:
    """The backends of this process, made once for each pass it works on."""

    _MOST = 4

    def __init__(self) -> None:
        self._made: OrderedDict[str, AbstractBackend] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, orbit_pass: OrbitPass, chunk: Chunk) -> AbstractBackend:
        """Return the backend of a pass, which the first chunk it succeeds on decides."""
        with self._lock:
            if orbit_pass.token not in self._made:
                first = take_rows(chunk.x, np.resize(np.arange(len(chunk)), orbit_pass.size))
                with naming_rows(chunk.start, chunk.stop):
                    self._made[orbit_pass.token] = choose_backend(
                        orbit_pass.predict,
                        orbit_pass.transform,
                        chunk.x if len(chunk) == orbit_pass.size else first,
                        orbit_pass.backend,
                        orbit_pass.noise,
                        declared_dtypes(chunk.declared),
                        batch_dependent=orbit_pass.batch_dependent,
                        looked_at=orbit_pass.looked_at,
                    )
                while len(self._made) > self._MOST:
                    self._made.popitem(last=False)
            return self._made[orbit_pass.token]

    def made_for(self, orbit_pass: OrbitPass) -> AbstractBackend | None:
        """Return the backend of a pass that this process worked on, or None."""
        return self._made.get(orbit_pass.token)

    def forget(self, token: str) -> None:
        """Drop a backend, and with it the model."""
        self._made.pop(token, None)


_engines = _Engines()


def forget_pass(token: str) -> None:
    """Drop the backend of a pass that is over, and with it the model."""
    _engines.forget(token)
