"""A callback of Keras 3, on any of its backends."""

from __future__ import annotations

from typing import Any

import numpy as np

from equiprob.arguments.checked import checked
from equiprob.callbacks.watch import Watch
from equiprob.transforms.extras import require


@checked
def for_keras(watch: Watch) -> Any:
    """Return a callback for ``model.fit(callbacks=[...])`` that looks after epochs of training.

    Args:
        watch: What is looked at.

    Returns:
        The callback. What it finds is in the epoch's logs: ``equivariance/error`` and the like.

    Raises:
        ImportError: Without Keras 3.
    """
    keras = require("keras", extra="keras")

    class EquivarianceCallback(keras.callbacks.Callback):
        """Looks at a model after epochs of its training."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            """Look, with dropout off and running statistics in use."""

            def predict(x: Any) -> Any:
                return np.asarray(self.model.predict_on_batch(x))

            found = watch(predict, epoch)
            if found is not None and logs is not None:
                logs.update(found)

    return EquivarianceCallback()
