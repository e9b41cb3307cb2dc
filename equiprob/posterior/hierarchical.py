"""How do transformations differ, when each was seen on the same few rows?

A crossed table ``v_ij`` (row i, transformation j) has two random effects. The rows' mean has the
row posterior; relative to it, the transformations' means are

    y_j = mu_j + tau b_j + s eps_j,    b_j, eps_j ~ N(0, 1),

with ``s`` the standard error that the rows leave after their common level is taken off, and
``mu_j`` a constant or, where asked, a smooth curve in the magnitude. NUTS samples the few shared
parameters with the effects integrated out (an approximation such as mean-field collapses here);
the effects follow in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.posterior.chains import one_after_another
from equiprob.posterior.sampler_settings import check_chains, check_prior

__all__ = ["Hierarchical"]


def __dir__() -> list[str]:
    return list(__all__)


_FEWEST_TRANSFORMS = 4
_CURVES = 4
"""Cosines that a smooth profile is made of, besides its level."""

_LEAST_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class TransformEffects:
    """Draws of the transformations' squared errors relative to the rows' mean.

    Args:
        mean: Of the law of the transformations, ``(draw,)``.
        each: Of the transformations evaluated, ``(draw, transformation)``.
        facts: ``r_hat`` (the largest), ``ess`` (the smallest), ``n_divergences``, and ``n_chains``,
            of which the draws are, one after another.
    """

    mean: Array
    each: Array
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Sampled:
    """Draws of a model's parameters by name, and how well the chains mixed.

    Args:
        draws: ``mu`` and ``tau`` ``(draw,)``, ``slopes`` ``(draw, curve)``, ``each`` ``(draw,
            transformation)``.
        facts: ``r_hat`` (the largest), ``ess`` (the smallest), ``n_divergences``.
    """

    draws: dict[str, Array]
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchical:
    """A hierarchical model of the transformations of a crossed design, sampled by NUTS.

    Pass it as ``ModelEquivarianceError(posterior=Hierarchical())``.

    Args:
        smooth: Whether the error is a smooth curve in the magnitude of the transformation, up to
            effects of single transformations.
        spread: Prior of the standard deviation tau of the effects, relative to the mean squared
            error: a ``numpyro.distributions.Distribution``; half-normal of scale 1 when left out.
        num_warmup: Warm-up steps of each chain.
        num_samples: Samples of each chain.
        num_chains: Chains.

    References:
        Hoffman & Gelman, "The No-U-Turn sampler", JMLR 2014.
    """

    smooth: bool = False
    spread: Any = field(default=None)
    num_warmup: int = 500
    num_samples: int = 1000
    num_chains: int = 4

    def __post_init__(self) -> None:
        """Check the prior and the lengths of chains."""
        check_fields(self)
        check_prior("spread", self.spread)
        check_chains(self)

    def effects(self, each: Array, place: Array, *, n_draws: int, seed: int) -> TransformEffects:
        """Fit the transformations of a crossed table.

        Args:
            each: Squared errors by independent unit, ``(unit, transformation)``.
            place: Share of the law that is smaller than each transformation, ``(transformation,)``.
            n_draws: How many draws.
            seed: Seed of the chains.

        Raises:
            ValueError: If there are fewer than four transformations, or no error at all.
        """
        n, m = each.shape
        mean = each.mean()
        if m < _FEWEST_TRANSFORMS or mean <= 0:
            raise ValueError(
                f"a hierarchical posterior needs at least {_FEWEST_TRANSFORMS} transformations and "
                f"an error above 0, got {m} transformations with mean square {mean:.3g}; leave "
                f"posterior out"
            )
        relative = each.mean(axis=0) / mean
        residual = each / mean - (each.mean(axis=1) / mean)[:, None] * relative
        noise = np.sqrt((residual**2).sum() / max((n - 1) * (m - 1), 1) / n)
        noise = max(float(noise), _LEAST_NOISE)
        sampled = self.sample(relative, noise, self.curves(place), n_draws=n_draws, seed=seed)
        mean, each_drawn = sampled.draws["mu"], sampled.draws["each"]
        return TransformEffects(np.maximum(mean, 0.0), np.maximum(each_drawn, 0.0), sampled.facts)

    def curves(self, place: Array) -> Array:
        """Return the smooth curves ``(transformation, curve)``; none unless `smooth`.

        Cosines of the place in the law have mean zero over the law, so that ``mu`` is its mean,
        whichever transformations were listed.
        """
        if not self.smooth:
            return np.zeros((len(place), 0))
        return np.cos(np.pi * np.arange(1, _CURVES + 1) * place[:, None])

    def sample(
        self, relative: Array, noise: float, curves: Array, *, n_draws: int, seed: int
    ) -> Sampled:
        """Sample the model itself, given the transformations' relative means.

        Args:
            relative: ``y_j``, ``(transformation,)``.
            noise: Their standard error ``s``.
            curves: As `curves` returns them.
            n_draws: How many draws.
            seed: Seed of the chains.
        """
        run = _compiled(self.num_warmup, self.num_samples, self.num_chains, self.spread)
        samples, diverging = run(jax.random.key(seed), relative, noise, curves)
        samples = {name: np.asarray(v, np.float64) for name, v in samples.items()}
        facts = _convergence(samples, np.asarray(diverging))
        draws, facts["n_chains"] = one_after_another(samples, n_draws)
        generator = np.random.default_rng([seed, 3])
        expected = draws["mu"][:, None] + draws["slopes"] @ curves.T
        keep = (draws["tau"] ** 2 / (draws["tau"] ** 2 + noise**2))[:, None]
        drawn = expected + keep * (relative - expected)
        drawn = drawn + noise * np.sqrt(keep) * generator.standard_normal(drawn.shape)
        return Sampled(draws | {"each": drawn}, facts)


def _model(relative: Any, noise: Any, curves: Any, spread: Any) -> None:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    mu = numpyro.sample("mu", dist.Normal(1.0, 1.0))
    tau = numpyro.sample("tau", dist.HalfNormal(1.0) if spread is None else spread)
    k = curves.shape[1]
    slopes = numpyro.sample("slopes", dist.Normal(0.0, 1.0).expand([k]).to_event(1))
    scale = jnp.sqrt(tau**2 + noise**2)
    numpyro.sample("relative", dist.Normal(mu + curves @ slopes, scale), obs=relative)


@lru_cache(maxsize=8)
def _compiled(num_warmup: int, num_samples: int, num_chains: int, spread: Any) -> Any:
    """Return one jitted run of all chains as a function of the data: a second fit is quick."""
    from numpyro.infer import MCMC, NUTS

    @jax.jit
    def run(key: Any, relative: Any, noise: Any, curves: Any) -> tuple[Any, Any]:
        chains = MCMC(
            NUTS(_model),
            num_warmup=num_warmup,
            num_samples=num_samples,
            num_chains=num_chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        chains.run(key, relative, noise, curves, spread, extra_fields=("diverging",))
        return chains.get_samples(group_by_chain=True), chains.get_extra_fields()["diverging"]

    return run


def _convergence(samples: dict[str, Array], diverging: NDArray[np.bool_]) -> dict[str, float]:
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

    present = [v for v in samples.values() if v.size]
    return {
        "r_hat": float(max(np.max(split_gelman_rubin(v)) for v in present)),
        "ess": float(min(np.min(effective_sample_size(v)) for v in present)),
        "n_divergences": int(diverging.sum()),
    }
