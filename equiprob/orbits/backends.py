"""How is the model called on the transformed inputs of one chunk of rows?

A model that JAX can trace runs in one compiled program: the raw passes (the base, and once the
rounding probe) and a scan over transformations that makes each transformed input, consumes it and
takes the output back. Transformed inputs live for one step, so memory is that of a chunk. Any other
callable is called once for each transformation of a chunk, on NumPy (or the user's own) arrays.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, final, override

import jax
import numpy as np

from equiprob.orbits.outputs import named_outputs
from equiprob.orbits.programs import Predict, compiled, fingerprint, perturbed, trace
from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.rows import (
    as_given,
    map_rows,
    move_rows,
    precision_of,
)

_BLOCK = 32
"""Most transformations in one block of outputs (in one call of the compiled program)."""


class AbstractBackend(abc.ABC):
    """Calls a model on one chunk of rows after another."""

    name: str
    pads: bool
    """Whether a short last chunk is padded to the full batch size."""

    output: Any
    """Shapes and dtypes of the model's output on one chunk."""

    @abc.abstractmethod
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        """Evaluate the model on a chunk and on its transformations.

        Args:
            x: The chunk, a pytree of arrays with rows first.
            parameters: ``(row, transformation, n_parameters)``.
            probe: Whether to evaluate the chunk perturbed by one rounding, too.

        Returns:
            The output leaves at the rows ``(pass, row, ...)``, the probe as second pass, and an
            iterator over blocks of transformations: output leaves ``(transformation, row, ...)``
            taken back by the inverse output action.
        """


def _by_transformation(elements: Sequence[dict[str, Any]], block: slice, size: int) -> Any:
    """Return elements ``(transformation, row, ...)`` of a block, padded to `size` by its last."""

    def leaf(values: Any) -> Any:
        part = np.moveaxis(values[:, block], 1, 0)
        short = size - len(part)
        return np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part

    return tuple({name: leaf(v) for name, v in element.items()} for element in elements)


@final
class JaxBackend(AbstractBackend):
    """One compiled program for each shape, for any number of rows."""

    name = "jax"
    pads = True

    def __init__(
        self, predict: Predict, transform: AbstractTransform, x: Any, traced: tuple[Any, Any]
    ) -> None:
        """Compile the model for chunks like `x`, given its trace on one.

        Raises:
            ValueError: If the model is not repeatable.
        """
        jaxpr, self.output = traced
        named_outputs(self.output, _n_rows(x))
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
        self._run = compiled(predict, x, made_of, self._inward, back)

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        dtypes = [jax.dtypes.canonicalize_dtype(leaf.dtype) for leaf in jax.tree.leaves(x)]
        forward = self._transform.leaf_elements(self._inward, parameters, dtypes)
        _, backward = self._transform.inverse_elements(self._outward, parameters, self._dtypes)
        m = parameters.shape[1]
        size = -(-m // -(-m // _BLOCK))
        starts = list(range(0, m, size))

        def run(start: int, n_raw: int) -> tuple[Any, Any]:
            block = slice(start, start + size)
            there = _by_transformation(forward, block, size)
            home = _by_transformation(backward, block, size)
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
                yield [leaf[: m - start] for leaf in jax.device_get(jax.tree.leaves(outputs))]
                outputs = following

        return [leaf[:n_raw] for leaf in jax.device_get(jax.tree.leaves(raw))], blocks(outputs)


@final
class PythonBackend(AbstractBackend):
    """Any callable, once for each transformation of a chunk."""

    name = "python"
    pads = False

    def __init__(self, predict: Predict, transform: AbstractTransform, x: Any) -> None:
        """Evaluate the model twice on one chunk `x`.

        Raises:
            ValueError: If the two differ: the model is stochastic.
        """
        self._predict, self._transform = predict, transform
        self.output = None
        first = self._outputs(x)
        _require_equal(first, self._outputs(x))
        self.output = first
        self._inward = transform.input_actions(x)
        self._outward = transform.output_actions(first)
        self._dtypes = [leaf.dtype for leaf in jax.tree.leaves(first)]

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, *, probe: bool
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        passes = [self._outputs(x)]
        if probe:
            with precision_of(x):
                moved = perturbed(jax.tree.map(np.asarray, x), 1)
            passes.append(self._outputs(as_given(x, moved)))
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(x)]
        forward = self._transform.leaf_elements(self._inward, parameters, dtypes)
        back, backward = self._transform.inverse_elements(self._outward, parameters, self._dtypes)

        def moved_and_back(j: int) -> Any:
            there, home = (
                tuple({k: v[:, j] for k, v in element.items()} for element in elements)
                for elements in (forward, backward)
            )
            outputs = self._outputs(as_given(x, move_rows(self._inward, there, x)))
            return move_rows(back, home, outputs)

        def blocks() -> Iterator[list[Any]]:
            m = parameters.shape[1]
            for start in range(0, m, _BLOCK):
                yield _stacked(moved_and_back(j) for j in range(start, min(start + _BLOCK, m)))

        return _stacked(passes), blocks()

    def _outputs(self, x: Any) -> Any:
        """Return the model's output as NumPy arrays, one or a dict, rows as given."""

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

        output = self._predict(x)
        is_mapping = isinstance(output, Mapping)
        arrays = {k: leaf(v) for k, v in output.items()} if is_mapping else leaf(output)
        named = _row_shapes(arrays, _n_rows(x))
        if self.output is not None:
            before = _row_shapes(self.output, _n_rows(jax.tree.leaves(self.output)))
            if named != before:
                raise ValueError(
                    f"predict returned rows of shape {before} first and {named} later; return the "
                    f"same outputs for every batch"
                )
        return arrays


def _stacked(outputs: Iterable[Any]) -> list[Any]:
    """Return the leaves of several outputs of the model, each with the outputs stacked in front."""
    return [np.stack(leaves) for leaves in zip(*map(jax.tree.leaves, outputs), strict=True)]


def _row_shapes(output: Any, n: int) -> dict[Any, tuple[int, ...]]:
    """Return the shape of one row of each output, by name."""
    return {name: leaf.shape[1:] for name, leaf in named_outputs(output, n).items()}


def _require_equal(first: Any, second: Any) -> None:
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            raise ValueError(
                "predict is not repeatable: the same rows gave different outputs twice; pass a "
                "deterministic predict (evaluation mode, dropout and sampling off, fixed seeds)"
            )


def _n_rows(x: Any) -> int:
    return len(jax.tree.leaves(x)[0])


def choose_backend(
    predict: Predict, transform: AbstractTransform, x: Any, backend: str
) -> AbstractBackend:
    """Return the backend for a model, given one chunk `x`.

    "auto" takes JAX if the model and the action can be traced. A model that is given float64 NumPy
    rows while JAX computes in float32, and returns NumPy arrays, is NumPy code that happens to
    trace: it stays in NumPy, in float64.

    Raises:
        ValueError: If `backend` is unknown, or "jax" was asked for and tracing fails.
    """
    if backend not in ("auto", "jax", "python"):
        raise ValueError(f"backend must be 'auto', 'jax' or 'python', got {backend!r}")
    if backend == "python":
        return PythonBackend(predict, transform, x)
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
