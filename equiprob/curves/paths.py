"""What are the candidates' whole curves, jointly, given each one's shape?

Slopes wander together: a share of the variance of z is common to all candidates. Given the shapes
everything is Gaussian, so that a draw from the posterior is one from the prior, moved by what the
runs say (Matheron's rule), with the common part as a few factors of which no candidate's matrix
need know (Woodbury's identity). All but the draws themselves is computed once for each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.curves.bends import bend_covariance, root
from equiprob.curves.cells import Cells
from equiprob.curves.smoothing import Smoothed

_LEAST_FACTOR = 1e-9
"""Variance of a factor of the bends, over that of the largest, below which it is left out."""


def shared_evidence(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    points: Index,
    *,
    shared: float,
    level_sd: float,
) -> Array:
    """Return by how much bends in common make shapes more probable together, logs ``(draw,)``.

    Args:
        cells: Each candidate's mean risks.
        smoothed: Each candidate's curve given the grid points.
        points: The grid points drawn, each candidate's by its own runs, ``(draw, candidate)``.
        shared: Share of the variance of slopes that candidates have in common.
        level_sd: Prior standard deviation of h at the end.
    """
    grid = np.unique(np.concatenate([c.u for c in cells]))
    factor = _factors(grid)
    shares = np.full(len(points), shared)
    total, pulled, single = 0.0, 0.0, np.zeros(len(points))
    for k, (c, s) in enumerate(zip(cells, smoothed, strict=True)):
        given = _Given.of(c, s, points[:, k], shares, grid, factor, level_sd)
        left = given.inside * (s.mode[given.points] - given.mean[:, given.where])
        left = left + s.pull[given.points]
        inner = given.loads.transpose(0, 2, 1) @ given.solved
        pull = np.einsum("gcf,gc->gf", given.solved, left)
        single += _gained(inner, pull)[given.place]
        total = total + inner[given.place]
        pulled = pulled + pull[given.place]
    return _gained(np.asarray(total), np.asarray(pulled)) - single


def drawn_curves(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    points: Index,
    nodes: Array,
    *,
    shares: Array,
    level_sd: float,
    generator: np.random.Generator,
) -> Array:
    """Return draws of h ``(draw, candidate, node)``.

    Args:
        cells: Each candidate's mean risks.
        smoothed: Each candidate's curve given the grid points.
        points: The grid points drawn, ``(draw, candidate)``.
        nodes: Log sample sizes, ascending, ``(node,)``.
        shares: Share of the variance of slopes that candidates have in common, ``(draw,)``.
        level_sd: Prior standard deviation of h at the end.
        generator: Of the draws.
    """
    n_draws, n_candidates = points.shape
    grid = np.union1d(nodes, np.concatenate([c.u for c in cells]))
    factor = _factors(grid)
    n_factors = factor.shape[1]
    common = np.sqrt(shares)[:, None] * generator.normal(size=(n_draws, n_factors)) @ factor.T
    at_nodes = np.searchsorted(grid, nodes)
    inner = np.broadcast_to(np.eye(n_factors), (n_draws, n_factors, n_factors)).copy()
    right = np.zeros((n_draws, n_factors))
    held: list[tuple[_Given, Array, Array]] = []
    for k in range(n_candidates):
        s = smoothed[k]
        given = _Given.of(cells[k], s, points[:, k], shares, grid, factor, level_sd)
        place, where = given.place, given.where
        white = np.sqrt(1 - shares)[:, None] * generator.normal(size=(n_draws, n_factors))
        wander = white @ factor.T + common
        path = (
            given.mean[place]
            + s.scale[points[:, k], None] * (wander - wander[:, [where[-1]]])
            + level_sd * generator.normal(size=(n_draws, 1))
        )
        left = given.inside[place] * (s.mode[points[:, k]] - path[:, where])
        left += s.pull[points[:, k]] - generator.normal(size=left.shape)
        inner += (given.loads.transpose(0, 2, 1) @ given.solved)[place]
        right += np.einsum("dcf,dc->df", given.solved[place], left)
        held.append((given, left, path))
    together = np.linalg.solve(inner, right[..., None])[..., 0]
    drawn = np.empty((n_draws, n_candidates, len(nodes)))
    for k, (given, left, path) in enumerate(held):
        place = given.place
        rest = left - np.einsum("dcf,df->dc", given.loads[place], together)
        rest = given.inside[place] * np.einsum("dce,de->dc", given.inverse[place], rest)
        scale = smoothed[k].scale[points[:, k], None]
        own = ((1 - shares)[:, None] * scale**2) * (rest @ given.bends)
        both = np.sqrt(shares)[:, None] * scale * (together @ given.ends.T)
        moved = own + both + level_sd**2 * rest.sum(axis=1, keepdims=True)
        drawn[:, k] = (path + moved)[:, at_nodes]
    return drawn


@dataclass(frozen=True, eq=False)
class _Given:
    """One candidate's runs, given each shape and each share of bends in common that were drawn.

    Args:
        points: The grid points that were drawn, each with each share, ``(case,)``.
        place: Which of them each draw has, ``(draw,)``.
        where: Where in the grid the cells are.
        mean: Prior mean of h, ``(case, grid)``.
        inside: Root of the information of the runs, ``(case, cell)``.
        loads: What common factors do to the cells, in units of their noise, ``(case, cell, f)``.
        inverse: Of the covariance of the rest, in these units, ``(case, cell, cell)``.
        solved: `inverse` times `loads`.
        ends: Factors of the bends that are zero at the last cell, ``(grid, f)``.
        bends: Their covariance, ``(cell, grid)``.
    """

    points: Index
    place: Index
    where: Index
    mean: Array
    inside: Array
    loads: Array
    inverse: Array
    solved: Array
    ends: Array
    bends: Array

    @classmethod
    def of(
        cls,
        cells: Cells,
        smoothed: Smoothed,
        points: Index,
        shares: Array,
        grid: Array,
        factor: Array,
        level_sd: float,
    ) -> _Given:
        values, which = np.unique(shares, return_inverse=True)
        case, place = np.unique(points * len(values) + which, return_inverse=True)
        g, share = case // len(values), values[case % len(values)]
        where = np.searchsorted(grid, cells.u)
        ends = factor - factor[where[-1]]
        bends = ends[where] @ ends.T
        inside = np.sqrt(smoothed.weight[g])
        scale = smoothed.scale[g]
        prior = ((1 - share) * scale**2)[:, None, None] * bends[:, where] + level_sd**2
        inverse = np.linalg.inv(np.eye(len(where)) + inside[:, :, None] * prior * inside[:, None])
        loads = (inside * (np.sqrt(share) * scale)[:, None])[:, :, None] * ends[where]
        mean = smoothed.level - smoothed.slope[g, None] * (grid - grid[where[-1]])
        solved = inverse @ loads
        return cls(g, place, where, mean, inside, loads, inverse, solved, ends, bends)


def _factors(grid: Array) -> Array:
    """Return a matrix whose product with its transpose is the covariance of bends."""
    factor = root(bend_covariance(grid))
    size = (factor**2).sum(axis=0)
    return factor[:, size > _LEAST_FACTOR * size.max()]


def _gained(inner: Array, pull: Array) -> Array:
    """Return the log evidence ``(case,)`` of factors of which runs know `inner` ``(case, f, f)``.

    Args:
        inner: Their information.
        pull: Their score at 0, ``(case, f)``.
    """
    whole = np.eye(inner.shape[-1]) + inner
    solved = np.linalg.solve(whole, pull[..., None])[..., 0]
    return 0.5 * ((pull * solved).sum(axis=-1) - np.linalg.slogdet(whole)[1])
