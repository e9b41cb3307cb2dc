"""PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from jax.core import Tracer

from equiprob.arguments.checked import checked
from equiprob.transforms.extras import require


@final
@dataclass(frozen=True, eq=False)
class TorchPredictor:
    """A PyTorch module as a callable; made by `from_torch`.

    Args:
        module: The module, in evaluation mode.
        call: ``call(module, batch)``.
        device: Where batches go.
        dtype: The dtype of floating-point leaves, or None to keep theirs.
        gradients: Whether the module differentiates, as for forces.
    """

    module: Any
    call: Callable[[Any, Any], Any]
    device: Any
    dtype: Any
    gradients: bool

    def __call__(self, x: Any) -> Any:
        """Return outputs for a batch of rows, as NumPy arrays."""
        torch = require("torch", extra="torch")

        _require_evaluation(self.module)
        batch = jax.tree.map(self._tensor, x)
        with torch.enable_grad() if self.gradients else torch.no_grad():
            output = self.call(self.module, batch)
        if isinstance(output, Mapping):
            return {name: _array(values) for name, values in output.items()}
        return _array(output)

    def _tensor(self, values: Any) -> Any:
        """Return a leaf as a tensor of its own, which the module may write into."""
        torch = require("torch", extra="torch")

        if isinstance(values, Tracer):
            raise TypeError("a PyTorch module cannot be traced by JAX")
        shared = isinstance(values, jax.Array) or values.flags.writeable
        tensor = torch.from_dlpack(values) if shared else torch.tensor(np.asarray(values))
        dtype = self.dtype if tensor.is_floating_point() else None
        return tensor.to(device=self.device, dtype=dtype, copy=shared)


def _array(values: Any) -> Any:
    """Return an output as a NumPy array, which knows no bfloat16."""
    torch = require("torch", extra="torch")

    if not isinstance(values, torch.Tensor):
        return values  # refused by name where outputs are checked
    found = values.detach().cpu()
    return (found.float() if found.dtype == torch.bfloat16 else found).numpy()


def _require_evaluation(module: Any) -> None:
    training = [name or "the module" for name, part in module.named_modules() if part.training]
    if training:
        raise ValueError(
            f"{training[0]} is in training mode (dropout on, batch statistics in use); call "
            f"module.eval() first"
        )


@checked
def from_torch(
    module: Any,
    *,
    call: Callable[[Any, Any], Any] | None = None,
    device: Any = None,
    dtype: Any = None,
    gradients: bool = False,
) -> TorchPredictor:
    """Make a callable of a PyTorch module.

    Args:
        module: A ``torch.nn.Module`` in evaluation mode.
        call: ``call(module, batch) -> output`` where ``module(batch)`` is not what is wanted: for a
            classifier that returns logits, ``lambda module, batch: module(batch).softmax(-1)``.
            The output is a tensor or a dict of tensors, rows first.
        device: Where batches go; the device of the module's first parameter when left out.
        dtype: The dtype of floating-point leaves; that of the module's first parameter when left
            out.
        gradients: Whether the module needs derivatives to answer, as a force field does. Otherwise
            none are recorded.

    Returns:
        The callable. Each batch is copied: operations in place change the module's copy alone.

    Raises:
        ImportError: Without the extra ``torch``.
        TypeError: If `module` is not a ``torch.nn.Module``, or `dtype` no ``torch.dtype``.
        ValueError: If it, or a part of it, is in training mode, or `device` names none.
    """
    torch = require("torch", extra="torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"module must be a torch.nn.Module, got {type(module).__name__}; any function of NumPy "
            f"arrays needs no adapter"
        )
    _require_evaluation(module)
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype must be a torch.dtype, such as torch.float32, got {dtype!r:.80}")
    if device is not None:
        device = _device(torch, device)
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    if first is not None:
        device = first.device if device is None else device
        dtype = first.dtype if dtype is None else dtype
    return TorchPredictor(module, call or _call, device, dtype, gradients)


def _device(torch: Any, named: Any) -> Any:
    try:
        return torch.device(named)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"device must be a torch.device or the name of one, such as 'cuda:0', got "
            f"{named!r:.80}: {error}"
        ) from None


def _call(module: Any, batch: Any) -> Any:
    return module(batch)
