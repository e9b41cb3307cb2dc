"""Flax NNX modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from equiprob.arguments.checked import checked
from equiprob.transforms.extras import require


@final
@dataclass(frozen=True, eq=False)
class FlaxPredictor:
    """A Flax NNX module in evaluation mode as a callable; made by `from_flax`."""

    graph: Any
    state: Any

    def __call__(self, x: Any) -> Any:
        """Return outputs for a batch of rows (traceable)."""
        from flax import nnx  # pyright: ignore[reportMissingImports] - an optional extra

        return nnx.merge(self.graph, self.state)(x)


@checked
def from_flax(module: Any) -> FlaxPredictor:
    """Make a callable of a Flax NNX module.

    Args:
        module: The module, called on a batch of rows. A copy of it is put into evaluation mode
            (dropout off, running statistics in use); yours stays as it is.

    Returns:
        The callable, which JAX traces. It holds the module's parameters as they are now.

    Raises:
        ImportError: Without the extra ``flax``.
        TypeError: If `module` is not an ``nnx.Module``.
    """
    nnx = require("flax.nnx", extra="flax")
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"module must be a flax.nnx.Module, got {type(module).__name__}; of a linen module, "
            f"pass lambda x: module.apply(variables, x)"
        )
    copy = nnx.clone(module)
    copy.eval()
    return FlaxPredictor(*nnx.split(copy))
