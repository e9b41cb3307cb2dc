"""How do gaps that were observed go on, when theory says what shape they have?

    gap_{k,n,seed} = m_k(n) + noise,    m_k(n) = c_k shape_k(n) (n / n0)^(-departure_k) exp(bend(n))

The noise is on the natural scale, since a small gap can be observed below zero: that of the sample
of rows, which candidates trained on the same rows share, each run's own (Student t), both falling
like ``n^-1/2``, and what seeds make of the gap itself, in proportion to it. Where candidates have
levels e, theory orders their constants, ``c_k = (C_sym + C_asym (e_k / e_max)^p) exp(deviation)``.

The curve goes as it does between the sizes at hand and beyond them by one process: slopes that
depart from the theory's by one number, and by bends that fade over half a decade and become smaller
the more rows there are. What bends a gap (a model that interpolates, or just ceases to) is of few
rows; later it is about ``2 noise^2 p(n) / n`` with an effective number of parameters p that grows
slowly. So gaps mostly fall nearly like 1/n in the end, whatever they did before, and where they do
not (a model that always interpolates), theory's shape is what is left: the departure is near one of
the two.

References:
    Murata, Yoshizawa & Amari, IEEE TNN 1994 (gaps of regular models).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.bounds.base import ObservedCurve
from equiprob.bounds.gap_runs import GapRuns
from equiprob.posterior.chains import jitted_chains

Array = NDArray[np.float64]

_FADING = 0.3 * np.log(10)
_STRAIGHTENING = 0.7 * np.log(10)
_MOST_NODES = 12
_BELOW, _ABOVE = 4.0, 100.0
"""How far below the smallest and above the largest number of rows anything is said, in ratios."""

_NODES_BELOW, _NODES_ABOVE = 2, 10
_JITTER = 1e-6
_LEAST_SCALE = 1e-3
_TYPICAL_FREEDOM = 15


@dataclass(frozen=True)
class GapShape:
    """What a compiled model depends on besides numbers.

    Args:
        candidates: How many, with the one that is asked for.
        nodes: Numbers of rows at which curves are known.
        samples: Distinct (n, seed).
        shared: Whether several candidates were trained on one sample.
        levels: Whether constants follow levels.
    """

    candidates: int
    nodes: int
    samples: int
    shared: bool
    levels: bool


def nodes_of(sizes: Array) -> Array:
    """Return the numbers of rows at which curves are known: around the observed, and beyond."""
    inside = sizes if len(sizes) <= _MOST_NODES else np.geomspace(sizes[0], sizes[-1], _MOST_NODES)
    below = np.geomspace(sizes[0] / _BELOW, sizes[0], _NODES_BELOW + 1)[:-1]
    above = np.geomspace(sizes[-1], sizes[-1] * _ABOVE, _NODES_ABOVE + 1)[1:]
    return np.concatenate([below, inside, above])


def gap_data(
    runs: GapRuns, nodes: Array, log_shape: Array, follows_levels: bool
) -> tuple[GapShape, dict[str, Any], float]:
    """Return the shape of the model, the numbers it is conditioned on, and their unit.

    Args:
        runs: Checked runs.
        nodes: As of `nodes_of`.
        log_shape: Logarithm of theory's shape, ``(candidate, node)``, up to a common constant.
        follows_levels: Whether constants follow levels, where there are any.
    """
    u = np.log(nodes)
    middle = float(np.log(runs.sizes).mean())
    each = np.log(runs.n)
    left = np.clip(np.searchsorted(u, each, side="right") - 1, 0, len(u) - 2)
    at_middle = np.array([np.interp(middle, u, row) for row in log_shape])
    unit, noise = _units(runs, middle)
    _, counts = np.unique(runs.sample, return_counts=True)
    data: dict[str, Any] = {
        "log_shape": log_shape - at_middle.mean(),
        "u": u - middle,
        "bends": _bend_root(u, middle),
        "regular": _REGULAR + float(_steepness(log_shape, u).mean()),
        "candidate": runs.candidate,
        "left": left,
        "right_share": (each - u[left]) / (u[left + 1] - u[left]),
        "sample": runs.sample,
        "root_rows": np.exp(-0.5 * (each - middle)),
        "gap": runs.gap / unit,
        "gap_se": runs.gap_se / unit,
        "noise_unit": noise / unit,
    }
    levels = runs.levels if follows_levels else None
    if levels is not None:
        data["level"] = levels / (levels.max() or 1.0)
    shape = GapShape(
        candidates=len(log_shape),
        nodes=len(nodes),
        samples=runs.n_samples,
        shared=bool((counts > 1).any()),
        levels=levels is not None,
    )
    return shape, {name: jnp.asarray(v) for name, v in data.items()}, unit


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


_SCALES = {
    "constants": 0.7,
    "departures": 0.1,
    "bends": 0.3,
    "noises": 0.5,
    "of_seeds": 0.15,
    "of_sample": 1.0,
}
"""Scales of half-normal priors: of deviations between candidates, of bends, of kinds of noise."""

_REGULAR, _REGULAR_SD, _SHARE_REGULAR = 0.9, 0.12, 0.7
"""At which exponent gaps of regular models fall, and how probably a model is one."""

_SHAPE_SD = 0.4
"""How far exponents of others are from theory's."""

