"""The law of the inputs: false alarms, power, and interpolation that must not be seen."""

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic

TURNS = ep.transforms.rotations2d(acts_on="vectors")
FAST = ep.InvarianceCheck(n_draws=500)


def gaussian(n, seed, stretch=1.0):
    return np.random.default_rng(seed).normal(size=(n, 2)) * [stretch, 1.0]


def test_intervals_hold_chance_where_the_law_is_invariant():
    runs = 40
    held = 0
    for seed in range(runs):
        check = ep.InvarianceCheck(n_draws=500, seed=seed, classifier=LogisticRegression())
        low, high = check.fit(gaussian(150, seed), TURNS).interval(0.9).loc["auc"]
        held += low <= 0.5 <= high
    # At a true coverage of 0.9 fewer than 28 of 40 happens with probability 2e-4.
    assert stats.binom.cdf(27, runs, 0.9) < 3e-4
    assert held >= 28


def test_a_stretched_law_is_found_and_a_round_one_passes():
    stretched = FAST.fit(gaussian(1000, 0, stretch=2.0), TURNS)
    assert stretched.interval(0.9).loc["auc", "ci_low"] > 0.5
    assert not stretched.is_invariant
    assert stretched.kappa > 1.5
    assert "are not equally likely" in str(stretched)
    logistic = ep.InvarianceCheck(n_draws=500, classifier=LogisticRegression())
    around = logistic.fit(gaussian(6000, 0), TURNS)
    assert around.is_invariant
    assert "not proof" in str(around)


def test_too_few_rows_establish_nothing():
    result = FAST.fit(gaussian(60, 2), TURNS)
    assert not result.is_invariant
    assert "too few rows" in str(result)


def test_interpolation_alone_is_not_taken_for_a_difference():
    digits = (load_digits().images / 16).astype(np.float32)
    turns = ep.transforms.rotations2d()
    angle = np.random.default_rng(0).uniform(-np.pi, np.pi, (len(digits), 1))
    turned = turns.on(digits).at(angle).move(digits)
    low, high = FAST.fit(turned, turns).interval(0.9).loc["auc"]
    assert low > 0.45
    assert high < 0.55
    upright = FAST.fit(digits[:600], turns)  # power
    assert upright.interval(0.9).loc["auc", "ci_low"] > 0.9
    profile = upright.draws["auc_profile"].mean(axis=0)
    assert profile[0] < profile[2]  # small turns are harder to tell


def test_rows_of_a_group_share_a_fold():
    # Pairs of identical rows: memorizing the twin must not help.
    x = np.repeat(gaussian(100, 3), 2, axis=0)
    result = FAST.fit(x, TURNS, groups=np.arange(200) // 2)
    assert result.draws["auc"].mean() < 0.65


def test_seeds_repeat():
    x = gaussian(100, 4)
    one, same = (FAST.fit(x, TURNS).draws["auc"] for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(
        one, ep.InvarianceCheck(n_draws=500, seed=1).fit(x, TURNS).draws["auc"]
    )


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="margin"):
        ep.InvarianceCheck(margin=0.7)
    with pytest.raises(ValueError, match="n_folds"):
        ep.InvarianceCheck(n_folds=1)
    with pytest.raises(ValueError, match="predict_proba"):
        ep.InvarianceCheck(classifier=object())
    with pytest.raises(ValueError, match="too few"):
        FAST.fit(gaussian(3, 0), TURNS)


def test_transformed_inputs_where_there_are_none_make_kappa_infinite(tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 2)) * 0.1 + [3.0, 0.0]
    half = ep.transforms.cyclic(2, acts_on="vectors")
    result = FAST.fit(x, half)
    assert result.kappa == np.inf
    assert "look unlike any input" in str(result)
    result.save(tmp_path / "check.nc")
    assert ep.load(tmp_path / "check.nc").kappa == np.inf
    data_error = ep.DataEquivarianceError(n_draws=200).fit(
        ep.evaluate_orbits(lambda b: b[:, 0], x, half, y=x[:, 1], n_transforms=2), law=result
    )
    assert data_error.bounds is None
    assert Diagnostic.LAW_NOT_INVARIANT in data_error.diagnostics
