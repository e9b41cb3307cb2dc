"""How is the model called on the transformed inputs of one chunk of rows?

A model that JAX can trace runs in one compiled program: the raw passes (the base, and once the
rounding probe) and a scan over transformations that makes each transformed input, consumes it and
takes the output back. Transformed inputs live for one step, so memory is that of a chunk. Any other
callable is called once for each transformation of a chunk, on NumPy (or the user's own) arrays.
"""

from __future__ import annotations

import abc
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final, override

import jax
import numpy as np

from equiprob.orbits.devices import RowSharding
from equiprob.orbits.keys import Ids, Purpose, keys_of, root_key, split_ids
from equiprob.orbits.outputs import named_outputs
from equiprob.orbits.programs import Predict, compiled, fingerprint, perturbed_once, trace
from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.rows import (
    LeafActions,
    as_given,
    map_rows,
    move_block,
    move_rows,
    precision_of,
)

_BLOCK = 32
"""Most transformations in one block of outputs (in one call of the compiled program)."""

_MOST_BYTES = 2**23
"""Bytes of transformed inputs that are made ahead of a model that is not JAX."""


@dataclass(frozen=True)
class Noise:
    """How often a stochastic model is called on each input, and where its randomness comes from.

    Args:
        repeats: Calls on each input, at least 2.
        seed: Seed of the keys.
        keyed: Whether the model takes keys, ``predict(batch, keys)``, a JAX key for each row.
    """

    repeats: int
    seed: int
    keyed: bool

    @classmethod
    def of(cls, predict: Callable[..., Any], repeats: int, seed: int) -> Noise | None:
        """Return the noise of a model; None for a deterministic one.

        Raises:
            ValueError: If `repeats` is no positive integer.
        """
        if not isinstance(repeats, int | np.integer) or repeats < 1:
            raise ValueError(f"noise_repeats must be a positive integer, got {repeats!r}")
        return None if repeats == 1 else cls(int(repeats), seed, _takes_keys(predict))

    def keys(self, ids: Ids, place: int, repeat: int) -> jax.Array:
        """Return a key for each row, whatever batch the row is in."""
        root = root_key(self.seed, Purpose.NOISE)
        root = jax.random.fold_in(jax.random.fold_in(root, place), repeat)
        return keys_of(root, *map(jax.numpy.asarray, split_ids(ids)))


def _takes_keys(predict: Callable[..., Any]) -> bool:
    """Whether a model must be given a second argument."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return sum(p.default is p.empty for p in positional) == 2


class AbstractBackend(abc.ABC):
    """Calls a model on one chunk of rows after another."""

    name: str
    pads: bool
    """Whether a short last chunk is padded to the full batch size."""

    output: Any
    """Shapes and dtypes of the model's output on one chunk."""

    @abc.abstractmethod
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        """Evaluate the model on a chunk and on its transformations.

        Args:
            x: The chunk, a pytree of arrays with rows first.
            parameters: ``(row, transformation, n_parameters)``.
            probe: Whether to evaluate the chunk perturbed by one rounding, too.
            ids: The rows' ids, which name the noise of a stochastic model.

        Returns:
            The output leaves at the rows ``(pass, row, ...)``, the probe as second pass, and an
            iterator over blocks of transformations: output leaves ``(transformation, row, ...)``
            taken back by the inverse output action.
        """


def _by_transformation(
    elements: Sequence[dict[str, Any]], block: slice, size: int | None = None
) -> Any:
    """Return elements ``(transformation, row, ...)`` of a block, padded to `size` by its last."""

    def leaf(values: Any) -> Any:
        part = np.moveaxis(values[:, block], 1, 0)
        short = (size or len(part)) - len(part)
        return np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part

    return tuple({name: leaf(v) for name, v in element.items()} for element in elements)


