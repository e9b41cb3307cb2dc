"""Read arrays that users pass as lists, and refuse what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.tensors import on_host


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return values as an array.

    Raises:
        ValueError: If they are ragged, cannot be read, or some of them are masked.
    """
    refuse_masks(name, values)
    try:
        array = np.asarray(on_host(values))
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


def refuse_masks(name: str, values: Any) -> None:
    """Refuse arrays with masked entries: read as plain ones, what lies under the mask counts.

    Args:
        name: What a message calls them.
        values: An array, or a list of arrays, of any kind.

    Raises:
        ValueError: If there are any.
    """
    parts = values if isinstance(values, list | tuple) else [values]
    masks = [mask_of(part) for part in parts if isinstance(part, np.ndarray)]
    n = sum(int(mask.sum()) for mask in masks if mask is not None)
    if n:
        raise ValueError(
            f"{name} has {n} masked entries, and what lies under the mask would count: drop their "
            f"rows, or fill them ({name}.filled(0)) and tell the model, and ep.Output(mask=...), "
            f"which entries are data"
        )


def mask_of(values: Any) -> NDArray[np.bool_] | None:
    """Return which entries of an array are masked; None where none is."""
    mask = getattr(values, "mask", None) if isinstance(values, np.ndarray) else None
    return mask if isinstance(mask, np.ndarray) and mask.dtype == bool and mask.any() else None


def masked_as_nan(values: Any) -> NDArray[Any]:
    """Return what a model returned as a plain array, floats that are masked as NaN.

    Its bytes are in the order of this machine, as compiled code reads no other.
    """
    if isinstance(values, list | tuple) and any(mask_of(v) is not None for v in values):
        values = np.ma.stack(values)
    mask = mask_of(values)
    array = np.asarray(values)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if mask is None or array.dtype.kind != "f":
        return array
    return np.where(mask, array.dtype.type(np.nan), array)
