"""Equinox modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import jax

from equiprob.arguments.checked import checked
from equiprob.transforms.extras import require


@final
@dataclass(frozen=True, eq=False)
class EquinoxPredictor:
    """An Equinox module in inference mode as a callable; made by `from_equinox`."""

    module: Any
    takes_batches: bool

    def __call__(self, x: Any) -> Any:
        """Return outputs for a batch of rows (traceable)."""
        return self.module(x) if self.takes_batches else jax.vmap(self.module)(x)


@checked
def from_equinox(module: Any, *, takes_batches: bool = False) -> EquinoxPredictor:
    """Make a callable of an Equinox module.

    Args:
        module: The module, or any callable pytree. It is put into inference mode: dropout off,
            running statistics in use.
        takes_batches: Whether it is called on a batch of rows; by default on one row, as Equinox's
            own layers are. A module with state needs a function of your own around it.

    Returns:
        The callable, which JAX traces. It holds the module as it is now.

    Raises:
        ImportError: Without the extra ``equinox``.
        TypeError: If `module` cannot be called.
    """
    equinox = require("equinox", extra="equinox")
    if not callable(module):
        raise TypeError(f"module must be callable, got {type(module).__name__}")
    return EquinoxPredictor(equinox.nn.inference_mode(module), takes_batches)
