"""How do gaps that were observed go on, when theory says what shape they have?

    gap_{k,n,seed} = m_k(n) + noise,    m_k(n) = c_k shape_k(n) (n / n0)^(-departure_k) exp(bend(n))

The noise is on the natural scale, since a small gap can be observed below zero: that of the sample
of rows, which candidates trained on the same rows share, each run's own, both falling like
``n^-1/2``, and what seeds make of the gap itself, in proportion to it. Where candidates have levels
e, theory orders their constants, ``c_k = (C_sym + C_asym (e_k / e_max)^p) exp(deviation)``.

The curve goes as it does between the sizes at hand and beyond them by one process: slopes that
depart from the theory's by one number, and by bends that fade over half a decade and become smaller
the more rows there are. What bends a gap (a model that interpolates, or just ceases to) is of few
rows; later it is about ``2 noise^2 p(n) / n`` with an effective number of parameters p that grows
slowly. So gaps mostly fall nearly like 1/n in the end, whatever they did before, and where they do
not (a model that always interpolates), theory's shape is what is left: the departure is near one of
the two.

A few numbers that candidates have in common are drawn by importance sampling; given those, what
single candidates do and bends are nearly linear, and are integrated over about their mode.

References:
    Murata, Yoshizawa & Amari, IEEE TNN 1994 (gaps of regular models).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.bounds.base import ObservedCurve
from equiprob.bounds.gap_runs import GapRuns
from equiprob.curves.importance import Weighed, importance_draws
from equiprob.curves.spread import Scatter, scatter_of

_FADING = 0.3 * np.log(10)
_STRAIGHTENING = 0.7 * np.log(10)
_MOST_NODES = 12
_BELOW, _ABOVE = 4.0, 100.0
"""How far below the smallest and above the largest number of rows anything is said, in ratios."""

_NODES_BELOW, _NODES_ABOVE = 2, 10
_JITTER = 1e-6
_LEAST_SCALE = 1e-3

_REGULAR, _REGULAR_SD, _SHARE_REGULAR = 0.9, 0.12, 0.7
"""At which exponent gaps of regular models fall, and how probably a model is one."""

_SHAPE_SD = 0.4
"""How far exponents of others are from theory's."""

_DEVIATION, _BESIDE_LEVELS = 0.7, 0.25
"""How far constants may differ between candidates, and from those of their levels."""

_DEPARTURES = 0.08
"""How far single candidates' exponents are from the common one."""

_BENDS = 0.3
_OWN, _OWN_SD = 1.0, 0.7
_SHARED, _OF_SEEDS = 1.0, 0.15
_MOST_STEPS, _LONGEST, _CONVERGED = 8, 1.0, 0.01

_BEYOND_ROUNDING = 1 + 1e-10
"""Variances grow by so much: far from the posterior covariances are singular but for it."""
_PIECE = 2_000_000


def nodes_of(sizes: Array) -> Array:
    """Return the numbers of rows at which curves are known: around the observed, and beyond."""
    inside = sizes if len(sizes) <= _MOST_NODES else np.geomspace(sizes[0], sizes[-1], _MOST_NODES)
    below = np.geomspace(sizes[0] / _BELOW, sizes[0], _NODES_BELOW + 1)[:-1]
    above = np.geomspace(sizes[-1], sizes[-1] * _ABOVE, _NODES_ABOVE + 1)[1:]
    return np.concatenate([below, inside, above])


def _units(runs: GapRuns, middle: float) -> tuple[float, float]:
    """Return how large gaps and their noise are, at the middle number of rows."""
    cells = runs.cells()
    spare = sum(len(cell) - 1 for cell in cells)
    within = sum(((cell - cell.mean()) ** 2).sum() for cell in cells)
    mean = abs(float(runs.gap.mean()))
    noise = float(np.sqrt(within / spare)) if spare else mean / 3
    unit = max(mean, noise / np.sqrt(len(runs.gap)))
    if unit <= 0:
        raise ValueError("every gap is zero: there is nothing to calibrate")
    return unit, max(noise, _LEAST_SCALE * unit)


def _steepness(log_shape: Array, u: Array) -> Array:
    """Return the mean slope of each candidate's shape, a negative number as a rule."""
    return (log_shape[:, -1] - log_shape[:, 0]) / (u[-1] - u[0])