@final
class JaxBackend(AbstractBackend):
    """One compiled program for each shape, for any number of rows, on all local devices."""

    name = "jax"
    pads = True

    def __init__(
        self, predict: Predict, transform: AbstractTransform, x: Any, traced: tuple[Any, Any]
    ) -> None:
        """Compile the model for chunks like `x`, given its trace on one.

        Raises:
            ValueError: If the model is not repeatable.
        """
        jaxpr, output = traced
        self.output: Any = output
        named_outputs(output, _n_rows(x))
        made_of = fingerprint(jaxpr)
        if "callback" in made_of[0]:  # runs Python that a trace does not show
            _require_equal(predict(x), predict(x))
        self._transform = transform
        self._inward = transform.input_actions(x)
        self._outward = transform.output_actions(self.output)
        self._dtypes = [leaf.dtype for leaf in jax.tree.leaves(self.output)]
        back, _ = transform.inverse_elements(
            self._outward, transform.identity[None, None], self._dtypes
        )
        self._back = back
        self._sharding = RowSharding.of(_n_rows(x), made_of[1])
        self._run = compiled(predict, x, made_of, self._inward, back)

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        dtypes = [jax.dtypes.canonicalize_dtype(leaf.dtype) for leaf in jax.tree.leaves(x)]
        forward = self._transform.leaf_elements(self._inward, parameters, dtypes)
        _, backward = self._transform.inverse_elements(self._outward, parameters, self._dtypes)
        n, m = parameters.shape[:2]
        size = -(-m // -(-m // _BLOCK))
        x = self._sharding.spread(x, axis=0)
        starts = list(range(0, m, size))

        def run(start: int, n_raw: int) -> tuple[Any, Any]:
            block = slice(start, start + size)
            there, home = (
                self._sharding.spread(_by_transformation(elements, block, size), axis=1)
                for elements in (forward, backward)
            )
            try:
                return self._run(x, n_raw, there, home)
            except Exception as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                    raise
                # It failed below Python, in the compiled model.
                raise jax.errors.JaxRuntimeError(str(error)) from error

        n_raw = 2 if probe else 1
        raw, outputs = run(0, n_raw)

        def blocks(outputs: Any) -> Iterator[list[Any]]:
            for start, upcoming in zip(starts, [*starts[1:], None], strict=True):
                # Dispatched before the current block is fetched: the two overlap.
                following = None if upcoming is None else run(upcoming, 0)[1]
                # Not np.asarray, which hides a failure of the model behind one of its own.
                yield [leaf[: m - start, :n] for leaf in jax.device_get(jax.tree.leaves(outputs))]
                outputs = following

        return [leaf[:n_raw, :n] for leaf in jax.device_get(jax.tree.leaves(raw))], blocks(outputs)


@final
class PythonBackend(AbstractBackend):
    """Any callable, once for each transformation of a chunk."""

    name = "python"
    pads = False

    def __init__(
        self,
        predict: Callable[..., Any],
        transform: AbstractTransform,
        x: Any,
        noise: Noise | None = None,
    ) -> None:
        """Evaluate the model twice on one chunk `x`.

        Raises:
            ValueError: If the two differ and no `noise` was declared: the model is stochastic.
        """
        self._predict, self._transform, self._noise = predict, transform, noise
        self.output: Any = None
        # Shapes and dtypes that have been checked: a quick model is called often.
        self._accepted: set[Any] = set()
        ids = np.zeros(_n_rows(x), dtype=np.uint64)
        # A copy: the model may write its next output where this one is.
        first = jax.tree.map(np.array, self._outputs(x, ids))
        self._first: tuple[Any, Any] | None = None
        if noise is None:
            _require_equal(first, self._outputs(x, ids))
            self._first = x, first
        self.output = first
        self._inward = transform.input_actions(x)
        self._outward = transform.output_actions(first)
        self._dtypes = [leaf.dtype for leaf in jax.tree.leaves(first)]

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        repeats = range(1 if self._noise is None else self._noise.repeats)
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(x)]
        forward = self._transform.leaf_elements(self._inward, parameters, dtypes)
        back, backward = self._transform.inverse_elements(self._outward, parameters, self._dtypes)
        m = parameters.shape[1]
        size = _block_size(x, m)

        def outputs_of(block: slice) -> Iterator[Any]:
            there = _by_transformation(forward, block)
            n = len(range(*block.indices(m)))
            for j, moved in enumerate(move_block(self._inward, there, x, n)):
                for repeat in repeats:
                    yield self._outputs(moved, ids, block.start + j + 1, repeat)

        def blocks() -> Iterator[list[Any]]:
            for start in range(0, m, size):
                block = slice(start, start + size)
                stacked = _stacked(outputs_of(block), len(range(*block.indices(m))) * len(repeats))
                home = _by_transformation(backward, block)
                yield jax.tree.leaves(_moved_back(back, home, stacked, len(repeats)))

        passes = _stacked(self._raw(x, ids, probe=probe), len(repeats) + probe)
        return jax.tree.leaves(passes), blocks()

    def _raw(self, x: Any, ids: Ids, *, probe: bool) -> Iterator[Any]:
        """Yield the outputs at the rows themselves, and those at perturbed rows."""
        first, self._first = self._first, None
        if first is not None and first[0] is x:
            yield first[1]  # known since the model was first called
        else:
            for repeat in range(1 if self._noise is None else self._noise.repeats):
                yield self._outputs(x, ids, 0, repeat)
        if probe:
            with precision_of(x):
                moved = perturbed_once(jax.tree.map(np.asarray, x))
            yield self._outputs(as_given(x, moved), ids)

    def _outputs(self, x: Any, ids: Ids, place: int = 0, repeat: int = 0) -> Any:
        """Return the model's output as NumPy arrays, one or a dict, rows as given.

        `place` is 0 at the rows themselves, else counts transformations: with `repeat`, it names
        the noise.
        """

        def leaf(values: Any) -> Any:
            try:
                array = np.asarray(values)
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
        output = self._predict(x, *keys)
        is_mapping = isinstance(output, Mapping)
        arrays: Any = {k: leaf(v) for k, v in output.items()} if is_mapping else leaf(output)
        n = _n_rows(x)
        each: Any = arrays.items() if is_mapping else (("", arrays),)
        kind = (n, *((name, array.shape, array.dtype) for name, array in each))
        if kind not in self._accepted:
            self._check(arrays, n)
            self._accepted.add(kind)
        return arrays

    def _check(self, arrays: Any, n: int) -> None:
        """Raise where outputs of `n` rows are not those of a model, or not what they were first."""
        named = _row_shapes(arrays, n)
        if self.output is not None:
            before = _row_shapes(self.output, _n_rows(jax.tree.leaves(self.output)))
            if named != before:
                raise ValueError(
                    f"predict returned rows of shape {before} first and {named} later; return the "
                    f"same outputs for every batch"
                )


