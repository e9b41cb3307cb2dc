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


def assert_noise(table):
    """Three calls at each of 400 x 8 inputs have 4 degrees of freedom: five standard errors."""
    noise, within = table.only.noise_sq.mean(), 5 * np.sqrt(2 / (4 * 400 * 8))
    assert noise == pytest.approx(2 * SD**2, rel=within)
    assert noise * 2 / 3 != pytest.approx(2 * SD**2, rel=within)  # the twin: divided by 3, not 2


def test_noise_is_taken_off_the_error():
    table = evaluate(noisy(TASK.predict))
    squares = table.only.pair_sq
    error_of_mean = squares.std() / np.sqrt(len(squares))
    # Five standard errors: false failure 6e-7.
    assert abs(squares.mean() - TASK.error**2) < 5 * error_of_mean
    # Power: the noise of two means of three calls in two components, left in.
    assert 5 * error_of_mean < 2 * 2 * SD**2 / 3
    assert_noise(table)
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
    assert_noise(one)


def test_what_is_not_separated_is_withheld():
    with pytest.raises(ValueError, match="noise_repeats must be"):
        evaluate(TASK.predict, noise_repeats=0)
    with pytest.raises(ValueError, match="called from Python"):
        evaluate(keyed, backend="jax")
    table = evaluate(noisy(TASK.predict), y=TASK.y)
    plain = evaluate(TASK.predict, y=TASK.y, noise_repeats=1)
    for refused in (
        lambda: ep.SymmetryLevel(path=ep.paths.Range()).fit(table),
        lambda: ep.SymmetryLevel(loss="absolute").fit(table),
        lambda: ep.GeneralizationGap().fit(table),
        lambda: ep.GeneralizationGap().fit(plain, train=table),
        lambda: ep.DataEquivarianceError(method=ep.methods.Symmetrization()).fit(
            table, law=ep.InvariantLaw()
        ),
        lambda: ep.DataEquivarianceError(method=ep.methods.TrainedPair(symmetric=table)).fit(
            plain, law=ep.InvariantLaw()
        ),
        lambda: ep.compare(
            {"a": table, "b": plain},
            metrics={"far": lambda y, p: (np.abs(y - p) > 1).any(axis=1)},
        ),
    ):
        with pytest.raises(ValueError, match="not available for a stochastic model"):
            refused()
    with pytest.raises(ValueError, match="stochastic models with targets"):
        evaluate(noisy(TASK.predict), y=TASK.y, keep="blocks")
    pooled = evaluate(noisy(TASK.predict), keep="blocks")
    assert "asymmetry_share" not in FAST.fit(pooled).draws


# ---- risks ---------------------------------------------------------------------------------------

MANY = linear_task(3000)
LATTICE = MANY.transform
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")


def with_targets(model, transform=LATTICE, **kwargs):
    kwargs = {"n_transforms": 4, "noise_repeats": 2} | kwargs
    return ep.evaluate_orbits(model, MANY.x, transform, y=MANY.y, **kwargs)


@pytest.mark.parametrize(
    ("transform", "design"), [(LATTICE, "quasi"), (LATTICE, "random"), (QUARTERS, "quasi")]
)
def test_noise_is_taken_off_risks_and_averages(transform, design):
    sd = 0.6
    generator = np.random.default_rng(1)

    def model(batch):
        return MANY.predict(batch) + sd * generator.normal(size=batch.shape)

    found = with_targets(model, transform, design=design)
    true = with_targets(MANY.predict, transform, design=design, noise_repeats=1)
    # What the noise of two calls in two components leaves in a square of the mean of them.
    left = 2 * sd**2 / 2
    for name, bias in (
        ("squared_residual", left),
        ("gain", left),
        ("mean_displacement_sq", left),
        ("shipped_displacement_sq", left + left / 4),
    ):
        apart = getattr(found, name) - getattr(true, name)
        limit = 5 * apart.std() / np.sqrt(len(apart))
        assert abs(apart.mean()) < limit, name  # false failure 6e-7 each
        assert bias > limit, name  # power: the noise left in


def test_level_and_comparison_of_samplers():
    results = {}
    for name, model, repeats in (("sampler", noisy(MANY.predict), 2), ("mean", MANY.predict, 1)):
        table = with_targets(model, noise_repeats=repeats)
        results[name] = table
    levels = {k: ep.SymmetryLevel(n_draws=1000).fit(t) for k, t in results.items()}
    best = {k: level.draws["unclipped_position"] for k, level in levels.items()}
    for name, level in levels.items():
        low, high = np.quantile(best[name], [1e-3, 1 - 1e-3])
        assert low < np.median(best["mean"]) < high, name
        assert (Diagnostic.NOISE_REMOVED in level.diagnostics) == (name == "sampler")
    error = FAST.fit(results["sampler"])
    exact = FAST.fit(results["mean"])
    for quantity in ("risk", "asymmetry_share"):
        low, high = error.interval(0.999).loc[quantity]
        assert low < np.median(exact.draws[quantity]) < high
    # The sampler and its mean have one risk; a worse model is told from both.
    results["worse"] = with_targets(lambda b: MANY.predict(b) + 0.2, noise_repeats=1)
    comparison = ep.compare(results, n_draws=1000)
    assert Diagnostic.NOISE_REMOVED in comparison.diagnostics
    risk = dict(zip(comparison.candidates, comparison.draws["risk"].T, strict=True))
    low, high = np.quantile(risk["sampler"] - risk["mean"], [1e-3, 1 - 1e-3])
    assert low < 0 < high
    assert high < 2 * SD**2 / 2  # power: the noise that two calls leave
    assert (risk["worse"] > risk["sampler"]).mean() > 0.99


