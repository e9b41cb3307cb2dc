"""The orbit pass against the bare model passes it cannot do without, interleaved in one run.

    python -m benchmarks.orbit_pass --rows 1024 --transforms 16 --repeats 11

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
from equiprob.orbits.backends import choose_backend

BATCH = 128

Predict = Callable[[Any], Any]


def weights(*shape: int, xp: Any = jnp) -> Any:
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return xp.float32(np.random.default_rng(sum(shape)).normal(size=shape) * scale)


def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def classifier() -> Predict:
    first, second, last = weights(3, 3, 1, 16), weights(3, 3, 16, 32), weights(32 * 49, 10)

    def predict(images: jax.Array) -> jax.Array:
        hidden = images[..., None]
        for kernel in (first, second):
            hidden = jax.nn.relu(convolved(hidden, kernel))
            hidden = hidden.reshape(len(hidden), hidden.shape[1] // 2, 2, -1, 2, kernel.shape[-1])
            hidden = hidden.max(axis=(2, 4))
        return jax.nn.softmax(hidden.reshape(len(hidden), -1) @ last)

    return predict


def image_to_image() -> Predict:
    first, second, last = weights(3, 3, 1, 16), weights(3, 3, 16, 16), weights(3, 3, 16, 1)

    def predict(images: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(convolved(images[..., None], first))
        return convolved(jax.nn.relu(convolved(hidden, second)), last)[..., 0]

    return predict


def perceptron(xp: Any) -> Predict:
    first, second, last = (weights(*shape, xp=xp) for shape in ((32, 256), (256, 256), (256, 2)))

    def predict(points: Any) -> Any:
        hidden = xp.tanh(points.reshape(len(points), -1) @ first)
        return xp.tanh(hidden @ second) @ last

    return predict


def bare(predict: Predict, x: np.ndarray, passes: int) -> None:
    for start in range(0, len(x), BATCH):
        chunk = x[start : start + BATCH]
        for out in [predict(chunk) for _ in range(passes)]:
            np.asarray(out)


def seconds(work: Callable[[], Any]) -> np.ndarray:
    """Return the CPU time and the elapsed time of some work."""
    began = np.array([time.process_time(), time.perf_counter()])
    work()
    return np.array([time.process_time(), time.perf_counter()]) - began


def ratios(
    predict: Predict, x: np.ndarray, transform: Any, m: int, repeats: int, backend: str
) -> np.ndarray:
    """Return our times over the floor's, ``(repetition, 2)``: CPU and elapsed."""
    plain = jax.jit(predict) if backend == "jax" else predict
    settings: Any = {"n_transforms": m, "batch_size": BATCH, "keep": "rows", "progress": False}
    ours = lambda: ep.evaluate_orbits(predict, x, transform, backend=backend, **settings)  # noqa: E731
    floor = lambda: bare(plain, x, m + 1)  # noqa: E731
    ours(), floor()
    return np.array([seconds(ours) / seconds(floor) for _ in range(repeats)])


def temporary_memory(predict: Predict, chunk: np.ndarray, transform: Any, m: int) -> str:
    """Return the temporary memory of our program for one chunk and of the bare pass, in MiB."""
    engine: Any = choose_backend(predict, transform, chunk, "jax")
    run, calls = engine._run, []
    engine._run = lambda *arguments: calls.append(arguments) or run(*arguments)
    uniforms = np.random.default_rng(0).random((len(chunk), m, transform.n_uniforms))
    engine.evaluate(chunk, transform.parameters(uniforms), probe=False)
    lowered = run.lower(*calls[0]), jax.jit(predict).lower(chunk)
    ours, plain = (low.compile().memory_analysis().temp_size_in_bytes / 2**20 for low in lowered)
    return f"{ours:.1f} ({plain:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in {"--rows": 1024, "--transforms": 16, "--repeats": 11}.items():
        parser.add_argument(option, type=int, default=default)
    options = parser.parse_args()
    m, repeats = options.transforms, options.repeats
    generator = np.random.default_rng(0)
    images = generator.random((options.rows, 28, 28), dtype=np.float32)
    points = generator.normal(size=(options.rows, 16, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d
    on_points = turn(acts_on="points", output_action="vectors")
    problems = {
        "28 x 28 CNN classifier": (classifier(), images, turn(), "jax"),
        "28 x 28 image to image": (image_to_image(), images, turn(output_action="image"), "jax"),
        "MLP on 16 points, vector output": (perceptron(jnp), points, on_points, "jax"),
        "the same MLP in NumPy": (perceptron(np), points, on_points, "python"),
    }
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), jax {jax.__version__}, {options.rows} rows"
        f" x {m} transformations, {repeats} interleaved repetitions; times are ratios to the bare"
        f" passes, median (quartiles)\n"
    )
    print("| model | CPU time | elapsed time | temporary MiB (bare) |\n|---|---|---|---|")
    for name, (predict, x, transform, backend) in problems.items():
        found = ratios(predict, x, transform, m, repeats, backend)
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
        times = [f"{middle[i]:.2f} ({low[i]:.2f} to {high[i]:.2f})" for i in range(2)]
        traced = backend == "jax"
        memory = temporary_memory(predict, x[:BATCH], transform, m) if traced else "-"
        print(f"| {name} | {times[0]} | {times[1]} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
