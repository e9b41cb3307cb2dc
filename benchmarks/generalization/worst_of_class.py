"""The largest gap of any function of the class, on samples from laws that are known exactly.

A law is the uniform one on some thousand points. The largest difference between the mean over the
law and the mean over a sample, of all functions with ``|h_i - h_j| <= c_ij`` and values in [0, 1],
is the optimal transport between the two at cost c; the transformations are groups of isometries, so
that these are the functions of the class and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ot import emd2

import equiprob as ep
from equiprob.geometry.all_pairs import PairDistance, Targets

DELTA = 0.05
HELD_OUT = 4
"""Held-out rows for each training row."""

SPLITS = 10


@dataclass(frozen=True)
class Law:
    """A uniform law on points, a group, and a class."""

    name: str
    points: np.ndarray
    transform: ep.transforms.Transform
    lipschitz: float
    defect: float
    n: int

    def costs(self) -> np.ndarray:
        """Return the largest difference that the class allows, between all points."""
        distance = PairDistance(transform=self.transform)
        plain = distance.plain(self.points, Targets()).inputs
        orbit = distance.nearest(self.points, Targets(), 1.0).inputs
        moved = self.lipschitz * orbit + self.defect
        return np.minimum(np.minimum(self.lipschitz * plain, moved), 1.0)

    def bound(self) -> ep.GeneralizationGap:
        """Return the bound of this class."""
        promise = ep.bounds.PredictorClass(lipschitz=self.lipschitz, defect=self.defect)
        loss = ep.bounds.BoundedLoss(range=1.0, slope=1.0)
        transport = ep.bounds.Transport(predictors=promise, loss=loss, n_splits=SPLITS)
        return ep.GeneralizationGap(bound=transport, delta=DELTA, n_draws=200)


def ball(n: int, d: int, seed: int) -> np.ndarray:
    """Return points uniform in the unit ball."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x * generator.random((n, 1)) ** (1 / d)


def _laws() -> Iterator[Law]:
    eighths = ep.transforms.cyclic(8, acts_on="vectors")
    flips = ep.transforms.sign_flips(3, acts_on="vectors")
    orders = ep.transforms.permutations(4)
    still = ep.transforms.finite([np.eye(1)], acts_on="vectors")
    yield Law("disc, eighth turns, exact", ball(2000, 2, 1), eighths, 1.0, 0.0, 50)
    yield Law("ball of 3, sign flips, defect 0.1", ball(2000, 3, 2), flips, 1.0, 0.1, 100)
    yield Law("4 numbers, permutations, exact", ball(2000, 4, 3), orders, 1.0, 0.0, 100)
    yield Law("ball of 3, no symmetry", ball(2000, 3, 4), flips, 0.5, 1.0, 100)
    yield Law("a coin", np.array([[0.0], [1.0]]), still, 1.0, 0.0, 50)


LAWS = {law.name: law for law in _laws()}


def one_sample(law: Law, costs: np.ndarray, seed: int) -> dict[str, float]:
    """Draw a sample and compare the worst function of the class with the bounds."""
    generator = np.random.default_rng([seed, 23])
    size = len(law.points)
    rows = generator.integers(0, size, law.n)
    mass = np.full(size, 1 / size), np.full(law.n, 1 / law.n)
    worst = emd2(*mass, np.ascontiguousarray(costs[:, rows]), numItermax=10**7)
    orbits = ep.evaluate_orbits(
        lambda b: 0.0 * b[:, 0],
        law.points[rows],
        law.transform,
        row_ids=np.arange(law.n),
        n_transforms=2,
        backend="python",
    )
    others = generator.integers(0, size, HELD_OUT * law.n)
    held_out = ep.evaluate_orbits(
        lambda b: 0.0 * b[:, 0],
        law.points[others],
        law.transform,
        row_ids=law.n + np.arange(len(others)),  # equal points are different rows
        n_transforms=2,
        backend="python",
    )
    onto = law.bound().fit(held_out, train=orbits)
    result = law.bound().fit(orbits)
    low, high = np.quantile(result.draws["expected_bound"], [0.05, 0.95])
    return {
        "worst": float(worst),
        "bound": float(result.draws["bound"][0]),
        "expected_bound": float(np.median(result.draws["expected_bound"])),
        "low": float(low),
        "high": float(high),
        "held_out": float(onto.draws["bound"][0]),
    }


def study(name: str, seeds: range) -> list[dict[str, float]]:
    """Return one record a sample."""
    law = LAWS[name]
    costs = law.costs()
    return [one_sample(law, costs, seed) for seed in seeds]
