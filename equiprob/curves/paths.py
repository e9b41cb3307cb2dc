"""What are the candidates' whole curves, jointly, given each one's shape?

Slopes wander together: a share of the variance of z is common to all candidates. Given the shapes
everything is Gaussian, so that a draw from the posterior is one from the prior, moved by what the
runs say (Matheron's rule), with the common part as a few factors of which no candidate's matrix
need know (Woodbury's identity).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equiprob.curves.bends import bend_covariance, root
from equiprob.curves.cells import Cells
from equiprob.curves.shapes import log_risk
from equiprob.curves.smoothing import Smoothed

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def drawn_curves(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    points: Index,
    nodes: Array,
    *,
    shared: float,
    turns: Array,
    rise: float,
    level_sd: float,
    generator: np.random.Generator,
) -> Array:
    """Return draws of log risks ``(draw, candidate, node)``.

    Args:
        cells: Each candidate's mean risks.
        smoothed: Each candidate's curve given the grid points.
        points: The grid points drawn, ``(draw, candidate)``.
        nodes: Log sample sizes, ascending, ``(node,)``.
        shared: Share of the variance of slopes that candidates have in common.
        turns: Scales of slopes beyond a candidate's data, ``(draw, candidate)``.
        rise: Which share of a rise beyond the data is kept.
        level_sd: Prior standard deviation of h at the end.
        generator: Of the draws.
    """
    n_draws, n_candidates = points.shape
    grid = np.union1d(nodes, np.concatenate([c.u for c in cells]))
    factor = root(bend_covariance(grid))
    common = np.sqrt(shared) * generator.normal(size=(n_draws, len(grid))) @ factor.T
    at_nodes = np.searchsorted(grid, nodes)
    paths: list[Array] = []
    inner = np.broadcast_to(np.eye(len(grid)), (n_draws, len(grid), len(grid))).copy()
    right = np.zeros((n_draws, len(grid)))
    held: list[tuple[Array, Array, Array]] = []
    for k in range(n_candidates):
        c, s, g = cells[k], smoothed[k], points[:, k]
        where = np.searchsorted(grid, c.u)
        end = where[-1]
        scale = s.scale[g]
        own = np.sqrt(1 - shared) * generator.normal(size=(n_draws, len(grid))) @ factor.T
        wander = own + common
        path = (
            s.level
            - s.slope[g, None] * (grid - grid[end])
            + scale[:, None] * (wander - wander[:, [end]])
            + level_sd * generator.normal(size=(n_draws, 1))
        )
        ends = factor - factor[end]
        inside = np.sqrt(s.weight[g])
        left = (
            inside * (s.mode[g] - path[:, where]) + s.pull[g] - generator.normal(size=inside.shape)
        )
        bends = ends[where] @ ends.T * (1 - shared)
        gain = scale[:, None, None] ** 2 * bends + level_sd**2  # (draw, cell, grid)
        whole = np.eye(len(where)) + inside[:, :, None] * gain[:, :, where] * inside[:, None, :]
        loads = np.sqrt(shared) * (inside * scale[:, None])[:, :, None] * ends[where]
        solved = np.linalg.solve(whole, np.concatenate([loads, left[..., None]], axis=2))
        inner += loads.transpose(0, 2, 1) @ solved[..., :-1]
        right += np.einsum("dcf,dc->df", loads, solved[..., -1])
        held.append((inside[:, :, None] * gain, solved, ends))
        paths.append(path)
    together = np.linalg.solve(inner, right[..., None])[..., 0]
    drawn = np.empty((n_draws, n_candidates, len(nodes)))
    for k, (gain, solved, ends) in enumerate(held):
        c, s, g = cells[k], smoothed[k], points[:, k]
        rest = solved[..., -1] - np.einsum("dcf,df->dc", solved[..., :-1], together)
        moved = np.einsum("dcg,dc->dg", gain, rest)
        moved += np.sqrt(shared) * s.scale[g, None] * (together @ ends.T)
        h = (paths[k] + moved)[:, at_nodes]
        drawn[:, k] = _beyond(h, nodes, c, s, g, turns[:, k], rise, generator)
    return drawn


def _beyond(
    h: Array,
    nodes: Array,
    cells: Cells,
    smoothed: Smoothed,
    points: Index,
    turn: Array,
    rise: float,
    generator: np.random.Generator,
) -> Array:
    """Return log risks of paths of h, with what only the future holds."""
    last = cells.u[-1]
    far = nodes > last + 1e-9
    if far.any():
        ahead = np.concatenate([[last], nodes[far]])
        whole = root(bend_covariance(ahead))
        whole -= whole[0]
        h[:, far] += turn[:, None] * (generator.normal(size=(len(h), len(ahead))) @ whole.T)[:, 1:]
    floor, plateau = smoothed.floor[points, None], smoothed.plateau[points, None]
    logs, _ = log_risk(h, floor, plateau)
    here = np.flatnonzero(~far)[-1]
    now = logs[:, [here]]
    risen = np.minimum(logs, now + rise * (logs - now))
    return np.where(far & (logs > now), risen, logs)
