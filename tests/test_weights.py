"""The rows' weights: keyed, exchangeable, paired between tables and independent between rows."""

import numpy as np
from scipy import stats

from equiprob.posterior import weights as w

IDS = np.random.default_rng(0).integers(0, 2**63, 60).astype(np.uint64)


def test_weights_depend_on_the_unit_and_not_on_its_place():
    shuffled = np.random.default_rng(1).permutation(60)
    all_at_once = w.exponential_weights(IDS, 500, seed=3)
    assert np.array_equal(w.exponential_weights(IDS[shuffled], 500, seed=3), all_at_once[shuffled])
    assert np.array_equal(w.exponential_weights(IDS[:7], 500, seed=3), all_at_once[:7])
    assert not np.allclose(w.exponential_weights(IDS, 500, seed=4), all_at_once)


def test_weights_are_exponential_and_independent_between_rows():
    # KS at level 1e-6; the twin (a wrong scale) must fail it.
    drawn = w.exponential_weights(IDS, 4000, seed=0)
    assert stats.kstest(drawn.ravel(), "expon").pvalue > 1e-6
    assert stats.kstest(1.02 * drawn.ravel(), "expon").pvalue < 1e-6
    # 1770 correlations of 4000 draws: largest |z| beyond 6 with probability 4e-6.
    correlation = np.corrcoef(drawn)[np.triu_indices(60, 1)]
    assert np.abs(correlation).max() * np.sqrt(4000) < 6


def means(ids, values, n_draws):
    weighed = w.WeighedUnits.of(ids)
    columns = np.column_stack([weighed.totals(v) for v in (values, np.ones(len(values)))])
    sums = weighed.sums(columns, n_draws=n_draws, seed=0)
    return sums[:, 0] / sums[:, 1]


def test_draws_have_the_moments_of_the_bayesian_bootstrap():
    values = np.random.default_rng(2).normal(size=60)
    draws = means(IDS, values, 20_000)
    variance = values.var() / 61  # Rubin 1981: population variance / (n + 1)
    # 5 Monte Carlo standard errors: false failure 6e-7 each.
    assert abs(draws.mean() - values.mean()) < 5 * np.sqrt(variance / 20_000)
    spread = draws.var() / variance
    assert abs(spread - 1) < 5 * np.sqrt(3 / 20_000)
    assert abs(spread * 61 / 50 - 1) > 5 * np.sqrt(3 / 20_000)  # power: a width off by 10 %


def test_many_units_are_pooled_into_blocks_with_the_same_spread(monkeypatch):
    ids = np.random.default_rng(4).integers(0, 2**63, 6000).astype(np.uint64)
    values = np.random.default_rng(5).normal(size=6000) + 3
    blocked = means(ids, values, 4000)
    monkeypatch.setattr(w, "MOST_UNITS", 6000)
    exact = means(ids, values, 4000)
    # sd of an sd from 1024 blocks and 4000 draws is 2.5 %; 5 of them.
    assert abs(blocked.std() / exact.std() - 1) < 0.13
    assert abs(np.corrcoef(blocked, exact)[0, 1]) < 0.1  # other weights


def test_train_and_test_rows_weigh_independently():
    first, second = IDS[:30], IDS[30:]
    values = np.random.default_rng(6).normal(size=30)
    a, b = means(first, values, 4000), means(second, values, 4000)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(4000)
    same = means(first, -values, 4000)
    assert np.corrcoef(a, same)[0, 1] < -0.999  # power: shared rows are paired


def test_folds_keep_units_together_and_are_balanced():
    units = np.repeat(IDS, 3)
    fold = w.folds(units, 5)
    assert all(len(set(fold[units == u])) == 1 for u in IDS)
    assert np.bincount(fold).tolist() == [36] * 5
    assert sorted(w.folds(IDS[:2], 5)) == [0, 1]
