"""What if the memory of a PyTorch model's device does not hold a batch?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import jax
import numpy as np

from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.backend import n_rows
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.torch_device import TorchDevice
from equiprob.transforms.extras import require


@runtime_checkable
class TorchModel(Protocol):
    """A PyTorch module as a callable, here and on its device; see `adapters.from_torch`."""

    module: Any
    """The module."""

    gradients: bool
    """Whether it differentiates."""

    @property
    def place(self) -> Any:
        """The ``torch.device`` where batches go."""
        ...

    @property
    def is_compiled(self) -> bool:
        """Whether it is compiled for the shapes that it is called with."""
        ...

    @property
    def computed_in(self) -> Mapping[Any, str]:
        """The precision of outputs that NumPy does not have, by name, once there were some."""
        ...

    def __call__(self, x: Any, /) -> Any:
        """Return outputs for a batch of rows, as NumPy arrays."""
        ...

    def on_device(self, batch: Any, /) -> Any:
        """Return outputs, tensors on the device, for a batch of tensors, of which it has copies."""
        ...

    def differentiable(self, batch: Any, /) -> Any:
        """Return outputs for a batch of tensors where these are, with derivatives as asked for."""
        ...

    def require_evaluation(self) -> None:
        """Raise where a part of the module is in training mode."""
        ...


@final
@dataclass(eq=False)
class InMemory:
    """A model that is called on half a batch from the moment memory does not hold a whole one.

    Args:
        model: The model.
        may_halve: Whether outputs do not depend on the batch that rows come in.
    """

    model: TorchModel
    may_halve: bool
    _most: int | None = None

    @property
    def computed_in(self) -> Mapping[Any, str]:
        """The precision of outputs that NumPy does not have, by name, once there were some."""
        return self.model.computed_in

    def __call__(self, x: Any) -> Any:
        """Return outputs for a batch of rows, as NumPy arrays."""
        self.model.require_evaluation()
        device = TorchDevice(self.model.place)
        rows = jax.tree.map(lambda leaf: device.put_rows(np.asarray(leaf)), x)
        return all_on_host(self.on_device(rows))

    def on_device(self, batch: Any) -> Any:
        """Return outputs on the device, as `TorchModel.on_device` does."""
        torch = require("torch", extra="torch")
        n = n_rows(batch)
        if self._most is None or n <= self._most:
            try:
                return self.model.on_device(batch)
            except torch.cuda.OutOfMemoryError as error:
                if self._most is not None or n == 1 or not self.may_halve:
                    raise
                said = str(error).splitlines()[0]
            # Here the error, and what its frames hold, is gone.
            self._halve(n, said)
        assert self._most is not None
        starts = range(0, n, self._most)
        parts = [take_rows(batch, slice(start, start + self._most)) for start in starts]
        return jax.tree.map(lambda *each: torch.cat(each), *map(self.model.on_device, parts))

    def _halve(self, n: int, said: str) -> None:
        require("torch", extra="torch").cuda.empty_cache()
        self._most = -(-n // 2)
        warnings.warn(
            f"{self.model.place} has no memory for {n} rows at once ({said}): the model is called "
            f"on {self._most} at a time; pass batch_size={self._most}",
            RuntimeWarning,
            stacklevel=2,
        )
