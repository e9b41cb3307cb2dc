"""How do risks depend on the sample size, the candidate and its symmetry?

    R_k(n) = floor_k + x_k (n / n_end)^(-alpha_k) exp(b(n) + b_k(n))

with bends ``b`` of all candidates and ``b_k`` of each, whose slopes in log n fade over half a
decade. Where errors are given, the theory ties floors and costs to them,

    floor_k = sigma^2 + a (e* - e_k)^2 + slack_k,    x_k = (C_sym + C_asym (e_k / e_ref)^2) exp(d_k)

and the exponent is common. The sampler moves the risks at the observed sizes themselves, which the
runs determine; bends and slacks follow from them, with the Jacobian of that change. Sampling those
instead would leave a narrow curved ridge, on which NUTS takes far more steps.

References:
    Petrache & Trivedi, NeurIPS 2023; Viering & Loog, "The shape of learning curves: a review",
    IEEE TPAMI 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.levels.curve_priors import CurvePriors
from equiprob.levels.curve_runs import Runs
from equiprob.posterior.chains import jitted_chains

Array = NDArray[np.float64]

FADING = 0.3 * np.log(10)
"""Distance in log n over which a bend fades by a factor e."""

_MOST_NODES = 12
_LEAST_SCALE = 0.02
_JITTER = 1e-6
_LEAST_SHARE = 1e-6
_TYPICAL_EXPONENT = 0.8
_IMPOSSIBLE = -1e6


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
        ``root``: from white noise to slopes; ``integral``: from slopes to bends; ``whiten``: from
        bends but the last to white noise; ``last_slope``: the last slope expected given bends;
        ``last_spread``: its standard deviation given them.
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
    return {
        "root": np.linalg.cholesky(covariance + _JITTER * np.eye(n)),
        "integral": integral,
        "whiten": np.linalg.inv(np.linalg.cholesky(of_bends)),
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
        remaining = np.exp(_TYPICAL_EXPONENT * (u[-1] - u[0])) - 1
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


def curve_model(data: Any, shape: CurveShape, priors: CurvePriors) -> None:
    """State the model in NumPyro."""
    import numpyro
    import numpyro.distributions as dist

    def draw(name: str) -> Any:
        return numpyro.sample(name, priors.of(name))

    def white(name: str, *size: int) -> Any:
        return numpyro.sample(name, dist.Normal(0, 1).expand(size).to_event(len(size)))

    k, j = shape.candidates, shape.nodes
    ending = "_from_theory" if shape.structured else ""
    exponent, shared_bend = (
        numpyro.sample(name, priors.of(name + ending)) for name in ("exponent", "shared_bend")
    )
    exponents = jnp.full(k, exponent)
    if not shape.structured:
        exponents = exponent * jnp.exp(draw("exponent_spread") * white("exponent_white", k))
    shared_slopes = shared_bend * (data["root"] @ white("shared_white", j))
    for name in ("shared_turn", "own_turn"):  # of the future: no run speaks of them
        draw(name)
    free = dist.ImproperUniform(dist.constraints.real_matrix, (), (k, j))
    log_risk = data["level"] + data["scale"] * numpyro.sample("moved", free)
    if shape.structured:
        share = _theory(data, shape, priors, exponent, log_risk)
        log_floor = log_risk[:, -1] + jnp.log1p(-share[:, -1])
    else:
        depth = numpyro.sample("depth", dist.LogNormal(0.0, 1.5).expand([k]).to_event(1))
        log_floor = jnp.min(log_risk, axis=1) - depth
        numpyro.factor("depth_is_free", -dist.LogNormal(0.0, 1.5).log_prob(depth).sum())
        share = -jnp.expm1(log_floor[:, None] - log_risk)
        typical, spread = draw("floor"), draw("floor_spread")
        relative = log_floor - jnp.log(data["least"])
        numpyro.factor("floors", dist.Normal(typical, spread).log_prob(relative).sum())
        away = (log_risk[:, -1] - data["level"][:, -1]) / 1.5
        numpyro.factor("levels", -0.5 * (away**2).sum())
    log_excess = log_risk + jnp.log(share)
    bends = log_excess - log_excess[:, -1:] - exponents[:, None] * data["ahead"]
    own = bends - data["integral"] @ shared_slopes
    white_bends = own[:, :-1] @ data["whiten"].T
    if shape.structured:
        told = priors.of("bend_from_theory").log_prob(white_bends).sum()
    else:
        own_bend = draw("own_bend")
        told = dist.Normal(0, own_bend).log_prob(white_bends).sum()
    numpyro.factor("own_bends", told - jnp.log(share[:, :-1]).sum())
    seed_noise = jnp.exp(
        jnp.log(draw("seed_noise")) + draw("seed_noise_spread") * white("noise_white", k)
    )
    together = _of_rows("shared_seed_noise", "half_pair", data, shape, priors)
    least, tail = draw("least_noise"), draw("tail")
    c, left, w = data["candidate"], data["left"], data["right_share"]
    at = (1 - w) * log_risk[c, left] + w * log_risk[c, left + 1]
    shares = (1 - w) * share[c, left] + w * share[c, left + 1]
    mean = at + shares * together
    scale = jnp.sqrt((seed_noise[c] * shares) ** 2 + least**2 + data["log_risk_se"] ** 2)
    seeds = dist.StudentT(tail + 1, mean, scale)
    numpyro.factor("runs", data["evidence"] * seeds.log_prob(data["log_risk"]).sum())
    for name, value in {
        "log_curve": log_risk,
        "log_floor": log_floor,
        "exponents": exponents,
        "own_bends_drawn": own,
        "last_shared_slope": shared_slopes[-1],
        "shared_bends": data["integral"] @ shared_slopes,
        "seed_noises": seed_noise,
    }.items():
        numpyro.deterministic(name, value)


def _of_rows(name: str, effects: str, data: Any, shape: CurveShape, priors: CurvePriors) -> Any:
    """Return what each run's training rows do to it, ``(run,)``, where candidates share them.

    Half centred: such effects are known well where many candidates share rows, else hardly.
    """
    import numpyro
    import numpyro.distributions as dist

    scale: Any = numpyro.sample(name, priors.of(name))
    half = jnp.sqrt(scale)
    each: Any = numpyro.sample(effects, dist.Normal(0, half).expand([shape.pairs]).to_event(1))
    return half * each[data["pair"]] * data["is_paired"]


def _theory(data: Any, shape: CurveShape, priors: CurvePriors, exponent: Any, log_risk: Any) -> Any:
    """Tie floors and costs to errors; return which share of risks more data would remove.

    Costs follow from the errors, floors from the risks at the end and the costs, and slacks from
    the floors: each then moves about as freely as the runs leave it.
    """
    import numpyro
    import numpyro.distributions as dist

    top, least, k = data["top_error"], data["least"], shape.candidates
    noise = least * jnp.exp(-1.0 * numpyro.sample("noise_depth", priors.of("noise_depth")))
    estimation = numpyro.sample("estimation_share", priors.of("estimation_share"))
    free = dist.ImproperUniform(dist.constraints.real_vector, (), (k,))
    shown = data["log_error_centre"] + 0.1 * numpyro.sample("moved_error", free)  # at the end
    log_error = shown - 0.5 * jnp.log1p(estimation)  # in the limit
    away = (log_error - data["log_error_centre"]) / 1.5
    numpyro.factor("near_errors", -0.5 * (away**2).sum())
    errors = jnp.where(data["exact"], 0.0, jnp.exp(log_error))  # over the largest one
    if shape.elicited:
        truth = numpyro.sample("data_error", dist.HalfNormal(1.5))
        kernel = dist.Normal(data["elicited"] / top, data["elicited_width"] / top)
        told = jax.scipy.special.logsumexp(kernel.log_prob(truth))
        numpyro.factor("told", told - dist.HalfNormal(1.5).log_prob(truth))
    else:
        truth = numpyro.sample("data_error", priors.of("data_error"))
    expected = noise + shape.weight * top**2 * (truth - errors) ** 2
    costs = [
        data["cost_unit"] * numpyro.sample(name, priors.of("sampling_cost"))
        for name in ("cost_sym", "cost_asym")
    ]
    deviation = numpyro.sample(
        "cost_deviation", priors.of("cost_deviation").expand([k]).to_event(1)
    )
    cost = (costs[0] + costs[1] * errors**2) * jnp.exp(deviation)
    risk = jnp.exp(log_risk)
    floor = risk[:, -1] - cost
    numpyro.factor("below", jnp.where(floor > 0, 0.0, _IMPOSSIBLE).sum())
    share = jnp.clip(1 - floor[:, None] / risk, _LEAST_SHARE, 1 - _LEAST_SHARE)
    slack = (floor - expected) / least
    spread = numpyro.sample("slack_spread", priors.of("slack_spread"))
    numpyro.factor("slacks", (priors.of("slack").log_prob(slack / spread) - jnp.log(spread)).sum())
    scatter = numpyro.sample("error_noise", priors.of("error_noise"))
    together = _of_rows("shared_error_noise", "half_pair_error", data, shape, priors)
    decayed = jnp.exp(-exponent * data["error_ahead"])
    grown = 0.5 * jnp.log1p(estimation * decayed) + jnp.sqrt(decayed) * together
    measured = dist.Normal(
        log_error[data["candidate"]] + grown,
        jnp.hypot(jnp.sqrt(decayed) * scatter, data["log_error_se"]),
    )
    seen = jnp.where(data["error_seen"], measured.log_prob(data["log_error"]), 0.0)
    numpyro.factor("measured_errors", data["evidence"] * seen.sum())
    numpyro.deterministic("errors", errors * top)
    numpyro.deterministic("truth", truth * top)
    numpyro.deterministic("asymmetric_cost", costs[1])
    numpyro.deterministic("symmetric_cost", costs[0])
    numpyro.deterministic("noise", noise)
    return share


_STARTS = {
    "exponent": 0.8,
    "exponent_spread": 0.2,
    "shared_bend": 0.1,
    "own_bend": 0.3,
    "shared_turn": 0.5,
    "own_turn": 0.5,
    "floor": -1.0,
    "floor_spread": 1.0,
    "seed_noise": 0.1,
    "seed_noise_spread": 0.5,
    "shared_seed_noise": 0.05,
    "least_noise": 0.02,
    "tail": 10.0,
    "noise_depth": 0.5,
    "data_error": 0.7,
    "cost_sym": 1.0,
    "cost_asym": 1.0,
    "estimation_share": 0.1,
    "error_noise": 0.1,
    "shared_error_noise": 0.05,
    "slack_spread": 0.003,
}


_OF_THEORY = ("noise_depth", "data_error", "cost_sym", "cost_asym", "exponent")
_OF_FLOORS = ("depth", "exponent_white", "exponent")
"""Parameters that trade off against each other: their mass matrix is dense."""


def _start(shape: CurveShape) -> dict[str, Any]:
    """Return values from which chains start: looking for them takes as long to compile as NUTS."""
    k, j = shape.candidates, shape.nodes
    arrays = {
        "moved": jnp.zeros((k, j)),
        "depth": jnp.ones(k),
        "exponent_white": jnp.zeros(k),
        "shared_white": jnp.zeros(j),
        "noise_white": jnp.zeros(k),
        "half_pair": jnp.zeros(shape.pairs),
        "half_pair_error": jnp.zeros(shape.pairs),
        "moved_error": jnp.zeros(k),
        "cost_deviation": jnp.zeros(k),
    }
    return {name: jnp.asarray(v) for name, v in _STARTS.items()} | arrays


@lru_cache(maxsize=16)
def compiled_chains(
    shape: CurveShape, priors: CurvePriors, num_warmup: int, num_samples: int, num_chains: int
) -> Any:
    """Return one jitted run of all chains as a function of a key and the data."""
    from numpyro.infer import init_to_value

    dense = [_OF_THEORY if shape.structured else _OF_FLOORS]
    return jitted_chains(
        curve_model,
        shape,
        priors,
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        target_accept_prob=0.8 if shape.structured else 0.95,
        max_tree_depth=9,
        dense_mass=dense,
        init_strategy=init_to_value(values=_start(shape)),
    )
