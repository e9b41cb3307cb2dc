"""A callback of Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from equiprob.adapters.pytorch import from_torch
from equiprob.arguments.checked import checked
from equiprob.callbacks.watch import Watch
from equiprob.transforms.extras import require


@checked
def for_lightning(watch: Watch, *, call: Callable[[Any, Any], Any] | None = None) -> Any:
    """Return a callback for ``Trainer(callbacks=[...])`` that looks after epochs of training.

    Args:
        watch: What is looked at.
        call: As for `from_torch`: ``lambda module, batch: module(batch).softmax(-1)``.

    Returns:
        The callback. It logs ``equivariance/error`` and the like, and leaves the module in the mode
        that it was in.

    Raises:
        ImportError: Without Lightning.
    """
    try:
        lightning = require("lightning.pytorch", extra="lightning")
    except ImportError:
        lightning = require("pytorch_lightning", extra="lightning")

    class EquivarianceCallback(lightning.Callback):
        """Looks at a module after epochs of its training."""

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """Look, on one process of those that train together."""
            if not trainer.is_global_zero:
                return
            modes = {name: part.training for name, part in pl_module.named_modules()}
            pl_module.eval()
            try:
                found = watch(from_torch(pl_module, call=call), trainer.current_epoch)
            finally:
                for name, part in pl_module.named_modules():
                    part.training = modes[name]
            if found is not None:
                pl_module.log_dict(found, rank_zero_only=True)

    return EquivarianceCallback()
