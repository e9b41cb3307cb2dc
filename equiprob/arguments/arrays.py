"""Read arrays that users pass as lists, and refuse what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return values as an array.

    Raises:
        ValueError: If they are ragged or cannot be read.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be an array, rows of equal lengths: {error}") from None
    return array


def as_numbers(name: str, values: Any) -> NDArray[np.float64]:
    """Return values as an array of float64.

    Raises:
        ValueError: If they are no numbers.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ValueError(f"{name} must hold numbers, got {values!r:.80}")
    return array.astype(np.float64)
