"""The runs and the curves given a dozen numbers: linear in what single candidates do.

What is seen (mean log errors and mean log risks of cells) is a mean plus loads times independent
standard normal numbers (candidates' errors, slacks and deviations, slopes' noise on a grid of
sizes, what training rows do that candidates share) and noise of each cell alone.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import gammaincc

from equiprob.arguments.array_types import Array
from equiprob.curves.bends import bend_covariance, from_the_end, root
from equiprob.curves.priors import CurvePriors
from equiprob.curves.tied_data import TiedData

_WIDE = 1.5
"""Standard deviation of a log error about its measured ones, beforehand."""

_LEAST_SHARE = 0.03
"""Runs scatter by at least this share of what they do where all of the risk is removable."""

_LEAST_FLOOR = 1e-6
_LARGEST_LOG = 60.0
_NO_ERROR = -30.0


class Linear:
    """Joint law of what is seen and of the curves, at points.

    Args:
        told: The runs.
        priors: Priors.
        p: Parameters by name, each ``(draw, 1)``.
        grid: Log sample sizes at which slopes have noise, those observed among them.
        evidence: Whether the runs count.
    """

    told: TiedData
    priors: CurvePriors
    p: dict[str, Array]
    grid: Array
    evidence: bool
    k: int
    end: int
    bends: Array
    scales: list[Array]
    decay: Array
    log_error: Array
    noise: Array
    costs: tuple[Array, Array]
    cost: Array
    share: Array
    by_error: Array
    risk: Array
    units: tuple[Array, Array]
    residual: Array

    def __init__(
        self,
        told: TiedData,
        priors: CurvePriors,
        p: dict[str, Array],
        grid: Array,
        evidence: bool,
    ) -> None:
        """Set what is expected of the runs."""
        self.told, self.priors, self.p, self.grid = told, priors, p, grid
        self.evidence = evidence
        self.k = len(told.runs.candidates)
        self.end = int(np.searchsorted(grid, told.u[-1]))
        self.bends = root(from_the_end(bend_covariance(grid), self.end))
        exponent = p["exponent_from_theory"]
        # Errors, slacks, deviations: a column a candidate; then bends, shared and own.
        self.scales = [
            np.full_like(exponent, _WIDE),
            told.least * p["slack_spread"],
            np.full_like(exponent, priors.cost_deviation),
            exponent * p["shared_bend_from_theory"],
            exponent * priors.bend_from_theory,
        ]
        self.decay = np.exp(np.minimum(exponent * (told.u[-1] - told.u), _LARGEST_LOG))
        self._look()

    def _look(self) -> None:
        """Set what is expected to be seen, and how it depends on what candidates do."""
        told, p = self.told, self.p
        r, e = told.risks, told.errors
        grown = 0.5 * np.log1p(p["estimation_share"] * self.decay)[:, e.size]
        self.log_error = self._measured(e.mean - grown, e.count / self.decay[:, e.size])
        error = np.exp(self.log_error)
        scale = told.weight * told.top_error**2
        self.noise = told.least * np.exp(-p["noise_depth"])
        floor = self.noise + scale * (p["data_error"] - error) ** 2
        self.costs = (
            p["symmetric_cost"] * told.cost_unit,
            p["asymmetric_cost"] * told.cost_unit,
        )
        self.cost = self.costs[0] + self.costs[1] * error**2
        c, j = r.candidate, r.size
        excess = self.cost[:, c] * self.decay[:, j]
        risk = floor[:, c] + excess
        self.share = excess / risk
        self.by_error = (
            -2 * scale * ((p["data_error"] - error) * error)[:, c]
            + 2 * self.costs[1] * (error**2)[:, c] * self.decay[:, j]
        ) / risk
        self.risk = risk
        self.units = np.sqrt(self.decay[:, e.size]), np.hypot(self.share, _LEAST_SHARE)
        expected = np.concatenate([self.log_error[:, e.candidate] + grown, np.log(risk)], axis=1)
        self.residual = np.concatenate([e.mean, r.mean]) - expected

    def _measured(self, values: Array, precision: Array) -> Array:
        """Return each candidate's log error in the limit, as its measured ones alone tell it."""
        onto = np.eye(self.k)[self.told.errors.candidate]
        weight = np.maximum(precision @ onto, 1e-300)
        found = (precision * values) @ onto / weight
        return np.where(self.told.runs.exact, _NO_ERROR, found)

    @cached_property
    def loads(self) -> Array:
        """How what is seen depends on white noise, ``(draw, seen, number)``."""
        told, p = self.told, self.p
        r, e = told.risks, told.errors
        n, m_e = len(self.share), len(e.mean)
        eye, at = np.eye(self.k), np.searchsorted(self.grid, told.u)
        zeros = np.zeros((n, m_e, self.k))
        wide, slack, deviation, shared, own = (s[:, :, None] for s in self.scales)
        bends, mine = self.bends[at][r.size], eye[r.candidate]
        apart = (mine[:, :, None] * bends[:, None, :]).reshape(len(mine), -1)
        share = self.share[:, :, None]
        together = p["shared_error_noise"][:, :, None], p["shared_seed_noise"][:, :, None]
        of_errors = [
            np.broadcast_to(wide * eye[e.candidate], zeros.shape),
            *(zeros, zeros),
            np.zeros((n, m_e, bends.shape[1] + apart.shape[1])),
            together[0] * self.units[0][:, :, None] * e.onto,
            np.zeros((n, m_e, r.onto.shape[1])),
        ]
        of_risks = [
            wide * self.by_error[:, :, None] * mine,
            slack / self.risk[:, :, None] * mine,
            deviation * share * mine,
            np.concatenate([shared * share * bends, own * share * apart], axis=2),
            np.zeros((n, len(mine), e.onto.shape[1])),
            together[1] * self.units[1][:, :, None] * r.onto,
        ]
        return np.concatenate(
            [np.concatenate(of_errors, axis=2), np.concatenate(of_risks, axis=2)], axis=1
        )

    @cached_property
    def alone(self) -> Array:
        """Variance of the noise of each cell alone, ``(draw, seen)``."""
        told = self.told
        parts = [
            ((self.p[name] * unit) ** 2 + part.known) / part.count
            for part, unit, name in (
                (told.errors, self.units[0], "error_noise"),
                (told.risks, self.units[1], "seed_noise"),
            )
        ]
        return np.concatenate(parts, axis=1) + 1e-12

    @cached_property
    def factor(self) -> Array:
        """Cholesky factor of the covariance of what is seen."""
        whole = self.loads @ self.loads.transpose(0, 2, 1)
        at = np.arange(whole.shape[1])
        whole[:, at, at] = whole[:, at, at] * (1 + 1e-9) + self.alone
        return np.linalg.cholesky(whole)

    @cached_property
    def white(self) -> Array:
        """What is seen, less what is expected, as white noise."""
        return np.linalg.solve(self.factor, self.residual[..., None])[..., 0]

    @property
    def log_likelihood(self) -> Array:
        """Log likelihood of all runs, ``(draw,)``."""
        logs = np.log(np.einsum("dii->di", self.factor)).sum(axis=1)
        told, p = self.told, self.p
        total = -0.5 * (self.white**2).sum(axis=1) - logs
        total += told.errors.within(self.units[0], p["error_noise"], p["shared_error_noise"])
        return total + told.risks.within(self.units[1], p["seed_noise"], p["shared_seed_noise"])

    def curves(self, nodes: Array, generator: np.random.Generator) -> dict[str, Array]:
        """Draw what single candidates do, and their curves at nodes, by Matheron's rule."""
        n, told = len(self.share), self.told
        drawn = generator.normal(size=(n, self.loads.shape[2]))
        if self.evidence:
            noise = np.sqrt(self.alone) * generator.normal(size=self.alone.shape)
            left = self.residual - np.einsum("dsl,dl->ds", self.loads, drawn) - noise
            half = np.linalg.solve(self.factor, left[..., None])
            gain = np.linalg.solve(self.factor.transpose(0, 2, 1), half)[..., 0]
            drawn += np.einsum("dsl,ds->dl", self.loads, gain)
        k, g = self.k, len(self.grid)
        parts = np.split(drawn, np.cumsum([k, k, k, g, k * g]), axis=1)
        by_error, slack, deviation, shared = (
            scale * part for scale, part in zip(self.scales[:4], parts[:4], strict=True)
        )
        own = self.scales[4][:, :, None] * parts[4].reshape(n, k, g)
        error = np.where(told.runs.exact, 0.0, np.exp(self.log_error + by_error))
        return self._named(
            nodes, error, slack, deviation, shared @ self.bends.T, own @ self.bends.T, generator
        )

    def _named(
        self,
        nodes: Array,
        error: Array,
        slack: Array,
        deviation: Array,
        shared: Array,
        own: Array,
        generator: np.random.Generator,
    ) -> dict[str, Array]:
        told, p = self.told, self.p
        floor = self.noise + slack
        floor += told.weight * told.top_error**2 * (p["data_error"] - error) ** 2
        floor = np.maximum(floor, _LEAST_FLOOR * told.least)
        cost = (self.costs[0] + self.costs[1] * error**2) * np.exp(deviation)
        fallen = -p["exponent_from_theory"] * (self.grid - self.grid[self.end]) + shared
        each = fallen[:, None, :] + own + self._turns(generator)
        # What more data would remove does not grow beyond the data.
        each[:, :, self.end :] = np.minimum.accumulate(each[:, :, self.end :], axis=2)
        at = np.searchsorted(self.grid, nodes)
        risk = floor[:, :, None] + cost[:, :, None] * np.exp(each[:, :, at])
        seen = self.white.shape[1]
        return {
            "log_risk": np.log(risk),
            "log_decay": fallen[:, at],
            "fit": gammaincc(seen / 2, (self.white**2).sum(axis=1) / 2),
            "floor": floor,
            "common_exponent": p["exponent_from_theory"][:, 0],
            "data_error": p["data_error"][:, 0] * told.top_error,
            "model_error": error * told.top_error,
            "noise": self.noise[:, 0],
            "symmetric_cost": self.costs[0][:, 0],
            "asymmetric_cost": self.costs[1][:, 0],
            "estimation_share": p["estimation_share"][:, 0],
            "seed_sd": np.repeat(p["seed_noise"], self.k, axis=1),
            "shared_seed_sd": p["shared_seed_noise"][:, 0],
        }

    def _turns(self, generator: np.random.Generator) -> Array:
        """Return bends of which no run speaks: curves smooth so far have turned before."""
        n, beyond = len(self.share), self.grid[self.end :]
        turns = np.zeros((n, self.k, len(self.grid)))
        whole = root(bend_covariance(beyond))
        whole -= whole[0]
        priors = self.priors
        for scale, columns in (
            (priors.turn_from_theory, 1),
            (priors.own_turn_from_theory, self.k),
        ):
            white = generator.normal(size=(n, columns, len(beyond)))
            turns[:, :, self.end :] += scale * (white @ whole.T)
        return turns
