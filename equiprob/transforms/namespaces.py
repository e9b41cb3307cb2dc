"""Which library do arrays belong to, and what does it call the few functions that kernels need?

NumPy and JAX follow the array standard. PyTorch nearly does, without a namespace of its own.
"""

from __future__ import annotations

import sys
from typing import Any


def namespace(array: Any) -> Any:
    """Return the functions of the array standard for an array of NumPy, JAX or PyTorch."""
    if is_torch(array):
        return _Torch(sys.modules["torch"], array.device)
    return array.__array_namespace__()


def is_torch(array: Any) -> bool:
    """Whether an array is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def dtype_name(array: Any) -> str:
    """Return the name of an array's dtype, as NumPy has it."""
    return str(array.dtype).removeprefix("torch.")


class _Torch:
    """Those functions of PyTorch that have other names or arguments than the standard's."""

    def __init__(self, torch: Any, device: Any) -> None:
        self._torch, self._device = torch, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)

    def arange(self, stop: int, *, dtype: Any) -> Any:
        return self._torch.arange(stop, dtype=dtype, device=self._device)

    def asarray(self, values: Any, *, dtype: Any = None) -> Any:
        return self._torch.as_tensor(values, dtype=dtype, device=self._device)

    def astype(self, array: Any, dtype: Any) -> Any:
        return array.to(dtype)

    def stack(self, arrays: list[Any], *, axis: int) -> Any:
        return self._torch.stack(arrays, dim=axis)

    def take(self, array: Any, places: Any, *, axis: int) -> Any:
        return self._torch.index_select(array, axis, places)

    def take_along_axis(self, array: Any, places: Any, *, axis: int) -> Any:
        return self._torch.take_along_dim(array, places.long(), dim=axis)
