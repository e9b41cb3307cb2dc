"""When is a compiled pass still that of the model it was compiled from?

Compiled programs are kept for each model (and each way of acting, and shapes), so that a second
call compiles nothing. A closure over arrays that have since been replaced, or a NumPy array
overwritten in place, would make that a silent error: so every call traces the model afresh, which
is cheap, and compares the trace.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import MethodType
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import (
    ClosedJaxpr,  # pyright: ignore[reportPrivateImportUsage]
    Jaxpr,  # pyright: ignore[reportPrivateImportUsage]
)

from equiprob.transforms.acting import Moves

Predict = Callable[[Any], Any]

_CACHED_PROGRAMS = 16


@dataclass
class Program:
    """A compiled pass, and fingerprints of the traces of the model it was compiled from.

    Args:
        run: The pass.
        model: Returns the model; None once nobody else holds it.
        traces: The text of a trace and what it captured, by the shapes of the inputs.
    """

    run: Callable[..., Any]
    model: Callable[[], Predict | None]
    traces: dict[Any, tuple[str, list[Captured]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Captured:
    """What is kept of an array that a model captured: nothing of its size.

    Args:
        digest: A hash of its content.
        array: Returns the array itself where it cannot be overwritten, as long as it lives.
    """

    digest: bytes
    array: Callable[[], Any]

    @classmethod
    def of(cls, value: Any) -> Captured:
        """Return what is kept of an array."""
        fixed = isinstance(value, jax.Array)
        return cls(_digest(value), weakref.ref(value) if fixed else lambda: None)

    def is_of(self, value: Any) -> bool:
        """Whether an array holds the same numbers."""
        return self.array() is value or self.digest == _digest(value)


def _digest(value: Any) -> bytes:
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.ascontiguousarray(value)
    found = hashlib.blake2b(f"{array.dtype.name} {array.shape}".encode(), digest_size=16)
    found.update(array.reshape(-1).view(np.uint8))
    return found.digest()


_programs: OrderedDict[Any, Program] = OrderedDict()


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a traced function, those of inner functions included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in _inner(equation):
            yield from equations(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)


def _inner(equation: Any) -> Iterator[Any]:
    values = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_function)
    return (value for value in values if _is_function(value))


def _is_function(value: Any) -> bool:
    return isinstance(value, ClosedJaxpr | Jaxpr)


def _constants(jaxpr: Any) -> list[Any]:
    """Return the arrays a traced function captured, inner functions included."""
    found = list(jaxpr.consts)
    for equation in equations(jaxpr.jaxpr):
        for inner in _inner(equation):
            found += inner.consts if isinstance(inner, ClosedJaxpr) else []
    return found


def trace(predict: Predict, x: Any) -> tuple[Any, Any]:
    """Trace a model afresh on arrays shaped like `x`; return its jaxpr and its output's shape."""
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)), x
    )
    # A new function object each time: JAX would otherwise return its cached trace.
    return jax.make_jaxpr(lambda batch: predict(batch), return_shape=True)(shapes)


def traced_once(predict: Predict) -> Predict:
    """Return a model that is traced once where a program calls it on several arrays of one shape.

    Tracing a large network takes longer than a pass of it.
    """
    return jax.jit(lambda batch: predict(batch))


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


def _is_known(known: tuple[str, list[Captured]], made_of: tuple[str, list[Any]]) -> bool:
    """Whether a trace is the one that was kept."""
    return (
        known[0] == made_of[0]
        and len(known[1]) == len(made_of[1])
        and all(one.is_of(value) for one, value in zip(known[1], made_of[1], strict=True))
    )


def _identity(predict: Predict) -> Any:
    """Return what tells models apart; ``model.predict`` is a new object at each look-up."""
    if isinstance(predict, MethodType):
        return id(predict.__self__), id(predict.__func__)
    return id(predict)


def compiled(predict: Predict, x: Any, made_of: tuple[str, list[Any]]) -> Callable[..., Any]:
    """Return the compiled pass of a model, made once for each (model, actions, shapes).

    A model that captures arrays which have since been replaced or overwritten (more training, the
    same closure) is recognized by its trace and compiled again.

    Raises:
        ValueError: If two traces of the model differ: it depends on hidden state.
    """
    key = _identity(predict)
    text, constants = made_of
    shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(x))
    shapes = (jax.tree.structure(x), shapes)
    program = _programs.pop(key, None)
    known = None if program is None else program.traces.get(shapes)
    if known is not None and not _is_known(known, made_of):
        program = known = None
    # A trace equal to that of an earlier call has been found repeatable then.
    if known is None and not same_trace(made_of, fingerprint(trace(predict, x)[0])):
        raise ValueError(
            "predict is not repeatable: traced twice, it is two different functions (it draws "
            "random numbers or counts its calls); pass a function of its input alone, with "
            "dropout and sampling off, or predict(batch, keys) with noise_repeats=4"
        )
    if program is None:
        model = _weak(predict, lambda: _programs.pop(key, None))
        program = Program(_build(model), model)
    if known is None:
        program.traces[shapes] = text, [Captured.of(value) for value in constants]
    _programs[key] = program
    while len(_programs) > _CACHED_PROGRAMS:
        _programs.popitem(last=False)
    return program.run


def _weak(predict: Predict, gone: Callable[[], Any]) -> Callable[[], Predict | None]:
    """Return a function that returns the model as long as others hold it.

    Args:
        predict: The model.
        gone: Called once they do not: its program, and the weights in it, are for nobody then.
    """
    try:
        if isinstance(predict, MethodType):  # the object that it is of
            return weakref.WeakMethod(predict, lambda _: gone())
        return weakref.ref(predict, lambda _: gone())
    except TypeError:  # what has no weak references stays until other programs take its place
        return lambda: predict


def _build(model: Callable[[], Predict | None]) -> Callable[..., Any]:
    @partial(jax.jit, static_argnames="n")
    def run(x: Any, asked: tuple[Any, Any], moves: Moves, n: int) -> tuple[Any, Any]:
        predict = traced_once(cast("Predict", model()))  # it runs for who holds it
        shape = jax.eval_shape(predict, x)

        def step(_: None, one: Moves) -> tuple[None, Any]:
            return None, one.around(predict, x)

        # What is asked for is an argument, so that one program serves a first block of
        # transformations, those that follow, and rows as they are.
        raw = jax.lax.cond(asked[0], lambda: predict(x), lambda: _zeros(shape))
        # One after the other: the two then share their memory.
        raw, x = jax.lax.optimization_barrier((raw, x))
        moved = jax.lax.cond(
            asked[1],
            lambda: jax.lax.scan(step, None, moves, length=n)[1],
            lambda: _zeros(shape, n),
        )
        return raw, moved

    return run


def _zeros(shape: Any, *first: int) -> Any:
    """Return zeros of the given shapes, with axes put in front."""
    return jax.tree.map(lambda s: jnp.zeros((*first, *s.shape), s.dtype), shape)
