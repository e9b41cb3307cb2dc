"""How many roundings of the input is the error of an exactly invariant network?

    python -m benchmarks.float_floor --rows 256 --seeds 2

`ROUNDING_FACTOR` calls a model exact where its error is below that many float floors. The exact
networks measured here must stay below it; the same networks with one weight changed by one part in
a thousand should exceed it, where the change breaks the symmetry at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from equiprob.equivariance.model_error import ROUNDING_FACTOR

WIDTHS = (16, 64, 256)
DEPTHS = (2, 4, 8)
BREAK = 1e-3


def perceptron(sizes: list[int], generator: np.random.Generator) -> list[jax.Array]:
    return [
        jnp.asarray(generator.normal(size=(a, b)) * np.sqrt(2 / a), jnp.float32)
        for a, b in pairwise(sizes)
    ]


def forward(layers: list[jax.Array], hidden: jax.Array) -> jax.Array:
    for layer in layers[:-1]:
        hidden = jax.nn.relu(hidden @ layer)
    return hidden @ layers[-1]


def one_changed(layer: jax.Array, size: float) -> jax.Array:
    """Return a layer whose largest weight is changed by a share of itself."""
    place = jnp.unravel_index(jnp.argmax(jnp.abs(layer)), layer.shape)
    return layer.at[place].multiply(1 + size)


def averaged(width: int, depth: int, generator: np.random.Generator, broken: float) -> Any:
    """An MLP on images averaged over quarter turns; broken, one turn has another weight."""
    layers = perceptron([64] + [width] * (depth - 1) + [3], generator)
    others = [one_changed(layers[0], broken), *layers[1:]]

    def predict(images: jax.Array) -> jax.Array:
        turned = [jnp.rot90(images, k, axes=(1, 2)).reshape(len(images), -1) for k in range(4)]
        return (forward(others, turned[0]) + sum(forward(layers, t) for t in turned[1:])) / 4

    return predict, (8, 8), ep.transforms.cyclic(4)


def deep_set(width: int, depth: int, generator: np.random.Generator, broken: float) -> Any:
    """A sum over items between two MLPs; broken, the first item has another weight."""
    half = depth // 2
    inner = perceptron([4] + [width] * half, generator)
    outer = perceptron([width] * (depth - half) + [3], generator)
    others = [one_changed(inner[0], broken), *inner[1:]]

    def predict(items: jax.Array) -> jax.Array:
        each = jnp.concatenate([forward(others, items[:, :1]), forward(inner, items[:, 1:])], 1)
        return forward(outer, jax.nn.relu(each).sum(axis=1))

    return predict, (8, 4), ep.transforms.permutations(8)


def distances(width: int, depth: int, generator: np.random.Generator, broken: float) -> Any:
    """An MLP of the distances of six points; broken, one x is measured with another weight."""
    first, second = np.triu_indices(6, 1)
    layers = perceptron([len(first)] + [width] * (depth - 1) + [3], generator)
    metric = one_changed(jnp.ones((len(first), 2), jnp.float32), broken)

    def predict(points: jax.Array) -> jax.Array:
        apart = (points[:, first] - points[:, second]) ** 2 * metric
        return forward(layers, jnp.sqrt(apart.sum(axis=-1)))

    return predict, (6, 2), ep.transforms.rotations2d(acts_on="points")


def ratio(predict: Any, x: np.ndarray, transform: Any) -> float:
    """Return the upper end of the error, in float floors."""
    orbits = ep.evaluate_orbits(predict, x, transform, backend="jax", progress=False)
    result = ep.ModelEquivarianceError().fit(orbits)
    return float(np.quantile(result.draws["error"], 0.95)) / result.float_floor


def found(make: Callable[..., Any], rows: int, seeds: int) -> Iterator[tuple[int, float, float]]:
    """Yield (depth, exact, broken) over widths and seeds."""
    for depth in DEPTHS:
        for width in WIDTHS:
            for seed in range(seeds):
                measured = []
                for size in (0.0, BREAK):
                    generator = np.random.default_rng(seed)
                    predict, shape, transform = make(width, depth, generator, size)
                    x = generator.normal(size=(rows, *shape)).astype(np.float32)
                    measured.append(ratio(predict, x, transform))
                yield depth, *measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print(
        f"jax {jax.__version__}, float32, {options.rows} rows, widths {WIDTHS}, "
        f"{options.seeds} seeds; error / float floor, ROUNDING_FACTOR is {ROUNDING_FACTOR:g}\n"
    )
    print("| network | layers | exact, median | exact, largest | broken, median | smallest |")
    print("|---|---|---|---|---|---|")
    largest, smallest = 0.0, np.inf
    for make in (averaged, deep_set, distances):
        rows = np.array(list(found(make, options.rows, options.seeds)))
        for depth in DEPTHS:
            exact, broken = rows[rows[:, 0] == depth, 1:].T
            print(
                f"| {make.__name__.replace('_', ' ')} | {depth} | {np.median(exact):.2f} | "
                f"{exact.max():.2f} | {np.median(broken):.0f} | {broken.min():.1f} |",
                flush=True,
            )
        largest, smallest = max(largest, rows[:, 1].max()), min(smallest, rows[:, 2].min())
    print(f"\nLargest exact ratio {largest:.2f}, smallest broken ratio {smallest:.1f}.")


if __name__ == "__main__":
    main()
