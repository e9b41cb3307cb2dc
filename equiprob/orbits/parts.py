"""On which rows of a chunk does the model fail, and what does it give for the others?

A chunk on which it raises is cut into halves, and these again, until rows that fail are told from
those that do not. Each part is padded to a whole batch by its own rows, so that a model made for
batches of one size is asked as ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from equiprob.orbits.chunk import Chunk, Evaluated, OrbitPass
from equiprob.orbits.failures import PredictionFailed

_MOST_FAILURES = 32
"""Failing calls without a single row evaluated after which a chunk is given up as a whole."""

Part = tuple[Chunk, Evaluated | PredictionFailed]


def evaluated_in_parts(
    orbit_pass: OrbitPass, chunk: Chunk, *, probe: bool, apart: bool
) -> list[Part]:
    """Evaluate a chunk, as a whole where that is possible.

    Args:
        orbit_pass: The pass.
        chunk: The chunk.
        probe: Whether the first part finds the floor of rounding, too.
        apart: Whether rows on which the model raises are told from the others.

    Returns:
        Parts in the order of the rows; a single one where `apart` is false.
    """
    found: list[Part] = []
    left, failures, succeeded = deque([chunk]), 0, False
    while left:
        part = left.popleft()
        try:
            done = orbit_pass.evaluate(part, probe=probe and not succeeded, fill=part is not chunk)
            found.append((part, done))
            succeeded = True
        except PredictionFailed as error:
            failures += 1
            if not succeeded and failures >= _MOST_FAILURES:
                return [(chunk, error)]
            if len(part) == 1 or not apart:
                found.append((part, error))
            else:  # widths first: if half of the rows are fine, that is seen at once
                half = (len(part) + 1) // 2
                left += [part.take(slice(half)), part.take(slice(half, None))]
    return sorted(found, key=_start)


def _start(part: Part) -> int:
    return part[0].start


def first_failure(parts: Sequence[Part]) -> PredictionFailed | None:
    """Return what the model raised on the first part where it did, if it did."""
    return next((found for _, found in parts if isinstance(found, PredictionFailed)), None)
