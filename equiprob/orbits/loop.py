"""The one loop over chunks of rows: from wherever they come, to whatever is kept of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from equiprob.arguments.calls import calling
from equiprob.orbits.chunk import Chunk, Evaluated, OrbitPass, forget_pass
from equiprob.orbits.failures import PredictionFailed
from equiprob.orbits.floors import ProbedRows, with_floors
from equiprob.orbits.sources import AbstractRows
from equiprob.orbits.store import Store
from equiprob.orbits.table import OrbitTable

_SLOW_SECONDS = 4.0
"""A pass expected to take longer shows a progress bar."""

StopRule = Callable[[OrbitTable], str | None]


@dataclass(frozen=True, eq=False)
class Course:
    """How the loop goes on, beyond what it evaluates.

    Args:
        progress: Show a progress bar; None: where the pass is slow.
        skip_errors: Whether chunks on which the model raises are passed over.
        stop_when: Called with the table so far after each chunk; a reason ends the loop.
    """

    progress: bool | None = None
    skip_errors: bool = False
    stop_when: StopRule | None = None


def run_pass(orbit_pass: OrbitPass, rows: AbstractRows, course: Course) -> OrbitTable:
    """Evaluate all rows, or as many as a rule asks for, and return their table.

    Raises:
        PredictionFailed: If the model raises on a chunk, or on all where they are passed over.
    """
    store, probed, stopped = Store(orbit_pass, rows.n, rows.grouped), ProbedRows(), None
    try:
        for chunk, found in _outcomes(orbit_pass, rows, store, course):
            probed.see(chunk)
            if isinstance(found, PredictionFailed):
                store.skip(chunk, str(found))
                continue
            if store.is_empty:
                rows.check_targets(found.outputs)
            store.add(chunk, found)
            stopped = _stopped(course.stop_when, store, rows)
            if stopped is not None:
                break
        if store.is_empty:
            raise PredictionFailed(f"no row was evaluated: {store.skipped[0].reason}")
        table = store.table(rows.reference(store.done), stopped)
        floors, method = probed.floors(orbit_pass, table, store.outputs)
    finally:
        forget_pass(orbit_pass.token)
    return replace(table, statistics=with_floors(table.statistics, floors), floor_method=method)


def _outcomes(
    orbit_pass: OrbitPass, rows: AbstractRows, store: Store, course: Course
) -> Iterator[tuple[Chunk, Evaluated | PredictionFailed]]:
    """Yield each chunk with what was found there, in the order of the rows."""
    for chunk in _with_progress(rows.chunks(orbit_pass.size), rows.n, course.progress):
        try:
            yield chunk, orbit_pass.evaluate(chunk, probe=store.is_empty)
        except PredictionFailed as error:
            if not course.skip_errors:
                raise
            yield chunk, error


def _stopped(rule: StopRule | None, store: Store, rows: AbstractRows) -> str | None:
    """Return why no more rows are needed, if they are not."""
    if rule is None or store.done < 2:
        return None
    table = store.table(rows.reference(store.done))
    with calling("stop_when"):
        reason = rule(table)
    if reason is not None and not isinstance(reason, str):
        raise TypeError(
            f"stop_when must return None or the reason to stop, as a string, got {reason!r}"
        )
    return reason


def _with_progress(
    chunks: Iterator[Chunk], n: int | None, progress: bool | None
) -> Iterator[Chunk]:
    """Yield chunks, with a progress bar where the work is long."""
    bar, began = None, time.monotonic()
    for done, chunk in enumerate(chunks):
        if bar is None and progress is not False:
            if done == 1:
                began = time.monotonic()  # the first chunk compiles: it says nothing of the rest
            spent = time.monotonic() - began
            left = spent if n is None else spent * (n - chunk.start) / max(chunk.start, 1)
            if progress or (done >= 2 and left > _SLOW_SECONDS):
                from tqdm import tqdm

                bar = tqdm(total=n, initial=chunk.start, unit="row", desc="orbits", file=sys.stderr)
        yield chunk
        if bar is not None:
            bar.update(len(chunk))
    if bar is not None:
        bar.close()
