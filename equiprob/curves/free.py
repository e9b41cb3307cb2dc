"""Curves of candidates of which nothing is known but their runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.curves.ahead import Ahead
from equiprob.curves.cells import SHARED_TEST, Cells, cells_of
from equiprob.curves.grid import FADES, INDEX, NOISES, SHARES, SLOPES, TURNS
from equiprob.curves.mixing import drawn_shapes, edge_mass, mixed, systematic
from equiprob.curves.paths import drawn_curves, shared_evidence
from equiprob.curves.priors import CurvePriors, GridPriors
from equiprob.curves.result import FARTHEST
from equiprob.curves.runs import Runs
from equiprob.curves.smoothing import LEVEL_SD, Smoothed, smooth, unseen

_MOST_NODES = 14
_WIDEST = 0.8
_AT_ONCE = 1000
_PER_DRAW = 4
"""Shapes drawn, each candidate's by its own runs, for each that is kept by all together."""

_LEAST_LOG = -20.0
_PRIOR_LEVEL_SD = 1.4
_TEST_CORRELATION = 0.5
"""Of what test rows do to candidates that are judged on the same."""


@dataclass(frozen=True, eq=False)
class FreeCurves:
    """Joint draws.

    Args:
        draws: By the names that users read: ``risk`` ``(draw, candidate, node)`` and others.
        facts: Numbers that travel with them.
    """

    draws: dict[str, Array]
    facts: dict[str, Any]


def nodes_of(sizes: Array) -> Array:
    """Return sample sizes at which curves are drawn: observed, between, and doublings beyond."""
    inside = sizes if len(sizes) <= _MOST_NODES else np.geomspace(sizes[0], sizes[-1], _MOST_NODES)
    parts = [inside[:1]]
    for low, high in itertools.pairwise(inside):
        steps = max(1, int(np.ceil(np.log(high / low) / _WIDEST)))
        parts.append(np.append(np.geomspace(low, high, steps + 1)[1:-1], high))
    doublings = int(np.ceil(np.log2(FARTHEST)))
    return np.concatenate([*parts, sizes[-1] * np.geomspace(1, FARTHEST, doublings + 1)[1:]])


def free_curves(
    runs: Runs,
    priors: CurvePriors,
    nodes: Array,
    *,
    risk_max: float | None,
    same_test: bool,
    n_draws: int,
    evidence: bool,
    generator: np.random.Generator,
) -> FreeCurves:
    """Draw curves at sample sizes ``(node,)``.

    Args:
        runs: Checked runs.
        priors: Priors.
        nodes: Sample sizes, those observed among them.
        risk_max: The largest possible risk, where there is one.
        same_test: Whether a candidate's runs were judged on the same rows.
        n_draws: How many draws.
        evidence: Whether the runs count; the prior is drawn where they do not.
        generator: Of the draws.
    """
    cells = cells_of(runs, same_test=same_test)
    smoothed = [(smooth if evidence else unseen)(c, risk_max) for c in cells]
    inside, beyond = generator.spawn(2)
    paths = paths_given(
        cells,
        smoothed,
        priors.on_grid(),
        nodes,
        n_draws=n_draws,
        evidence=evidence,
        generator=inside,
    )
    found = curves_of(paths, cells, smoothed, priors, nodes, risk_max=risk_max, generator=beyond)
    test = np.sqrt([SHARED_TEST * c.test_variance for c in cells])
    if same_test and runs.trials is None and test.any():
        white = generator.normal(size=(n_draws, len(cells)))
        common = generator.normal(size=(n_draws, 1))
        mix = np.sqrt(_TEST_CORRELATION) * common + np.sqrt(1 - _TEST_CORRELATION) * white
        found.draws["test_offset"] = test * mix
    return found


@dataclass(frozen=True, eq=False)
class Paths:
    """Draws of curves as if they went on beyond the data as within.

    Args:
        typical: Index of the typical slope, ``(draw,)``.
        points: Grid points, ``(draw, candidate)``.
        h: ``(draw, candidate, node)``.
        facts: As in `FreeCurves`.
    """

    typical: Index
    points: Index
    h: Array
    facts: dict[str, Any]


