"""How do risks depend on the sample size, the candidate and its symmetry?

    R_k(n) = floor_k + x_k (n / n_end)^(-alpha_k) exp(b(n) + b_k(n))

with bends ``b`` of all candidates and ``b_k`` of each, whose slopes in log n fade over half a
decade. Where errors are given, the theory ties floors and costs to them,

    floor_k = sigma^2 + a (e* - e_k)^2 + slack_k,    x_k = (C_sym + C_asym (e_k / e_ref)^2) exp(d_k)

and the exponent is common: slacks, bends and deviations are then small, and sampled as they are.
Without errors the runs say more of the risks than the model does: there the sampler moves the risks
at the observed sizes, and bends follow from them, with the Jacobian of that change. Either way the
other choice leaves narrow curved ridges, on which NUTS takes far more steps.

References:
    Petrache & Trivedi, NeurIPS 2023; Viering & Loog, "The shape of learning curves: a review",
    IEEE TPAMI 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.levels.curve_data import TYPICAL_EXPONENT, CurveShape
from equiprob.levels.curve_priors import CurvePriors
from equiprob.posterior.chains import chains_in_rounds

Array = NDArray[np.float64]

_LEAST_SHARE = 1e-6
_LEAST_FLOOR = 1e-6
_IMPOSSIBLE = -1e6


class _Curves(NamedTuple):
    """Expected risks at the nodes.

    Args:
        log_risk: ``(candidate, node)``.
        share: Which share of them more data would remove, ``(candidate, node)``.
    """

    log_risk: Any
    share: Any


def curve_model(data: Any, shape: CurveShape, priors: CurvePriors) -> None:
    """State the model in NumPyro."""
    import numpyro

    def draw(name: str) -> Any:
        return numpyro.sample(name, priors.of(name))

    ending = "_from_theory" if shape.structured else ""
    exponent, shared_bend = (
        numpyro.sample(name, priors.of(name + ending)) for name in ("exponent", "shared_bend")
    )
    shared_slopes = shared_bend * (data["root"] @ _white("shared_white", shape.nodes))
    shared_bends = data["integral"] @ shared_slopes
    for name in ("shared_turn", "own_turn"):  # of the future: no run speaks of them
        draw(name)
    curves = (_tied if shape.structured else _free)(data, shape, priors, exponent, shared_bends)
    numpyro.deterministic("last_shared_slope", shared_slopes[-1])
    numpyro.deterministic("shared_bends", shared_bends)

    noise_white = _white("noise_white", shape.candidates)
    seed_noise = jnp.exp(jnp.log(draw("seed_noise")) + draw("seed_noise_spread") * noise_white)
    together = _of_rows("shared_seed_noise", "half_pair", data, shape, priors)
    least, tail = draw("least_noise"), draw("tail")
    c, left, w = data["candidate"], data["left"], data["right_share"]
    at, shares = ((1 - w) * v[c, left] + w * v[c, left + 1] for v in curves)
    scale = jnp.sqrt((seed_noise[c] * shares) ** 2 + least**2 + data["log_risk_se"] ** 2)
    away = (data["log_risk"] - at - shares * together) / scale
    numpyro.factor("runs", data["evidence"] * (_student(away, tail + 1) - jnp.log(scale)).sum())
    numpyro.deterministic("log_curve", curves.log_risk)
    numpyro.deterministic("seed_noises", seed_noise)


def _student(away: Any, freedom: Any) -> Any:
    """Return the log density of Student's t; NumPyro's evaluates gamma functions for each run."""
    half = freedom / 2
    lgamma = jax.scipy.special.gammaln
    constant = lgamma(half + 0.5) - lgamma(half) - 0.5 * jnp.log(jnp.pi * freedom)
    return constant - (half + 0.5) * jnp.log1p(away**2 / freedom)


def _white(name: str, *size: int) -> Any:
    import numpyro
    import numpyro.distributions as dist

    return numpyro.sample(name, dist.Normal(0, 1).expand(size).to_event(len(size)))


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


def _free(
    data: Any, shape: CurveShape, priors: CurvePriors, exponent: Any, shared_bends: Any
) -> _Curves:
    """Move the risks themselves; floors lie below them, and bends are what is left."""
    import numpyro
    import numpyro.distributions as dist

    def draw(name: str) -> Any:
        return numpyro.sample(name, priors.of(name))

    k, j = shape.candidates, shape.nodes
    exponents = exponent * jnp.exp(draw("exponent_spread") * _white("exponent_white", k))
    free = dist.ImproperUniform(dist.constraints.real_matrix, (), (k, j))
    log_risk = data["level"] + data["scale"] * numpyro.sample("moved", free)
    away = (log_risk[:, -1] - data["level"][:, -1]) / 1.5
    numpyro.factor("levels", -0.5 * (away**2).sum())
    depth = numpyro.sample("depth", dist.LogNormal(0.0, 1.5).expand([k]).to_event(1))
    log_floor = jnp.min(log_risk, axis=1) - depth
    numpyro.factor("depth_is_free", -dist.LogNormal(0.0, 1.5).log_prob(depth).sum())
    share = -jnp.expm1(log_floor[:, None] - log_risk)
    typical, spread = draw("floor"), draw("floor_spread")
    relative = log_floor - jnp.log(data["least"])
    numpyro.factor("floors", dist.Normal(typical, spread).log_prob(relative).sum())
    log_excess = log_risk + jnp.log(share)
    bends = log_excess - log_excess[:, -1:] - exponents[:, None] * data["ahead"]
    own = bends - shared_bends
    told = dist.Normal(0, draw("own_bend")).log_prob(own[:, :-1] @ data["whiten"].T).sum()
    numpyro.factor("own_bends", told - jnp.log(share[:, :-1]).sum())
    _state(log_floor=log_floor, exponents=exponents, own_bends_drawn=own)
    return _Curves(log_risk, share)


def _tied(
    data: Any, shape: CurveShape, priors: CurvePriors, exponent: Any, shared_bends: Any
) -> _Curves:
    """Tie floors and costs to errors, up to slacks, bends and deviations."""
    import numpyro

    def each(name: str, prior: str, *size: int) -> Any:
        return numpyro.sample(name, priors.of(prior).expand(size).to_event(len(size)))

    top, least, k = data["top_error"], data["least"], shape.candidates
    errors = _errors(data, shape, priors, exponent)
    truth = _data_error(data, shape, priors)
    # Runs determine the fall of risks, so that costs go with the exponent, and the noise with them.
    span = data["ahead"][0]
    decayed = jnp.expm1(TYPICAL_EXPONENT * span) / jnp.expm1(exponent * span)
    costs = [
        data["cost_unit"] * _moved(name, priors.of("sampling_cost"), decayed)
        for name in ("cost_sym", "cost_asym")
    ]
    depth = _moved("noise_depth", priors.of("noise_depth"), (costs[0] + costs[1]) / least)
    noise = least * jnp.exp(-depth)
    spread = numpyro.sample("slack_spread", priors.of("slack_spread"))
    slack = least * spread * each("slack", "slack", k)
    floor = noise + shape.weight * top**2 * (truth - errors) ** 2 + slack
    numpyro.factor("above_zero", jnp.where(floor > 0, 0.0, _IMPOSSIBLE).sum())
    floor = jnp.maximum(floor, _LEAST_FLOOR * least)
    cost = (costs[0] + costs[1] * errors**2) * jnp.exp(each("cost_deviation", "cost_deviation", k))
    white = each("own_white", "bend_from_theory", k, shape.nodes - 1)
    own = jnp.pad(white @ data["bend_root"].T, ((0, 0), (0, 1)))
    excess = cost[:, None] * jnp.exp(exponent * data["ahead"] + shared_bends + own)
    risk = floor[:, None] + excess
    _state(
        log_floor=jnp.log(floor),
        exponents=jnp.full(k, exponent),
        own_bends_drawn=own,
        errors=errors * top,
        truth=truth * top,
        symmetric_cost=costs[0],
        asymmetric_cost=costs[1],
        noise=noise,
    )
    return _Curves(jnp.log(risk), jnp.clip(excess / risk, _LEAST_SHARE, 1 - _LEAST_SHARE))


def _state(**values: Any) -> None:
    import numpyro

    for name, value in values.items():
        numpyro.deterministic(name, value)


def _moved(name: str, prior: Any, unit: Any) -> Any:
    """Return a positive parameter that the sampler sees in a unit that other parameters set."""
    import numpyro
    import numpyro.distributions as dist

    free = dist.ImproperUniform(dist.constraints.real, (), ())
    log_value: Any = jnp.log(unit) + numpyro.sample(f"moved_{name}", free)
    value = numpyro.deterministic(name, jnp.exp(log_value))
    numpyro.factor(f"prior_of_{name}", prior.log_prob(value) + log_value)
    return value


def _data_error(data: Any, shape: CurveShape, priors: CurvePriors) -> Any:
    """Return e* over the largest error observed."""
    import numpyro
    import numpyro.distributions as dist

    if not shape.elicited:
        return numpyro.sample("data_error", priors.of("data_error"))
    top, wide = data["top_error"], dist.HalfNormal(1.5)
    truth: Any = numpyro.sample("data_error", wide)
    kernel = dist.Normal(data["elicited"] / top, data["elicited_width"] / top)
    told = jax.scipy.special.logsumexp(kernel.log_prob(truth))
    numpyro.factor("told", told - wide.log_prob(truth))
    return truth


def _errors(data: Any, shape: CurveShape, priors: CurvePriors, exponent: Any) -> Any:
    """Return candidates' errors in the limit of many rows, over the largest one observed."""
    import numpyro
    import numpyro.distributions as dist

    estimation: Any = numpyro.sample("estimation_share", priors.of("estimation_share"))
    free = dist.ImproperUniform(dist.constraints.real_vector, (), (shape.candidates,))
    at_end = data["log_error_centre"] + 0.1 * numpyro.sample("moved_error", free)
    log_error = at_end - 0.5 * jnp.log1p(estimation)
    away = (log_error - data["log_error_centre"]) / 1.5
    numpyro.factor("near_errors", -0.5 * (away**2).sum())
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
    return jnp.where(data["exact"], 0.0, jnp.exp(log_error))


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
    "data_error": 0.7,
    "estimation_share": 0.1,
    "error_noise": 0.1,
    "shared_error_noise": 0.05,
    "slack_spread": 0.003,
}


