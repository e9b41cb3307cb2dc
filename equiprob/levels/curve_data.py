"""Which numbers is the model of learning curves conditioned on, and which shape has it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.levels.curve_runs import Runs

Array = NDArray[np.float64]

FADING = 0.3 * np.log(10)
"""Distance in log n over which a bend fades by a factor e."""

_MOST_NODES = 12
_LEAST_SCALE = 0.02
_JITTER = 1e-6
TYPICAL_EXPONENT = 0.8
"""In whose terms the prior of costs is stated."""


@dataclass(frozen=True)
class CurveShape:
    """What a compiled model depends on besides numbers.

    Args:
        candidates: How many.
        nodes: Sample sizes at which the curves are moved.
        pairs: Distinct (n, seed) that several candidates share, at least 1.
        structured: Whether the theory ties floors and costs to errors.
        weight: ``a``: 1/2 in case H, 1/4 otherwise.
        elicited: Whether draws of e* are given.
    """

    candidates: int
    nodes: int
    pairs: int
    structured: bool
    weight: float
    elicited: bool


def nodes_of(sizes: Array) -> Array:
    """Return the sample sizes at which curves are moved: those observed, or a grid over many."""
    if len(sizes) <= _MOST_NODES:
        return sizes
    return np.geomspace(sizes[0], sizes[-1], _MOST_NODES)


def bend_maps(nodes: Array) -> dict[str, Array]:
    """Return matrices between slopes and bends at the nodes, ``(node, node)``.

    Slopes have covariance ``exp(-|u - u'| / FADING)`` in u = log n; a bend is their integral from
    the end, by trapezoids.

    Returns:
        ``root``: from white noise to slopes; ``integral``: from slopes to bends; ``bend_root``:
        from white noise to bends but the last, which is 0; ``whiten``: its inverse; ``last_slope``:
        the last slope expected given bends; ``last_spread``: its standard deviation given them.
    """
    u = np.log(nodes)
    n = len(u)
    covariance = np.exp(-np.abs(u[:, None] - u) / FADING)
    integral = np.zeros((n, n))
    for j in range(n - 2, -1, -1):
        half = (u[j + 1] - u[j]) / 2
        integral[j] = integral[j + 1]
        integral[j, j] += half
        integral[j, j + 1] += half
    of_bends = (integral @ covariance @ integral.T)[:-1, :-1] + _JITTER * np.eye(n - 1)
    across = (covariance @ integral.T)[-1, :-1]
    last = np.linalg.solve(of_bends, across)
    bend_root = np.linalg.cholesky(of_bends)
    return {
        "root": np.linalg.cholesky(covariance + _JITTER * np.eye(n)),
        "integral": integral,
        "bend_root": bend_root,
        "whiten": np.linalg.inv(bend_root),
        "last_slope": last,
        "last_spread": np.sqrt(max(1.0 - last @ across, 0.0)),
    }


def curve_data(
    runs: Runs, *, weight: float, data_error: Array | None, evidence: float = 1.0
) -> tuple[CurveShape, dict[str, Any]]:
    """Return the shape of the model and the numbers it is conditioned on.

    Args:
        runs: Checked runs.
        weight: ``a`` of the theory.
        data_error: Draws of e*, if there are any.
        evidence: How much the runs count: 1, or 0 for the prior.
    """
    nodes = nodes_of(runs.sizes)
    u, each = np.log(nodes), np.log(runs.sizes)[runs.size]
    left = np.clip(np.searchsorted(u, each, side="right") - 1, 0, len(u) - 2)
    right_share = (each - u[left]) / (u[left + 1] - u[left])
    pairs, pair, counts = np.unique(
        np.stack([runs.size, runs.seed]), axis=1, return_inverse=True, return_counts=True
    )
    level, scale = _centres(runs, u)
    data: dict[str, Any] = {
        **bend_maps(nodes),
        "ahead": u[-1] - u,
        "candidate": runs.candidate,
        "left": left,
        "right_share": right_share,
        "pair": pair,
        "is_paired": (counts[pair] > 1).astype(float),
        "log_risk": np.log(runs.risk),
        "log_risk_se": runs.risk_se / runs.risk,
        "level": level,
        "scale": scale,
        "least": runs.risk.min(),
        "evidence": evidence,
    }
    structured = runs.has_levels
    if structured:
        data |= _error_data(runs, each - u[-1])
        fallen = np.mean(np.exp(level[:, 0]) - np.exp(level[:, -1]))
        remaining = np.exp(TYPICAL_EXPONENT * (u[-1] - u[0])) - 1
        data["cost_unit"] = max(fallen, _LEAST_SCALE * data["least"]) / remaining
    if structured and data_error is not None:
        chosen = np.quantile(data_error, (np.arange(200) + 0.5) / 200)
        width = max(1.06 * float(np.std(chosen)) * 200**-0.2, 1e-3 * data["top_error"])
        data |= {"elicited": chosen, "elicited_width": width}
    shape = CurveShape(
        candidates=len(runs.candidates),
        nodes=len(nodes),
        pairs=pairs.shape[1],
        structured=structured,
        weight=weight,
        elicited="elicited" in data,
    )
    return shape, {name: jnp.asarray(v) for name, v in data.items()}


def _centres(runs: Runs, u: Array) -> tuple[Array, Array]:
    """Return log risks ``(candidate, node)`` about which curves are moved, and by how much."""
    logs = np.log(runs.risk)
    level, scale = (
        np.empty((len(runs.candidates), len(u))),
        np.empty((len(runs.candidates), len(u))),
    )
    for k in range(len(runs.candidates)):
        mine = runs.candidate == k
        seen = np.unique(runs.size[mine])
        at = np.log(runs.sizes)[seen]
        groups = [logs[mine & (runs.size == j)] for j in seen]
        level[k] = np.interp(u, at, [np.median(g) for g in groups])
        spread = [max(_LEAST_SCALE, float(g.std()) / np.sqrt(len(g))) for g in groups]
        far = np.abs(u[:, None] - at).min(axis=1)
        scale[k] = np.interp(u, at, spread) + 0.3 * far
    return level, scale


def _error_data(runs: Runs, ahead: Array) -> dict[str, Any]:
    seen, exact = np.isfinite(runs.error), runs.exact
    used = seen & ~exact[runs.candidate]
    cells = runs.cell_values(runs.error)
    last = np.array([row[np.isfinite(row)][-1] for row in cells])
    top = last.max()
    floor = np.where(exact, 1.0, np.maximum(last, 1e-12))
    safe = np.where(used, runs.error, 1.0)
    return {
        "top_error": top,
        "exact": exact,
        "log_error_centre": np.log(floor / top),
        "log_error": np.log(safe / top),
        "log_error_se": np.where(used, runs.error_se / safe, 0.0),
        "error_seen": used,
        "error_ahead": ahead,
    }
