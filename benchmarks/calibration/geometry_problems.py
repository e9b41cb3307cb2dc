"""Spaces of known dimension, with and without a boundary, and quotients of them.

What is judged beside the dimension: covering numbers against those of fresh rows, and end points
against suprema that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem
from equiprob.geometry.clouds import Cloud, diameters
from equiprob.geometry.dimension import NEIGHBOURS, fit_dimension
from equiprob.geometry.extremes import end_point
from equiprob.geometry.nets import centres_within_budget, farthest_point_net
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.geometry.row_metrics import RawMetric
from equiprob.testing import disc_task

EPS = float(np.finfo(np.float64).eps)
T = ep.transforms
Sampler = Callable[[np.random.Generator, int], Any]


def box(d: int, g: np.random.Generator, n: int) -> Array:
    return g.random((n, d))


def ball(d: int, g: np.random.Generator, n: int) -> Array:
    x = g.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True) * g.random((n, 1)) ** (1 / d)


def sphere(d: int, g: np.random.Generator, n: int) -> Array:
    x = g.normal(size=(n, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def circles(d: int, g: np.random.Generator, n: int) -> Array:
    angle = 2 * np.pi * g.random((n, d))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def normal(d: int, g: np.random.Generator, n: int) -> Array:
    return g.normal(size=(n, d))


def disc(g: np.random.Generator, n: int) -> Array:
    return disc_task(n, seed=int(g.integers(2**31))).x


def turned_curve(g: np.random.Generator, n: int) -> Any:
    """A closed curve in space, each point turned at random about the axis."""
    t, angle = 2 * np.pi * g.random(n), 2 * np.pi * g.random(n)
    radius = 1 + 0.3 * np.cos(t)
    plane = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return {"plane": plane, "axis": np.sin(t)[:, None]}


def wrapped_neighbours(x: Array, k: int) -> Array:
    """Distances to the nearest rows in a box whose opposite sides are joined."""
    found = []
    for part in np.array_split(x, -(-len(x) * len(x) // 2**21)):
        squares = np.zeros((len(part), len(x)))
        for here, there in zip(part.T, x.T, strict=True):
            apart = np.abs(here[:, None] - there)
            squares += np.minimum(apart, 1 - apart) ** 2
        found.append(np.sort(np.partition(squares, k, axis=1)[:, : k + 1], axis=1)[:, 1:])
    return np.sqrt(np.concatenate(found))


def torus(d: int, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, d])
    x = g.random((n, d))
    near = wrapped_neighbours(x, min(NEIGHBOURS, n - 1))
    size = float(np.sqrt(d / 12))
    yield Outcome("dimension", fit_dimension(near, n, size, N_DRAWS, g).draws, d)


def space(sample: Sampler, d: int, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, d])
    cloud = Cloud.of(RawMetric(sample(g, n), EPS), NEIGHBOURS, g)
    yield Outcome("dimension", cloud.dimension(N_DRAWS, g).draws, d)


def quotient(
    sample: Sampler, transform: T.Transform, d: int, n: int, seed: int
) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, d])
    metric = OrbitMetric.of(sample(g, n), transform, EPS)
    cloud = Cloud.of(metric, 40 if metric.is_refined else NEIGHBOURS, g)
    yield Outcome("orbit_dimension", cloud.dimension(N_DRAWS, g).draws, d)


def cover(sample: Sampler, transform: T.Transform | None, n: int, seed: int) -> Iterator[Outcome]:
    """Covering numbers at four radii, and those of as many fresh rows."""
    g = np.random.default_rng([seed, n, 17])

    def metric() -> RawMetric | OrbitMetric:
        x = sample(g, n)
        return RawMetric(x, EPS) if transform is None else OrbitMetric.of(x, transform, EPS)

    cloud = Cloud.of(metric(), 40, g)
    radius = cloud.reach * np.array([1 / 16, 1 / 8, 1 / 4, 1 / 2])
    slope = cloud.dimension(N_DRAWS, g).draws
    logs, _ = cloud.log_cover(radius, slope, g)
    other = Cloud.of(metric(), 40, g)
    net = farthest_point_net(other.distance, other.centre, centres_within_budget(other.distance))
    truth = net.log_number(radius, np.array([np.median(slope)]))[0]
    for k, share in enumerate(("1/16", "1/8", "1/4", "1/2")):
        yield Outcome(f"log_cover, {share} of the size", logs[:, k] + 1e-9 * g.normal(), truth[k])


def diameter(sample: Sampler, truth: float, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, 19])
    cloud = Cloud.of(RawMetric(sample(g, n), EPS), 2, g)
    yield Outcome("diameter", end_point(diameters(cloud), N_DRAWS, g), truth)


def slopes(
    sample: Sampler, slope: Callable[[Array], Array], n: int, seed: int
) -> Iterator[Outcome]:
    """The steepest slope of a function whose slope at each row is a formula, with maximum 1."""
    g = np.random.default_rng([seed, n, 23])
    yield Outcome("lipschitz", end_point(slope(sample(g, n)), N_DRAWS, g), 1.0)


SIZES = (200, 1000, 5000)
FEWER = (200, 1000)
TURNS = T.rotations2d(acts_on="vectors")

GEOMETRY_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    **{f"torus of dimension {d}": (partial(torus, d), SIZES) for d in (1, 2, 5, 10)},
    **{f"cube of dimension {d}": (partial(space, partial(box, d), d), SIZES) for d in (2, 5, 10)},
    **{f"ball of dimension {d}": (partial(space, partial(ball, d), d), SIZES) for d in (2, 5, 10)},
    **{f"sphere of dimension {d}": (partial(space, partial(sphere, d), d), SIZES) for d in (2, 5)},
    **{
        f"product of {d} circles": (partial(space, partial(circles, d), d), SIZES)
        for d in (2, 5, 10)
    },
    **{
        f"normal law in {d} dimensions": (partial(space, partial(normal, d), d), SIZES)
        for d in (2, 5, 10)
    },
    "disc modulo rotations": (partial(quotient, disc, TURNS, 1), FEWER),
    "disc modulo eighths of a turn": (
        partial(quotient, disc, T.cyclic(8, acts_on="vectors"), 2),
        FEWER,
    ),
    "turned curve modulo rotations": (
        partial(
            quotient,
            turned_curve,
            T.rotations2d(acts_on={"plane": "vectors", "axis": "invariant"}),
            1,
        ),
        FEWER,
    ),
    "two vectors of the plane modulo rotations": (
        partial(quotient, lambda g, n: g.normal(size=(n, 2, 2)), TURNS, 3),
        FEWER,
    ),
    "5-cube modulo sign flips": (
        partial(quotient, lambda g, n: 2 * box(5, g, n) - 1, T.sign_flips(5), 5),
        FEWER,
    ),
    "disc": (partial(cover, disc, None), FEWER),
    "disc, C8": (partial(cover, disc, T.cyclic(8, acts_on="vectors")), FEWER),
    "5-cube": (partial(cover, partial(box, 5), None), FEWER),
    "normal law, 3 dimensions": (partial(cover, partial(normal, 3), None), FEWER),
    "largest distance in the disc": (partial(diameter, disc, 2.0), FEWER),
    "in the square": (partial(diameter, partial(box, 2), np.sqrt(2)), FEWER),
    "in the 5-cube": (partial(diameter, partial(box, 5), np.sqrt(5)), FEWER),
    "in the 5-ball": (partial(diameter, partial(ball, 5), 2.0), FEWER),
    "slope cos(3 x) on an interval": (
        partial(slopes, partial(box, 1), lambda x: np.abs(np.cos(3 * x[:, 0]))),
        FEWER,
    ),
    "slope with a smooth maximum in 2 dimensions": (
        partial(slopes, partial(box, 2), lambda x: np.abs(np.cos(3 * (x - 0.5))).prod(axis=1)),
        FEWER,
    ),
    "in 5 dimensions": (
        partial(slopes, partial(box, 5), lambda x: np.abs(np.cos(x - 0.5)).prod(axis=1)),
        FEWER,
    ),
    "largest in a corner of the square": (
        partial(slopes, partial(box, 2), lambda x: np.linalg.norm(x, axis=1) / np.sqrt(2)),
        FEWER,
    ),
    "steep in 1 % of the square": (
        partial(slopes, partial(box, 2), lambda x: np.where(x[:, 0] < 0.01, 1.0, x[:, 1] / 3)),
        FEWER,
    ),
}
