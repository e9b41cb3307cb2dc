"""How do risks depend on candidates' symmetry, where the theory ties floors and costs to it?

    R_k(n) = floor_k + cost_k exp(-alpha (u - u_end) + b(u) + b_k(u)),    u = log n
    floor_k = sigma^2 + a (e* - e_k)^2 + slack_k
    cost_k = (C_sym + C_asym (e_k / e_ref)^2) exp(d_k)

Measured errors are those of the limit of many rows, ``e_k``, with estimation noise on top,
``e_k(n)^2 = e_k^2 (1 + share (n / n_end)^-alpha)``. Given a dozen numbers that candidates have in
common, what single candidates do (errors, slacks, deviations, bends) moves log risks little and so
linearly, and the runs' likelihood is Gaussian; the dozen are drawn by importance sampling.

References:
    Petrache & Trivedi, NeurIPS 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.curves.importance import Weighed, importance_draws
from equiprob.curves.priors import CurvePriors
from equiprob.curves.tied_data import TYPICAL_EXPONENT, TiedData
from equiprob.curves.tied_linear import Linear

_START_SD = 0.7
_TRIED = 4000
_MOST_AT_ONCE = 8_000_000
NAMES: tuple[str, ...] = (
    "exponent_from_theory",
    "noise_depth",
    "data_error",
    "symmetric_cost",
    "asymmetric_cost",
    "slack_spread",
    "estimation_share",
    "shared_bend_from_theory",
    "seed_noise",
    "shared_seed_noise",
    "error_noise",
    "shared_error_noise",
)
_PRIORS = {"symmetric_cost": "sampling_cost", "asymmetric_cost": "sampling_cost"}
_START = np.log([1.0, 0.5, 0.7, 1.0, 1.0, 1e-3, 0.1, 0.04, 0.1, 0.05, 0.05, 0.05])


@dataclass(frozen=True, eq=False)
class TiedCurves:
    """Joint draws of everything.

    Args:
        log_risk: ``(draw, candidate, node)``.
        log_decay: By how much the theory's costs have changed from the end, ``(draw, node)``.
        draws: What candidates share, and what each has, by the names that users read.
        weighed: How the draws were found.
        fit: Probability of residuals as large as these under the model, mean over draws, or of
            slacks as large as these a priori, where that is less.
    """

    log_risk: Array
    log_decay: Array
    draws: dict[str, Array]
    weighed: Weighed
    fit: float


@dataclass(frozen=True, eq=False)
class TiedModel:
    """Runs with errors, and what is believed of them.

    Args:
        told: The runs.
        priors: Priors.
        data_error: Draws of e*, if there are any, in the errors' units.
        evidence: Whether the runs count; the prior is drawn where they do not.
    """

    told: TiedData
    priors: CurvePriors
    data_error: Array | None = None
    evidence: bool = True

    def _parts(self, theta: Array) -> dict[str, Array]:
        """Return the natural parameters ``(draw, 1)`` of points."""
        values = np.exp(np.clip(theta, -40.0, 40.0))
        named: dict[str, Array] = dict(zip(NAMES, values.T[:, :, None], strict=True))
        span = self.told.u[-1] - self.told.u[0]
        # Runs determine the fall of risks, so that costs go with the exponent.
        fall = np.expm1(TYPICAL_EXPONENT * span) / np.expm1(
            np.clip(named["exponent_from_theory"] * span, 1e-6, 50.0)
        )
        for name in ("symmetric_cost", "asymmetric_cost"):
            named[name] = named[name] * fall
        return named

    def log_prior(self, theta: Array) -> Array:
        """Return the log prior density ``(draw,)`` of points, logarithms of the parameters."""
        p = self._parts(theta)
        total = np.zeros(len(theta))
        for i, name in enumerate(NAMES):
            value = p[name][:, 0]
            if name == "data_error" and self.data_error is not None:
                chosen = (
                    np.quantile(self.data_error, (np.arange(200) + 0.5) / 200) / self.told.top_error
                )
                width = max(1.06 * float(np.std(chosen)) * 200**-0.2, 1e-3)
                away = (value[:, None] - chosen) / width
                total += np.log(np.exp(-0.5 * away**2).mean(axis=1) / width + 1e-300)
            else:
                total += self.priors.log_prob(_PRIORS.get(name, name), value)
            total += theta[:, i]
        return total

    def log_density(self, theta: Array) -> Array:
        """Return the log posterior density ``(draw,)`` of points, up to a constant."""
        u = self.told.u
        seen = [self._given(part, u).log_likelihood for part in self._pieces(theta, u)]
        total = self.log_prior(theta) + np.concatenate(seen)
        return np.where(np.isfinite(total), total, -np.inf)

    def draw(self, nodes: Array, n_draws: int, generator: np.random.Generator) -> TiedCurves:
        """Draw curves at log sample sizes ``(node,)``, those observed among them or not."""
        spread = np.full(len(NAMES), _START_SD)
        if self.evidence:
            found = importance_draws(self.log_density, _START, spread, n_draws, generator)
        else:
            laws = [self.priors.draw(_PRIORS.get(n, n), n_draws, generator) for n in NAMES]
            found = Weighed(np.log(np.stack(laws, axis=1)), 0.0, float(n_draws))
        grid = np.union1d(nodes, self.told.u)
        pieces = [
            self._given(part, grid).curves(nodes, generator)
            for part in self._pieces(found.points, grid)
        ]
        joined = {k: np.concatenate([p[k] for p in pieces]) for k in pieces[0]}
        log_risk, log_decay, fit = (joined.pop(k) for k in ("log_risk", "log_decay", "fit"))
        slack = np.exp(np.median(found.points[:, NAMES.index("slack_spread")]))
        usual = self.priors.draw("slack_spread", _TRIED, np.random.default_rng(0))
        slacks = float((usual >= slack).mean()) if self.evidence else 1.0
        return TiedCurves(log_risk, log_decay, joined, found, min(float(fit.mean()), slacks))

    def log_odds_of_roots(self, log_evidence: float, generator: np.random.Generator) -> float:
        """Return how much better the squares of the risks would go with the errors, in logs.

        Args:
            log_evidence: Of the risks as they are.
            generator: Of the draws.
        """
        runs = self.told.runs
        squares = replace(runs, risk=runs.risk**2, risk_se=2 * runs.risk * runs.risk_se)
        model = replace(self, told=TiedData(squares, self.told.weight))
        spread = np.full(len(NAMES), _START_SD)
        found = importance_draws(model.log_density, _START, spread, 1, generator, rough=True)
        # Densities are those of log risks; the logarithm of a square is twice as far apart.
        return found.log_evidence + len(runs.risk) * float(np.log(2)) - log_evidence

    def _given(self, theta: Array, grid: Array) -> Linear:
        return Linear(self.told, self.priors, self._parts(theta), grid, self.evidence)

    def _pieces(self, theta: Array, grid: Array) -> list[Array]:
        """Return points in pieces that fit into memory."""
        seen, k = (
            len(self.told.risks.mean) + len(self.told.errors.mean),
            len(self.told.runs.candidates),
        )
        each = seen * (seen + (len(grid) + 3) * (k + 1))
        return np.array_split(theta, max(1, len(theta) * each // _MOST_AT_ONCE))
