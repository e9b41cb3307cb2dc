"""On which rows of a chunk does the model fail, and what does it give for the others?

A chunk on which it raises is cut into halves, and these again, until rows that fail are told from
those that do not. Each part is padded to a whole batch by its own rows, so that a model made for
batches of one size is asked as ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from equiprob.orbits.chunk import Chunk
from equiprob.orbits.failures import PredictionFailed
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.under_way import Evaluated

_MOST_FAILURES = 32
"""Failing calls without a single row evaluated after which a chunk is given up as a whole."""

Part = tuple[Chunk, Evaluated | PredictionFailed]


def evaluated_in_parts(
    orbit_pass: OrbitPass, chunk: Chunk, *, probe: bool, apart: bool
) -> list[Part]:
    """Evaluate a chunk, as a whole where that is possible: see `begun`."""
    return begun(orbit_pass, chunk, probe=probe, apart=apart)()


def begun(
    orbit_pass: OrbitPass, chunk: Chunk, *, probe: bool, apart: bool
) -> Callable[[], list[Part]]:
    """Begin to evaluate a chunk; calling what is returned waits for what is found there.

    Args:
        orbit_pass: The pass.
        chunk: The chunk.
        probe: Whether the first part finds the floor of rounding, too.
        apart: Whether rows on which the model raises are told from the others.

    Returns:
        What returns parts in the order of the rows; a single one where `apart` is false.
    """

    def failed(error: PredictionFailed) -> list[Part]:
        if len(chunk) == 1 or not apart:
            return [(chunk, error)]
        return _told_apart(orbit_pass, chunk, error, probe=probe)

    try:
        under_way = orbit_pass.begin(chunk)
    except PredictionFailed as error:
        return lambda error=error: failed(error)

    def wait() -> list[Part]:
        try:
            return [(chunk, under_way.finish(probe=probe))]
        except PredictionFailed as error:
            return failed(error)

    return wait


def _told_apart(
    orbit_pass: OrbitPass, chunk: Chunk, error: PredictionFailed, *, probe: bool
) -> list[Part]:
    """Return the parts of a chunk on which the model raised."""
    found: list[Part] = []
    left, failures, succeeded = deque(_halves(chunk)), 1, False
    while left:
        part = left.popleft()
        try:
            done = orbit_pass.evaluate(part, probe=probe and not succeeded, fill=True)
            found.append((part, done))
            succeeded = True
        except PredictionFailed as failure:
            failures += 1
            if not succeeded and failures >= _MOST_FAILURES:
                return [(chunk, error)]
            if len(part) == 1:
                found.append((part, failure))
            else:  # widths first: if half of the rows are fine, that is seen at once
                left += _halves(part)
    return sorted(found, key=_start)


def _halves(chunk: Chunk) -> list[Chunk]:
    half = (len(chunk) + 1) // 2
    return [chunk.take(slice(half)), chunk.take(slice(half, None))]


def _start(part: Part) -> int:
    return part[0].start


def first_failure(parts: Sequence[Part]) -> PredictionFailed | None:
    """Return what the model raised on the first part where it did, if it did."""
    return next((found for _, found in parts if isinstance(found, PredictionFailed)), None)
