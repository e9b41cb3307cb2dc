"""Chains in rounds sample what the model states, however correlated.

Means and variances are within five of their own standard errors: false failures once in a million.
"""

from functools import cache

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from equiprob.posterior.chains import MOST_R_HAT, chains_in_rounds, convergence

WIDE, NARROW = 3.0, 0.01


def ridge_of_two_scales(data):
    """State two numbers whose sum is known well and whose difference hardly."""
    a = numpyro.sample("a", dist.Normal(0, 100))
    b = numpyro.sample("b", dist.Normal(0, 100))
    numpyro.factor("sum", dist.Normal(data["sum"], NARROW).log_prob(a + b))
    numpyro.factor("difference", dist.Normal(0.0, WIDE).log_prob(a - b))
    numpyro.sample("scale", dist.LogNormal(0, 1))


@cache
def compiled():
    return chains_in_rounds(
        ridge_of_two_scales,
        start={"a": 0.0, "b": 0.0, "scale": 1.0, "of_another_model": 0.0},
        num_warmup=100,
        num_samples=200,
        num_chains=4,
    )


def drawn(total):
    return compiled()(jax.random.key(0), {"sum": total}, dict)


def within(values, mean, ess):
    return abs(values.mean() - mean) < 5 * values.std() / np.sqrt(ess)


def test_a_narrow_ridge_is_sampled_to_its_ends():
    samples, found, n_divergences, n_rounds = drawn(2.0)
    assert n_divergences == 0
    assert 4 <= n_rounds <= 10
    assert set(samples) == {"a", "b", "scale"}
    assert max(found["r_hat"].values()) <= MOST_R_HAT
    apart = np.asarray(samples["a"] - samples["b"], dtype=np.float64)
    found = convergence({"apart": apart})
    ess = found["ess"]["apart"]
    assert found["r_hat"]["apart"] < MOST_R_HAT
    assert ess > 400
    assert within(apart, 0.0, ess)
    assert within(apart**2, WIDE**2, ess / 2)
    assert not within(apart**2, (WIDE / 2) ** 2, ess / 2)  # the twin
    total = np.asarray(samples["a"] + samples["b"], dtype=np.float64)
    assert within(total, 2.0, ess)
    assert 0.5 * NARROW < total.std() < 2 * NARROW
    again = drawn(2.0).draws
    assert all(np.array_equal(samples[name], again[name]) for name in samples)
    elsewhere = drawn(5.0).draws
    assert within(np.asarray(elsewhere["a"] + elsewhere["b"], dtype=np.float64), 5.0, 400)


def test_chains_that_do_not_agree_run_to_the_last_round(monkeypatch):
    monkeypatch.setattr("equiprob.posterior.chains.MOST_R_HAT", 0.5)
    assert drawn(2.0).n_rounds == 10
