"""Models that are random: their noise is not asymmetry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import linear_task

TASK = linear_task(400)
FAST = ep.ModelEquivarianceError(n_draws=500)
SD = 0.3


def noisy(model, seed=0):
    generator = np.random.default_rng(seed)
    return lambda batch: model(batch) + SD * generator.normal(size=batch.shape)


def keyed(batch, keys):
    noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
    return jnp.asarray(batch) @ jnp.asarray(TASK.matrix) + SD * noise


def evaluate(predict, **kwargs):
    kwargs = {"n_transforms": 8, "noise_repeats": 3} | kwargs
    return ep.evaluate_orbits(predict, TASK.x, TASK.transform, **kwargs)


def test_noise_is_taken_off_the_error():
    table = evaluate(noisy(TASK.predict))
    squares = table.only.pair_sq
    error_of_mean = squares.std() / np.sqrt(len(squares))
    # Five standard errors: false failure 6e-7.
    assert abs(squares.mean() - TASK.error**2) < 5 * error_of_mean
    # Power: the noise of two means of three calls in two components, left in.
    assert 5 * error_of_mean < 2 * 2 * SD**2 / 3
    assert table.only.noise_sq.mean() == pytest.approx(2 * SD**2, rel=0.05)
    result = FAST.fit(table)
    low, high = result.interval(0.999).loc["error"]
    assert low < TASK.error < high
    assert Diagnostic.NOISE_REMOVED in result.diagnostics
    assert not result.is_exact
    assert "differ by" in str(result)


def test_an_exactly_equivariant_noisy_model_reads_near_zero():
    result = FAST.fit(evaluate(noisy(lambda b: 2 * b)))
    assert result.interval(0.999).loc["error", "ci_low"] == 0
    assert np.median(result.draws["error"]) < SD / 3
    assert not result.is_exact  # rounding is not what was looked at


def test_profiles_and_crossed_designs_are_corrected_too():
    table = evaluate(noisy(TASK.predict))
    bins = table.only.bin_sq.sum(axis=0) / table.only.bin_weight.sum(axis=0)
    turns = np.deg2rad(table.bin_magnitude)
    expected = 4 * np.sin(turns) ** 2 * TASK.asymmetry
    assert np.abs(bins - expected).max() < 0.5 * TASK.error**2
    crossed = evaluate(noisy(TASK.predict), design="crossed").only
    assert crossed.pair_sq_each is not None
    assert np.allclose(crossed.pair_sq_each.mean(axis=1), crossed.pair_sq)


def test_keys_make_the_noise_independent_of_batches_and_repeatable():
    one = evaluate(keyed)
    assert np.allclose(one.only.pair_sq, evaluate(keyed, batch_size=33).only.pair_sq, atol=1e-4)
    other = evaluate(keyed, seed=1)
    assert not np.allclose(one.only.pair_sq, other.only.pair_sq)
    assert one.only.noise_sq.mean() == pytest.approx(2 * SD**2, rel=0.05)


def test_what_is_not_separated_is_withheld():
    table = evaluate(noisy(TASK.predict))
    assert table.mean_displacement_sq is None
    with pytest.raises(ValueError, match="leave y out"):
        evaluate(noisy(TASK.predict), y=TASK.y)
    with pytest.raises(ValueError, match="noise_repeats must be"):
        evaluate(TASK.predict, noise_repeats=0)
    with pytest.raises(ValueError, match="called from Python"):
        evaluate(keyed, backend="jax")


def test_a_random_model_is_told_what_to_pass():
    with pytest.raises(ValueError, match="noise_repeats=4"):
        evaluate(noisy(TASK.predict), noise_repeats=1, backend="python")


def test_a_deterministic_model_is_the_same_with_repeats():
    once = ep.evaluate_orbits(TASK.predict, TASK.x, TASK.transform, backend="python")
    thrice = ep.evaluate_orbits(TASK.predict, TASK.x, TASK.transform, noise_repeats=3)
    assert np.allclose(once.only.pair_sq, thrice.only.pair_sq)
    assert np.allclose(once.only.within_sq, thrice.only.within_sq)
    assert (thrice.only.noise_sq < 1e-20).all()
