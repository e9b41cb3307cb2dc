"""How is a NumPyro model sampled, so that a second fit of one shape is quick?

``MCMC.run`` alone traces and compiles the model anew each time. Here a whole run of all chains is
one jitted function of a key and of the data; callers keep it in a cache, by what it depends on
besides numbers.

Chains with many correlated parameters run in rounds: the draws of all chains so far whiten the
coordinates of the next round, a dense mass matrix that costs one product of matrices a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

Draws = Mapping[str, Array]
"""By name, ``(chain, draw, ...)``."""

MOST_R_HAT = 1.01
"""With a larger R-hat chains count as not converged."""

_LEAST_ROUNDS, _MOST_ROUNDS = 4, 10
_FIRST_STEP = 0.1
_PSEUDO_DRAWS = 20
_APART = 0.1
"""How far from where chains start they are spread, in unconstrained coordinates."""


def jitted_chains(
    model: Callable[..., None],
    *static: Any,
    num_warmup: int,
    num_samples: int,
    num_chains: int,
    **options: Any,
) -> Any:
    """Return ``run(key, data) -> (samples (chain, draw, ...), diverging)``, compiled once.

    Args:
        model: ``model(data, *static)``, which states a NumPyro model.
        static: What the model depends on besides numbers.
        num_warmup: Warm-up steps of each chain.
        num_samples: Samples of each chain.
        num_chains: Chains.
        **options: Of ``numpyro.infer.NUTS``.
    """
    from numpyro.infer import MCMC, NUTS

    @jax.jit
    def run(key: Any, data: Any) -> tuple[Any, Any]:
        chains = MCMC(
            NUTS(model, **options),
            num_warmup=num_warmup,
            num_samples=num_samples,
            num_chains=num_chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        chains.run(key, data, *static, extra_fields=("diverging",))
        return chains.get_samples(group_by_chain=True), chains.get_extra_fields()["diverging"]

    return run


class Drawn(NamedTuple):
    """What chains in rounds give.

    Args:
        draws: By name, ``(chain, draw, ...)``.
        convergence: Their R-hat and effective sample size, as `convergence` returns them.
        n_divergences: Divergent steps among them.
        n_rounds: Rounds run, of which the first quarter is dropped.
    """

    draws: Draws
    convergence: dict[str, dict[str, float]]
    n_divergences: int
    n_rounds: int


def chains_in_rounds(
    model: Callable[..., None],
    *static: Any,
    start: Mapping[str, Any],
    num_warmup: int,
    num_samples: int,
    num_chains: int,
    **options: Any,
) -> Callable[..., Drawn]:
    """Return ``sample(key, data, read)``, which runs chains until they agree, or long enough.

    Four rounds at least, ten at most, until the split R-hat of all but the first quarter
    is at most `MOST_R_HAT` in all that ``read`` makes of the samples, by name: what users are
    shown. Other parameters may mix more slowly.

    Args:
        model: ``model(data, *static)``, which states a NumPyro model.
        static: What the model depends on besides numbers.
        start: Values of all its parameters, near which chains start; others are passed over.
        num_warmup: Warm-up steps of each chain and round.
        num_samples: Samples of each chain and round.
        num_chains: Chains.
        **options: Of ``numpyro.infer.NUTS``.
    """
    from jax.flatten_util import ravel_pytree
    from numpyro.handlers import seed, substitute, trace
    from numpyro.infer import MCMC, NUTS
    from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

    def free(data: Any) -> Any:
        stated = trace(substitute(seed(model, 0), dict(start))).get_trace(data, *static)
        used = {name: value for name, value in start.items() if name in stated}
        return unconstrain_fn(model, (data, *static), {}, used)

    def shaped(flat: Any, data: Any) -> Any:
        blank = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(free, data))
        return ravel_pytree(blank)[1](flat)

    @jax.jit
    def origin(data: Any) -> Any:
        return ravel_pytree(free(data))[0]

    @jax.jit
    def one_round(key: Any, data: Any, centre: Any, root: Any, first: Any) -> tuple[Any, Any]:
        def energy(white: Any) -> Any:
            parameters = shaped(centre + root @ white, data)
            return potential_energy(model, (data, *static), {}, parameters)

        chains = MCMC(
            NUTS(potential_fn=energy, **options),
            num_warmup=num_warmup,
            num_samples=num_samples,
            num_chains=num_chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        chains.run(key, init_params=first, extra_fields=("diverging",))
        white = chains.get_samples(group_by_chain=True)
        return centre + white @ root.T, chains.get_extra_fields()["diverging"].sum()

    @jax.jit
    def named(flat: Any, data: Any) -> dict[str, Any]:
        def one(point: Any) -> Any:
            parameters = shaped(point, data)
            return constrain_fn(model, (data, *static), {}, parameters, return_deterministic=True)

        return jax.vmap(jax.vmap(one))(flat)

    def sample(key: Any, data: Any, read: Callable[[dict[str, Array]], Draws]) -> Drawn:
        centre = origin(data)
        root = _FIRST_STEP * jnp.eye(len(centre))
        key, apart = jax.random.split(key)
        first = _APART / _FIRST_STEP * jax.random.normal(apart, (num_chains, len(centre)))
        rounds: list[dict[str, Array]] = []
        divergent: list[int] = []
        while True:
            key, now = jax.random.split(key)
            flat, diverging = one_round(now, data, centre, root, first)
            rounds.append(jax.device_get(named(flat, data)))
            divergent.append(int(diverging))
            kept = len(rounds) - max(1, len(rounds) // 4)
            draws = read(_joined(rounds[-kept:]))
            mixed = convergence(draws)
            agree = max(mixed["r_hat"].values()) <= MOST_R_HAT
            if (agree and len(rounds) >= _LEAST_ROUNDS) or len(rounds) == _MOST_ROUNDS:
                return Drawn(draws, mixed, sum(divergent[-kept:]), len(rounds))
            centre, root, first = _whitened(np.asarray(flat, dtype=np.float64))

    return sample


def _joined(rounds: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([r[name] for r in rounds], axis=1) for name in rounds[0]}


def _whitened(flat: Array) -> tuple[Any, Any, Any]:
    """Return the centre and the root of the covariance of draws, and where chains go on."""
    pooled = flat.reshape(-1, flat.shape[-1])
    centre, scale = pooled.mean(axis=0), np.maximum(pooled.std(axis=0), 1e-8)
    standard = (pooled - centre) / scale
    share = 1 / (1 + len(pooled) / _PSEUDO_DRAWS)
    correlation = (1 - share) * (standard.T @ standard) / len(pooled)
    root = scale[:, None] * np.linalg.cholesky(correlation + share * np.eye(len(scale)))
    first = np.linalg.solve(root, (flat[:, -1] - centre).T).T
    return jnp.asarray(centre), jnp.asarray(root), jnp.asarray(first)


def convergence(draws: Mapping[str, Array]) -> dict[str, dict[str, float]]:
    """Return the largest R-hat and the least effective sample size of each kind of draws.

    Args:
        draws: By name, ``(chain, draw, ...)``.

    Returns:
        ``r_hat`` and ``ess``, each by name; what does not move has neither.
    """
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    r_hat, ess = {}, {}
    for name, values in draws.items():
        flat = values.reshape(*values.shape[:2], -1)
        moving = flat[:, :, np.ptp(flat, axis=(0, 1)) > 0]
        if moving.size:
            r_hat[name] = float(np.max(split_gelman_rubin(moving)))
            ess[name] = float(np.min(effective_sample_size(moving)))
    return {"r_hat": r_hat, "ess": ess}


def one_after_another(draws: Mapping[str, Array], n_draws: int) -> tuple[dict[str, Array], int]:
    """Return `n_draws` draws, evenly spaced, one chain after another, and of how many chains.

    In their order they still tell how much they depend on each other. Chains are as many as
    `n_draws` can be shared among equally.

    Args:
        draws: By name, ``(chain, draw, ...)``.
        n_draws: How many to return, ``(draw, ...)``.
    """
    available, length = next(iter(draws.values())).shape[:2]
    n_chains = max(k for k in range(1, available + 1) if n_draws % k == 0)
    size = n_draws // n_chains
    place = np.arange(size) * length // size
    taken = {name: v[:n_chains, place].reshape(n_draws, *v.shape[2:]) for name, v in draws.items()}
    return taken, n_chains