def test_a_sampler_that_is_random_in_its_last_digit_has_its_verdict():
    x = TASK.x.astype(np.float32)
    kept = ep.transforms.rotations2d(acts_on="vectors", output_action="invariant")
    quiet, loud = (
        ep.evaluate_orbits(restless(norms, size), x, kept, n_transforms=4, noise_repeats=3)
        for size in (1.2e-7, 1e-4)
    )
    assert FAST.fit(quiet).is_exact
    assert not FAST.fit(loud).is_exact
    y = norms(x) + np.random.default_rng(0).normal(size=(len(x), 1))
    loud = ep.evaluate_orbits(restless(norms, 0.1), x, kept, y=y, n_transforms=4, noise_repeats=3)
    assert Diagnostic.UP_TO_ROUNDING not in ep.SymmetryLevel(n_draws=300).fit(loud).diagnostics


def test_a_random_model_is_told_what_to_pass():
    with pytest.raises(ValueError, match="noise_repeats=4"):
        evaluate(noisy(TASK.predict), noise_repeats=1, backend="python")


def test_a_deterministic_model_is_the_same_with_repeats():
    once = ep.evaluate_orbits(TASK.predict, TASK.x, TASK.transform, backend="python")
    thrice = ep.evaluate_orbits(TASK.predict, TASK.x, TASK.transform, noise_repeats=3)
    assert np.allclose(once.only.pair_sq, thrice.only.pair_sq)
    assert (thrice.only.noise_sq < 1e-20).all()


# ---- the last digit ------------------------------------------------------------------------------


def restless(model, relative, seed=0):
    """A model whose equal calls differ by so much, as sums in an order that changes do."""
    generator = np.random.default_rng(seed)

    def predict(batch):
        outputs = np.asarray(model(np.asarray(batch)))
        signs = generator.choice([-1, 0, 1], size=outputs.shape)
        return (outputs * (1 + relative * signs)).astype(outputs.dtype)

    return predict


def norms(batch):
    return 2.0 + np.sqrt((batch**2).sum(axis=1, keepdims=True))


KEPT = ep.transforms.rotations2d(acts_on="vectors", output_action="invariant")
NARROW = TASK.x.astype(np.float32)


@pytest.mark.parametrize(
    ("x", "relative"), [(NARROW, 1.2e-7), (TASK.x, 2.3e-16)], ids=["float32", "float64"]
)
def test_calls_that_differ_by_a_rounding_are_accepted_and_measured(x, relative):
    table = ep.evaluate_orbits(restless(norms, relative), x, KEPT, n_transforms=4)
    size = np.sqrt((table.only.base**2).mean())
    # Two calls differ by (2 * 2 / 3)^(1/2) roundings; the factor of 3 is no chance.
    assert relative * size / 3 < table.only.apart < 3 * relative * size
    assert table.only.float_floor >= table.only.apart
    result = FAST.fit(table)
    assert result.is_exact
    assert Diagnostic.CALLS_DIFFER in result.diagnostics
    assert "equal calls differ by" in str(result)
    assert result.status == "no problem found"
    still = FAST.fit(ep.evaluate_orbits(norms, x, KEPT, n_transforms=4, backend="python"))
    assert Diagnostic.CALLS_DIFFER not in still.diagnostics


def test_a_restless_model_that_breaks_the_symmetry_is_found_out():
    broken = restless(lambda batch: norms(batch) + 1e-4 * batch[:, :1], 1.2e-7)
    assert not FAST.fit(ep.evaluate_orbits(broken, NARROW, KEPT, n_transforms=4)).is_exact


@pytest.mark.parametrize(("x", "relative"), [(NARROW, 1e-4), (NARROW, 1e-5), (TASK.x, 1e-7)])
def test_what_is_more_than_rounding_is_refused(x, relative):
    with pytest.raises(ValueError, match="not repeatable"):
        ep.evaluate_orbits(restless(norms, relative), x, KEPT, n_transforms=4)


def test_float32_behind_float64_is_restless_in_its_own_precision():
    behind = restless(lambda batch: norms(batch.astype(np.float32)), 1.2e-7)
    seen = ep.evaluate_orbits(
        lambda batch: behind(batch).astype(np.float64), TASK.x, KEPT, n_transforms=4
    )
    assert FAST.fit(seen).is_exact

    def offset(batch):
        return behind(batch).astype(np.float64) * 1.1 + 0.123456789

    with pytest.raises(ValueError, match="not repeatable"):
        ep.evaluate_orbits(offset, TASK.x, KEPT, n_transforms=4)
    said = ep.evaluate_orbits(
        offset, TASK.x, KEPT, n_transforms=4, outputs=ep.Output(dtype="float32")
    )
    assert FAST.fit(said).is_exact


def test_numbers_that_are_not_finite_must_be_so_in_every_call():
    generator = np.random.default_rng(0)

    def failing(batch, *, always):
        outputs = norms(batch)
        rows = np.asarray(batch)[:, 0] > 1.0
        outputs[rows if always else generator.integers(len(outputs))] = np.nan
        return outputs

    ep.evaluate_orbits(lambda b: failing(b, always=True), TASK.x, KEPT, n_transforms=2)
    with pytest.raises(ValueError, match="not repeatable"):
        ep.evaluate_orbits(lambda b: failing(b, always=False), TASK.x, KEPT, n_transforms=2)
