"""Where the symmetry holds, on three rings: images agree, contradict or leave the data.

Of the first ring all targets are alike; of the second they go with the side, so that half of the
images contradict (of numbers, those that move by more than the tolerance); of the third there are
rows on one side only, so that half of the images leave the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Array, Outcome, Problem

N_MAPPED = 8
TOLERANCE = 0.5
RINGS = ("agrees", "contradicts", "leaves")
_NODES = 100_001


def share_beyond(tolerance: float) -> float:
    """Return how often twice the cosines of two random angles differ by more than the tolerance."""
    angle = 2 * np.pi * (np.arange(_NODES) + 0.5) / _NODES
    cosine = np.sort(2 * np.cos(angle))
    inside = np.searchsorted(cosine, cosine + tolerance) - np.searchsorted(
        cosine, cosine - tolerance
    )
    return float(1 - inside.mean() / _NODES)


def rings(labels: bool, noise: float, n: int, seed: int) -> Iterator[Outcome]:
    """Fit a map to rows of three rings.

    Args:
        labels: Whether targets are labels; else numbers.
        noise: Share of wrong labels, or standard deviation of the noise.
        n: Rows.
        seed: Of the rows.
    """
    g = np.random.default_rng([seed, n, labels])
    ring = g.integers(3, size=n)
    angle = g.uniform(-np.pi, np.pi, n) * np.where(ring == 2, 0.5, 1.0)
    radius = 1 + ring + g.uniform(-0.1, 0.1, n)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if labels:
        right = np.where(ring == 1, np.cos(angle) > 0, ring == 2)
        y = (right ^ (g.random(n) < noise)).astype(int)
    else:
        y = np.where(ring == 1, 2 * np.cos(angle), radius) + noise * g.normal(size=n)

    def nothing(rows: Array) -> Array:
        return np.full((len(rows), 2), 0.5) if labels else np.zeros(len(rows))

    orbits = ep.evaluate_orbits(
        nothing,
        x,
        ep.transforms.rotations2d(acts_on="vectors"),
        y=y,
        n_transforms=N_MAPPED,
        backend="python",
        seed=seed,
    )
    estimator = ep.SymmetryMap(n_draws=N_DRAWS, tolerance=None if labels else TOLERANCE)
    draws = estimator.fit(orbits, by=ring).draws
    contradicts = 0.5 if labels else share_beyond(TOLERANCE)
    yield Outcome("extrinsic", draws["extrinsic"], 1 / 6)
    yield Outcome("incorrect", draws["incorrect"], contradicts / 3)
    yield Outcome("correct", draws["correct"], 5 / 6 - contradicts / 3)
    truths = {"extrinsic": (0.0, 0.0, 0.5), "incorrect": (0.0, contradicts, 0.0)}
    for kind, of_rings in truths.items():
        for k, truth in enumerate(of_rings):
            yield Outcome(f"{kind}, ring that {RINGS[k]}", draws[f"{kind}_by_group"][:, k], truth)


_SIZES = (128, 400, 1600)

MAP_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "Where it holds, labels": (partial(rings, True, 0.0), _SIZES),
    "Where it holds, 1 label in 10 wrong": (partial(rings, True, 0.1), _SIZES),
    "Where it holds, numbers": (partial(rings, False, 0.1), _SIZES),
}
"""Problems by name, and the numbers of rows each is simulated at."""
