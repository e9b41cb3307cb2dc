"""The hierarchical posterior of a crossed design."""

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.posterior.hierarchical import Hierarchical
from equiprob.testing import linear_task

SETTINGS, SMOOTH = (
    Hierarchical(smooth=smooth, num_warmup=300, num_samples=n, num_chains=2)
    for smooth, n in ((False, 400), (True, 2400))
)
M = 12  # transformations of most tables: each number of them is compiled by itself


def crossed(n=150, m=M, **kwargs):
    task = linear_task(n, seed=3)
    return task, ep.evaluate_orbits(
        task.predict, task.x, task.transform, n_transforms=m, design="crossed", **kwargs
    )


@pytest.mark.parametrize("smooth", [False, True])
def test_it_agrees_with_the_closed_form(smooth):
    task, table = crossed()
    nuts = ep.ModelEquivarianceError(posterior=SMOOTH if smooth else SETTINGS).fit(table)
    closed = ep.ModelEquivarianceError().fit(table)
    # R-hat less 1 is .001 to .01 in the mean (7 of `other_draws` each; .03 for smooth curves with
    # 400 draws): above .05 with probability 1e-4. What smooth curves know of the law's mean is half
    # as uncertain as the closed form's: medians are .87 of its standard deviation apart, and four
    # of these are exceeded with probability 6e-5.
    assert nuts.facts.r_hat < 1.05
    for name in ("error", "worst_error"):
        a, b = nuts.draws[name], closed.draws[name]
        assert abs(np.median(a) - np.median(b)) < (3.5 if smooth else 1) * b.std()
    assert 0.5 < nuts.draws["worst_error"].std() / closed.draws["worst_error"].std() < 2
    assert list(nuts.draws) == list(closed.draws)
    low, high = nuts.interval(0.999).loc["worst_error"]
    assert low < 2 * np.sqrt(task.asymmetry) < high


@pytest.mark.simulation
def test_ranks_of_the_mean_are_uniform():
    # Simulation-based calibration of the law's mean relative to the list's: 120 ranks, KS at 1e-4.
    # The twin, draws a third as wide, must be rejected.
    generator = np.random.default_rng(0)
    ranks, narrow = [], []
    for seed in range(120):
        tau = 0.25 * abs(generator.normal())
        effects = 1 + tau * generator.normal(size=M)
        each = effects + 0.3 * generator.normal(size=(40, M))
        drawn = SETTINGS.effects(each, np.linspace(0, 1, M), n_draws=400, seed=seed).mean
        truth = 1 / each.mean()
        ranks.append(float((drawn < truth).mean()))
        tight = drawn.mean() + (drawn - drawn.mean()) / 3
        narrow.append(float((tight < truth).mean()))
    assert stats.kstest(ranks, "uniform").pvalue > 1e-4
    assert stats.kstest(narrow, "uniform").pvalue < 1e-4


def test_equal_transformations_are_found_equal():
    generator = np.random.default_rng(1)
    each = generator.exponential(size=(200, M))
    effects = SETTINGS.effects(each, np.linspace(0, 1, M), n_draws=500, seed=0)
    assert np.median(effects.each.max(axis=1)) < each.mean(axis=0).max() / each.mean()
    assert effects.facts["n_divergences"] < 50


def test_what_it_cannot_fit_is_refused():
    _, table = crossed(m=3)
    with pytest.raises(ValueError, match="at least 4"):
        ep.ModelEquivarianceError(posterior=SETTINGS).fit(table)
    task = linear_task(40)
    rows = ep.evaluate_orbits(task.predict, task.x, task.transform)
    with pytest.raises(ValueError, match="design='crossed'"):
        ep.ModelEquivarianceError(posterior=SETTINGS).fit(rows)
    with pytest.raises(ValueError, match="error above 0"):
        SETTINGS.effects(np.zeros((20, 8)), np.linspace(0, 1, 8), n_draws=10, seed=0)


def test_seeds_repeat():
    each = np.random.default_rng(2).exponential(size=(30, M))
    one, same, other = (
        SETTINGS.effects(each, np.linspace(0, 1, M), n_draws=100, seed=s).each for s in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_smooth_profile_averages_over_the_law_not_over_the_list():
    # Three in four listed transformations are small; the law is even. Curve: 1 - cos(pi place).
    place = np.concatenate([np.linspace(0, 0.3, M - 3), [0.5, 0.7, 0.9]])
    curve = 1 - np.cos(np.pi * place)
    each = np.random.default_rng(0).exponential(size=(400, 1)) * curve
    drawn = SMOOTH.effects(each, place, n_draws=400, seed=0).mean * curve.mean()
    plain = SETTINGS.effects(each, place, n_draws=400, seed=0).mean * curve.mean()
    assert abs(np.median(drawn) - 1) < 0.1  # the law's mean is 1, the list's is 0.49
    assert np.median(plain) < 0.7
