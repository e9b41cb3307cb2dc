"""What is summed over the transformations of a chunk, in float64, where its outputs are?

In NumPy, or on the device of a PyTorch model: nothing there waits for a number. What follows from
the few sums is `accumulate`'s, on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from equiprob.orbits.designs import Design
from equiprob.orbits.statistics import LARGEST, Rows, is_usable
from equiprob.transforms.namespaces import namespace


def mean_and_noise(calls: Any) -> tuple[Any, Any]:
    """Return the mean of calls ``(call, ..., k)`` and its variance, summed over components."""
    n_calls = len(calls)
    if n_calls == 1:
        return calls[0], None
    mean = calls.mean(axis=0)
    squares = ((calls - mean) ** 2).sum(axis=-1).sum(axis=0)
    return mean, squares / (n_calls - 1) / n_calls


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of one output over one chunk, as NumPy arrays in float64.

    Args:
        squared: Squared displacements less their noise, ``(row, transformation)``.
        sums: Weighted sums of displacements, ``(row, replicate, k)``.
        nonfinite: How many outputs at moved rows are not finite, ``(row,)``.
        noise: Of a stochastic model, the variance of the mean of its calls,
            ``(row, transformation)``; else None.
        range_sum: Weighted sums of displacements up to each declared magnitude,
            ``(row, replicate, magnitude, k)``, or None.
        raw: All displacements, ``(row, transformation, k)``, or None.
    """

    squared: Rows
    sums: Rows
    nonfinite: Rows
    noise: Rows | None = None
    range_sum: Rows | None = None
    raw: Rows | None = None


@dataclass
class DisplacementSums:
    """Sums over displacements of one output, as blocks of transformations stream past.

    Args:
        calls: The model's output at the rows, ``(call, row, k)``: one call, or several of a
            stochastic model, whose noise is taken off every squared displacement.
        design: The design.
        weights: The probability of each transformation, in the library of `calls`.
        within: Whether each transformation is within each declared magnitude, as 0 or 1,
            ``(row, transformation, magnitude)``, likewise; or None.
        keep_raw: Whether to keep all displacements.
    """

    calls: Any
    design: Design
    weights: Any
    within: Any
    keep_raw: bool
    _seen: int = 0
    _blocks: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start all sums at zero."""
        self._base, self._base_noise = mean_and_noise(self.calls)
        n = len(self.design.replicates)
        self._sums: list[Any] = [0.0] * n
        self._range_sums: list[Any] = [0.0] * n

    @np.errstate(invalid="ignore", over="ignore")
    def add(self, outputs: Any) -> None:
        """Add a block of back-transformed outputs ``(transformation, row, k)``.

        Several calls on an input follow each other.
        """
        xp, n_calls = namespace(outputs), len(self.calls)
        start, stop = self._seen, self._seen + len(outputs) // n_calls
        self._seen = stop
        found: dict[str, Any] = {"nonfinite": 0.0}
        if n_calls > 1:
            by_call = outputs.reshape(-1, n_calls, *outputs.shape[1:])
            outputs, noise = mean_and_noise(xp.moveaxis(by_call, 1, 0))
            found["noise"] = noise.T
        moved = outputs - self._base
        squared = _squared_norms(moved)
        if n_calls > 1:
            squared = squared - found["noise"] - self._base_noise[:, None]
        found["squared"] = squared
        # Only NumPy has the answer at hand that no block but a rare one needs the count.
        if not (isinstance(squared, np.ndarray) and (squared <= LARGEST**2).all()):
            found["nonfinite"] = (~is_usable(outputs)).any(axis=2).sum(axis=0)
        if self.keep_raw:
            found["raw"] = xp.moveaxis(moved, 0, 1)
        self._blocks.append(found)
        weights = self.weights[start:stop]
        for r, part in self._replicates_within(start, stop):
            self._sums[r] = self._sums[r] + xp.einsum("j,jik->ik", weights[part], moved[part])
            if self.within is not None:
                inside = self.within[:, start:stop][:, part] * weights[part][:, None]
                self._range_sums[r] = self._range_sums[r] + xp.einsum(
                    "ijt,jik->itk", inside, moved[part]
                )

    def _replicates_within(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """Yield each replicate with transformations in a block, and their places in the block."""
        end = 0
        for r, size in enumerate(self.design.replicates):
            begin, end = end, end + size
            if begin < stop and start < end:
                yield r, slice(max(begin - start, 0), end - start)

    def arrays(self) -> dict[str, Any]:
        """Return what is known, where it is: see `Found`."""
        xp = namespace(self._base)
        found = {
            name: xp.concatenate([block[name] for block in self._blocks], axis=1)
            for name in ("squared", "noise", "raw")
            if name in self._blocks[0]
        }
        found["sums"] = xp.stack(self._sums, axis=1)
        if self.within is not None:
            found["range_sum"] = xp.stack(self._range_sums, axis=1)
        counts = sum(block["nonfinite"] for block in self._blocks)
        found["nonfinite"] = counts + xp.zeros_like(self._base[:, 0])
        return found


def _squared_norms(moved: Any) -> Any:
    """Return the squared norm ``(row, transformation)`` of ``(transformation, row, k)``."""
    if isinstance(moved, np.ndarray):  # without a copy of all
        return np.einsum("jik,jik->ij", moved, moved)
    return (moved * moved).sum(-1).T
