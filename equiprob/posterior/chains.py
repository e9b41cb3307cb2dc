"""How is a NumPyro model sampled, so that a second fit of one shape is quick?

``MCMC.run`` alone traces and compiles the model anew each time. Here a whole run of all chains is
one jitted function of a key and of the data; callers keep it in a cache, by what it depends on
besides numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOST_R_HAT = 1.01
"""With a larger R-hat chains count as not converged."""


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


def flattened(draws: Mapping[str, Array], n_draws: int, seed: int) -> dict[str, Array]:
    """Return `n_draws` draws of all chains together, in random order, the same for every name."""
    first = next(iter(draws.values()))
    total = first.shape[0] * first.shape[1]
    order = np.random.default_rng([seed, 3]).permutation(np.resize(np.arange(total), n_draws))
    return {name: v.reshape(total, *v.shape[2:])[order] for name, v in draws.items()}
