"""PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import jax
import numpy as np
from jax.core import Tracer

from equiprob.adapters.torch_layers import WithLayers
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
        """Return outputs on the device for a batch of tensors, without their derivatives.

        Raises:
            TypeError: If the module returns something else than a tensor or a dict of tensors.
        """
        torch = require("torch", extra="torch")
        with torch.no_grad():
            batch = jax.tree.map(self._copied, batch)
        with torch.enable_grad() if self.gradients else torch.no_grad():
            output = self._checked(self.call(self.module, batch))
        for name, values in _by_name(output).items():
            if values.dtype == torch.bfloat16:
                self.computed_in[name] = "bfloat16"
        return jax.tree.map(lambda values: values.detach(), output)

    def differentiable(self, batch: Any) -> Any:
        """Return outputs for a batch of tensors where these are, with derivatives as asked for.

        Raises:
            TypeError: If the module returns something else than a tensor or a dict of tensors.
        """
        copies = jax.tree.map(lambda tensor: self._copied(tensor, tensor.device), batch)
        return self._checked(self.call(self.module, copies))

    def _copied(self, tensor: Any, place: Any = None) -> Any:
        """Return a tensor for the module to write into, in its dtype and in the usual layout."""
        torch = require("torch", extra="torch")
        cast = self.dtype is not None and tensor.is_floating_point()
        found = tensor.to(device=place or self.place, dtype=self.dtype if cast else tensor.dtype)
        return (
            found.clone(memory_format=torch.contiguous_format)
            if found is tensor
            else (found.contiguous())
        )

    def _checked(self, output: Any) -> Any:
        if isinstance(output, Mapping):
            return {name: _tensor(values, f"for {name!r}") for name, values in output.items()}
        return _tensor(output, "")

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


def _by_name(output: Any) -> dict[Any, Any]:
    return output if isinstance(output, dict) else {DEFAULT_OUTPUT: output}


def _tensor(values: Any, where: str) -> Any:
    """Return an output, if it is a tensor."""
    if not is_torch(values):
        raise TypeError(
            f"the module returned {type(values).__name__} {where}".rstrip()
            + ", where a tensor is needed, or a flat dict of tensors; say in call= what of it is "
            "meant, as in call=lambda module, batch: module(batch)[0]"
        )
    return values


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
    layers: Sequence[str] = (),
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
        layers: Names of parts of the module (``module.named_modules()``) whose outputs are returned
            beside its own, which is then called ``"output"``: how far each layer is equivariant, in
            one pass. A layer that is called again is counted, ``"relu (2)"``. Say in
            ``output_action={"conv1": "image_channels_first", ...}`` how each moves.

    Returns:
        The callable. Each batch is copied: operations in place change the module's copy alone.

    Raises:
        ImportError: Without the extra ``torch``.
        TypeError: If `module` is not a ``torch.nn.Module``, or `dtype` no ``torch.dtype``.
        ValueError: If it, or a part of it, is in training mode, `device` names none, or a layer is
            not there.
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
    called = call or _call
    if layers:
        called = WithLayers.of(module, called, layers)
    return TorchPredictor(module, called, device, dtype, gradients)


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