_BESIDE_LEVELS = 0.25
"""How far constants may differ from those of their levels, where they follow levels."""


def gap_model(data: Any, shape: GapShape, departure: Any) -> None:
    """State the model in NumPyro; few sites of many numbers, since each takes long to compile."""
    import numpyro
    import numpyro.distributions as dist

    def draw(name: str, law: Any) -> Any:
        return numpyro.sample(name, law)

    k = shape.candidates
    sizes = {"constants": k, "departures": k, "noises": k, "bends": shape.nodes}
    sizes["samples"] = shape.samples
    white = draw("white", dist.Normal(0, 1).expand([sum(sizes.values())]).to_event(1))
    parts = jnp.split(white, np.cumsum(list(sizes.values()))[:-1])
    whites: dict[str, Any] = dict(zip(sizes, parts, strict=True))
    most = _SCALES | ({"constants": _BESIDE_LEVELS} if shape.levels else {})
    drawn = draw("scales", dist.HalfNormal(jnp.array([*most.values()])).to_event(1))
    scale: dict[str, Any] = dict(zip(most, drawn, strict=True))
    constants = draw("constant", dist.Normal(0, 1.5))
    constants += scale["constants"] * whites["constants"]
    if shape.levels:
        free, power = draw("levels", dist.LogNormal(0, jnp.array([1.5, 0.7])).to_event(1))
        constants += jnp.log1p(free * data["level"] ** power)
    common = draw("departure", _usual(data["regular"]) if departure is None else departure)
    departures = common + scale["departures"] * whites["departures"]
    bends = scale["bends"] * (data["bends"] @ whites["bends"])
    log_gap = data["log_shape"] + constants[:, None] + bends - departures[:, None] * data["u"]
    left, share, who = data["left"], data["right_share"], data["candidate"]
    mean = jnp.exp((1 - share) * log_gap[who, left] + share * log_gap[who, left + 1])
    noise, tail = draw("noise_and_tail", dist.LogNormal(0, 0.7).expand([2]).to_event(1))
    noises = data["noise_unit"] * noise * jnp.exp(scale["noises"] * whites["noises"])
    of_sample = data["noise_unit"] * scale["of_sample"] * float(shape.shared)
    centre = mean + of_sample * data["root_rows"] * whites["samples"][data["sample"]]
    spread = jnp.sqrt(
        (noises[who] * data["root_rows"]) ** 2
        + (scale["of_seeds"] * mean) ** 2
        + data["gap_se"] ** 2
    )
    freedom = _TYPICAL_FREEDOM * tail + 2
    numpyro.sample("gaps", dist.StudentT(freedom, centre, spread), obs=data["gap"])
    for name, value in {
        "log_gap": log_gap,
        "noise_of_rows": jnp.hypot(noises[-1], of_sample),
        "of_seeds": scale["of_seeds"],
        "freedom": freedom,
    }.items():
        numpyro.deterministic(name, value)


def _usual(regular: Any) -> Any:
    """Return the prior of the departure: near that of a regular model, or near theory's shape."""
    import numpyro.distributions as dist

    kinds = dist.Categorical(probs=jnp.array([_SHARE_REGULAR, 1 - _SHARE_REGULAR]))
    places = jnp.stack([jnp.asarray(regular), jnp.zeros(())])
    return dist.MixtureSameFamily(
        kinds, dist.Normal(places, jnp.array([_REGULAR_SD, _SHAPE_SD])), validate_args=False
    )


def _start(shape: GapShape) -> dict[str, Any]:
    """Return values from which chains start: looking for them takes as long to compile as NUTS."""
    return {
        "white": jnp.zeros(3 * shape.candidates + shape.nodes + shape.samples),
        "scales": jnp.array([*_SCALES.values()]) / 3,
        "constant": jnp.zeros(()),
        "levels": jnp.ones(2),
        "departure": jnp.zeros(()),
        "noise_and_tail": jnp.ones(2),
    }


@lru_cache(maxsize=16)
def compiled_gap_chains(
    shape: GapShape, departure: Any, num_warmup: int, num_samples: int, num_chains: int
) -> Any:
    """Return one jitted run of all chains as a function of a key and the data."""
    from numpyro.infer import init_to_value

    return jitted_chains(
        gap_model,
        shape,
        departure,
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        target_accept_prob=0.95,
        init_strategy=init_to_value(values=_start(shape)),
    )


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
    noise = generator.standard_t(draws["freedom"])[:, None]
    gap = expected + noise * np.hypot(of_rows, draws["of_seeds"][:, None] * expected)
    without = None
    if runs.levels is not None and runs.levels[-1] < runs.levels.max():
        without = draws["gap"][:, int(runs.levels.argmax())]
    return ObservedCurve(n=nodes, expected=expected, gap=gap, without=without)
