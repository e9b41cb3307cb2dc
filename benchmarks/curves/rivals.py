"""What others would forecast: the last value, a line, and the parametric curves of the literature.

Each is fitted to the mean log risks of one candidate by least squares from ten starts; an interval
is drawn from the law of the parameters about the best fit, with the residuals' spread. Parametric
forms: Viering & Loog, IEEE TPAMI 2023, table 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from benchmarks.curves.forecasts import N_DRAWS, Forecaster, Prepared
from equiprob.curves.cells import Cells

Array = NDArray[np.float64]

STARTS = 10
_LEAST_SD = 0.02
_MOST_LOG = 20.0


def pow3(x: Array, log_a: float, log_b: float, log_c: float) -> Array:
    """Return log risks ``log(a n^-b + c)``."""
    return np.logaddexp(log_a - np.exp(log_b) * x, log_c)


def pow4(x: Array, log_a: float, log_b: float, log_c: float, log_d: float) -> Array:
    """Return log risks ``log(a (n + d)^-b + c)``."""
    return np.logaddexp(log_a - np.exp(log_b) * np.logaddexp(x, log_d), log_c)


def mmf4(x: Array, log_a: float, log_b: float, log_c: float, log_d: float) -> Array:
    """Return log risks ``log((a b + c n^d) / (b + n^d))``."""
    power = np.exp(log_d) * x
    return np.logaddexp(log_a + log_b, log_c + power) - np.logaddexp(log_b, power)


def line(x: Array, at_end: float, slope: float) -> Array:
    """Return log risks that are a straight line in log n."""
    return at_end + slope * x


def _start(y: Array, g: np.random.Generator) -> list[float]:
    floor = float(y.min()) - float(g.exponential(1.0))
    return [float(y[0] + g.normal(0, 1)), float(g.normal(-0.7, 0.7)), floor]


Start = Callable[[Array, np.random.Generator], list[float]]

_LAWS: dict[str, tuple[Callable[..., Array], Start]] = {
    "line": (line, lambda y, g: [float(y[-1]), -float(np.exp(g.normal(-1, 1)))]),
    "POW3": (pow3, _start),
    "POW4": (
        pow4,
        lambda y, g: [*_start(y, g), float(g.normal(0, 2))],
    ),
    "MMF4": (
        mmf4,
        lambda y, g: [
            float(y[0]),
            float(g.normal(0, 2)),
            float(y.min()) - float(g.exponential(1.0)),
            float(g.normal(-0.5, 0.7)),
        ],
    ),
}  # fmt: skip


def rival(name: str) -> Forecaster:
    """Return a forecaster by its name: ``"last"`` or one of the laws."""

    def forecast(each: Prepared) -> Array:
        if name not in each.last:
            ahead = np.log(each.sizes)
            drawn = [_drawn(name, c, ahead) for c in each.cells]
            each.last[name] = np.exp(np.stack(drawn, axis=1))
        return each.last[name]

    return forecast


RIVALS = ("last", *_LAWS)


def _drawn(name: str, cells: Cells, ahead: Array) -> Array:
    """Return draws ``(draw, size)`` of log risks, NaN where the law cannot be fitted."""
    generator = np.random.default_rng(0)
    noise = float(np.sqrt(np.mean(cells.seed_variance + cells.other_variance)))
    white = generator.normal(size=(N_DRAWS, len(ahead)))
    if name == "last":
        return cells.log_mean[-1] + noise * white
    law, start = _LAWS[name]
    x, y, u = cells.u - cells.u[-1], cells.log_mean, ahead - cells.u[-1]
    best, least = None, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for _ in range(STARTS):
            try:
                found = curve_fit(law, x, y, start(y, generator), maxfev=400)
            except (RuntimeError, TypeError):  # no convergence, or more numbers than means
                continue
            loss = float(((law(x, *found[0]) - y) ** 2).sum())
            if loss < least:
                best, least = found, loss
        if best is None:
            return np.full(white.shape, np.nan)
        middle, covariance = best
        spread = max(np.sqrt(least / max(len(x) - len(middle), 1)), noise, _LEAST_SD)
        if not np.isfinite(covariance).all():
            covariance = np.zeros_like(covariance)
        covariance = covariance * min(1.0, 1e4 / max(np.abs(covariance).max(), 1e-300))
        points = generator.multivariate_normal(middle, covariance, N_DRAWS, check_valid="ignore")
        logs = np.array([law(u, *p) for p in points])
    centre = law(u, *middle)
    logs = np.where(np.isfinite(logs), logs, centre)
    return np.clip(logs, -_MOST_LOG, _MOST_LOG) + spread * white
