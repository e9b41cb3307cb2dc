"""Curves of candidates of which nothing is known but their runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.curves.cells import SHARED_TEST, Cells, cells_of
from equiprob.curves.grid import INDEX, NOISES, SLOPES, TURNS
from equiprob.curves.mixing import drawn_shapes, edge_mass, mixed
from equiprob.curves.paths import drawn_curves
from equiprob.curves.priors import CurvePriors
from equiprob.curves.result import FARTHEST
from equiprob.curves.runs import Runs
from equiprob.curves.smoothing import LEVEL_SD, Smoothed, smooth, unseen

Array = NDArray[np.float64]

_MOST_NODES = 14
_WIDEST = 0.8
_AT_ONCE = 1000
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
    found = curves_given(
        cells,
        smoothed,
        priors,
        nodes,
        risk_max=risk_max,
        n_draws=n_draws,
        evidence=evidence,
        generator=generator,
    )
    test = np.sqrt([SHARED_TEST * c.test_variance for c in cells])
    if same_test and runs.trials is None and test.any():
        white = generator.normal(size=(n_draws, len(cells)))
        common = generator.normal(size=(n_draws, 1))
        mix = np.sqrt(_TEST_CORRELATION) * common + np.sqrt(1 - _TEST_CORRELATION) * white
        found.draws["test_offset"] = test * mix
    return found


def curves_given(
    cells: Sequence[Cells],
    smoothed: Sequence[Smoothed],
    priors: CurvePriors,
    nodes: Array,
    *,
    risk_max: float | None,
    n_draws: int,
    evidence: bool,
    generator: np.random.Generator,
) -> FreeCurves:
    """Draw curves, judged on the same test rows, from the evidence of each candidate's runs."""
    on_grid = priors.on_grid()
    found = mixed([s.evidence for s in smoothed], on_grid)
    shared, points = drawn_shapes(found, n_draws, generator)
    turns = TURNS[generator.choice(len(TURNS), points.shape, p=on_grid.turns)]
    logs = np.concatenate(
        [
            drawn_curves(
                cells,
                smoothed,
                points[i : i + _AT_ONCE],
                np.log(nodes),
                shared=priors.shared_bends,
                turns=turns[i : i + _AT_ONCE],
                rise=priors.rise,
                level_sd=LEVEL_SD if evidence else _PRIOR_LEVEL_SD,
                generator=generator,
            )
            for i in range(0, n_draws, _AT_ONCE)
        ]
    )
    slope, noise = INDEX[0][points], INDEX[2][points]
    floors = np.stack([s.floor[points[:, k]] for k, s in enumerate(smoothed)], axis=1)
    spread = NOISES[noise] * np.sqrt([c.run_variance for c in cells])
    draws = {
        "risk": np.minimum(np.exp(logs), risk_max or np.inf),
        "floor": floors,
        "exponent": SLOPES[slope],
        "common_exponent": SLOPES[shared[0]],
        "seed_sd": spread,
    }
    facts = {
        "slope_at_edge": edge_mass(found),
        "p_noise_free": float(np.exp(found.shared[:, :, 0]).sum()),
        "unconverged": max(s.unconverged for s in smoothed),
    }
    return FreeCurves(draws, facts)
