"""In which transformations do the errors of a PyTorch model grow?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from equiprob.orbits.torch_device import TorchDevice
from equiprob.orbits.torch_memory import TorchModel
from equiprob.transforms.acting import Moves, displacement
from equiprob.transforms.extras import require

Gradient = Callable[[Moves, Any], Moves]
"""The gradient of rows' squared errors in the arrays of their moves, given these and the rows."""


def torch_gradient(model: TorchModel, moves: Moves, x: Any) -> Gradient | None:
    """Return the gradient, on the model's device; None where PyTorch cannot differentiate.

    Args:
        model: The model.
        moves: Transformations of a few rows, on which that is tried.
        x: The rows.
    """
    torch, device = require("torch", extra="torch"), TorchDevice(model.place)

    def gradient(moves: Moves, x: Any) -> Moves:
        leaves, treedef = jax.tree.flatten(jax.tree.map(device.put_rows, moves))
        rows = jax.tree.map(lambda leaf: device.put_rows(np.asarray(leaf)), x)
        smooth = [leaf.requires_grad_() for leaf in leaves if leaf.is_floating_point()]
        with torch.enable_grad():
            apart, _ = displacement(model.differentiable, treedef.unflatten(leaves), rows)
            total = sum((leaf.double() ** 2).sum() for leaf in jax.tree.leaves(apart))
            slopes = iter(torch.autograd.grad(total, smooth, allow_unused=True))
        found = []
        for leaf in leaves:
            slope = next(slopes) if leaf.is_floating_point() else None
            found.append(np.zeros(leaf.shape) if slope is None else slope.cpu().numpy())
        return treedef.unflatten(found)

    try:
        tried = jax.tree.leaves(gradient(moves, x))
    except Exception:  # the model, or a function of a user, has no derivatives, or cuts them off
        return None
    return gradient if any(np.any(values) for values in tried) else None
