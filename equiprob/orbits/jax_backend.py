"""How is a model that JAX can trace called on the transformed inputs of one chunk of rows?

In one compiled program: the outputs at the rows as they are, and a scan over transformations that
makes each transformed input, consumes it and takes the output back.
Transformed inputs live for one step, so memory is that of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.lending import Lent
from equiprob.orbits.backend import (
    MOST_AT_ONCE,
    AbstractBackend,
    n_rows,
    require_equal,
)
from equiprob.orbits.devices import RowSharding
from equiprob.orbits.keys import Ids
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.precision import Array
from equiprob.orbits.programs import Predict, compiled, fingerprint
from equiprob.orbits.row_counts import may_choose_rows, may_use_number_of_rows
from equiprob.orbits.row_wise import (
    Judged,
    judged,
    require_row_wise,
    require_same_beside,
)
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_ENOUGH = 8
"""Rows of a batch that holds some as they are beside others."""


@final
class JaxBackend(AbstractBackend):
    """One compiled program for each shape, for any number of rows, on all local devices."""

    name = "jax"
    pads = True

    def __init__(
        self,
        predict: Predict,
        transform: Transform,
        x: Any,
        traced: tuple[Any, Any],
        computed_in: Mapping[Any, Any] | None = None,
        *,
        batch_dependent: bool = False,
        looked_at: int | None = None,
    ) -> None:
        """Compile the model for chunks like `x`, given its trace on one.

        With `looked_at`, rows beside others are seen in the batch of the probe.

        Raises:
            ValueError: If the model is not repeatable.
        """
        jaxpr, output = traced
        self.output: Any = output
        named_outputs(output, n_rows(x))
        made_of = fingerprint(jaxpr)
        self.repeated: NDArray[np.int64] = np.arange(n_rows(x))
        self.differing: dict[Any, Array] = {}
        # A callback runs Python, of which a trace shows nothing.
        self.is_pure: bool = "callback" not in made_of[0]
        self._computed_in = computed_in or {}
        if not self.is_pure:
            first, second = (predict(Lent.of(x).x) for _ in range(2))
            self.differing = require_equal(first, second, self._computed_in)
        self._predict, self._transform = predict, transform
        self._is_row_wise = batch_dependent  # then there is nothing to look at
        self._counts_rows = not batch_dependent and may_use_number_of_rows(predict, x, jaxpr)
        later = looked_at is not None and n_rows(x) >= _ENOUGH and not self._counts_rows
        later = later and not may_choose_rows(jaxpr, n_rows(x))
        self.seen_later: bool = later and not batch_dependent
        self._acting = transform.on(x, output)
        self._sharding = RowSharding.of(n_rows(x), made_of[1])
        self._run = compiled(predict, x, made_of)

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        n, m = parameters.shape[:2]
        rows, run = x, self._blocks_of(parameters)
        x = self._sharding.spread(x, axis=0)
        starts = list(range(0, m, _block_size(m)))
        raw, outputs = run(x, 0, (True, True))

        def blocks(outputs: Any) -> Iterator[list[Any]]:
            for start, upcoming in zip(starts, [*starts[1:], None], strict=True):
                # Dispatched before the current block is fetched: the two overlap.
                following = None if upcoming is None else run(x, upcoming, (False, True))[1]
                # Not np.asarray, which hides a failure of the model behind one of its own.
                yield [leaf[: m - start, :n] for leaf in jax.device_get(jax.tree.leaves(outputs))]
                outputs = following

        base = [leaf[:n] for leaf in jax.device_get(jax.tree.leaves(raw))]
        if not (self._is_row_wise or self.seen_later):
            named = jax.tree.unflatten(jax.tree.structure(self.output), base)
            self._require_row_wise(rows, judged(named, n, self._computed_in), parameters)
            self._is_row_wise = True
        return [leaf[None] for leaf in base], blocks(outputs)

    def _require_row_wise(self, x: Any, outputs: list[Judged], parameters: Parameters) -> None:
        """Raise where rows have other outputs in other batches.

        These are of the same size, for which the model is compiled, unless its trace has numbers
        that follow from that of the rows.
        """
        call = lambda few: jax.tree.leaves(self._predict(few))  # noqa: E731
        if len(parameters) == 1:
            require_same_beside(call, x, outputs, self._transform, self._acting)
            return
        full = n_rows(x)

        def outputs_of(batch: Any) -> list[Any]:
            return self.outputs_at(batch, parameters) if n_rows(batch) == full else call(batch)

        require_row_wise(outputs_of, x, outputs, self._acting.moving, may_shorten=self._counts_rows)

    @override
    def outputs_at(self, x: Any, parameters: Parameters) -> list[Any]:
        run = self._blocks_of(parameters)
        raw, _ = run(self._sharding.spread(x, axis=0), 0, (True, False))
        return [leaf[: len(parameters)] for leaf in jax.device_get(jax.tree.leaves(raw))]

    def _blocks_of(
        self, parameters: Parameters
    ) -> Callable[[Any, int, tuple[bool, bool]], tuple[Any, Any]]:
        """Return how rows like `x` are called on the block of transformations that one begins."""
        moves = self._acting.at(parameters, by="transformation")
        size = _block_size(parameters.shape[1])

        def run(x: Any, start: int, asked: tuple[bool, bool]) -> tuple[Any, Any]:
            block = moves.block(slice(start, start + size), size)
            block = self._sharding.spread(block, axis=1)
            try:
                return self._run(x, asked, block, size)
            except Exception as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise
                # It failed below Python, in the compiled model.
                raise jax.errors.JaxRuntimeError(str(error)) from error

        return run


def _block_size(m: int) -> int:
    """Return how many of `m` transformations are taken at once, in blocks of about one size."""
    return -(-m // -(-m // MOST_AT_ONCE))
