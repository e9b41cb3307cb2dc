"""Which arrays are PyTorch's, and how do they become NumPy's?"""

from __future__ import annotations

import sys
from typing import Any

import jax


def is_torch(array: Any) -> bool:
    """Whether an array is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def on_host(values: Any) -> Any:
    """Return a tensor as a NumPy array, wherever it is, and anything else as it is.

    NumPy has no bfloat16: such numbers come in float32, which holds them without loss.
    """
    if not is_torch(values):
        return values
    found = values.detach().cpu()
    return (found.float() if str(found.dtype) == "torch.bfloat16" else found).numpy()


def all_on_host(tree: Any) -> Any:
    """Return a pytree with NumPy arrays for its tensors (see `on_host`)."""
    return jax.tree.map(on_host, tree) if "torch" in sys.modules else tree
