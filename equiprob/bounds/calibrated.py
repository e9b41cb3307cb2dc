"""The gap at any number of rows and any symmetry level, from gaps that were observed.

Theory bounds a gap for every predictor of a class, which is far above the gap of those that
training finds, but it knows how gaps fall with the number of rows and rise with the freedom of the
class. Observed gaps know the constants. Together they give an interval for the gap itself, neither
vacuous nor free of theory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.bounds.base import AbstractBound, GapEvidence, GapProblem, at_sizes
from equiprob.bounds.gap_model import GapModel, nodes_of, observed_curve
from equiprob.bounds.gap_runs import GapRuns, read_gap_runs
from equiprob.curves.importance import MOST_PARETO_K
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.sampler_settings import check_prior

_PARAMETRIC = 0.5


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated(AbstractBound):
    """Predict the gap from observed gaps at two or more numbers of rows, and theory's shape.

    Args:
        runs: A table with a row for each training run: ``candidate`` (a name) or ``level`` (a
            number: how far from exact symmetry, in any unit) or both, ``n`` (independent training
            rows), ``seed``, ``gap`` (risk on new rows less that on training rows; it may be
            negative), and optionally ``gap_se``, what the finite number of new rows leaves. Runs
            whose gap is not finite are left out, and named, whatever else their row holds.
        shape: How the gap falls with n in theory, up to a constant: an exponent (the gap falls like
            ``n^-shape``); a result of ``ep.GeneralizationGap`` with a forecast, such as that of
            `Transport`; or a mapping from candidates to such results, whose ratios then say what is
            expected of the constants, too. When left out, ``1 / max(d, 2)`` with d the dimension of
            the geometry (of orbits, where it has one), or 1/2 without a geometry.
        candidate: Whose gap. Needless where there is one, or a level.
        level: At which symmetry level: one of those in the runs or another.
        departure: Prior of how much faster than the shape gaps fall, an exponent: a
            ``numpyro.distributions.Distribution`` of one number. When left out, gaps fall nearly
            like 1/n, as those of regular models do, with probability 0.7 (exponents 0.9, sd 0.12),
            or else nearly like the shape (sd 0.4).

    Assumptions:
        The run that is predicted is trained as those observed were, on independent rows of the same
        law. The expected gap is above zero. It goes on as it did, up to bends such as those of the
        prior: nothing that sets in only beyond the observed numbers of rows is foreseen.

    References:
        docs/generalization.md; Petrache & Trivedi, NeurIPS 2023; Tahmasebi & Jegelka, NeurIPS
        2023 (exponents).
    """

    runs: Any = field(repr=False)
    shape: Any = None
    candidate: str | None = None
    level: float | None = None
    departure: Any = None

    @override
    def __post_init__(self) -> None:
        """Check the prior."""
        super().__post_init__()
        check_prior("departure", self.departure)

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        runs = read_gap_runs(self.runs)
        name, level = self._asked(runs)
        nodes = nodes_of(runs.sizes)
        if not nodes[0] <= problem.n <= nodes[-1]:
            raise ValueError(
                f"the sample has {problem.n} independent rows, and runs at n = {runs.sizes[0]:g} "
                f"to {runs.sizes[-1]:g} speak of {nodes[0]:g} to {nodes[-1]:g}; add runs nearer "
                f"to it"
            )
        runs = runs.with_last(name, level)
        log_shape = np.stack([self._log_shape(m, nodes, problem) for m in runs.candidates])
        follows_levels = not isinstance(self.shape, Mapping)
        found = runs.diagnostics()
        model = GapModel(runs, nodes, log_shape, follows_levels, self.departure)
        generator = np.random.default_rng([problem.weight_seed, 37])
        draws, weighed = model.draw(problem.n_draws, generator)
        if not weighed.pareto_k <= MOST_PARETO_K:
            found.add(Diagnostic.UNEVEN_WEIGHTS)
        curve = observed_curve(runs, nodes, draws, generator)
        here = at_sizes(curve.draws, nodes, np.array([float(problem.n)]))
        return GapEvidence(
            draws={name: here[name][:, 0] for name in ("gap", "expected_gap")},
            curve=curve,
            facts={
                "candidate": name,
                "n_runs": len(runs.gap),
                "left_out": list(runs.left_out),
                "observed": runs.observed(name),
                "pareto_k": weighed.pareto_k,
                "effective_draws": weighed.effective,
            },
            found=found,
        )

    def _asked(self, runs: GapRuns) -> tuple[str, float | None]:
        """Return the name and the level of the candidate whose gap is asked for."""
        if self.candidate is not None and self.level is not None:
            raise ValueError("pass candidate= or level=, one of the two")
        if self.level is not None:
            return self._at_level(runs, self.level)
        name = self.candidate
        if name is None and len(runs.candidates) == 1:
            name = runs.candidates[0]
        if name is None or name not in runs.candidates:
            raise ValueError(
                f"whose gap? pass candidate=, one of {list(runs.candidates)}, or a level= where "
                f"runs have levels; got {self.candidate!r}"
            )
        k = runs.candidates.index(name)
        return name, None if runs.levels is None else float(runs.levels[k])

    def _at_level(self, runs: GapRuns, level: float) -> tuple[str, float]:
        if runs.levels is None:
            raise ValueError("level= needs a column 'level' in the runs; pass candidate= instead")
        if not (np.isfinite(level) and level >= 0):
            raise ValueError(f"level must be a number of at least 0, got {level!r}")
        same = np.flatnonzero(np.isclose(runs.levels, level))
        if len(same):
            return runs.candidates[int(same[0])], float(runs.levels[same[0]])
        if isinstance(self.shape, Mapping):
            raise ValueError(
                f"there is no run at level {level:g}, and so no shape in the mapping; pass one "
                f"shape for all levels"
            )
        return f"level {level:g}", float(level)

    def _log_shape(self, candidate: str, nodes: Array, problem: GapProblem) -> Array:
        """Return the logarithm of theory's shape at the nodes, up to a constant."""
        shape = self.shape
        if isinstance(shape, Mapping):
            if candidate not in shape:
                raise ValueError(
                    f"shape has no entry for {candidate!r}, only for {sorted(map(str, shape))}"
                )
            shape = shape[candidate]
        if hasattr(shape, "forecast"):
            logs = np.log(shape.forecast(nodes).draws["expected_bound"])
            return np.median(logs, axis=0)
        if shape is None:
            shape = _rate_of(problem)
        if isinstance(shape, bool) or not isinstance(shape, int | float | np.number):
            raise TypeError(
                f"shape must be an exponent, a result of ep.GeneralizationGap with a forecast, or "
                f"a mapping from candidates to such results; got {shape!r}"
            )
        return -float(shape) * np.log(nodes)


def _rate_of(problem: GapProblem) -> float:
    """Return the exponent of the rates of covering: one over the dimension, at most a half."""
    known = {} if problem.geometry is None else problem.geometry.draws
    name = "orbit_dimension" if "orbit_dimension" in known else "dimension"
    return _PARAMETRIC if name not in known else float(1 / max(np.median(known[name]), 2.0))
