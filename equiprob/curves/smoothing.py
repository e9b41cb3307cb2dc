"""What do one candidate's runs say of each shape of the grid, and of the curve given it?

At each grid point the mode of the curve at the observed sizes is found by Gauss-Newton steps with a
line search, to convergence; the evidence is Laplace's about it (Rasmussen & Williams, Gaussian
Processes for Machine Learning, algorithm 3.1, for all points at once).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.curves.bends import bend_covariance, from_the_end
from equiprob.curves.cells import Cells
from equiprob.curves.grid import BENDS, INDEX, NOISES, SLOPES, floors_and_plateaus
from equiprob.curves.likelihood import Told, binomial_told, normal_told
from equiprob.curves.shapes import log_risk, position

LEVEL_SD = 3.0
_MOST_STEPS = 30
_HALVINGS = 6
_CONVERGED = 1e-4
_START_ABOVE, _START_BELOW = 1.1, 0.98


@dataclass(frozen=True, eq=False)
class Smoothed:
    """One candidate's curve at its observed sizes, given each grid point.

    Args:
        evidence: Log evidence ``(point,)``.
        scale: ``a kappa``, ``(point,)``.
        slope: ``a``, ``(point,)``.
        floor: ``(point,)``.
        plateau: ``(point,)``.
        level: Prior mean of h at the last size.
        mode: h, ``(point, cell)``.
        weight: Information of the runs on h, ``(point, cell)``.
        pull: Score of the runs over the root of `weight`, ``(point, cell)``.
        unconverged: Share of points whose mode was not reached.
    """

    evidence: Array
    scale: Array
    slope: Array
    floor: Array
    plateau: Array
    level: float
    mode: Array
    weight: Array
    pull: Array
    unconverged: float


def smooth(cells: Cells, risk_max: float | None) -> Smoothed:
    """Find the mode and the evidence at every grid point."""
    u = cells.u
    floors, plateaus = floors_and_plateaus(cells.means, risk_max)
    a_, k_, q_, f_, p_ = INDEX
    slope, noise = SLOPES[a_], NOISES[q_]
    scale, floor, plateau = slope * BENDS[k_], floors[f_], plateaus[p_]
    bends = from_the_end(bend_covariance(u), len(u) - 1)
    variance = noise[:, None] ** 2 * cells.seed_variance + cells.other_variance
    start = np.maximum(cells.means, _START_ABOVE * floor[:, None])
    start = np.minimum(start, np.where(np.isinf(plateau), np.inf, _START_BELOW * plateau)[:, None])
    h = position(start, floor[:, None], plateau[:, None])
    level = float(np.log(cells.means[-1]))
    mean = level - slope[:, None] * (u - u[-1])

    def told(at: Array, part: NDArray[np.int64]) -> tuple[Told, Array]:
        logs, rise = log_risk(at, floor[part, None], plateau[part, None])
        if cells.trials is None or cells.failures is None:
            return normal_told(logs, cells.log_mean, variance[part]), rise
        return binomial_told(logs, cells.failures, cells.trials, variance[part]), rise

    every = np.arange(len(slope))
    prior = scale[:, None, None] ** 2 * bends + LEVEL_SD**2
    # h = mean + prior @ alpha throughout, from the first step on.
    alpha = np.linalg.solve(prior + np.diag(np.full(len(u), 1e-3)), (h - mean)[..., None])[..., 0]
    h = mean + np.einsum("gij,gj->gi", prior, alpha)
    now, rise = told(h, every)
    now = Told(*(np.array(values) for values in now))
    height = now.fit.sum(axis=1) - 0.5 * (alpha * (h - mean)).sum(axis=1)
    active = every
    for _ in range(_MOST_STEPS):
        part = active
        weight = now.information[part] * rise[part] ** 2
        target = weight * (h[part] - mean[part]) + now.score[part] * rise[part]
        new = target - _solved(weight, prior[part], target)
        step = new - alpha[part]
        moved = np.einsum("gij,gj->gi", prior[part], step)
        gained = np.zeros(len(part))
        length = np.ones(len(part))
        todo = np.arange(len(part))
        for _ in range(_HALVINGS):
            here = part[todo]
            trial_alpha = alpha[here] + length[todo, None] * step[todo]
            trial_h = h[here] + length[todo, None] * moved[todo]
            seen, rising = told(trial_h, here)
            tall = seen.fit.sum(axis=1) - 0.5 * (trial_alpha * (trial_h - mean[here])).sum(axis=1)
            better = tall >= height[here] - 1e-9
            ok, at = todo[better], here[better]
            gained[ok] = tall[better] - height[at]
            height[at], alpha[at], h[at] = tall[better], trial_alpha[better], trial_h[better]
            rise[at] = rising[better]
            for old, fresh in zip(now, seen, strict=True):
                old[at] = fresh[better]
            todo = todo[~better]
            length[todo] /= 4
            if not len(todo):
                break
        active = part[gained > _CONVERGED]
        if not len(active):
            break
    weight = now.information * rise**2
    inside = np.sqrt(weight)
    whole = np.eye(len(u)) + inside[:, :, None] * prior * inside[:, None, :]
    log_det = np.linalg.slogdet(whole)[1]
    pull = now.score / np.sqrt(now.information)
    return Smoothed(
        evidence=height - 0.5 * log_det,
        scale=scale,
        slope=slope,
        floor=floor,
        plateau=plateau,
        level=level,
        mode=h,
        weight=weight,
        pull=pull,
        unconverged=len(active) / len(every),
    )


def unseen(cells: Cells, risk_max: float | None) -> Smoothed:
    """Return every grid point as if the runs said nothing: all but where the curve lies."""
    floors, plateaus = floors_and_plateaus(cells.means, risk_max)
    a_, k_, _, f_, p_ = INDEX
    nothing = np.zeros((INDEX.shape[1], len(cells.u)))
    return Smoothed(
        evidence=np.zeros(INDEX.shape[1]),
        scale=SLOPES[a_] * BENDS[k_],
        slope=SLOPES[a_],
        floor=floors[f_],
        plateau=plateaus[p_],
        level=float(np.log(cells.means[-1])),
        mode=nothing,
        weight=nothing,
        pull=nothing,
        unconverged=0.0,
    )


def _solved(weight: Array, prior: Array, target: Array) -> Array:
    """Return ``(prior + 1 / weight)^-1 prior target``."""
    inside = np.sqrt(weight)
    whole = np.eye(weight.shape[1]) + inside[:, :, None] * prior * inside[:, None, :]
    right = inside * np.einsum("gij,gj->gi", prior, target)
    return inside * np.linalg.solve(whole, right[..., None])[..., 0]