def _bend_root(u: Array, middle: float) -> Array:
    """Return the matrix ``(node, node)`` from white noise to bends, which are zero in the middle.

    A bend is the integral of slopes of scale ``exp(-(u - middle) / _STRAIGHTENING)`` and with
    correlation ``exp(-|u - u'| / _FADING)``.
    """
    correlation = np.exp(-np.abs(u[:, None] - u) / _FADING)
    scale = np.exp(-(u - middle) / _STRAIGHTENING)[:, None]
    slopes = scale * np.linalg.cholesky(correlation + _JITTER * np.eye(len(u)))
    steps = np.diff(u)[:, None] * (slopes[1:] + slopes[:-1]) / 2
    bends = np.concatenate([np.zeros((1, len(u))), np.cumsum(steps, axis=0)])
    return bends - np.array([np.interp(middle, u, column) for column in bends.T])


class GapModel:
    """Observed gaps, and what is believed of them.

    Args:
        runs: Checked runs; the last candidate is asked for, and may have none.
        nodes: As of `nodes_of`.
        log_shape: Logarithm of theory's shape, ``(candidate, node)``, up to a common constant.
        follows_levels: Whether constants follow levels, where there are any.
        departure: Prior of the common departure, or None for the usual one.
    """

    middle: float
    unit: float
    noise_unit: float
    log_shape: Array
    u: Array
    onto_nodes: Array
    root_rows: Array
    bend_root: Array
    regular: float
    departure: Any
    level: Array | None
    shared: bool
    candidates: int

    def __init__(
        self,
        runs: GapRuns,
        nodes: Array,
        log_shape: Array,
        follows_levels: bool,
        departure: Any,
    ) -> None:
        """Take the units from the runs."""
        u = np.log(nodes)
        self.middle = float(np.log(runs.sizes).mean())
        self.unit, self.noise_unit = _units(runs, self.middle)
        size = np.searchsorted(runs.sizes, runs.n)
        self.seen: Scatter = scatter_of(
            runs.gap / self.unit, runs.gap_se / self.unit, runs.candidate, size, runs.sample
        )
        at_middle = np.array([np.interp(self.middle, u, row) for row in log_shape])
        self.log_shape = log_shape - at_middle.mean()
        self.u = u - self.middle
        self.onto_nodes = _interpolation(np.log(runs.sizes), u)
        self.root_rows = np.exp(-0.5 * (np.log(runs.sizes) - self.middle))[self.seen.size]
        self.bend_root = _bend_root(u, self.middle)
        self.regular = _REGULAR + float(_steepness(log_shape, u).mean())
        self.departure = departure
        levels = runs.levels if follows_levels else None
        self.level = None if levels is None else levels / (levels.max() or 1.0)
        self.shared = bool((self.seen.onto.astype(bool).sum(axis=0) > 1).any())
        self.candidates = len(log_shape)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters in common."""
        levels = () if self.level is None else ("free", "power")
        shared = ("shared",) if self.shared else ()
        common = ("constant", "departure", "own", "of_seeds", "bend", "deviation")
        return (*common, *levels, *shared)

    def _parts(self, theta: Array) -> dict[str, Array]:
        """Return parameters ``(draw, 1)``; all but the first two are drawn as logarithms."""
        values = np.exp(np.clip(theta, -30.0, 30.0))
        values[:, :2] = theta[:, :2]
        return dict(zip(self.names, values.T[:, :, None], strict=True))

    def _log_prior(self, theta: Array) -> Array:
        p = {name: values[:, 0] for name, values in self._parts(theta).items()}
        total = -0.5 * (p["constant"] / 1.5) ** 2 + self._departure_law(p["departure"])
        total += -0.5 * (np.log(p["own"] / _OWN) / _OWN_SD) ** 2
        half_normal = {"of_seeds": _OF_SEEDS, "bend": _BENDS, "deviation": self._most_deviation}
        half_normal |= {"shared": _SHARED} if self.shared else {}
        for name, scale in half_normal.items():
            total += -0.5 * (p[name] / scale) ** 2 + np.log(p[name])
        if self.level is not None:
            total += -0.5 * (np.log(p["free"]) / 1.5) ** 2 - 0.5 * (np.log(p["power"]) / 0.7) ** 2
        return total

    @property
    def _most_deviation(self) -> float:
        return _DEVIATION if self.level is None else _BESIDE_LEVELS

    def _departure_law(self, values: Array) -> Array:
        if self.departure is not None:
            return np.asarray(self.departure.log_prob(values), dtype=np.float64)
        return log_usual(values, self.regular)

    def _log_gap(self, p: Mapping[str, Array]) -> Array:
        """Return log gaps ``(draw, candidate, node)`` where single candidates do nothing."""
        constants = np.repeat(p["constant"], self.candidates, axis=1)
        if self.level is not None:
            constants = constants + np.log1p(p["free"] * self.level ** p["power"])
        fallen = p["departure"][:, :, None] * self.u
        return self.log_shape + constants[:, :, None] - fallen

    def _loads(self, p: Mapping[str, Array]) -> Array:
        """Return how log gaps depend on white noise, ``(draw, candidate, node, number)``."""
        eye, n = np.eye(self.candidates), len(p["constant"])
        shape = (n, self.candidates, len(self.u))
        deviations = p["deviation"][:, :, None, None] * np.broadcast_to(
            eye[:, None], (*shape, self.candidates)
        )
        departures = np.broadcast_to(
            -_DEPARTURES * self.u[:, None] * eye[:, None], (*shape, self.candidates)
        )
        bends = p["bend"][:, :, None, None] * np.broadcast_to(self.bend_root, (*shape, len(self.u)))
        return np.concatenate([deviations, departures, bends], axis=3)

    def _inner(self, theta: Array) -> _Inner:
        return _Inner(self, self._parts(theta))

    def log_density(self, theta: Array) -> Array:
        """Return the log posterior density of parameters ``(draw,)``, up to a constant."""
        told = [self._inner(part).evidence for part in self._pieces(theta)]
        total = self._log_prior(theta) + np.concatenate(told)
        return np.where(np.isfinite(total), total, -np.inf)

    def draw(
        self, n_draws: int, generator: np.random.Generator
    ) -> tuple[dict[str, Array], Weighed]:
        """Return draws of the gaps and of the noise, in units of the gaps, and their weights."""
        start = np.log([1.0, 1.0, 0.7, 0.05, 0.1, 0.1, 1.0, 1.0, 0.5])[: len(self.names)]
        start[1] = self.regular if self.departure is None else float(self.departure.mean)
        spread = np.full(len(start), 0.7)
        found = importance_draws(self.log_density, start, spread, n_draws, generator)
        pieces = [self._inner(part).draw(generator) for part in self._pieces(found.points)]
        drawn = {k: np.concatenate([piece[k] for piece in pieces]) for k in pieces[0]}
        return drawn, found

    def _pieces(self, theta: Array) -> list[Array]:
        """Return points in pieces that fit into memory."""
        numbers = 2 * self.candidates + len(self.u)
        each = numbers * max(self.candidates * len(self.u), len(self.seen.mean))
        return np.array_split(theta, max(1, len(theta) * each // _PIECE))


class _Inner:
    """What single candidates do, given the parameters in common: Gaussian about its mode."""

    def __init__(self, model: GapModel, p: dict[str, Array]) -> None:
        """Find the mode."""
        self.model, self.p = model, p
        seen = model.seen
        self.log_gap, self.loads = model._log_gap(p), model._loads(p)
        onto = model.onto_nodes[seen.size]
        rows = np.einsum("cn,dcn->dc", onto, self.log_gap[:, seen.candidate])
        loads = np.einsum("cn,dcnl->dcl", onto, self.loads[:, seen.candidate])
        x = np.zeros((len(rows), loads.shape[2]))
        mean, steep, noise = self._at(rows, loads, x)
        for _ in range(_MOST_STEPS):
            whole = _whole(steep, noise)
            pull = seen.mean - mean + np.einsum("dcl,dl->dc", steep, x)
            new = np.einsum("dcl,dc->dl", steep, _solved(whole, pull))
            step = new - x
            moved = np.abs(np.einsum("dcl,dl->dc", loads, step)).max(axis=1, keepdims=True)
            x = x + step * np.minimum(1.0, _LONGEST / np.maximum(moved, 1e-12))
            mean, steep, noise = self._at(rows, loads, x)
            if moved.max() < _CONVERGED:
                break
        self.x, self.mean, self.steep, self.noise = x, mean, steep, noise

    def _at(self, rows: Array, loads: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return mean gaps of the cells at x, their derivatives and the noise's covariance."""
        seen, p, model = self.model.seen, self.p, self.model
        mean = np.exp(np.clip(rows + np.einsum("dcl,dl->dc", loads, x), -30.0, 30.0))
        alone = self._alone(mean) / seen.count
        noise = np.zeros((*mean.shape, mean.shape[1]))
        at = np.arange(mean.shape[1])
        if model.shared:
            factor = (model.noise_unit / model.unit * p["shared"] * model.root_rows)[:, :, None]
            factor = factor * seen.onto
            noise = factor @ factor.transpose(0, 2, 1)
        noise[:, at, at] = (noise[:, at, at] + alone) * _BEYOND_ROUNDING
        return mean, mean[:, :, None] * loads, noise

    def _alone(self, mean: Array) -> Array:
        """Return the variance of each run's own noise, ``(draw, cell)``."""
        model, p = self.model, self.p
        own = model.noise_unit / model.unit * p["own"] * model.root_rows
        return own**2 + (p["of_seeds"] * mean) ** 2 + model.seen.known + 1e-12

    @property
    def evidence(self) -> Array:
        """Log evidence of the runs, ``(draw,)``, by Laplace's method."""
        seen, model, p = self.model.seen, self.model, self.p
        away = seen.mean - self.mean
        solved = _solved(self.noise, away)
        whole = _whole(self.steep, self.noise)
        fit = -0.5 * ((away * solved).sum(axis=1) + (self.x**2).sum(axis=1))
        fit -= 0.5 * np.linalg.slogdet(whole)[1]
        unit = np.sqrt(self._alone(self.mean))
        common = np.zeros((len(unit), 1))
        if model.shared:
            shared = model.noise_unit / model.unit * p["shared"] * model.root_rows
            common = (shared / unit).mean(axis=1, keepdims=True)
        return fit + seen.within(unit, np.ones((len(unit), 1)), common)

    def draw(self, generator: np.random.Generator) -> dict[str, Array]:
        """Draw gaps, in their own unit, by Matheron's rule."""
        model, p = self.model, self.p
        white = generator.normal(size=self.x.shape)
        noise = np.linalg.cholesky(self.noise) @ generator.normal(size=(*self.mean.shape, 1))
        seen = np.einsum("dcl,dl->dc", self.steep, white) + noise[..., 0]
        whole = _whole(self.steep, self.noise)
        gain = _solved(whole, seen)
        x = self.x + white - np.einsum("dcl,dc->dl", self.steep, gain)
        logs = self.log_gap + np.einsum("dknl,dl->dkn", self.loads, x)
        shared = p["shared"] if model.shared else 0.0
        return {
            "gap": model.unit * np.exp(np.clip(logs, -60.0, 60.0)),
            "noise_of_rows": model.noise_unit * np.hypot(p["own"], shared)[:, 0],
            "of_seeds": p["of_seeds"][:, 0],
        }


