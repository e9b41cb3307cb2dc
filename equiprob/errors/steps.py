"""What does it say that no row's output changed?

A continuous model that all rows show to be equivariant up to rounding is so: another one would show
it in its last digits. Labels, and other outputs that take few values, stay what they are until a
step is crossed; that none was crossed on n rows says as much as no failure among n trials.
"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.orbits.table import OrbitTable

_MOST_COMPARED = 300
"""Outputs of which each is compared with each; of more, the range of every component says how far
apart they are at most."""

_DIGIT = 1 / 8
"""The coarsest digit after the point of what may be whole: from 2e6 on in float32, floats end
there, and from 2e7 on they are all whole."""


def largest_step(table: OrbitTable) -> float | None:
    """Return the largest squared change that outputs of few values could show.

    Args:
        table: The table of one output.

    Returns:
        The largest squared distance between the outputs at hand; where they are all the same one, 2
        for one-hot labels and 1 for other whole numbers, 0 where nothing is known. None where the
        outputs take many values, or where groups of rows are pooled and none is known by itself.
    """
    stats = table.moments
    single = len(table.positions) if table.blocks is not None else len(stats.base)
    if table.blocks is not None and table.grouped:
        return None
    outputs = stats.base[:single]
    rounding = max(stats.rounding, float(np.finfo(np.float64).eps))
    if not _takes_few_values(outputs, rounding):
        return None
    found = np.unique(outputs, axis=0)
    if len(found) > _MOST_COMPARED:
        return float((np.ptp(found, axis=0) ** 2).sum())
    if len(found) > 1:
        squares = (found**2).sum(axis=1)
        return float((squares[:, None] + squares - 2 * found @ found.T).max())
    if not _whole(found, rounding):
        return 0.0
    k = int(np.prod(stats.output_shape))
    return 2.0 if k > 1 and found.sum() == 1 and found.min() >= 0 else 1.0


def _takes_few_values(outputs: Array, rounding: float) -> bool:
    """Return whether outputs ``(row, k)`` are whole numbers, or far fewer than there are rows."""
    return _whole(outputs, rounding) or len(np.unique(outputs, axis=0)) <= len(outputs) / 2


def _whole(outputs: Array, rounding: float) -> bool:
    """Return whether they are whole numbers, where numbers in between could be told from them."""
    could_be_others = np.abs(outputs).max(initial=0.0) * rounding <= _DIGIT
    return bool(could_be_others and (outputs == np.rint(outputs)).all())
