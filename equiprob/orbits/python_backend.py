"""How is any other callable called on the transformed inputs of one chunk of rows?

Once for each transformation, on NumPy (or the user's own) arrays. The inputs of a block of
transformations are made in one compiled call, and their outputs taken back in another.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import masked_as_nan
from equiprob.arguments.lending import Lent
from equiprob.orbits.backend import (
    MOST_AT_ONCE,
    AbstractBackend,
    n_rows,
    require_equal,
)
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.noise import Noise
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.precision import Array
from equiprob.orbits.row_wise import Seen, judged, require_row_wise, require_same_beside
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_MOST_SHAPES = 32
"""Shapes that rows may come in."""

_FEWEST = 40
"""Rows, at least, that are evaluated twice: what is random on a fifth of the rows, always the same
ones, was missed on 16 of them in 1 to 3 % of passes of 128 and 300 rows."""

_QUICK = 3e-5
"""Seconds of a row up to which a model is quick."""

_SMALL = 1024
"""Bytes of a row up to which a larger chunk stays in a processor's memory."""

_MOST_BYTES = 2**23
"""Bytes of transformed inputs that are made ahead of the model."""


@final
class PythonBackend(AbstractBackend):
    """Any callable, once for each transformation of a chunk."""

    name = "python"
    pads = False
    is_pure = False

    def __init__(
        self,
        predict: Callable[..., Any],
        transform: Transform,
        x: Any,
        noise: Noise | None = None,
        computed_in: Mapping[Any, Any] | None = None,
        *,
        batch_dependent: bool = False,
        looked_at: int | None = None,
    ) -> None:
        """Evaluate the model on one chunk `x`, twice on some of its rows, and on a few of them.

        With `looked_at`, half as many rows are evaluated twice, else all of them.

        Raises:
            ValueError: If the two differ and no `noise` was declared: the model is stochastic. If
                rows have other outputs in another batch, unless it was declared to be
                `batch_dependent`.
        """
        self._predict, self._transform, self._noise = predict, transform, noise
        self.output: Any = None
        rows_only = transform.on(x)
        self._makes_rows = rows_only if rows_only.makes_rows else None
        # Shapes and dtypes that have been checked: a quick model is called often.
        self._accepted: set[Any] = set()
        self._shapes: set[Any] = set()
        self._took: dict[int, float] = {}
        # Rows of the first chunk, and of a larger one that the model does not take.
        self._size, self._refused = n_rows(x), 0
        self.seconds: Mapping[int, float] = self._took
        # Compiled for one number of rows, it would be compiled again for another.
        compiled = getattr(predict, "is_compiled", False)
        n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(x))
        self._may_grow = not compiled and n_bytes <= _SMALL * n_rows(x)
        ids = np.zeros(n_rows(x), dtype=np.uint64)
        lent = Lent.of(x)
        # Held by one thread at a time, if the model writes all outputs to one place of its own.
        self._alone: threading.Lock | None = None
        written = self._outputs(lent.x, ids)
        # Declared, or seen by an adapter whose numbers have come in another dtype.
        declared = {name: dtype for name, dtype in (computed_in or {}).items() if dtype is not None}
        self.computed_in: Mapping[Any, Any] = {**getattr(predict, "computed_in", {}), **declared}
        # A copy: the model may write its next output where this one is.
        first = jax.tree.map(np.array, written)
        self._first: tuple[Any, Any] | None = None
        lent.require_unchanged()
        self.repeated: NDArray[np.int64] = np.arange(n_rows(x))
        self.takes_fewer: bool = False
        self.differing: dict[Any, Array] = {}
        self.output = first
        self._acting = transform.on(x, first)
        if noise is None:
            self._first = x, first
            seen = self._require_repeatable(x, first, written, looked_at)
            if not batch_dependent:
                self._require_row_wise(x, first, seen)

    @property
    def is_quick(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether calls took little time, on more than one number of small rows."""
        known = self._took.values()
        return self._may_grow and len(known) > 1 and min(known) <= _QUICK

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        repeats = range(1 if self._noise is None else self._noise.repeats)
        moves = self._acting.at(parameters, by="transformation")
        m = parameters.shape[1]
        size = 1 if self._acting.changes_shape else _block_size(x, m)
        first, self._first = self._first, None
        known = first[1] if first is not None and first[0] is x else None
        lent = Lent.of(x)

        def outputs_of(block: slice) -> Iterator[Any]:
            n = len(range(*block.indices(m)))
            for j, moved in enumerate(moves.block(block).each(lent.x, n)):
                self._require_few_shapes(moved)
                for repeat in repeats:
                    yield self._outputs(moved, ids, block.start + j + 1, repeat)

        def blocks() -> Iterator[list[Any]]:
            for start in range(0, m, size):
                block = slice(start, start + size)
                stacked = _stacked(outputs_of(block), len(range(*block.indices(m))) * len(repeats))
                back = moves.block(block).each_back(stacked, lent.x, len(repeats))
                self._check_shapes(back)
                yield jax.tree.leaves(back)
            lent.require_unchanged()

        passes = _stacked(self._raw(lent.x, known, ids), len(repeats))
        return jax.tree.leaves(passes), blocks()

    @override
    def outputs_at(self, x: Any, parameters: Parameters) -> list[Any]:
        return self._outputs_alone(x)

    def _outputs_alone(self, x: Any) -> list[Any]:
        """Return the output leaves of a deterministic model on any number of rows."""
        ids = np.zeros(n_rows(x), dtype=np.uint64)
        return jax.tree.leaves(self._outputs(Lent.of(x).x, ids))

    def _require_repeatable(
        self, x: Any, first: Any, written: Any, looked_at: int | None
    ) -> Seen | None:
        """Raise where rows have other outputs the next time, and look where these are written.

        Returns:
            What was seen of some of the rows in a batch of their own; None where all were asked
            again.
        """
        n = n_rows(x)
        few = n if looked_at is None else max(_FEWEST, looked_at // 2)
        if few < n:
            # From the last to the first: the batch is another one, and its order, too.
            rows = np.linspace(0, n - 1, few).astype(np.int64)[::-1]
            lent = Lent.of(take_rows(x, rows))
            try:
                found = self._outputs(lent.x, np.zeros(few, dtype=np.uint64))
            except Exception:  # a model may be made for one number of rows
                few = n
            else:
                self.takes_fewer, self.repeated = True, rows
                seen = jax.tree.map(np.array, found)
                self._ask_again(seen, found, lent)
                return Seen(rows, jax.tree.leaves(seen))
        self._ask_again(first, written, Lent.of(x))
        return None

    def _ask_again(self, before: Any, written: Any, lent: Lent) -> None:
        """Evaluate a batch a second time, where `written` holds or held its outputs `before`."""
        again = self._outputs(lent.x, np.zeros(n_rows(lent.x), dtype=np.uint64))
        self.differing = require_equal(before, again, self.computed_in)
        if _share_memory(written, again) and not _share_memory(written, lent.x):
            self._alone = threading.Lock()

    def _require_row_wise(self, x: Any, first: Any, seen: Seen | None) -> None:
        """Raise where rows have other outputs in other batches."""
        call, outputs = self._outputs_alone, judged(first, n_rows(x), self.computed_in)
        if self._acting.changes_shape and n_rows(x) == 1:
            return
        if n_rows(x) > 1:
            moving = self._acting.moving
            require_row_wise(call, x, outputs, moving, may_shorten=True, seen=seen)
            return
        require_same_beside(call, x, outputs, self._transform, self._acting)

    def _raw(self, x: Any, known: Any, ids: Ids) -> Iterator[Any]:
        """Yield the outputs at the rows themselves, where known those."""
        if known is not None:
            yield known
            return
        for repeat in range(1 if self._noise is None else self._noise.repeats):
            yield self._outputs(x, ids, 0, repeat)

    def _outputs(self, x: Any, ids: Ids, place: int = 0, repeat: int = 0) -> Any:
        """Return the model's output as NumPy arrays, one or a dict, rows as given.

        `place` is 0 at the rows themselves, else counts transformations: with `repeat`, it names
        the noise.
        """
        if place == 0 and self._makes_rows is not None:
            still = np.broadcast_to(
                self._transform.identity, (n_rows(x), *self._transform.identity.shape)
            )
            x = self._makes_rows.at(still).move(x)

        def leaf(values: Any) -> Any:
            try:
                array = masked_as_nan(values)
            except ValueError:  # rows of unequal lengths
                array = np.empty(0, dtype=object)
            if array.dtype == object:
                raise TypeError(
                    f"predict returned {type(values).__name__}, which is not an array of numbers; "
                    f"return an array (row, ...) or a dict of such arrays"
                )
            return array

        keyed = self._noise is not None and self._noise.keyed
        keys = (self._noise.keys(ids, place, repeat),) if keyed and self._noise else ()

        def arrays_of(output: Any) -> Any:
            if isinstance(output, Mapping):
                return {k: leaf(v) for k, v in output.items()}
            return leaf(output)

        n, began = n_rows(x), time.perf_counter()
        if self._alone is None:
            arrays = self._in_one_call(lambda rows: arrays_of(self._predict(rows, *keys)), x)
        else:
            with self._alone:
                arrays = jax.tree.map(np.array, arrays_of(self._predict(x, *keys)))
        if n != self._refused:
            took = (time.perf_counter() - began) / max(n, 1)
            self._took[n] = min(self._took.get(n, np.inf), took)
        each: Any = arrays.items() if isinstance(arrays, dict) else (("", arrays),)
        kind = (n, *((name, array.shape, array.dtype) for name, array in each))
        if kind not in self._accepted:
            self._check(arrays, n)
            self._accepted.add(kind)
        return arrays

    def _in_one_call(self, arrays_of: Callable[[Any], Any], x: Any) -> Any:
        """Return outputs of one call, or of several where a larger chunk is refused."""
        n = n_rows(x)
        if n != self._refused:
            try:
                return arrays_of(x)
            except Exception:
                if n <= self._size or not self._may_grow:
                    raise
        parts = [arrays_of(take_rows(x, slice(i, i + self._size))) for i in range(0, n, self._size)]
        self._refused, self._took[n] = n, np.inf
        return jax.tree.map(lambda *each: np.concatenate(each), *parts)

    def _require_few_shapes(self, x: Any) -> None:
        """Raise where rows come in more shapes than a model is compiled for."""
        if not self._acting.changes_shape:
            return
        self._shapes.add(tuple(leaf.shape[1:] for leaf in jax.tree.leaves(x)))
        if len(self._shapes) > _MOST_SHAPES:
            raise ValueError(
                f"{self._transform} makes rows of more than {_MOST_SHAPES} shapes, for each of "
                f"which a model is compiled: pass fewer n_transforms, or a list of sizes as in "
                f"ep.transforms.rescalings([1, 0.5, 2])"
            )

    def _check_shapes(self, back: Any) -> None:
        """Raise where outputs of rows of another shape do not come back in that of before."""
        pairs = zip(jax.tree.leaves(back), jax.tree.leaves(self.output), strict=True)
        for now, before in pairs:
            if now.shape[2:] != before.shape[1:]:
                raise ValueError(
                    f"an output that was taken back has rows of shape {now.shape[2:]}, and at the "
                    f"rows themselves of shape {before.shape[1:]}: declare how it changes, such as "
                    f"Action(function, inverse, changes_shape=True)"
                )

    def _check(self, arrays: Any, n: int) -> None:
        """Raise where outputs of `n` rows are not those of a model, or not what they were first."""
        named = _row_shapes(arrays, n)
        if self.output is not None and not self._acting.changes_shape:
            before = _row_shapes(self.output, n_rows(jax.tree.leaves(self.output)))
            if named != before:
                raise ValueError(
                    f"predict returned rows of shape {before} first and {named} later; return the "
                    f"same outputs for every batch"
                )


def _share_memory(outputs: Any, others: Any) -> bool:
    """Whether arrays of one pytree lie where some of the other do."""
    leaves = jax.tree.leaves(others)
    return any(np.may_share_memory(a, b) for a in jax.tree.leaves(outputs) for b in leaves)


def _block_size(x: Any, m: int) -> int:
    """Return how many of `m` transformed copies of a chunk to make at once, in few bytes."""
    n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(x))
    most = min(MOST_AT_ONCE, max(_MOST_BYTES // max(n_bytes, 1), 1))
    return -(-m // -(-m // most))  # blocks of about one size


def _stacked(outputs: Iterator[Any], n: int) -> Any:
    """Return `n` outputs of the model as one, stacked in front.

    Each is copied before the next is asked for: a model may write all of them to one place.
    """
    first = next(outputs)
    stacked = jax.tree.map(lambda leaf: np.empty((n, *leaf.shape), leaf.dtype), first)
    into = jax.tree.leaves(stacked)
    for j, output in enumerate(itertools.chain([first], outputs)):
        for whole, leaf in zip(into, jax.tree.leaves(output), strict=True):
            whole[j] = leaf
    return stacked


def _row_shapes(output: Any, n: int) -> dict[Any, tuple[int, ...]]:
    """Return the shape of one row of each output, by name."""
    return {name: leaf.shape[1:] for name, leaf in named_outputs(output, n).items()}
