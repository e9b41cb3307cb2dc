"""How many numbers may one transformation be made of?"""

from __future__ import annotations

import numpy as np

MOST_NUMBERS = 2**20
"""Numbers of one transformation: sixteen transformations of a row then take 128 MiB."""

MOST_QUASI = 1024
"""Numbers of one transformation up to which quasi-random points are more even than random ones."""

LARGEST = 1e30
"""Lengths and factors: the square of more is beyond float64 with inputs in any unit."""

_MOST_AT_ONCE = 2**28
"""Numbers that are drawn at once, for all rows of a batch (2 GiB)."""

_MOST_TYPICAL = 2**24
"""Numbers that represent a law (128 MiB)."""


def require_count(name: str, value: int, least: int) -> None:
    """Raise for what is no number of items or dimensions.

    Raises:
        ValueError: If it is no integer, or not from `least` to `MOST_NUMBERS`.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= MOST_NUMBERS:
        raise ValueError(
            f"{name} must be an integer from {least} to {MOST_NUMBERS:,}, got {value!r}"
        )


def require_size(name: str, value: float, most: float, *, above: float = 0.0) -> None:
    """Raise for a size that numbers of the inputs' precision cannot have.

    Raises:
        ValueError: If it is not above the least, or larger than `most`.
    """
    least = "positive" if above == 0 else f"larger than {above:g}"
    if not above < value <= most:
        raise ValueError(f"{name} must be {least} and at most {most:g}, got {value}")


def require_room(n_rows: int, n_transforms: int, n_numbers: int) -> None:
    """Raise before more transformations are drawn at once than memory is meant to hold.

    Raises:
        ValueError: If there are too many.
    """
    if n_rows * n_transforms * n_numbers > _MOST_AT_ONCE:
        size = 8 * n_rows * n_transforms * n_numbers / 2**30
        raise ValueError(
            f"{n_rows} rows x {n_transforms} transformations of {n_numbers:,} numbers each take "
            f"{size:.3g} GiB; pass a smaller batch_size, or fewer n_transforms"
        )


def n_typical(n_numbers: int) -> int:
    """Return how many transformations represent a law."""
    return min(4096, max(16, _MOST_TYPICAL // max(n_numbers, 1)))
