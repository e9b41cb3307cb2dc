"""How far above the float floor does an exactly equivariant float32 network read?

    python -m benchmarks.float_floor

`ModelEquivarianceError` calls a model equivariant up to rounding when the 95 % quantile of its
error is within FLOAT64_FACTOR float floors of a float64 pass (ROUNDING_FACTOR of a perturbation).
The exact networks below must stay under that factor, and the same networks broken by a thousandth
must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from equiprob.errors.table_findings import rounding_limit


def layers(sizes: list[int], seed: int) -> list[jax.Array]:
    generator = np.random.default_rng(seed)
    return [
        jnp.asarray(generator.normal(size=(a, b)) * np.sqrt(2 / a), jnp.float32)
        for a, b in pairwise(sizes)
    ]


def perceptron(weights: list[jax.Array], hidden: jax.Array) -> jax.Array:
    for w in weights[:-1]:
        hidden = jax.nn.relu(hidden @ w)
    return hidden @ weights[-1]


def quarter_turns(depth: int, width: int, broken: float) -> Callable[[Any], Any]:
    weights = layers([64] + [width] * depth + [4], depth)
    changed = [weights[0] * (1 + broken), *weights[1:]]

    def predict(images: Any) -> jax.Array:
        turned = [jnp.rot90(jnp.asarray(images), k, (1, 2)).reshape(-1, 64) for k in range(4)]
        parts = [perceptron(changed if k == 0 else weights, t) for k, t in enumerate(turned)]
        return sum(parts[1:], parts[0]) / 4

    return predict


def deep_set(depth: int, width: int, broken: float) -> Callable[[Any], Any]:
    inner, outer = layers([3] + [width] * depth, depth), layers([width] * depth + [4], depth + 1)
    tilt = jnp.asarray(1 + broken * np.arange(8), jnp.float32)[:, None]

    def predict(items: Any) -> jax.Array:
        return perceptron(outer, (perceptron(inner, items) * tilt).mean(axis=1))

    return predict


def distances(depth: int, width: int, broken: float) -> Callable[[Any], Any]:
    weights = layers([36] + [width] * depth + [4], depth)
    stretch = jnp.asarray([1 + broken, 1], jnp.float32)

    def predict(points: Any) -> jax.Array:
        points = points * stretch
        apart = ((points[:, :, None] - points[:, None]) ** 2).sum(axis=-1)
        return perceptron(weights, apart.reshape(len(points), 36))

    return predict


def ratios() -> Iterator[tuple[str, int, int, float, float]]:
    """Yield (network, depth, width, exact ratio, broken ratio), ratios to the limit of rounding."""
    generator = np.random.default_rng(0)
    problems = {
        "average over quarter turns": (quarter_turns, (8, 8), ep.transforms.cyclic(4)),
        "deep set": (deep_set, (8, 3), ep.transforms.permutations(8)),
        "pairwise distances": (distances, (6, 2), ep.transforms.rotations2d(acts_on="points")),
    }
    for name, (make, shape, transform) in problems.items():
        x = generator.normal(size=(256, *shape)).astype(np.float32)
        for depth in (2, 4, 8):
            for width in (32, 256):
                found = []
                for broken in (0.0, 1e-3):
                    orbits = ep.evaluate_orbits(make(depth, width, broken), x, transform)
                    error = ep.ModelEquivarianceError(n_draws=500).fit(orbits)
                    found.append(np.quantile(error.draws["error"], 0.95) / rounding_limit(orbits))
                yield name, depth, width, found[0], found[1]


def main() -> None:
    print("| network | layers | width | exact: error / limit | broken by 1e-3 |")
    print("|---|---|---|---|---|")
    exact, broken = [], []
    for name, depth, width, one, other in ratios():
        print(f"| {name} | {depth} | {width} | {one:.2f} | {other:.0f} |", flush=True)
        exact.append(one)
        broken.append(other)
    print(f"\nThe limit is 1: largest exact {max(exact):.2f}, smallest broken {min(broken):.0f}.")


if __name__ == "__main__":
    main()