def _start(shape: CurveShape) -> dict[str, Any]:
    """Return values near which chains start."""
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
        "slack": jnp.zeros(k),
        "own_white": jnp.zeros((k, j - 1)),
    }
    moved = {f"moved_{name}": jnp.zeros(()) for name in ("noise_depth", "cost_sym", "cost_asym")}
    return {name: jnp.asarray(v) for name, v in _STARTS.items()} | arrays | moved


@lru_cache(maxsize=16)
def compiled_chains(
    shape: CurveShape, priors: CurvePriors, num_warmup: int, num_samples: int, num_chains: int
) -> Any:
    """Return chains in rounds as a function of a key and the data."""
    return chains_in_rounds(
        curve_model,
        shape,
        priors,
        start=_start(shape),
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        # Without the theory floors are narrow where depths are small: steps must be shorter there.
        target_accept_prob=0.95 if shape.structured else 0.98,
        max_tree_depth=7 if shape.structured else 8,
    )


def named_draws(samples: Mapping[str, Array], data: Mapping[str, Any]) -> dict[str, Array]:
    """Return draws by the names that users read, ``(chain, draw, ...)``."""
    samples = {name: np.asarray(v, dtype=np.float64) for name, v in samples.items()}
    # Under the theory bends have heavy tails and no scale: their last slopes are as expected.
    own_bend = samples.get("own_bend", np.zeros_like(samples["own_turn"]))
    white = np.random.default_rng(7).normal(size=samples["exponents"].shape)
    last = np.asarray(data["last_slope"], dtype=np.float64)
    spread = own_bend[..., None] * float(data["last_spread"]) * white
    named = {
        "risk": np.exp(samples["log_curve"]),
        "floor": np.exp(samples["log_floor"]),
        "exponent": samples["exponents"],
        "common_exponent": samples["exponent"],
        "own_slope": samples["own_bends_drawn"][..., :-1] @ last + spread,
        "shared_slope": samples["last_shared_slope"],
        "shared_bend": samples["shared_bends"],
        "shared_bend_sd": samples["shared_bend"],
        "own_turn_sd": samples["own_turn"],
        "shared_turn_sd": np.maximum(samples["shared_bend"], samples["shared_turn"]),
        "seed_sd": samples["seed_noises"],
        "least_seed_sd": samples["least_noise"],
        "shared_seed_sd": samples["shared_seed_noise"],
        "seed_freedom": samples["tail"] + 1,
    }
    if "truth" in samples:
        named |= {
            "data_error": samples["truth"],
            "model_error": samples["errors"],
            "noise": samples["noise"],
            "symmetric_cost": samples["symmetric_cost"],
            "asymmetric_cost": samples["asymmetric_cost"],
            "estimation_share": samples["estimation_share"],
        }
    return named
