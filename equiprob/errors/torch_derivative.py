"""How fast do the outputs of a PyTorch model change along a transformation?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from equiprob.orbits.precision import Array, in_float64, root_mean_square
from equiprob.orbits.torch_device import TorchDevice
from equiprob.orbits.torch_memory import TorchModel
from equiprob.transforms.acting import Moves
from equiprob.transforms.extras import require

Along = Callable[[Any, Moves, Moves], list[Any]]
"""Derivatives of the output leaves ``(row, ...)``, given rows, moves and their rates of change."""

_APART = 0.5
"""By which a derivative may differ from a difference, relative to it: kinks of the model lie within
some rows' steps, but what is cut off from the derivative is missing in all."""

_NOISE = 30.0
"""Roundings of the output, over the step, below which a difference says nothing."""


def torch_along(model: TorchModel) -> Along:
    """Return forward-mode derivatives of a model's outputs, taken back, on its device."""
    torch, device = require("torch", extra="torch"), TorchDevice(model.place)
    forward = torch.autograd.forward_ad

    def along(x: Any, at: Moves, rate: Moves) -> list[Any]:
        rows = jax.tree.map(lambda leaf: device.put_rows(np.asarray(leaf)), x)
        leaves, treedef = jax.tree.flatten(at)
        with (
            warnings.catch_warnings(),
            forward.dual_level(),
            torch.set_grad_enabled(model.gradients),
        ):
            # PyTorch derives some of its kernels by a tool that it is about to give up.
            warnings.filterwarnings("ignore", ".*torch.jit", FutureWarning)
            both = [
                forward.make_dual(device.put_rows(leaf), device.put_rows(slope))
                if np.issubdtype(leaf.dtype, np.floating)
                else device.put_rows(leaf)
                for leaf, slope in zip(leaves, jax.tree.leaves(rate), strict=True)
            ]
            outputs = treedef.unflatten(both).around(model.differentiable, rows)
            found = []
            for leaf in jax.tree.leaves(outputs):
                value, slope = forward.unpack_dual(leaf)
                slope = torch.zeros_like(value) if slope is None else slope
                # A row whose output is not finite is left out even where its derivative is.
                slope = torch.where(value.isfinite(), slope, torch.nan)
                found.append(in_float64(slope.detach()).cpu().numpy())
        return found

    return along


def require_derivative(
    outputs_of: Callable[[Any], list[Any]],
    ahead: Any,
    behind: Any,
    step: float,
    slopes: list[Array],
) -> None:
    """Raise where derivatives are not those of the function, some of which was cut off from them.

    Args:
        outputs_of: The outputs, taken back, at moves.
        ahead: The moves a step ahead.
        behind: Those a step behind.
        step: The step.
        slopes: The derivatives, ``(row, ...)`` for each output.

    Raises:
        ValueError: If they differ from a difference.
    """
    for one, other, slope in zip(outputs_of(ahead), outputs_of(behind), slopes, strict=True):
        rounding = float(np.finfo(one.dtype).eps)
        a, b, s = (v.reshape(len(v), -1).astype(np.float64) for v in (one, other, slope))
        finite = np.isfinite(a + b + s).all(axis=1)
        if not finite.any():
            continue
        difference = (a - b)[finite] / (2 * step)
        size = root_mean_square(difference)
        apart = root_mean_square(difference - s[finite])
        noise = _NOISE * rounding * root_mean_square(a[finite]) / step
        if apart > _APART * size + noise:
            raise ValueError(
                f"the derivative of predict is not that of its outputs: a difference is {size:.2g} "
                f"in size, and {apart:.2g} apart from it; a part of the module works on detached "
                f"tensors, without derivatives, or in steps"
            )
