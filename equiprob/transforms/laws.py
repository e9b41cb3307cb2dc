"""How does a user's probability law turn uniform numbers into parameters?

Quasi-random designs need a quantile function. NumPyro distributions have one (``icdf``) for many
families and not for some common ones, for which SciPy's ``ppf`` stands in. A law with neither is
sampled, and the orbit table records that its transformations are random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.transforms.law import Parameters

Quantile = Callable[[np.ndarray], np.ndarray]
Sampler = Callable[[np.random.Generator, int], np.ndarray]


def _scipy_quantile(law: Any) -> Quantile | None:
    """Return SciPy's quantile function for the NumPyro families that lack one of their own."""
    from scipy import stats

    get = lambda *names: [np.asarray(getattr(law, name), dtype=np.float64) for name in names]  # noqa: E731
    match type(law).__name__:
        case "Gamma":
            shape, rate = get("concentration", "rate")
            frozen = stats.gamma(shape, scale=1 / rate)
        case "Beta":
            frozen = stats.beta(*get("concentration1", "concentration0"))
        case "StudentT":
            df, loc, scale = get("df", "loc", "scale")
            frozen = stats.t(df, loc, scale)
        case "VonMises":
            loc, concentration = get("loc", "concentration")
            frozen = stats.vonmises(concentration, loc)
        case _:
            return None
    return frozen.ppf


def quantile_function(law: Any) -> Quantile | None:
    """Return the quantile function of a scalar NumPyro distribution, in float64, or None.

    Args:
        law: A ``numpyro.distributions.Distribution`` with scalar draws.

    Raises:
        ValueError: If `law` is not a distribution, or its draws are not scalars.
    """
    if not (hasattr(law, "icdf") and hasattr(law, "sample")):
        raise ValueError(
            f"law must be a scalar numpyro Distribution, got {type(law).__name__}; a function that "
            f"samples belongs in ep.transforms.from_functions"
        )
    if getattr(law, "event_shape", ()) or getattr(law, "batch_shape", ()):
        raise ValueError(
            f"law must have scalar draws, got batch_shape {law.batch_shape} and event_shape "
            f"{law.event_shape}; pass one scalar distribution"
        )
    try:
        with jax.enable_x64(True):
            law.icdf(jnp.asarray(0.5))
    except (NotImplementedError, ImportError):
        return _scipy_quantile(law)

    compiled = jax.jit(law.icdf)

    def quantile(u: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(compiled(jnp.asarray(u, dtype=jnp.float64)), dtype=np.float64)

    return quantile


def sampler(law: Any) -> Sampler:
    """Return a function that draws `n` parameters ``(n, 1)`` of `law` from a NumPy generator."""
    compiled = jax.jit(lambda key, n: law.sample(key, (n,)), static_argnums=1)

    def draw(generator: np.random.Generator, n: int) -> Parameters:
        with jax.enable_x64(True):
            key = jax.random.key(int(generator.integers(2**32)))
            return np.asarray(compiled(key, n), dtype=np.float64)[:, None]

    return draw
