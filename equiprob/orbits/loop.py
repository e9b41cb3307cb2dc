"""The one loop over chunks of rows: from wherever they come, to whatever is kept of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from equiprob.arguments.calls import calling
from equiprob.orbits.chunk import Chunk
from equiprob.orbits.ending import saying_where
from equiprob.orbits.failures import PredictionFailed
from equiprob.orbits.floors import ProbedRows, with_floors
from equiprob.orbits.lasting import Change, require_unchanged
from equiprob.orbits.orbit_pass import OrbitPass, forget_pass
from equiprob.orbits.parts import first_failure
from equiprob.orbits.sources import AbstractRows
from equiprob.orbits.statistics import check_not_lost
from equiprob.orbits.storage.checkpoint import Checkpoint
from equiprob.orbits.storage.store import Store
from equiprob.orbits.table import OrbitTable
from equiprob.orbits.under_way import Evaluated
from equiprob.orbits.workers import Outcome, evaluated_by, evaluated_here

_SLOW_SECONDS = 4.0
"""A pass expected to take longer shows a progress bar."""

StopRule = Callable[[OrbitTable], str | None]


@dataclass(frozen=True, eq=False)
class Course:
    """How the loop goes on, beyond what it evaluates.

    Args:
        progress: Show a progress bar; None: where the pass is slow.
        skip_errors: Whether rows on which the model raises are passed over.
        stop_when: Called with the table so far after each chunk; a reason ends the loop.
        executor: Whose workers evaluate the chunks; None: they are evaluated here.
        checkpoint: The file that the pass goes on from, and is written to; None: there is none.
        checkpoint_every: Seconds between two writes, at least.
    """

    progress: bool | None = None
    skip_errors: bool = False
    stop_when: StopRule | None = None
    executor: Any = None
    checkpoint: Path | None = None
    checkpoint_every: float = 5.0


def run_pass(orbit_pass: OrbitPass, rows: AbstractRows, course: Course) -> OrbitTable:
    """Evaluate all rows, or as many as a rule asks for, and return their table.

    Raises:
        PredictionFailed: If the model raises on rows, or on all where they are passed over.
        ValueError: If the checkpoint is damaged, or of another call.
    """
    record = _record(orbit_pass, rows, course)
    with nullcontext() if record is None else record:
        return _run(orbit_pass, rows, course, record)


def _run(
    orbit_pass: OrbitPass, rows: AbstractRows, course: Course, record: Checkpoint | None
) -> OrbitTable:
    store, probed = Store(orbit_pass, rows.n, rows.grouped), ProbedRows()
    try:
        with saying_where(lambda: _how_to_go_on(store, record)):
            stopped = _evaluated(orbit_pass, rows, course, record, store, probed)
        if store.is_empty:
            raise PredictionFailed(f"no row was evaluated: {store.skipped[0].reason}")
        table = store.table(rows.reference(store.done), stopped)
        for name, statistics in table.statistics.items():
            check_not_lost(name, statistics)
        floors, method = probed.floors(orbit_pass, table, store.outputs)
    finally:
        forget_pass(orbit_pass.token)
    return replace(table, statistics=with_floors(table.statistics, floors), floor_method=method)


def _how_to_go_on(store: Store, record: Checkpoint | None) -> str:
    """Say what is left of a pass that a signal ended."""
    if record is None:
        return (
            f"equiprob: the pass ended after {store.done} rows, of which nothing is kept; with "
            f"checkpoint='orbits.nc', the same call goes on after them"
        )
    return (
        f"equiprob: the pass ended; {record.path} holds the first {record.n_written} rows: the "
        f"same call goes on after them"
    )


def _evaluated(
    orbit_pass: OrbitPass,
    rows: AbstractRows,
    course: Course,
    record: Checkpoint | None,
    store: Store,
    probed: ProbedRows,
) -> str | None:
    """Put all rows into the store; return why not all were needed, where a rule said so."""
    chunks = _with_progress(rows.chunks(lambda: orbit_pass.next_size), rows.n, course.progress)
    stopped = None
    if record is not None:
        for chunk in record.resume(store, chunks, orbit_pass):
            probed.see(chunk)
        stopped = record.stopped
    if stopped is None:
        outcomes = _outcomes(orbit_pass, chunks, store, course)
        stopped = _take_all(outcomes, rows, store, probed, course.stop_when, record)
        _ask_again(orbit_pass, probed, store, course.executor, record)
    return stopped


def _record(orbit_pass: OrbitPass, rows: AbstractRows, course: Course) -> Checkpoint | None:
    if course.checkpoint is None:
        return None
    path, every = course.checkpoint, course.checkpoint_every
    return Checkpoint.of(path, every, orbit_pass, rows.n, grouped=rows.grouped)


def _outcomes(
    orbit_pass: OrbitPass, chunks: Iterator[Chunk], store: Store, course: Course
) -> Iterator[Outcome]:
    """Yield each chunk with what was found there, in the order of the rows."""
    arguments = orbit_pass, chunks, lambda: store.is_empty
    by, apart = course.executor, course.skip_errors
    outcomes = (
        evaluated_here(*arguments, apart=apart)
        if by is None
        else evaluated_by(by, *arguments, apart=apart)
    )
    with closing(outcomes):
        for chunk, parts in outcomes:
            failure = None if apart else first_failure(parts)
            if failure is not None:
                raise failure
            yield chunk, parts


def _take_all(
    outcomes: Iterator[Outcome],
    rows: AbstractRows,
    store: Store,
    probed: ProbedRows,
    rule: StopRule | None,
    record: Checkpoint | None,
) -> str | None:
    """Put what is found into the store, chunk by chunk; return why not all rows were needed."""
    stopped = None
    try:
        for chunk, parts in outcomes:
            with nullcontext() if record is None else record.taking(chunk, store):
                for part, found in parts:
                    failed = isinstance(found, PredictionFailed)
                    probed.see(part, None if failed else found.statistics)
                    _take(rows, store, part, found)
            stopped = _stopped(rule, store, rows)
            if record is not None:
                record.save(store, stopped)
            if stopped is not None:
                break
    finally:
        if record is not None:
            record.save(store, stopped, now=True)
    return stopped


def _ask_again(
    orbit_pass: OrbitPass,
    probed: ProbedRows,
    store: Store,
    executor: Any,
    record: Checkpoint | None,
) -> None:
    """Raise where the model is no longer what it was; a checkpoint of it is worth nothing then."""
    sample = probed.sample()
    if sample is None or not orbit_pass.is_function_of_rows:
        return
    if executor is not None and store.backend == "jax":
        return  # compiled: it keeps nothing
    chunk, before = sample
    try:
        if executor is None:
            base = orbit_pass.base_again(chunk)
            if base is None:
                return
            changes = {name: Change.of_base(base[name], s) for name, s in before.items()}
        else:
            again = evaluated_by(executor, orbit_pass, iter([chunk]), lambda: False, apart=False)
            ((_, ((_, found),)),) = again
            if isinstance(found, PredictionFailed):
                raise found
            changes = {
                name: Change.of_orbits(found.statistics[name], s) for name, s in before.items()
            }
        require_unchanged(changes, moved=executor is not None, by_others=executor is not None)
    except ValueError:
        if record is not None:
            record.discard()
        raise


def _take(
    rows: AbstractRows, store: Store, chunk: Chunk, found: Evaluated | PredictionFailed
) -> None:
    if isinstance(found, PredictionFailed):
        store.skip(chunk, str(found))
        return
    if store.is_empty:
        rows.check_targets(found.outputs)
    store.add(chunk, found)


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
