"""How do arrays come to the device of a PyTorch model, and sums back from it?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.extras import require
from equiprob.transforms.namespaces import uploaded


@final
@dataclass(frozen=True)
class TorchDevice:
    """A device of PyTorch.

    Args:
        device: A ``torch.device``.
    """

    device: Any

    @property
    def is_cpu(self) -> bool:
        """Whether it is the host itself."""
        return self.device.type == "cpu"

    @property
    def sums(self) -> Any:
        """Where sums are taken in float64: Apple's devices have none."""
        torch = require("torch", extra="torch")
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def put_rows(self, values: Any) -> Any:
        """Return an array as a tensor of the device's own, in its dtype."""
        torch = require("torch", extra="torch")
        if self.device.type == "mps" and values.dtype == np.float64:
            values = values.astype(np.float32)
        tensor = uploaded(np.asarray(values), self.device)
        # On the host it may share memory with rows that are the user's.
        return tensor.clone(memory_format=torch.contiguous_format) if self.is_cpu else tensor

    def put_sums(self, values: NDArray[Any]) -> Any:
        """Return an array where sums are taken."""
        return uploaded(values, self.sums)

    def fetch(self, arrays: list[Any]) -> Callable[[], list[NDArray[Any]]]:
        """Bring tensors to the host, all in one transfer; calling what is returned waits for it.

        They come back as they were, but in float64.
        """
        torch = require("torch", extra="torch")
        packed = torch.cat([array.reshape(-1).double() for array in arrays])
        arrived = self._on_its_way(packed)
        sizes = [math.prod(array.shape) for array in arrays]
        shapes = [tuple(array.shape) for array in arrays]

        def wait() -> list[NDArray[Any]]:
            parts = np.split(arrived(), np.cumsum(sizes)[:-1])
            return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

        return wait

    def _on_its_way(self, packed: Any) -> Callable[[], NDArray[np.float64]]:
        torch = require("torch", extra="torch")
        if packed.device.type != "cuda" or not torch.cuda.is_available():
            return lambda: packed.cpu().numpy()
        host = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
        host.copy_(packed, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(packed.device))

        def wait() -> NDArray[np.float64]:
            done.synchronize()  # of this chunk: the next one may be under way behind it
            return host.numpy().copy()  # page-locked memory goes back

        return wait
