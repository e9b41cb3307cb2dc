"""A convolutional network that is exactly equivariant under quarter turns, and a broken twin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.arguments.seeds import check_seed

_KERNEL = 3


def quarter_turn_network(
    *, broken: bool = False, channels: int = 6, n_outputs: int = 2, seed: int = 0
) -> Callable[[Any], jax.Array]:
    """Return a network of images ``(row, size, size)`` of odd size, invariant under quarter turns.

    Every kernel is used in its four orientations, with a stride of 2 and zeros around the image;
    outputs are averages over places and orientations.

    Args:
        broken: Pad the image on two sides alone, as many libraries do by default where a stride
            does not fit. Windows then lie off the centre, and no quarter turn is kept.
        channels: Kernels in each layer.
        n_outputs: Outputs.
        seed: Seed of the weights, which are not trained.

    Returns:
        ``predict(images) -> (row, n_outputs)``, which computes in the precision of the images.
    """
    generator = np.random.default_rng(check_seed(seed))
    first = generator.normal(size=(channels, 1, _KERNEL, _KERNEL)) / _KERNEL
    second = generator.normal(size=(channels, 4, channels, _KERNEL, _KERNEL)) / _KERNEL
    last = generator.normal(size=(channels, n_outputs)) / np.sqrt(channels)
    # One filter for each orientation g: the kernel turned by g, which reads orientation g h of the
    # layer below through its own h.
    lifted = np.concatenate([np.rot90(first, g, axes=(-2, -1)) for g in range(4)])
    turned = [np.rot90(np.roll(second, g, axis=1), g, axes=(-2, -1)) for g in range(4)]
    joined = np.concatenate(turned).reshape(4 * channels, -1, _KERNEL, _KERNEL)
    convolve = partial(
        jax.lax.conv_general_dilated,
        window_strides=(2, 2),
        padding=[(0, _KERNEL - 1)] * 2 if broken else [(_KERNEL // 2, _KERNEL // 2)] * 2,
    )

    def predict(images: Any) -> jax.Array:
        hidden = jnp.asarray(images)[:, None]
        for weights in (lifted, joined):
            hidden = jax.nn.relu(convolve(hidden, jnp.asarray(weights, dtype=hidden.dtype)))
        pooled = hidden.reshape(len(hidden), 4, channels, -1).mean(axis=(1, 3))
        return jnp.tanh(pooled) @ jnp.asarray(last, dtype=hidden.dtype)

    return predict
