"""To how many digits are a model's outputs computed?

To those of their dtype at most. Numbers in float64 that float32 holds without loss were computed in
float32, as those of nearly every machine-learned potential behind float64 arrays are.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.tensors import is_torch

_NARROWER = ("float32", "float16", "bfloat16")

_TRAILING = 5
"""Of the numbers of a format, one in 2^5 has five zeros at its end."""

_ENOUGH = 16
"""Numbers from which a format of few digits is recognized; fewer may be round by chance."""


def in_float64(values: Any) -> Any:
    """Return numbers in float64, as an array of NumPy or, on its device, as a tensor of PyTorch.

    Devices of Apple have no float64: what they hold comes to the host.
    """
    if not is_torch(values):
        return np.asarray(values, dtype=np.float64)
    return (values.cpu() if values.device.type == "mps" else values).double()


def rounding_of(dtype: Any) -> float:
    """Return one rounding in a dtype, relative to the number."""
    return float(jnp.finfo(dtype).eps)


def rounding_of_output(values: NDArray[Any], declared: Any) -> float:
    """Return one rounding in the precision that an output was computed in, relative to its size.

    Args:
        values: Outputs, as the model returned them.
        declared: The dtype that the user says it computes in, or None.
    """
    own = rounding_of(values.dtype)
    if declared is not None:
        return max(own, rounding_of(declared))
    finite = np.asarray(values)[np.isfinite(values)]
    for dtype in reversed(_NARROWER):
        if rounding_of(dtype) > own and _is_of(dtype, finite):
            return rounding_of(dtype)
    return own


def root_mean_square(values: Array, mass: Array | None = None) -> float:
    """Return the root mean square norm of rows ``(row, k)``, whatever the scale of the numbers."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    squares = ((values / largest) ** 2).sum(axis=1)
    return largest * float(np.sqrt(np.average(squares, weights=mass)))


def _is_of(dtype: Any, values: NDArray[Any]) -> bool:
    """Whether numbers are those of a narrower format, rather than round by what they mean."""
    with np.errstate(over="ignore"):
        lossless = np.array_equal(values, values.astype(jnp.dtype(dtype)).astype(values.dtype))
    values = values[values != 0].astype(np.float64)
    if not lossless or not values.size:
        return False
    digits = 1 + int(jnp.finfo(dtype).nmant)
    if digits == 1 + np.finfo(np.float32).nmant:
        return float((_bits(values) > digits - _TRAILING).mean()) >= 0.5
    # Votes and counts are round at every size; numbers of a format use its last digit at every
    # size: those of the largest size are left out.
    exponent = np.frexp(values)[1]
    smaller = values[exponent < exponent.max()]
    return smaller.size >= _ENOUGH and float((_bits(smaller) == digits).mean()) >= 0.25


def _bits(values: Array) -> NDArray[np.int64]:
    """Return how many binary digits each number has, up to its last that is not 0."""
    whole = np.abs(np.ldexp(np.frexp(values)[0], 53)).astype(np.int64)
    last = whole & -whole
    return 53 - np.log2(last.astype(np.float64)).astype(np.int64)
