"""Small networks for handwritten digits, trained at several levels of symmetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.testing.adam import adam
from equiprob.transforms.kernels import resample

Predict = Callable[[Any], Any]

_WIDTHS = (64, 128, 128, 10)
_BATCH = 128
_LEARNING_RATE = 2e-3


class DigitsSplit(NamedTuple):
    """Handwritten digits: images ``(row, 8, 8)`` in [0, 1] and labels ``(row,)``."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def load_split(seed: int = 0) -> DigitsSplit:
    """Return scikit-learn's 1797 digits, half for training and half held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    loaded: Any = load_digits()
    images, labels = loaded.data, loaded.target
    parts = train_test_split(
        (images.reshape(-1, 8, 8) / 16).astype(np.float32),
        labels,
        test_size=0.5,
        random_state=seed,
        stratify=labels,
    )
    x_train, x_test, y_train, y_test = (np.asarray(part) for part in parts)
    return DigitsSplit(x_train, y_train, x_test, y_test)


@dataclass(frozen=True)
class Candidate:
    """A way to build symmetry into a network.

    Args:
        name: What tables call it.
        max_degrees: Training images are turned by a random angle up to this.
        quarter_turns: Whether the network averages its output over the four quarter turns.
        epochs: Passes over the training rows: images that are never twice the same need more.
    """

    name: str
    max_degrees: float = 0.0
    quarter_turns: bool = False
    epochs: int = 90


CANDIDATES = (
    Candidate("plain"),
    Candidate("augmented to 30 degrees", max_degrees=30, epochs=270),
    Candidate("augmented to 180 degrees", max_degrees=180, epochs=270),
    Candidate("averaged over quarter turns", quarter_turns=True),
)


def _initial(key: jax.Array) -> list[dict[str, jax.Array]]:
    shapes = list(pairwise(_WIDTHS))
    return [
        {"w": jax.random.normal(k, s) * jnp.sqrt(2 / s[0]), "b": jnp.zeros(s[1])}
        for k, s in zip(jax.random.split(key, len(shapes)), shapes, strict=True)
    ]


def _dense(parameters: Any, images: jax.Array) -> jax.Array:
    hidden = images.reshape(len(images), -1) * 2 - 1
    for layer in parameters[:-1]:
        hidden = jax.nn.relu(hidden @ layer["w"] + layer["b"])
    return jax.nn.softmax(hidden @ parameters[-1]["w"] + parameters[-1]["b"])


def probabilities(parameters: Any, images: jax.Array, *, quarter_turns: bool) -> jax.Array:
    """Return class probabilities ``(row, 10)`` of images ``(row, 8, 8)``."""
    images = jnp.asarray(images)
    if not quarter_turns:
        return _dense(parameters, images)
    turned = [jnp.rot90(images, k, axes=(1, 2)) for k in range(4)]
    # One call on all four: a quarter of the work to compile.
    return _dense(parameters, jnp.concatenate(turned)).reshape(4, len(images), -1).mean(axis=0)


def _turned(key: jax.Array, images: jax.Array, max_radians: jax.Array) -> jax.Array:
    """Turn every image by its own random angle, by the interpolation that audits use."""
    angle = jax.random.uniform(key, (len(images),), minval=-1, maxval=1) * max_radians
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    backwards = jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], -2)
    return resample({"inverse_matrix": backwards}, images[..., None])[..., 0]


@partial(jax.jit, static_argnames=("epochs", "quarter_turns", "augmented"))
def _fit(
    key: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    max_radians: jax.Array,
    *,
    epochs: int,
    quarter_turns: bool,
    augmented: bool,
) -> Any:
    """Train one network by Adam with a cosine schedule; vmapped over keys."""
    n_steps = epochs * (len(images) // _BATCH)

    def loss(parameters: Any, batch: jax.Array, targets: jax.Array) -> jax.Array:
        if quarter_turns:
            # The loss of the average has minima where one turn of a whole class is surely wrong and
            # the others surely right; the average loss of the turns, which bounds it, has not.
            batch = jnp.concatenate([jnp.rot90(batch, k, axes=(1, 2)) for k in range(4)])
            targets = jnp.tile(targets, 4)
        p = _dense(parameters, batch)
        return -jnp.log(p[jnp.arange(len(targets)), targets] + 1e-7).mean()

    def gradient(parameters: Any, t: jax.Array) -> Any:
        pick, turn = jax.random.split(jax.random.fold_in(key, t))
        rows = jax.random.choice(pick, len(images), (_BATCH,), replace=False)
        batch = images[rows]
        if augmented:
            batch = _turned(turn, batch, max_radians)
        return jax.grad(loss)(parameters, batch, labels[rows])

    return adam(gradient, _initial(jax.random.fold_in(key, 2**31)), n_steps, _LEARNING_RATE)


def train(
    candidate: Candidate,
    split: DigitsSplit,
    seeds: Sequence[int] = (0, 1, 2),
) -> list[Predict]:
    """Train a candidate once for each seed.

    Args:
        candidate: What to train.
        split: The data; only its training half is used.
        seeds: Seeds of initialization, batches and augmentation.

    Returns:
        A model for each seed: ``predict(images (row, 8, 8)) -> (row, 10)`` class probabilities.
    """
    fit = partial(
        _fit,
        images=jnp.asarray(split.x_train),
        labels=jnp.asarray(split.y_train),
        max_radians=jnp.deg2rad(candidate.max_degrees),
        epochs=candidate.epochs,
        quarter_turns=candidate.quarter_turns,
        augmented=candidate.max_degrees > 0,
    )
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    fitted = jax.vmap(fit)(keys)
    return [
        partial(
            probabilities,
            jax.tree.map(lambda leaf, i=i: leaf[i], fitted),
            quarter_turns=candidate.quarter_turns,
        )
        for i in range(len(seeds))
    ]