def paths_given(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    priors: GridPriors,
    nodes: Array,
    *,
    n_draws: int,
    evidence: bool,
    generator: np.random.Generator,
) -> Paths:
    """Draw shapes and curves from the evidence of each candidate's runs."""
    found = mixed([s.evidence for s in smoothed], priors)
    shapes = drawn_shapes(found, _PER_DRAW * n_draws if evidence else n_draws, generator)
    kept, which = _together(
        cells, smoothed, shapes.points, priors.shared_bends, n_draws, evidence, generator
    )
    points, shares = shapes.points[kept], SHARES[which]
    h = [
        drawn_curves(
            cells,
            smoothed,
            points[i : i + _AT_ONCE],
            np.log(nodes),
            shares=shares[i : i + _AT_ONCE],
            level_sd=LEVEL_SD if evidence else _PRIOR_LEVEL_SD,
            generator=generator,
        )
        for i in range(0, n_draws, _AT_ONCE)
    ]
    facts = {
        "slope_at_edge": edge_mass(found),
        "p_noise_free": float(np.exp(found.shared[:, :, 0]).sum()),
        "unconverged": max(s.unconverged for s in smoothed),
    }
    return Paths(shapes.shared[0, kept], points, np.concatenate(h), facts)


def curves_of(
    paths: Paths,
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    priors: CurvePriors,
    nodes: Array,
    *,
    risk_max: float | None,
    generator: np.random.Generator,
) -> FreeCurves:
    """Return curves, judged on the same test rows, with what sets in beyond the data."""
    points, at, on_grid = paths.points, np.log(nodes), priors.on_grid()
    turns = TURNS[generator.choice(len(TURNS), points.shape, p=on_grid.turns)]
    fades = FADES[generator.choice(len(FADES), points.shape, p=on_grid.fades)]
    rises = generator.random(points.shape) < priors.rise
    logs = np.empty(paths.h.shape)
    for k, (c, s) in enumerate(zip(cells, smoothed, strict=True)):
        highest = float(s.plateau[np.isfinite(s.plateau)].min())
        ahead = Ahead(turns[:, k], fades[:, k], rises[:, k], highest)
        floor, plateau = s.floor[points[:, k], None], s.plateau[points[:, k], None]
        logs[:, k] = ahead.risks(paths.h[:, k], at, c.u[-1], floor, plateau, generator)
    slope, noise = INDEX[0][points], INDEX[2][points]
    floors = np.stack([s.floor[points[:, k]] for k, s in enumerate(smoothed)], axis=1)
    draws = {
        "risk": np.minimum(np.exp(logs), risk_max or np.inf),
        "floor": floors,
        "exponent": SLOPES[slope],
        "common_exponent": SLOPES[paths.typical],
        "seed_sd": NOISES[noise] * np.sqrt([c.run_variance for c in cells]),
    }
    return FreeCurves(draws, paths.facts)


def _together(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    points: Index,
    log_shares: Array,
    n_draws: int,
    evidence: bool,
    generator: np.random.Generator,
) -> tuple[Index, Index]:
    """Choose shapes, and the share of bends in common, by what all candidates' runs say of them.

    Weights are cut where a single one would count too much (Ionides, JCGS 2008).

    Returns:
        Which of the shapes ``(draw,)``, and which of the shares.
    """
    weight = np.full((len(points), len(SHARES)), -np.inf)
    for i in np.flatnonzero(log_shares > _LEAST_LOG):
        told = 0.0
        if evidence and SHARES[i] > 0 and len(cells) > 1:
            told = shared_evidence(cells, smoothed, points, shared=SHARES[i], level_sd=LEVEL_SD)
        weight[:, i] = log_shares[i] + told
    weight = np.exp(weight - weight.max())
    weight = np.minimum(weight, weight.mean() * np.sqrt(weight.size))
    which = systematic(weight.ravel(), n_draws, generator)
    return np.divmod(which, len(SHARES))
