"""Who evaluates the chunks, and in which order do results come back?

Chunks go to the workers of any executor and come back in the order of the rows, a bounded number
of them under way. What is random belongs to the rows, so that the number of workers changes
nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from typing import Any

from equiprob.orbits.chunk import Chunk
from equiprob.orbits.failures import PredictionFailed, rows_named
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.parts import Part, begun, evaluated_in_parts

IN_FLIGHT = 64
"""Chunks that are under way or wait for their turn."""

Outcome = tuple[Chunk, list[Part]]
"""A chunk, and what was found on it: in one part, or in several where the model failed on some."""


def check_executor(executor: Any) -> None:
    """Raise for what is no executor, or one that forks.

    Raises:
        TypeError: If it is none.
        ValueError: If its workers are forks of this process.
    """
    submits = callable(getattr(executor, "submit", None)) and not isinstance(executor, type)
    if executor is not None and not submits:
        raise TypeError(
            f"executor must be a concurrent.futures.Executor (such as ProcessPoolExecutor(), or "
            f"Client.get_executor() of Dask), got {executor!r}"
        )
    context = getattr(executor, "_mp_context", None)
    method = getattr(context, "get_start_method", None)
    if callable(method) and method() == "fork":
        raise ValueError(
            "the executor forks this process, in which JAX has threads: its workers would wait for "
            "locks that nobody holds, and the call would never return; pass "
            "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))"
        )


def evaluated_here(
    orbit_pass: OrbitPass, chunks: Iterator[Chunk], is_first: Callable[[], bool], *, apart: bool
) -> Generator[Outcome]:
    """Evaluate chunks one after another.

    Where the model runs on a device, the next chunk is prepared while that works on this one.

    Args:
        orbit_pass: The pass.
        chunks: The chunks.
        is_first: Whether none has been evaluated yet: the first finds the floor of rounding, too.
        apart: Whether rows on which the model raises are told from the others.
    """
    behind: tuple[Chunk, Callable[[], list[Part]]] | None = None
    left = iter(chunks)
    while True:
        upcoming, error = None, None
        try:
            chunk = next(left, None)
            if chunk is not None:
                upcoming = chunk, begun(orbit_pass, chunk, probe=is_first(), apart=apart)
        except Exception as failure:  # what comes before it is done
            error = failure
        if behind is not None:
            yield behind[0], behind[1]()
        if error is not None:
            raise error
        if upcoming is None:
            return
        behind = upcoming
        if is_first() or not orbit_pass.runs_ahead:
            yield behind[0], behind[1]()
            behind = None


def evaluated_by(
    executor: Any,
    orbit_pass: OrbitPass,
    chunks: Iterator[Chunk],
    is_first: Callable[[], bool],
    *,
    apart: bool,
) -> Generator[Outcome]:
    """Evaluate chunks by the workers of an executor; see `evaluated_here`.

    Raises:
        RuntimeError: If a worker dies, or the executor was shut down.
    """
    sent = Sent(orbit_pass)
    under_way: deque[tuple[Chunk, Any]] = deque()
    try:
        for chunk in chunks:
            under_way.append((chunk, _submitted(executor, sent, chunk, is_first(), apart)))
            # One at a time until the first has been evaluated: the others depend on it.
            while len(under_way) >= (1 if is_first() else IN_FLIGHT):
                yield _outcome(*under_way.popleft())
        while under_way:
            yield _outcome(*under_way.popleft())
    finally:
        for _, future in under_way:
            future.cancel()


def _submitted(executor: Any, sent: Sent, chunk: Chunk, probe: bool, apart: bool) -> Any:
    try:
        future = executor.submit(_evaluate, sent, chunk, probe, apart)
    except (TypeError, ValueError):
        raise
    except Exception as error:
        raise _lost(chunk, error) from error
    if not all(callable(getattr(future, name, None)) for name in ("result", "cancel")):
        raise TypeError(
            f"executor.submit must return a future, as those of concurrent.futures do, got "
            f"{future!r:.80}"
        )
    return future


def _outcome(chunk: Chunk, future: Any) -> Outcome:
    try:
        return chunk, future.result()
    except (TypeError, ValueError):  # what predict returned does not fit
        raise
    except Exception as error:
        raise _lost(chunk, error) from error


def _lost(chunk: Chunk, error: Exception) -> RuntimeError:
    is_shut = "after shutdown" in str(error) or isinstance(error, CancelledError)
    why = "it was shut down" if is_shut else "a worker died, perhaps for want of memory"
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return RuntimeError(
        f"the executor lost {rows_named(chunk.start, chunk.stop)} ({said}): {why}. Rows before "
        f"{chunk.start} are done: make the same call with a new executor, and with checkpoint=, "
        f"which keeps them"
    )


def _evaluate(sent: Sent, chunk: Chunk, probe: bool, apart: bool) -> list[Part]:
    try:
        return evaluated_in_parts(sent.orbit_pass, chunk, probe=probe, apart=apart)
    except SystemExit as error:  # it would end the process that asks for the result
        failed = PredictionFailed(
            f"predict raised SystemExit on {rows_named(chunk.start, chunk.stop)}: {error}"
        )
        return [(chunk, failed)]


class Sent:
    """A pass that is sent to other processes with every chunk, but is packed and unpacked once."""

    def __init__(self, orbit_pass: OrbitPass) -> None:
        """Take a pass; it is packed when it is sent to another process for the first time."""
        self.orbit_pass = orbit_pass
        self._content: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how the pass is made again, elsewhere."""
        if self._content is None:
            self._content = _packed(self.orbit_pass)
        return _receive, (self.orbit_pass.token, self._content)


_MOST_RECEIVED = 4
_received: OrderedDict[str, Sent] = OrderedDict()


def _receive(token: str, content: bytes) -> Sent:
    """Return the pass that was sent, unpacked when it first came."""
    if token not in _received:
        _received[token] = Sent(pickle.loads(content))
        while len(_received) > _MOST_RECEIVED:
            _received.popitem(last=False)
    return _received[token]


def _packed(orbit_pass: OrbitPass) -> bytes:
    try:
        # It packs functions by value, too. Dask brings it.
        from cloudpickle import dumps
    except ImportError:
        from pickle import dumps
    try:
        return dumps(orbit_pass)
    except Exception as error:
        raise TypeError(
            f"predict (or the transform) cannot be sent to other processes: {error}; define it at "
            f"the top level of a module, install cloudpickle, or pass a ThreadPoolExecutor"
        ) from error
