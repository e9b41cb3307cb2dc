"""Who evaluates the chunks, and in which order do results come back?

Chunks go to the workers of any executor and come back in the order of the rows, a bounded number
of them under way. What is random belongs to the rows, so that the number of workers changes
nothing.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from equiprob.orbits.chunk import Chunk, Evaluated, OrbitPass
from equiprob.orbits.failures import PredictionFailed

IN_FLIGHT = 64
"""Chunks that are under way or wait for their turn."""

Outcome = tuple[Chunk, Evaluated | PredictionFailed]


def check_executor(executor: Any) -> None:
    """Raise a TypeError for what is no executor."""
    submits = callable(getattr(executor, "submit", None)) and not isinstance(executor, type)
    if executor is not None and not submits:
        raise TypeError(
            f"executor must be a concurrent.futures.Executor (such as ProcessPoolExecutor(), or "
            f"Client.get_executor() of Dask), got {executor!r}"
        )


def evaluated_here(
    orbit_pass: OrbitPass, chunks: Iterator[Chunk], is_first: Callable[[], bool]
) -> Generator[Outcome]:
    """Evaluate chunks one after another.

    Args:
        orbit_pass: The pass.
        chunks: The chunks.
        is_first: Whether none has been evaluated yet: the first finds the floor of rounding, too.
    """
    for chunk in chunks:
        try:
            yield chunk, orbit_pass.evaluate(chunk, probe=is_first())
        except PredictionFailed as error:
            yield chunk, error


def evaluated_by(
    executor: Any, orbit_pass: OrbitPass, chunks: Iterator[Chunk], is_first: Callable[[], bool]
) -> Generator[Outcome]:
    """Evaluate chunks by the workers of an executor; see `evaluated_here`.

    Raises:
        RuntimeError: If a worker dies.
    """
    sent = Sent(orbit_pass)
    under_way: deque[tuple[Chunk, Any]] = deque()
    try:
        for chunk in chunks:
            under_way.append((chunk, _submitted(executor, sent, chunk, probe=is_first())))
            # One at a time until the first has been evaluated: the others depend on it.
            while len(under_way) >= (1 if is_first() else IN_FLIGHT):
                yield _outcome(*under_way.popleft())
        while under_way:
            yield _outcome(*under_way.popleft())
    finally:
        for _, future in under_way:
            future.cancel()


def _submitted(executor: Any, sent: Sent, chunk: Chunk, *, probe: bool) -> Any:
    try:
        return executor.submit(_evaluate, sent, chunk, probe)
    except (TypeError, ValueError, PredictionFailed):
        raise
    except Exception as error:
        raise _lost(chunk, error) from error


def _outcome(chunk: Chunk, future: Any) -> Outcome:
    try:
        return chunk, future.result()
    except PredictionFailed as error:
        return chunk, error
    except (TypeError, ValueError):  # what predict returned does not fit
        raise
    except Exception as error:
        raise _lost(chunk, error) from error


def _lost(chunk: Chunk, error: Exception) -> RuntimeError:
    return RuntimeError(
        f"the executor lost rows {chunk.start} to {chunk.stop - 1} ({type(error).__name__}: "
        f"{error}): a worker died, perhaps for want of memory. Rows before {chunk.start} are done: "
        f"make the same call with a new executor, and with checkpoint=, which keeps them"
    )


def _evaluate(sent: Sent, chunk: Chunk, probe: bool) -> Evaluated:
    return sent.orbit_pass.evaluate(chunk, probe=probe)


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
