"""Means of several losses of the same rows: what few rows tell apart, and what leaves no range."""

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.posterior.paired_means import paired_expectations, paired_means, squared_error_limits
from equiprob.posterior.row_means import RowMeans

N = 300
UNCHANGED = ep.transforms.finite(
    np.stack([np.eye(2), -np.eye(2)]), acts_on="invariant", output_action="invariant"
)


def rows(n=N, seed=0, n_draws=20_000):
    ids = np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)
    return RowMeans(ids, n_draws, 0)


def wrong(*places, n=N):
    loss = np.zeros(n)
    loss[list(places)] = 1.0
    return loss


def table(loss, **options):
    """A classifier that gives wrong labels where the loss is 1."""
    n = len(loss)
    y = np.tile([1.0, 0.0], (n, 1))
    return ep.evaluate_orbits(
        lambda batch: batch,
        y + loss[:, None] * [-1.0, 1.0],
        UNCHANGED,
        y=y,
        n_transforms=2,
        backend="python",
        row_ids=np.arange(n),
        **options,
    )


TWENTY = wrong(*range(20))
ONE_MORE = wrong(*range(20), 25)


@pytest.mark.parametrize("more", [1, 2, 3])
def test_few_differing_rows_have_the_posterior_of_jeffreys_over_three_kinds_of_rows(more):
    other = TWENTY + wrong(*range(100, 100 + more))
    draws = paired_means(rows(), np.column_stack([TWENTY, other]), (0.0, 1.0))
    better = (draws[:, 0] < draws[:, 1]).mean()
    exact = stats.beta(0.5 + more, 0.5).sf(0.5)  # one kind against the other
    # 20,000 draws: five standard errors.
    error = 5 * np.sqrt(exact * (1 - exact) / 20_000)
    assert better == pytest.approx(exact, abs=error)
    # Power: half a unit at the ends of the sample itself leaves the difference one sign.
    assert (rows().mean(other - TWENTY) > 0).all()
    assert 1 - exact > error
    # Each mean is that of Jeffreys, but for the stretch of 300 units (0.3 %), see test_row_means.
    for values, drawn in zip((TWENTY, other), draws.T, strict=True):
        k = values.sum()
        wanted = stats.beta(k + 0.5, N - k + 0.5)
        for level in (0.05, 0.5, 0.95):
            assert abs(np.quantile(drawn, level) - wanted.ppf(level)) < 0.1 * wanted.std()


def test_every_pair_of_candidates_may_have_either_sign():
    three = np.column_stack([TWENTY, ONE_MORE, ONE_MORE + wrong(26)])
    draws = paired_means(rows(), three, (0.0, 1.0))
    exact = stats.beta(1.5, 0.5).sf(0.5)
    for one, other in ((0, 1), (1, 2)):
        # The stretch and the reference's own half unit change little: .82 to a few percent.
        assert abs((draws[:, one] < draws[:, other]).mean() - exact) < 0.04


def test_a_candidate_without_errors_may_fail_as_the_others_do():
    m = rows(30)
    none, some = np.zeros(30), wrong(0, 1, 2, n=30)
    draws = paired_means(m, np.column_stack([none, some]), (0.0, 2.0))
    wanted = stats.beta(0.5, 30.5)
    # 20,000 draws: the quantile's standard error is 1 %.
    assert np.quantile(draws[:, 0], 0.95) == pytest.approx(wanted.ppf(0.95), rel=0.05)
    assert 0.95 < (draws[:, 0] < draws[:, 1]).mean() < 0.999
    # Where none of them fails, as far as the loss goes.
    both = paired_means(m, np.zeros((30, 2)), (0.0, 1.0))
    assert np.quantile(both[:, 0], 0.95) == pytest.approx(wanted.ppf(0.95), rel=0.05)
    # A loss without a largest value has no such end.
    assert (paired_means(m, np.zeros((30, 2)), (0.0, np.inf)) == 0).all()


