"""How probable is each shape, given all candidates' runs?

Candidates share a typical slope, the scale of bends and whether floors are those of noise-free
tasks. Given these they are independent, so that the posterior is exact on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from equiprob.arguments.array_types import Array, Index
from equiprob.curves.grid import SHAPE, SLOPES
from equiprob.curves.priors import GridPriors


@dataclass(frozen=True, eq=False)
class Mixed:
    """Posterior of what candidates share, and of each one's shape given that.

    Args:
        shared: Log probability ``(typical slope, bend, kind of floors)``.
        slopes: For each candidate the log weight ``(slope, bend, kind)`` of its evidence.
        shapes: For each candidate the log weight ``(kind, slope, bend, noise, floor, plateau)``.
        spread: Log probability of a slope given the typical one, ``(typical, slope)``.
    """

    shared: Array
    slopes: list[Array]
    shapes: list[Array]
    spread: Array


def mixed(evidence: Sequence[Array], priors: GridPriors) -> Mixed:
    """Weigh the evidence ``(point,)`` of each candidate with the priors."""
    log_slopes = np.log(SLOPES)
    spread = -0.5 * ((log_slopes - log_slopes[:, None]) / priors.spread) ** 2
    spread -= logsumexp(spread, axis=1, keepdims=True)
    own = priors.noise[:, None, None] + priors.floors[:, None, None, None, :, None] + priors.plateau
    shapes = [own + e.reshape(SHAPE) for e in evidence]
    slopes = [logsumexp(s, axis=(3, 4, 5)).transpose(1, 2, 0) for s in shapes]
    shared = priors.typical[:, None, None] + priors.bends[:, None] + priors.kinds
    for each in slopes:
        shared = shared + logsumexp(each + spread[:, :, None, None], axis=1)
    return Mixed(shared - logsumexp(shared), slopes, shapes, spread)


@dataclass(frozen=True, eq=False)
class Shapes:
    """Draws of shapes.

    Args:
        shared: Indices of typical slope, bend and kind of floors, ``(3, draw)``.
        points: Grid points, ``(draw, candidate)``.
    """

    shared: Index
    points: Index


def drawn_shapes(found: Mixed, n_draws: int, generator: np.random.Generator) -> Shapes:
    """Draw what is shared, and each candidate's grid point by its own runs."""
    which = systematic(np.exp(found.shared).ravel(), n_draws, generator)
    typical, bend, kind = np.unravel_index(which, found.shared.shape)
    points = np.empty((n_draws, len(found.slopes)), dtype=np.int64)
    inner = SHAPE[2:]
    for k, (slopes, shapes) in enumerate(zip(found.slopes, found.shapes, strict=True)):
        uniform, inside = generator.random(n_draws), generator.random(n_draws)
        slope = np.empty(n_draws, dtype=np.int64)
        for key in np.unique(which):
            t, b, s = np.unravel_index(key, found.shared.shape)
            here = which == key
            slope[here] = _chosen(slopes[:, b, s] + found.spread[t], uniform[here])
        keys = np.ravel_multi_index((slope, bend, kind), (SHAPE[0], SHAPE[1], 2))
        for key in np.unique(keys):
            a, b, s = np.unravel_index(key, (SHAPE[0], SHAPE[1], 2))
            here = keys == key
            q, f, p = np.unravel_index(_chosen(shapes[s, a, b].ravel(), inside[here]), inner)
            points[here, k] = np.ravel_multi_index(
                (np.full(len(q), a), np.full(len(q), b), q, f, p), SHAPE
            )
    return Shapes(np.stack([typical, bend, kind]), points)


def _chosen(log_weight: Array, uniform: Array) -> Index:
    weight = np.exp(log_weight - log_weight.max())
    total = np.cumsum(weight)
    return np.minimum(np.searchsorted(total, uniform * total[-1], side="right"), len(total) - 1)


def systematic(weight: Array, n: int, generator: np.random.Generator) -> Index:
    """Return `n` indices in random order, each as often as its weight says to within one."""
    total = np.cumsum(weight / weight.sum())
    at = (np.arange(n) + generator.random()) / n
    return generator.permutation(
        np.minimum(np.searchsorted(total, at, side="right"), len(total) - 1)
    )


def edge_mass(found: Mixed) -> float:
    """Return the posterior mass at the ends of the slopes' grid, of the candidate with most."""
    most = 0.0
    for slopes in found.slopes:
        given = slopes[None] + found.spread[:, :, None, None]
        given -= logsumexp(given, axis=1, keepdims=True)
        weight = np.exp(logsumexp(given + found.shared[:, None], axis=(0, 2, 3)))
        most = max(most, float(weight[[0, -1]].sum()))
    return most