def _whole(steep: Array, noise: Array) -> Array:
    """Return the covariance of what is seen, ``(draw, cell, cell)``."""
    whole = steep @ steep.transpose(0, 2, 1) + noise
    at = np.arange(whole.shape[1])
    whole[:, at, at] *= _BEYOND_ROUNDING
    return whole


def _solved(whole: Array, right: Array) -> Array:
    """Return ``whole^-1 right``, in units in which all variances are 1."""
    at = np.arange(whole.shape[1])
    size = np.sqrt(whole[:, at, at])
    alike = whole / size[:, :, None] / size[:, None, :]
    alike[:, at, at] = _BEYOND_ROUNDING
    return np.linalg.solve(alike, (right / size)[..., None])[..., 0] / size


def log_usual(departure: Array, regular: float) -> Array:
    """Return the log density of the usual departure: near a regular model's, or near theory's."""
    total = np.zeros_like(departure)
    for share, middle, scale in (
        (_SHARE_REGULAR, regular, _REGULAR_SD),
        (1 - _SHARE_REGULAR, 0.0, _SHAPE_SD),
    ):
        away = (departure - middle) / scale
        total += share * np.exp(-0.5 * away**2) / (scale * np.sqrt(2 * np.pi))
    return np.log(total + 1e-300)


def _interpolation(at: Array, nodes: Array) -> Array:
    """Return weights ``(point, node)`` of linear interpolation."""
    return np.array([np.interp(at, nodes, row) for row in np.eye(len(nodes))]).T


def observed_curve(
    runs: GapRuns, nodes: Array, draws: Mapping[str, Array], generator: np.random.Generator
) -> ObservedCurve:
    """Return what the last candidate's gap is at the nodes, and that of one of its runs.

    Args:
        runs: The runs.
        nodes: Numbers of rows.
        draws: Of the model's parameters, with ``gap`` ``(draw, candidate, node)``.
        generator: Of the noise of the run, which is the same at every node.
    """
    expected = draws["gap"][:, -1]
    middle = np.exp(np.log(runs.sizes).mean())
    of_rows = draws["noise_of_rows"][:, None] * np.sqrt(middle / nodes)
    noise = generator.normal(size=len(expected))[:, None]
    gap = expected + noise * np.hypot(of_rows, draws["of_seeds"][:, None] * expected)
    without = None
    if runs.levels is not None and runs.levels[-1] < runs.levels.max():
        without = draws["gap"][:, int(runs.levels.argmax())]
    return ObservedCurve(n=nodes, expected=expected, gap=gap, without=without)