def test_equal_candidates_share_the_first_place():
    m = rows()
    labels = np.column_stack([TWENTY, TWENTY])
    draws = paired_means(m, labels, (0.0, 1.0))
    # Labels that agree on 300 rows may differ on others: 5 standard errors of 1/2.
    assert abs((draws[:, 0] < draws[:, 1]).mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    soft = np.random.default_rng(1).random(N)
    same = paired_means(m, np.column_stack([soft, soft]))
    assert (same[:, 0] == same[:, 1]).all()  # equal to the last bit: one and the same model


@pytest.mark.parametrize("n", [12, 40])
def test_draws_stay_within_the_range_of_the_loss(n):
    g = np.random.default_rng(n)
    for rate in (0.03, 0.5, 0.97):
        values = (g.random((n, 4)) < rate).astype(float)
        draws = paired_means(rows(n, n_draws=2000), values, (0.0, 1.0), reference=0)
        assert draws.min() >= 0
        assert draws.max() <= 1
        soft = paired_means(rows(n, n_draws=2000), 2 * values * g.random((n, 4)), (0.0, 2.0))
        assert soft.min() >= 0
        assert soft.max() <= 2


def test_expectations_keep_the_means_of_the_rows_and_a_regret():
    values = np.column_stack([TWENTY, ONE_MORE])
    draws = paired_expectations(rows(), values, (0.0, 1.0))
    assert np.allclose(draws.mean(axis=0), values.mean(axis=0), rtol=1e-9)
    assert (draws - draws.min(axis=1, keepdims=True)).mean(axis=0)[0] > 0


def test_ranges_of_squared_errors():
    y = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert squared_error_limits(y, np.array([[0.9, 0.1], [0.3, 0.7]])) == (0.0, 2.0)
    assert squared_error_limits(y, np.array([[0.9, 0.3], [0.3, 0.7]])) == (0.0, np.inf)
    assert squared_error_limits(y[:, :1], y[:, :1]) == (0.0, np.inf)


# ---- what comparisons say ------------------------------------------------------------------------


def test_one_row_does_not_decide():
    comparison = ep.compare({"a": table(TWENTY), "b": table(ONE_MORE)})
    assert str(comparison).startswith("Undecided: 'a' has the least expected loss")
    # Jeffreys: .818; 4000 draws, five standard errors.
    risk = comparison.draws["risk"]
    assert (risk[:, 0] < risk[:, 1]).mean() == pytest.approx(0.818, abs=0.031)
    # Two that hardly differ may differ by nothing: simulated, such a leader is best in .73.
    assert comparison.table.loc["a", "p_best"] == pytest.approx(0.73, abs=0.06)
    decision = ep.decide(comparison, information=(ep.information.Rows(300),))
    assert decision.information["value"].iloc[0] > 0


def test_candidates_that_are_the_same_say_so():
    same = ep.compare({"a": table(TWENTY), "b": table(TWENTY), "c": table(wrong(*range(90)))})
    assert "Ship 'a' or 'b': they are the same on every row" in str(same)
    # 4000 draws: five standard errors of 1/2.
    assert same.table.loc["a", "p_best"] == pytest.approx(0.5, abs=0.04)
    assert ep.decide(same, information=()).verdict == same.verdict
    costly = ep.decide(same, costs={"a": 0.0, "b": 0.01, "c": 0.0}, information=())
    assert "same on every row" not in costly.verdict


@pytest.mark.parametrize("n", [8, 40])
def test_no_interval_leaves_the_range_of_its_metric(n):
    g = np.random.default_rng(n)
    tables = {
        name: table((g.random(n) < p).astype(float))
        for name, p in zip("abc", (0.02, 0.1, 0.6), strict=True)
    }
    own = {"right": lambda y, p: y.argmax(axis=1) == p.argmax(axis=1)}
    for metrics in (["accuracy"], own):
        comparison = ep.compare(tables, metrics=metrics)
        for name, largest in (("risk", 2.0), (next(iter(metrics)), 1.0)):
            assert comparison.draws[name].min() >= 0
            assert comparison.draws[name].max() <= largest
    # The best by risk is the reference of the metric, too: its own interval is that of Jeffreys.
    best = comparison.candidates[0]
    k = int((tables[best].only.base[:, 0] == 1).sum())
    low = np.quantile(comparison.draws["right"][:, 0], 0.05)
    assert low == pytest.approx(stats.beta(k + 0.5, n - k + 0.5).ppf(0.05), abs=0.05)


def test_claims_of_one_candidate_that_is_wrong_wherever_the_other_is_come_true():
    """Rates of a few rows in 300 where one alone is wrong, drawn anew each time."""
    sure = {"ours": [], "own ends": []}
    m = rows(n_draws=1000)
    covered = 0
    for seed in range(150):
        g = np.random.default_rng([seed, 5])
        rate = np.exp(1.2 * g.normal(size=2)) / N
        u = g.random(N)
        one, other = (u < rate[0]).astype(float), (u > 1 - rate[1]).astype(float)
        draws = paired_means(m, np.column_stack([one, other]), (0.0, 1.0))
        apart = draws[:, 1] - draws[:, 0]
        low, high = np.quantile(apart, [0.05, 0.95])
        covered += low <= rate[1] - rate[0] <= high
        for name, difference in (("ours", apart), ("own ends", m.mean(other - one))):
            p = (difference > 0).mean()
            if max(p, 1 - p) >= 0.99:
                sure[name].append((p > 0.5) == (rate[1] > rate[0]))
    # Coverage at a true .9: 119 or fewer of 150 with probability 5e-5.
    assert covered > 119
    # Stated .99 and more: six or more of at most 40 wrong with probability 3e-6 or less.
    assert len(sure["ours"]) <= 40
    assert np.sum(np.logical_not(sure["ours"])) < 6
    # Power: with ends at the sample's own extremes there are more claims, many of them wrong.
    assert np.sum(np.logical_not(sure["own ends"])) >= 6


# ---- other results -------------------------------------------------------------------------------


def test_a_saving_of_steps_that_no_row_shows_is_not_known_to_be_nothing():
    """Averaging changes no label of 40 rows: it may in others."""
    m = rows(40)
    assert (m.difference(np.zeros(40)) == 0).all()  # of a loss that is not in steps
    saved = m.difference(np.zeros(40), reach=1.0)
    low, high = np.quantile(saved, [0.05, 0.95])
    # Two half units among 41: E G^2 = .75, so that the standard deviation is 1 / 41.
    assert saved.std() == pytest.approx(1 / 41, rel=0.1)
    assert low < -0.02
    assert high > 0.02
    one = m.difference(wrong(0, n=40))
    exact = stats.beta(1.5, 0.5).sf(0.5)
    assert (one > 0).mean() == pytest.approx(exact, abs=0.02)


def test_risks_of_a_classifier_without_errors_and_of_one_without_a_right_label():
    wanted = stats.beta(0.5, 30.5).ppf(0.95)
    for loss in (0.0, 1.0):
        result = ep.ModelEquivarianceError().fit(table(np.full(30, loss)))
        low, high = np.quantile(result.draws["risk"], [0.05, 0.95]) / 2  # Brier: 2 for an error
        # 4000 draws: the standard error of the farther quantile is 3 %.
        assert (high if loss == 0 else 1 - low) == pytest.approx(wanted, rel=0.15)
        assert 0 <= low < high <= 1


def test_offsets_and_heavy_differences_keep_their_width():
    """The farther end is measured from the middle: what all rows share costs no width."""
    m = rows(100, n_draws=4000)
    noise = np.random.default_rng(2).normal(size=100)
    assert np.ptp(np.quantile(m.difference(noise + 10), [0.05, 0.95])) == pytest.approx(
        np.ptp(np.quantile(m.difference(noise), [0.05, 0.95])), rel=1e-6
    )
    # Normal rows are as wide as without mirrored ends, to 4 % (measured: 1 to 3).
    ratio = m.difference(noise).std() / m.mean(noise).std()
    assert 1 <= ratio < 1.04


def test_a_level_of_few_rows_keeps_to_the_range_of_its_loss():
    x = np.random.default_rng(1).normal(size=(12, 2))
    y = (x[:, 0] > 1.0).astype(int)
    orbits = ep.evaluate_orbits(
        lambda rows: np.eye(2)[(rows[:, 0] > -0.5).astype(int)],
        x,
        ep.transforms.rotations2d(acts_on="vectors"),
        y=y,
        n_transforms=4,
        backend="python",
    )
    for loss, largest in (("zero_one", 1.0), ("squared", 2.0)):
        risk = ep.SymmetryLevel(loss=loss, n_draws=500).fit(orbits).draws["risk"]
        assert risk.min() >= 0
        assert risk.max() <= largest
