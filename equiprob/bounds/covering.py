"""The classical route: Dudley's integral over the entropy of Lipschitz functions.

A reference, one to two orders of magnitude looser than the transport of halves. With N the covering
number of the inputs, or of their orbits,

    R_n  <=  inf_a [ 4 a + (12 / sqrt n) int_a^(M/2) sqrt(min(ent_Z(t), ent_Z/S(t - eps))) dt ]
    gap  <=  2 R_n + 3 M sqrt(log(2 / delta) / (2 n))
    ent(t)  =  N(t / 2L) log 2 + log(2 ceil(M / t) + 1)

for connected spaces, else ``N(t / 4L) log(2 ceil(M / t) + 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final, override

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.bounds.assumptions import Assumption
from equiprob.bounds.base import AbstractBound, GapEvidence, GapProblem
from equiprob.bounds.losses import AbstractLoss, SquaredError
from equiprob.bounds.predictor_class import PredictorClass, defect_of, lipschitz_of, range_of
from equiprob.bounds.promises import constants_of
from equiprob.geometry.row_metrics import flattened

_POINTS = 400
_SMALLEST = 1e-4


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Covering(AbstractBound):
    """Bound the gap by the entropy of the class, from covering numbers of the inputs.

    The bound is that of the predictors times the slope of the loss; sqrt(2) times the sum over
    components where outputs are vectors.

    Args:
        predictors: The class: Lipschitz constant (else slopes of the geometry), defect (0 or a
            promise) and range of the outputs.
        loss: The loss whose gap is bounded.
        connected: Your promise that the space of the inputs is connected, which allows the smaller
            entropy.

    Assumptions:
        Rows (or groups) are independent draws from one law; transformations are isometries. The
        geometry is that of the inputs of these rows.

    References:
        docs/generalization.md; von Luxburg & Bousquet, JMLR 2004; Maurer, ALT 2016 (vector
        outputs).
    """

    predictors: PredictorClass = field(default_factory=lambda: PredictorClass(defect=0.0))
    loss: AbstractLoss = field(default_factory=SquaredError)
    connected: bool = False

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        if self.predictors.defect is None:
            raise ValueError(
                "covering numbers know no average defect: pass predictors=ep.bounds.PredictorClass("
                "defect=...), 0 for exactly equivariant architectures"
            )
        table = problem.sample
        constants = constants_of(problem, self.loss)
        lipschitz, steepness = lipschitz_of(self.predictors, problem, False, flattened)
        defect = defect_of(self.predictors, problem)
        reach, span = range_of(self.predictors, problem)
        k = table.only.base.shape[1]
        factor = 2 * constants.slope * (1.0 if k == 1 else np.sqrt(2) * k)
        raw = _LogCover.of(problem, "log_cover", "dimension")
        orbit = _LogCover.of(problem, "orbit_log_cover", "orbit_dimension")
        t = np.geomspace(_SMALLEST * reach / 2, reach / 2, _POINTS)
        entropy = self._entropy(raw, t, lipschitz, np.zeros_like(defect), reach)
        # Components that turn into each other are known on an orbit when all are known at a point.
        turned = 1 if table.transform.of_output(table.outputs[0]).keeps_output else k
        moved = turned * self._entropy(orbit, t, lipschitz, defect, reach)
        with_it = factor * _dudley(t, np.minimum(entropy, moved), problem.n)
        without = factor * _dudley(t, entropy, problem.n)
        penalty = 3 * constants.range * np.sqrt(np.log(2 / problem.delta) / (2 * problem.n))
        return GapEvidence(
            draws={"bound": with_it + penalty, "expected_bound": with_it},
            without=without,
            loss_range=constants.range,
            assumptions=(
                constants.assumption,
                steepness,
                Assumption(f"outputs move by at most {np.median(defect):.3g}"),
                span,
            ),
            facts={"connected": self.connected},
        )

    def _entropy(
        self, cover: _LogCover, t: Array, lipschitz: Array, defect: Array, reach: float
    ) -> Array:
        """Return the entropy ``(draw, t)`` of the class at scale ``t - defect``."""
        scale = t - defect[:, None]
        inside = scale > 0
        scale = np.where(inside, scale, reach)
        radius = scale / ((2 if self.connected else 4) * lipschitz[:, None])
        number, levels = np.exp(cover.at(radius)), np.log(2 * np.ceil(reach / scale) + 1)
        entropy = number * np.log(2) + levels if self.connected else number * levels
        return np.where(inside, entropy, np.inf)


def _dudley(t: Array, entropy: Array, n: int) -> Array:
    """Return ``inf_a [4 a + (12 / sqrt n) int_a sqrt(entropy)]`` in each draw."""
    roots = np.sqrt(entropy)
    steps = np.diff(t) * (roots[:, 1:] + roots[:, :-1]) / 2
    above = np.zeros_like(roots)
    above[:, :-1] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return (4 * t + 12 / np.sqrt(n) * above).min(axis=1)


@dataclass(frozen=True, eq=False)
class _LogCover:
    """Logarithms of covering numbers as functions of the radius.

    Lines between the radii of the geometry; below them the slope of the dimension, up to one ball a
    row.

    Args:
        radius: ``(radius,)``, increasing.
        logs: ``(draw, radius)``.
        dimension: ``(draw,)``.
        most: The logarithm of the number of rows.
    """

    radius: Array
    logs: Array
    dimension: Array
    most: float

    @classmethod
    def of(cls, problem: GapProblem, cover: str, dimension: str) -> _LogCover:
        logs = problem.geometry_draws(cover, "Covering")
        return cls(
            np.asarray(problem.geometry.coords["radius"], dtype=np.float64),
            logs,
            problem.geometry_draws(dimension, "Covering"),
            float(np.log(len(problem.sample))),
        )

    def at(self, radius: Array) -> Array:
        """Return logarithms at radii ``(draw, t)``."""
        known, x = np.log(self.radius), np.log(radius)
        right = np.clip(np.searchsorted(known, x), 1, len(known) - 1)
        share = np.clip((x - known[right - 1]) / (known[right] - known[right - 1]), 0.0, 1.0)
        rows = np.arange(len(x))[:, None]
        logs = self.logs[rows, right - 1] * (1 - share) + self.logs[rows, right] * share
        below = np.maximum(known[0] - x, 0.0) * self.dimension[:, None]
        return np.clip(logs + below, 0.0, self.most)
