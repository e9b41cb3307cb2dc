"""Which transformations are of about one size?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array

_MOST_BINS = 8

_DIGITS = 9
"""Magnitudes that agree to so many decimals are one."""


@dataclass(frozen=True, eq=False)
class MagnitudeBins:
    """Bins of about equally many transformations, or one for each size where there are few.

    Args:
        means: Mean magnitude of each bin, ``(bin,)``, ascending.
        inside: Which transformations are in each, ``(bin, row, transformation)``.
    """

    means: Array
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, magnitude: Array, weights: Array, most: int = _MOST_BINS) -> MagnitudeBins:
        """Return the bins of some magnitudes.

        Args:
            magnitude: ``(row, transformation)``.
            weights: How much each transformation of a row counts, ``(transformation,)``.
            most: Bins at most.
        """
        levels = np.unique(magnitude.round(_DIGITS))
        if len(levels) > most:
            levels = np.quantile(magnitude, (np.arange(most - 1) + 1) / most)
            place = np.searchsorted(levels, magnitude)
        else:
            place = np.searchsorted(levels, magnitude.round(_DIGITS))
        inside = np.stack([place == k for k in np.unique(place)])
        weight = np.broadcast_to(weights, magnitude.shape)
        means = [(magnitude * weight)[b].sum() / weight[b].sum() for b in inside]
        return cls(np.array(means), inside)
