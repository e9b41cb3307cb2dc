"""How many balls of a radius cover the inputs?

Farthest-point traversal: each centre is the row farthest from those before it. After k centres all
rows lie within the radius r_k, and k + 1 rows lie at least r_k apart, so that k is at most the
covering number of radius r_k / 2 of the rows and at least that of radius r_k.

References:
    Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer
    Science 1985.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.geometry.row_metrics import AbstractMetric

_MOST_CENTRES = 1000
_SECONDS = 5.0
"""Spent on one traversal at most."""

_FEWEST_CENTRES = 32
_SPLITS = 2
_SMOOTHED = 5
"""Radii over which the difference between halves is averaged."""


@dataclass(frozen=True, eq=False)
class Net:
    """A farthest-point net.

    Args:
        radii: Covering radius after 1, 2, ... centres, not increasing.
        n_rows: How many rows it covers.
    """

    radii: Array
    n_rows: int

    def log_number(self, radius: Array, dimension: Array) -> Array:
        """Return logarithms ``(draw, radius)`` of the number of balls.

        Args:
            radius: ``(radius,)``.
            dimension: Draws ``(draw,)`` of the slope beyond the last centre.
        """
        number = np.log(1 + np.searchsorted(-self.radii, -radius))
        if len(self.radii) >= self.n_rows:
            return np.broadcast_to(number, (len(dimension), len(radius)))
        beyond = np.maximum(np.log(self.radii[-1] / radius), 0.0)
        logs = np.minimum(number, np.log(len(self.radii))) + dimension[:, None] * beyond
        return np.minimum(logs, np.log(self.n_rows))


def centres_within_budget(distance: AbstractMetric) -> int:
    """Return how many centres a traversal of these rows is given."""
    affordable = max(int(_SECONDS / distance.seconds), _FEWEST_CENTRES)
    return min(affordable, _MOST_CENTRES, len(distance))


def farthest_point_net(distance: AbstractMetric, start: int, n_centres: int) -> Net:
    """Return the net that a traversal from one row finds."""
    least = distance.lowered(start, np.full(len(distance), np.inf))
    radii = [least.max()]
    while len(radii) < n_centres and radii[-1] > 0:
        least = distance.lowered(int(least.argmax()), least)
        radii.append(least.max())
    return Net(np.array(radii), len(distance))


def log_cover(
    distance: AbstractMetric,
    start: int,
    radius: Array,
    dimension: Array,
    generator: np.random.Generator,
) -> tuple[Array, int]:
    """Return draws of the logarithm of the covering number of as many rows of the same law.

    The halves of the sample, covered one by one, tell how much it varies between samples.

    Args:
        distance: Between the rows.
        start: The row to start from.
        radius: ``(radius,)``, increasing.
        dimension: Draws of the slope beyond the last centre, ``(draw,)``.
        generator: Source of the draws and of the halves.

    Returns:
        Draws ``(draw, radius)``, and how many centres were found.
    """
    n_centres = centres_within_budget(distance)
    net = farthest_point_net(distance, start, n_centres)
    middle = np.array([np.median(dimension)])
    squares = []
    for _ in range(_SPLITS):
        order = generator.permutation(len(distance))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        one, other = (
            farthest_point_net(distance.take(half), 0, n_centres).log_number(radius, middle)[0]
            for half in halves
        )
        squares.append((one - other) ** 2)
    window = np.ones(_SMOOTHED) / _SMOOTHED
    padded = np.pad(np.mean(squares, axis=0), _SMOOTHED // 2, mode="edge")
    spread = np.sqrt(np.convolve(padded, window, mode="valid"))
    logs = net.log_number(radius, dimension)
    # The spread is known from a few halves: Student's t.
    logs = logs + generator.standard_t(2 * _SPLITS + 2, (len(dimension), 1)) * spread
    logs = np.clip(logs, 0.0, np.log(len(distance)))
    # One ball of a larger radius covers whatever one of a smaller radius does.
    return np.maximum.accumulate(logs[:, ::-1], axis=1)[:, ::-1], len(net.radii)
