"""How is the model called on the transformed inputs of one chunk of rows?

A model that JAX can trace runs in one compiled program: the raw passes (the base, and once the
rounding probe) and a scan over transformations that makes each transformed input, consumes it and
takes the output back. Transformed inputs live for one step, so memory is that of a chunk. Any other
callable is called once for each transformation of a chunk, on NumPy (or the user's own) arrays.
"""

from __future__ import annotations

import abc
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
from typing import Any, final, override

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]

from equiprob.orbits.outputs import named_outputs
from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.rows import (
    LeafActions,
    act_on_row,
    as_given,
    map_rows,
    move_rows,
    precision_of,
)

Predict = Callable[[Any], Any]

_BLOCK = 32
"""Most transformations in one block of outputs (in one call of the compiled program)."""

_CACHED_PROGRAMS = 16


def perturbed(x: Any, size: Any) -> Any:
    """Return `x` with every float changed by `size` roundings up or down (traceable)."""

    def leaf(i: int, values: Any) -> Any:
        if not jnp.issubdtype(values.dtype, jnp.floating):
            return values
        signs = jax.random.rademacher(jax.random.key(i), values.shape, dtype=jnp.int8)
        step = jnp.finfo(values.dtype).eps * size
        return values * (1 + step * signs).astype(values.dtype)

    leaves, treedef = jax.tree.flatten(x)
    return treedef.unflatten([leaf(i, values) for i, values in enumerate(leaves)])


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


@dataclass
class _Program:
    """A compiled pass, and fingerprints of the traces of the model it was compiled from."""

    predict: Predict
    run: Callable[..., Any]
    traces: dict[Any, Any] = field(default_factory=dict)


_programs: OrderedDict[Any, _Program] = OrderedDict()


def _constants(jaxpr: Any) -> list[Any]:
    """Return the arrays a traced function captured, inner functions included."""
    found = list(jaxpr.consts)
    for equation in jaxpr.jaxpr.eqns:
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: isinstance(v, ClosedJaxpr)
        ):
            if isinstance(value, ClosedJaxpr):
                found += _constants(value)
    return found


def trace(predict: Predict, x: Any) -> tuple[Any, Any]:
    """Trace a model afresh on arrays shaped like `x`; return its jaxpr and its output's shape."""
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)), x
    )
    # A new function object each time: JAX would otherwise return its cached trace.
    return jax.make_jaxpr(lambda batch: predict(batch), return_shape=True)(shapes)


def fingerprint(jaxpr: Any) -> tuple[str, list[Any]]:
    """Return what a traced function computes: its text and the arrays it captured."""
    return str(jaxpr), _constants(jaxpr)


def same_trace(one: tuple[str, list[Any]], other: tuple[str, list[Any]]) -> bool:
    """Whether two fingerprints are of the same function, captured arrays compared by value."""
    return (
        one[0] == other[0]
        and len(one[1]) == len(other[1])
        and all(
            a is b or np.array_equal(a, b, equal_nan=True)
            for a, b in zip(one[1], other[1], strict=True)
        )
    )


def _snapshot(constants: list[Any]) -> list[Any]:
    """Copy the NumPy arrays a model captured: their owner may overwrite them in place."""
    return [c.copy() if isinstance(c, np.ndarray) else c for c in constants]


def _identity(predict: Predict) -> Any:
    """Return what tells models apart; ``model.predict`` is a new object at each look-up."""
    if isinstance(predict, MethodType):
        return id(predict.__self__), id(predict.__func__)
    return id(predict)


def _compiled(
    predict: Predict, x: Any, made_of: tuple[str, list[Any]], inward: LeafActions, back: LeafActions
) -> Any:
    """Return the compiled pass of a model, made once for each (model, actions, shapes).

    A model that captures arrays which have since been replaced or overwritten (more training, the
    same closure) is recognized by its trace and compiled again.

    Raises:
        ValueError: If two traces of the model differ: it depends on hidden state.
    """
    key = (_identity(predict), inward, back)
    text, constants = made_of
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(x))
    shapes = (jax.tree.structure(x), shapes)
    program = _programs.pop(key, None)
    known = None if program is None else program.traces.get(shapes)
    if known is not None and not same_trace(known, made_of):
        program = known = None
    # A trace equal to that of an earlier call has been found repeatable then.
    if known is None and not same_trace(made_of, fingerprint(trace(predict, x)[0])):
        raise ValueError(
            "predict is not repeatable: traced twice, it is two different functions (it draws "
            "random numbers or counts its calls); pass a function of its input alone, with "
            "dropout and sampling off"
        )
    if program is None:
        program = _Program(predict, _build(predict, inward, back))
    program.traces[shapes] = text, _snapshot(constants)
    _programs[key] = program
    while len(_programs) > _CACHED_PROGRAMS:
        _programs.popitem(last=False)
    return program.run


def _build(predict: Predict, inward: LeafActions, back: LeafActions) -> Callable[..., Any]:
    @jax.jit
    def run(x: Any, n_raw: Any, forward: Any, backward: Any) -> tuple[Any, Any]:
        shape = jax.eval_shape(predict, x)
        buffer = jax.tree.map(lambda s: jnp.zeros((2, *s.shape), s.dtype), shape)

        def raw_pass(i: Any, outputs: Any) -> Any:
            out = predict(perturbed(x, i))
            return jax.tree.map(lambda b, o: b.at[i].set(o), outputs, out)

        # The trip count is an argument, so that the rounding probe costs its pass only when asked.
        raw = jax.lax.fori_loop(0, n_raw, raw_pass, buffer)

        def step(_: None, elements: Any) -> tuple[None, Any]:
            there, home = elements
            moved = jax.vmap(partial(act_on_row, inward))(there, x)
            return None, jax.vmap(partial(act_on_row, back))(home, predict(moved))

        return raw, jax.lax.scan(step, None, (forward, backward))[1]

    return run


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
        self._run = _compiled(predict, x, made_of, self._inward, back)

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