def _block_size(x: Any, m: int) -> int:
    """Return how many of `m` transformed copies of a chunk to make at once, in few bytes."""
    n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(x))
    most = min(_BLOCK, max(_MOST_BYTES // max(n_bytes, 1), 1))
    return -(-m // -(-m // most))  # blocks of about one size


def _moved_back(back: LeafActions, home: Any, outputs: Any, repeats: int) -> Any:
    """Take outputs ``(transformation and call, row, ...)`` back, all in one compiled call."""

    def flat(values: Any) -> Any:
        return values.reshape(-1, *values.shape[2:])

    element = tuple(
        {key: flat(np.repeat(values, repeats, axis=0)) for key, values in own.items()}
        for own in home
    )
    returned = move_rows(back, element, jax.tree.map(flat, outputs))
    return jax.tree.map(
        lambda leaf, given: np.asarray(leaf).reshape(given.shape), returned, outputs
    )


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


def _require_equal(first: Any, second: Any) -> None:
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            raise ValueError(
                "predict is not repeatable: the same rows gave different outputs twice; pass a "
                "deterministic predict (evaluation mode, dropout and sampling off, fixed seeds), "
                "or noise_repeats=4 if it is meant to be random"
            )


def _n_rows(x: Any) -> int:
    return len(jax.tree.leaves(x)[0])


def choose_backend(
    predict: Callable[..., Any],
    transform: AbstractTransform,
    x: Any,
    backend: str,
    noise: Noise | None = None,
) -> AbstractBackend:
    """Return the backend for a model, given one chunk `x`. Stochastic models stay in Python.

    "auto" takes JAX if the model and the action can be traced. A model that is given float64 NumPy
    rows while JAX computes in float32, and returns NumPy arrays, is NumPy code that happens to
    trace: it stays in NumPy, in float64.

    Raises:
        ValueError: If `backend` is unknown, or "jax" was asked for and tracing fails.
    """
    if backend not in ("auto", "jax", "python"):
        raise ValueError(f"backend must be 'auto', 'jax' or 'python', got {backend!r}")
    if noise is not None and backend == "jax":
        raise ValueError(
            "a stochastic model is called from Python: leave backend out (predict may be jitted)"
        )
    if backend == "python" or noise is not None:
        return PythonBackend(predict, transform, x, noise)
    actions = transform.input_actions(x)
    dtypes = [jax.dtypes.canonicalize_dtype(leaf.dtype) for leaf in jax.tree.leaves(x)]
    n = _n_rows(x)
    identity = np.broadcast_to(transform.identity, (n, *transform.identity.shape))
    elements = transform.leaf_elements(actions, identity, dtypes)
    try:
        jax.eval_shape(partial(map_rows, actions), elements, x)
        traced = trace(predict, x)
    except Exception as error:
        if backend == "jax":
            raise ValueError(
                f"backend='jax' was asked for, but JAX cannot trace predict or the action: {error}"
            ) from error
        return PythonBackend(predict, transform, x)
    narrowed = any(
        isinstance(leaf, np.ndarray) and jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype
        for leaf in jax.tree.leaves(x)
        if np.issubdtype(leaf.dtype, np.floating)
    )
    if backend == "auto" and narrowed:
        returned = jax.tree.leaves(predict(x))
        if all(isinstance(leaf, np.ndarray) for leaf in returned):
            return PythonBackend(predict, transform, x)
    return JaxBackend(predict, transform, x, traced)
