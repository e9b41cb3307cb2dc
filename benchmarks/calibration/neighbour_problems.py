"""What exact symmetry costs where the law of the inputs leans to one side.

Directions in the plane follow a von Mises law, the squared radius is uniform, and further
coordinates stay as they are under rotations: orbits fill a space of as many dimensions as asked
for. A third of the runs is exactly symmetric, a third a little asymmetric, a third much.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import iv

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem

NOISE = 0.2
AMPLITUDES = (0.0, 0.4, 1.0)
_MEAN = float(iv(1, 1) / iv(0, 1))
_VARIANCE = float((1 + iv(2, 1) / iv(0, 1)) / 2 - _MEAN**2)
"""Mean and variance of the cosine of an angle with von Mises law of concentration 1."""


@dataclass(frozen=True)
class Leaning:
    """Inputs whose directions lean to one side.

    Args:
        x: ``plane`` turns, ``rest`` does not.
        radius: Of the point in the plane.
        cosine: Of its direction.
    """

    x: dict[str, Array]
    radius: Array
    cosine: Array

    @classmethod
    def of(cls, n: int, dimensions: int, generator: np.random.Generator) -> Leaning:
        angle, radius = generator.vonmises(0, 1, n), np.sqrt(generator.random(n))
        plane = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        rest = generator.random((n, dimensions - 1))
        x = {"plane": plane, "rest": rest} if dimensions > 1 else {"plane": plane}
        return cls(x, radius, np.cos(angle))

    @property
    def symmetric(self) -> Array:
        """A function that rotations leave as it is."""
        rest = self.x.get("rest")
        if rest is None:
            return self.radius**2
        return self.radius**2 + rest.sum(axis=1) / np.sqrt(rest.shape[1]) + np.sin(2 * rest[:, 0])


def numbers(dimensions: int, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, dimensions])
    rows, a = Leaning.of(n, dimensions, g), AMPLITUDES[seed % 3]
    y = rows.symmetric + a * rows.radius * rows.cosine + NOISE * g.normal(size=n)
    yield from _cost(rows, y, a**2 / 2 * _VARIANCE)


def labels(dimensions: int, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, dimensions, 1])
    rows, a = Leaning.of(n, dimensions, g), 0.4 * AMPLITUDES[seed % 3]
    y = (g.random(n) < 0.5 + a * rows.radius * rows.cosine).astype(int)
    yield from _cost(rows, y, a**2 * _VARIANCE)


def vectors(dimensions: int, n: int, seed: int) -> Iterator[Outcome]:
    """A field that follows the point, and one that points along an axis wherever the point is."""
    g = np.random.default_rng([seed, n, dimensions, 2])
    rows, a = Leaning.of(n, dimensions, g), AMPLITUDES[seed % 3]
    y = rows.x["plane"] + a * np.array([1.0, 0.0]) + NOISE * g.normal(size=(n, 2))
    yield from _cost(rows, y, a**2 * (1 - _MEAN**2), turns="vectors")


def _cost(rows: Leaning, y: Array, truth: float, turns: str = "invariant") -> Iterator[Outcome]:
    """Fit to a table of a model that says nothing."""
    shape = (2,) if y.dtype.kind == "i" else y.shape[1:]
    constant = np.full(shape, 1 / 2 if y.dtype.kind == "i" else 0.0)
    declared = {"plane": "vectors", "rest": "invariant"}
    orbits = ep.evaluate_orbits(
        lambda batch: np.broadcast_to(constant, (len(batch["plane"]), *shape)),
        rows.x,
        ep.transforms.rotations2d(
            acts_on={name: declared[name] for name in rows.x}, output_action=turns
        ),
        y=y,
        n_transforms=1,
        backend="python",
    )
    estimator = ep.DataEquivarianceError(method=ep.methods.Neighbours(), n_draws=N_DRAWS)
    draws = estimator.fit(orbits).draws["symmetry_cost"]
    yield Outcome(f"symmetry cost, truth {truth:.2g}", draws, truth)


_SIZES = (128, 400, 1600)

NEIGHBOUR_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    **{
        f"Neighbours, numbers, orbits in {d} dimension{'s' * (d > 1)}": (
            partial(numbers, d),
            _SIZES,
        )
        for d in (1, 2, 3, 5, 10)
    },
    "Neighbours, labels, orbits in 1 dimension": (partial(labels, 1), _SIZES),
    "Neighbours, vectors, orbits in 2 dimensions": (partial(vectors, 2), _SIZES),
}
"""Problems by name, and the numbers of rows each is simulated at."""
