"""What is kept of each row of one output?

Row statistics from which nearly every quantity of the package follows by arithmetic. They are kept
as *displacements* ``D = rho(g)^-1 f(g.x) - f(x)``: an equivariant model has none, and differences
of nearly equal numbers are taken once, in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.output import OUTPUT_UNITS

Rows = NDArray[np.float64]

LARGEST = 1e60
"""A larger output counts as one that is not finite: means and variances of squared errors take its
fourth power, which float64 does not hold."""

SMALLEST = 1e-60
"""Where no output is larger, the squares of rounding errors are lost in float64."""


def is_usable(values: Any) -> Any:
    """Whether numbers are finite, and small enough that their squares can be averaged."""
    return abs(values) <= LARGEST


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """The statistics of one output, one entry a row; outputs flattened to k components.

    Args:
        base: The model's output at the row itself, ``(row, k)``.
        y: The target, ``(row, k)``, or None.
        displacement: Mean displacement in each replicate of the design, ``(row, replicate, k)``.
        pair_sq: Mean squared displacement, ``(row,)``.
        bin_sq: Weighted sum of squared displacements by magnitude, ``(row, bin)``.
        bin_weight: Sum of weights by magnitude, ``(row, bin)``.
        part_sq: Weighted sum of squared displacements by part of the law, ``(row, part)``; no
            columns where it is not reported in parts.
        part_weight: Sum of weights by part, ``(row, part)``.
        pair_sq_each: Squared displacement by transformation, ``(row, transformation)``; crossed
            designs only.
        range_sum: Weighted sums of displacements up to each magnitude,
            ``(row, replicate, magnitude, k)``, where magnitudes were declared.
        range_sq: Weighted sums of squared displacements, ``(row, magnitude)``, likewise.
        raw: All displacements, ``(row, transformation, k)``, where they were kept.
        n_nonfinite: How many of the row's outputs, its base among them, are not finite, or above
            `LARGEST`.
        noise_sq: Variance of the output between calls on the same input, summed over components,
            ``(row,)``; 0 for deterministic models. It has been taken off all squared displacements.
        output_shape: The shape of one output.
        float_floor: What rounding makes of a displacement, root mean square: see
            `OrbitTable.floor_method`.
        weight: The root of each component's weight in squared norms, ``(row, k)``, which all
            outputs above have been multiplied by (0: padding), or None for 1 everywhere.
        unit: The unit of the output.
        n_components: How many components of weight 1 an output has.
        rounding: One rounding in the precision that the output was computed in, relative to it.
        base_noise: Of a stochastic model, the variance that the mean of its calls leaves in `base`,
            ``(row,)``; else None, as where rows are pooled.
        mean_noise: The same in the mean over all transformations, that of `base` apart.
        apart: By how much equal calls of a deterministic model differ, root mean square; it is in
            the floor.
    """

    base: Rows
    y: Rows | None
    displacement: Rows
    pair_sq: Rows
    bin_sq: Rows
    bin_weight: Rows
    part_sq: Rows
    part_weight: Rows
    pair_sq_each: Rows | None
    range_sum: Rows | None
    range_sq: Rows | None
    raw: Rows | None
    n_nonfinite: NDArray[np.int64]
    noise_sq: Rows
    output_shape: tuple[int, ...]
    float_floor: float
    weight: Rows | None = None
    unit: str = OUTPUT_UNITS
    n_components: float = 1.0
    rounding: float = float(np.finfo(np.float64).eps)
    apart: float = 0.0
    base_noise: Rows | None = None
    mean_noise: Rows | None = None

    @classmethod
    def concatenate(cls, chunks: list[RowStatistics]) -> RowStatistics:
        """Return the statistics of all rows of all chunks; the floor is the first chunk's."""
        per_row = {
            name: np.concatenate([getattr(chunk, name) for chunk in chunks])
            for name, value in vars(chunks[0]).items()
            if isinstance(value, np.ndarray)
        }
        return replace(chunks[0], **per_row)

    def take(self, rows: NDArray[Any] | slice) -> RowStatistics:
        """Return the statistics of the given rows."""
        per_row = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **per_row)


def check_not_lost(name: str, statistics: RowStatistics) -> None:
    """Refuse an output (or targets) so small everywhere that squares of differences are lost.

    Args:
        name: Its name.
        statistics: Its statistics.

    Raises:
        ValueError: If no number is larger than `SMALLEST`, but some are not zero.
    """
    outputs = max(_largest(statistics.base), _largest(statistics.displacement))
    targets = 0.0 if statistics.y is None else _largest(statistics.y)
    for what, largest in (("number", outputs), ("target", targets)):
        if 0 < largest < SMALLEST:
            raise ValueError(
                f"no {what} of the output {name!r} is larger than {largest:.2g}, and squares of "
                f"differences are lost in float64; give outputs and targets in a smaller unit, as "
                f"in outputs=ep.Output(scale={10.0 ** -np.floor(np.log10(largest)):.0e})"
            )


def _largest(values: Rows) -> float:
    """Return the size of the largest finite number, 0 for none."""
    finite = np.isfinite(values)
    return float(np.abs(values, where=finite, out=np.zeros(values.shape)).max(initial=0.0))
