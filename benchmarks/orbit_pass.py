"""The orbit pass against the bare model passes it cannot do without, interleaved in one run.

    python -m benchmarks.orbit_pass --rows 1024 --transforms 16 --repeats 9

The floor is (M + 1) N passes: M + 1 plain jitted calls for each chunk, outputs fetched to the host.
The pass makes M transformed inputs a row (a shift of its own per row), takes outputs back,
accumulates in float64 and checks that the model is repeatable. Models that are not JAX are held
against a loop that calls them M + 1 times for each chunk.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def weights(*shape: int) -> jax.Array:
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape) * scale, jnp.float32)


def classifier() -> Callable[[Any], Any]:
    first, second, last = weights(3, 3, 1, 16), weights(3, 3, 16, 32), weights(32 * 49, 10)

    def predict(images: jax.Array) -> jax.Array:
        hidden = images[..., None]
        for kernel in (first, second):
            hidden = jax.nn.relu(convolution(hidden, kernel))
            hidden = hidden.reshape(len(hidden), hidden.shape[1] // 2, 2, -1, 2, kernel.shape[-1])
            hidden = hidden.max(axis=(2, 4))
        return jax.nn.softmax(hidden.reshape(len(hidden), -1) @ last)

    return predict


def image_to_image() -> Callable[[Any], Any]:
    kernels = weights(3, 3, 1, 16), weights(3, 3, 16, 16), weights(3, 3, 16, 1)

    def predict(images: jax.Array) -> jax.Array:
        hidden = images[..., None]
        for kernel in kernels[:-1]:
            hidden = jax.nn.relu(convolution(hidden, kernel))
        return convolution(hidden, kernels[-1])[..., 0]

    return predict


def perceptron() -> Callable[[Any], Any]:
    layers = weights(32, 256), weights(256, 256), weights(256, 2)

    def predict(points: jax.Array) -> jax.Array:
        hidden = points.reshape(len(points), -1)
        for layer in layers[:-1]:
            hidden = jnp.tanh(hidden @ layer)
        return hidden @ layers[-1]

    return predict


def in_numpy() -> Callable[[Any], Any]:
    layers = [np.asarray(w) for w in (weights(32, 256), weights(256, 256), weights(256, 2))]

    def predict(points: Any) -> Any:
        hidden = np.asarray(points).reshape(len(points), -1)
        for layer in layers[:-1]:
            hidden = np.tanh(hidden @ layer)
        return hidden @ layers[-1]

    return predict


def bare(predict: Callable[[Any], Any], x: np.ndarray, passes: int, batch: int) -> None:
    for start in range(0, len(x), batch):
        chunk = x[start : start + batch]
        for out in [predict(chunk) for _ in range(passes)]:
            np.asarray(out)


def ratios(
    predict: Callable[[Any], Any],
    x: np.ndarray,
    transform: Any,
    m: int,
    repeats: int,
    *,
    backend: str,
    batch: int = 128,
) -> np.ndarray:
    """Return our pass's CPU time over the floor's, a ratio for each interleaved repetition.

    CPU time, because other work on a shared machine inflates it least.
    """
    floor = jax.jit(predict) if backend == "jax" else predict

    def ours() -> None:
        ep.evaluate_orbits(
            predict,
            x,
            transform,
            n_transforms=m,
            batch_size=batch,
            keep="rows",
            backend=backend,
            progress=False,
        )

    ours()
    bare(floor, x, m + 1, batch)
    found = []
    for _ in range(repeats):
        marks = [time.process_time()]
        for work in (ours, lambda: bare(floor, x, m + 1, batch)):
            work()
            marks.append(time.process_time())
        found.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--transforms", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    images = generator.random((options.rows, 28, 28), dtype=np.float32)
    points = generator.normal(size=(options.rows, 16, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d
    on_points = turn(acts_on="points", output_action="vectors")
    problems = {
        "28 x 28 CNN classifier": (classifier(), images, turn(), "jax"),
        "28 x 28 image to image": (
            image_to_image(),
            images,
            turn(acts_on="image", output_action="image"),
            "jax",
        ),
        "MLP on 16 points, vector output": (perceptron(), points, on_points, "jax"),
        "the same MLP in NumPy": (in_numpy(), points, on_points, "python"),
    }
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), jax {jax.__version__}, {options.rows} rows"
        f" x {options.transforms} transformations, {options.repeats} interleaved repetitions\n"
    )
    print("| model | CPU time / CPU time of the bare passes, median | quartiles |\n|---|---|---|")
    for name, (predict, x, transform, backend) in problems.items():
        found = ratios(predict, x, transform, options.transforms, options.repeats, backend=backend)
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
        print(f"| {name} | {middle:.2f} | {low:.2f} to {high:.2f} |", flush=True)


if __name__ == "__main__":
    main()
