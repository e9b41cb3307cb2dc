"""How does a user's probability law turn uniform numbers into parameters?

Quasi-random designs need a quantile function. NumPyro distributions have one (``icdf``) for many
families and not for some common ones, for which SciPy's ``ppf`` stands in. The two simplest are
written out, as a compiled one takes a tenth of a second for each law. A law with none is sampled,
and the orbit table records that its transformations are random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from equiprob.transforms.law import Parameters

Quantile = Callable[[np.ndarray], np.ndarray]
Sampler = Callable[[np.random.Generator, int], np.ndarray]


def _numbers(law: Any, *names: str) -> list[np.ndarray]:
    return [np.asarray(getattr(law, name), dtype=np.float64) for name in names]


def _plain_quantile(law: Any) -> Quantile | None:
    """Return the quantile function of the two simplest of NumPyro's families, or None."""
    match type(law).__name__:
        case "Uniform":
            low, high = _numbers(law, "low", "high")
            return lambda u: low + (high - low) * u
        case "Normal":
            loc, scale = _numbers(law, "loc", "scale")
            return lambda u: loc + scale * special.ndtri(u)
    return None


def _scipy_quantile(law: Any) -> Quantile | None:
    """Return SciPy's quantile function for the NumPyro families that lack one of their own."""
    from scipy import stats

    match type(law).__name__:
        case "Gamma":
            shape, rate = _numbers(law, "concentration", "rate")
            frozen = stats.gamma(shape, scale=1 / rate)
        case "Beta":
            frozen = stats.beta(*_numbers(law, "concentration1", "concentration0"))
        case "StudentT":
            df, loc, scale = _numbers(law, "df", "loc", "scale")
            frozen = stats.t(df, loc, scale)
        case "VonMises":
            loc, concentration = _numbers(law, "loc", "concentration")
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
    is_numpyros = type(law).__module__.startswith("numpyro.")
    if is_numpyros and (plain := _plain_quantile(law)) is not None:
        return plain
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
