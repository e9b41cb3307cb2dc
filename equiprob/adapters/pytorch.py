"""PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import jax
import numpy as np
from jax.core import Tracer

from equiprob.arguments.checked import checked
from equiprob.arguments.tensors import is_torch, on_host
from equiprob.orbits.output import DEFAULT_OUTPUT
from equiprob.transforms.extras import require
from equiprob.transforms.namespaces import uploaded


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
        computed_in: The precision of outputs that NumPy does not have, by name, as they come.
    """

    module: Any
    call: Callable[[Any, Any], Any]
    device: Any
    dtype: Any
    gradients: bool
    computed_in: dict[Any, str] = field(default_factory=dict, init=False)

    @property
    def place(self) -> Any:
        """The ``torch.device`` where batches go."""
        return require("torch", extra="torch").device("cpu") if self.device is None else self.device

    @property
    def is_compiled(self) -> bool:
        """Whether it is compiled, by ``torch.compile``, for the shapes that it is called with."""
        return hasattr(self.module, "_orig_mod")

    def __call__(self, x: Any) -> Any:
        """Return outputs for a batch of rows, as NumPy arrays."""
        self.require_evaluation()
        return jax.tree.map(on_host, self.on_device(jax.tree.map(self._tensor, x)))

    def on_device(self, batch: Any) -> Any:
        """Return outputs on the device for a batch of tensors, of which the module gets copies.

        Raises:
            TypeError: If the module returns something else than a tensor or a dict of tensors.
        """
        torch = require("torch", extra="torch")

        def copied(tensor: Any) -> Any:  # in the usual layout, whatever that of what moved
            cast = self.dtype is not None and tensor.is_floating_point()
            dtype = self.dtype if cast else tensor.dtype
            return torch.empty(tensor.shape, dtype=dtype, device=self.place).copy_(tensor)

        with torch.no_grad():
            batch = jax.tree.map(copied, batch)
        with torch.enable_grad() if self.gradients else torch.no_grad():
            output = self.call(self.module, batch)
        if isinstance(output, Mapping):
            found = {name: _tensor(values, f"for {name!r}") for name, values in output.items()}
        else:
            found = {DEFAULT_OUTPUT: _tensor(output, "")}
        for name, values in found.items():
            if values.dtype == torch.bfloat16:
                self.computed_in[name] = "bfloat16"
        return found if isinstance(output, Mapping) else found[DEFAULT_OUTPUT]

    def require_evaluation(self) -> None:
        """Raise where the module, or a part of it, is in training mode.

        Raises:
            ValueError: If it is.
        """
        _require_evaluation(self.module)

    def _tensor(self, values: Any) -> Any:
        """Return a leaf as a tensor."""
        if isinstance(values, Tracer):
            raise TypeError("a PyTorch module cannot be traced by JAX")
        return uploaded(np.asarray(values), self.place)


def _tensor(values: Any, where: str) -> Any:
    """Return an output without its derivatives."""
    if not is_torch(values):
        raise TypeError(
            f"the module returned {type(values).__name__} {where}".rstrip()
            + ", where a tensor is needed, or a flat dict of tensors; say in call= what of it is "
            "meant, as in call=lambda module, batch: module(batch)[0]"
        )
    return values.detach()


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
