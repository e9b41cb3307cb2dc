"""Which library do arrays belong to, and what does it call the few functions that kernels need?

NumPy and JAX follow the array standard. PyTorch nearly does, without a namespace of its own.
"""

from __future__ import annotations

import sys
from typing import Any

import jax.numpy as jnp
import numpy as np

from equiprob.arguments.tensors import is_torch


def namespace(array: Any) -> Any:
    """Return the functions of the array standard for an array of NumPy, JAX or PyTorch."""
    if is_torch(array):
        return _Torch(sys.modules["torch"], array.device)
    return array.__array_namespace__()


def product(one: Any, other: Any) -> Any:
    """Return the product of matrices in all digits of their dtype.

    Units of accelerators multiply float32 in fewer (by a switch of the user's in PyTorch, by
    default in JAX), which would move rows by other transformations.
    """
    if not is_torch(one):
        return (
            one @ other
            if isinstance(one, np.ndarray)
            else jnp.matmul(one, other, precision="highest")
        )
    torch = sys.modules["torch"]
    if one.dtype != torch.float32 or one.device.type == "mps":  # Apple's have no float64
        return one @ other
    return (one.double() @ other.double()).float()


def dtype_name(array: Any) -> str:
    """Return the name of an array's dtype, as NumPy has it."""
    return str(array.dtype).removeprefix("torch.")


def uploaded(values: Any, device: Any, dtype: Any = None) -> Any:
    """Return a NumPy array (or tensor) as a tensor on a device, without waiting for it."""
    torch = sys.modules["torch"]
    if isinstance(values, np.ndarray):
        # PyTorch knows no bfloat16 of NumPy's, and shares no memory that must not be written.
        is_short = values.dtype.name == "bfloat16"
        shared = values.view(np.uint16) if is_short else values
        shared = shared if shared.flags.writeable and shared.flags.c_contiguous else shared.copy()
        values = torch.from_numpy(shared)
        values = values.view(torch.bfloat16) if is_short else values
    else:
        values = torch.as_tensor(values)
    if device.type == "cuda" and values.device.type == "cpu" and torch.cuda.is_available():
        values = values.pin_memory()
    return values.to(device=device, dtype=dtype, non_blocking=True)


class _Torch:
    """Those functions of PyTorch that have other names or arguments than the standard's."""

    def __init__(self, torch: Any, device: Any) -> None:
        self._torch, self._device = torch, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)

    def arange(self, stop: int, *, dtype: Any) -> Any:
        return self._torch.arange(stop, dtype=dtype, device=self._device)

    def asarray(self, values: Any, *, dtype: Any = None) -> Any:
        return uploaded(values, self._device, dtype)

    def astype(self, array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    def stack(self, arrays: list[Any], *, axis: int) -> Any:
        return self._torch.stack(arrays, dim=axis)

    def take(self, array: Any, places: Any, *, axis: int) -> Any:
        return self._torch.index_select(array, axis, places)

    def take_along_axis(self, array: Any, places: Any, *, axis: int) -> Any:
        return self._torch.take_along_dim(array, places.long(), dim=axis)
