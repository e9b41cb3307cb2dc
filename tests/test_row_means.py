"""The posterior of a mean over rows: identities, and a slice of its calibration."""

import numpy as np
import pytest
from scipy import stats

from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.tails import TYPICAL_SHAPES, fit_tail
from equiprob.posterior.weights import exponential_weights


def ids(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)


def coverage(draw, posterior, *, n=128, replications=200, truth=1.0):
    """How many of the 90 % intervals hold the truth, and their mean width."""
    hits, width = 0, 0.0
    for seed in range(replications):
        values = draw(np.random.default_rng([seed, 11]), n)
        low, high = np.quantile(posterior(values, seed), [0.05, 0.95])
        hits += low <= truth <= high
        width += (high - low) / replications
    return hits, width


def tail_aware(values, seed):
    return RowMeans(ids(len(values), seed), 500, 0).mean(values)


def bootstrap(units, values):
    weights = exponential_weights(units, 500, seed=0).T.astype(np.float64)
    sums = weights @ np.column_stack([values, np.ones(len(values))])
    return sums[:, 0] / sums[:, 1]


def plain_bootstrap(values, seed):
    return bootstrap(ids(len(values), seed), values)


def heavy(generator, n):
    return np.exp(1.5 * generator.normal(size=n) - 1.125)


def test_heavy_tails_are_covered_where_the_plain_bootstrap_is_not():
    # P(at most 156 of 200 | coverage .88) = 3e-5: what the assertion allows by chance. The plain
    # bootstrap covers .82 (156 of 200 or fewer has probability .08); it must at least be behind.
    ours, ours_width = coverage(heavy, tail_aware)
    plain, plain_width = coverage(heavy, plain_bootstrap)
    assert ours > 156
    assert ours > plain
    assert ours_width < 2.6 * plain_width


@pytest.mark.parametrize(
    "draw",
    [
        lambda g, n: 2 * g.random(n),
        lambda g, n: (g.random(n) < 0.1) / 0.1,
        lambda g, n: 1 + g.normal(size=n),
    ],
    ids=["bounded", "zero-one", "signed"],
)
def test_light_tails_are_covered_at_the_plain_width(draw):
    # P(at most 156 or all 200 of 200 | coverage .9) < 1e-6.
    hits, width = coverage(draw, tail_aware)
    assert 156 < hits < 200
    assert width < 1.35 * coverage(draw, plain_bootstrap)[1]
    # Power: an interval of half the width is caught.
    halved, _ = coverage(draw, lambda v, s: v.mean() + (tail_aware(v, s) - v.mean()) / 2)
    assert halved <= 156


def test_a_bound_from_above_holds_where_the_plain_bootstraps_end_does_not():
    # Squares of Student t, 3 degrees of freedom: their variance is infinite. The values are given:
    # of 170 samples the bound at 0.9 holds in 157 to 160, whatever the draws (6 of `other_draws`;
    # standard deviation 1.2), and the plain bootstrap's end in 111 to 114.
    held = {"bound": 0, "end": 0}
    for seed in range(170):
        values = np.random.default_rng([seed, 3]).standard_t(3, 400) ** 2 / 3
        means = RowMeans(ids(400, seed), 500, 0)
        held["bound"] += np.quantile(means.mean_from_above(values), 0.9) >= 1
        held["end"] += np.quantile(plain_bootstrap(values, seed), 0.9) >= 1
    assert held["bound"] > 145 > held["end"]


def test_ten_clusters_have_wider_intervals_than_ten_plain_weights():
    def clustered(values, seed):
        units = np.repeat(ids(10, seed), 13)[: len(values)]
        return RowMeans(units, 500, 0).mean(values)

    def plain(values, seed):
        return bootstrap(ids(10, seed), values[::13])

    def draw(generator, n):
        return np.repeat(generator.chisquare(2, 10) / 2, 13)

    # P(at most 158 | .9) = 3e-6; the plain one covers .79 and has at most 166 with probability .9.
    ours, _ = coverage(draw, clustered)
    behind, _ = coverage(draw, plain)
    assert ours > 158
    assert behind < ours


def test_a_difference_is_fitted_to_its_own_rows():
    generator = np.random.default_rng(0)
    base = heavy(generator, 300)
    a, b = base + 0.1 * generator.random(300), base
    means = RowMeans(ids(300), 4000, 0)
    fitted = means.mean(a - b)
    # .002 of the spread, and 5e-5 or less apart (6 of `other_draws`).
    assert fitted.std() < 0.2 * means.mean(a).std()
    assert abs(fitted.mean() - (a - b).mean()) < 0.01


def test_a_ratio_of_a_column_and_its_multiple_is_exact():
    values = heavy(np.random.default_rng(1), 60)
    assert np.allclose(RowMeans(ids(60), 300, 0).ratio(3 * values, values), 3.0, atol=1e-12)


def test_draws_scale_and_shift_with_the_values():
    values = np.random.default_rng(2).normal(size=200)
    means = RowMeans(ids(200), 500, 0)
    assert np.allclose(means.mean(2 * values), 2 * means.mean(values), rtol=1e-9)
    assert np.allclose(means.mean(values * 1e-6), 1e-6 * means.mean(values), rtol=1e-6, atol=1e-15)
    assert np.allclose(means.mean(np.full(200, 7.0)), 7.0)
    assert (means.mean(np.zeros(200)) == 0).all()


def test_grouped_rows_move_together():
    values = np.random.default_rng(3).normal(size=(6, 10))
    units = ids(6)
    by_rows = RowMeans(np.repeat(units, 10), 300, 0).mean(values.ravel())
    assert np.allclose(by_rows, RowMeans(units, 300, 0).mean(values.mean(axis=1)), atol=1e-12)


def test_order_of_rows_does_not_matter_and_seeds_do():
    values, units = heavy(np.random.default_rng(3), 90), ids(90)
    order = np.random.default_rng(4).permutation(90)
    one = RowMeans(units, 300, 0).mean(values)
    assert np.allclose(RowMeans(units[order], 300, 0).mean(values[order]), one, rtol=1e-9)
    assert not np.allclose(RowMeans(units, 300, 1).mean(values), one)


def test_zero_one_rows_have_the_posterior_of_jeffreys():
    values = (np.arange(80) < 3).astype(float)
    drawn = RowMeans(ids(80), 20_000, 0).mean(values)
    wanted = stats.beta(3.5, 77.5)
    # The ends and the stretch for few units leave the upper quantile .10 to .14 of the spread above
    # (6 of `other_draws`), whose standard deviation is .015: false failure below 1e-4.
    for level in (0.05, 0.5, 0.95):
        assert abs(np.quantile(drawn, level) - wanted.ppf(level)) < 0.2 * wanted.std()
    bare = stats.beta(3, 77)  # power: without the ends
    assert abs(bare.ppf(0.95) - wanted.ppf(0.95)) > 0.2 * wanted.std()


def test_many_rows_are_pooled_without_losing_the_tail():
    values = heavy(np.random.default_rng(5), 12_000)
    means = RowMeans(ids(12_000), 2000, 0)
    drawn = means.mean(values)
    # 1.04 to 1.09 times the plain one (6 of `other_draws`).
    assert 0.7 < drawn.std() / (values.std() / np.sqrt(12_000)) < 1.6
    assert means.tail_index(values) > 0.2


def test_tails_are_recognized():
    generator = np.random.default_rng(6)
    pareto = fit_tail(stats.genpareto(0.5).rvs(20_000, random_state=generator))
    # Posterior sd of the shape from 400 excesses is (1 + shape) / 20 = .075; five of them.
    assert pareto is not None
    assert abs(pareto.shape - 0.5) < 0.38
    assert fit_tail((generator.random(300) < 0.2).astype(float)) is None  # atoms
    assert fit_tail(np.zeros(300)) is None
    assert fit_tail(generator.random(20)) is None  # too few
    light = fit_tail(generator.normal(size=20_000))
    assert light is None or light.shape < 0.2


def test_effective_units_count_what_carries_the_mean():
    one_row = np.zeros(50)
    one_row[3] = 1.0
    means = RowMeans(ids(50), 10, 0)
    assert means.n_effective(one_row) == pytest.approx(1.0)
    assert means.n_effective(np.ones(50)) == pytest.approx(50.0)
    assert means.n_effective(np.zeros(50)) == 50


def test_rows_in_any_order_and_groups_are_pooled_alike():
    generator = np.random.default_rng(7)
    values, units = heavy(generator, 6000), ids(6000)
    one = RowMeans(units, 500, 0)
    order = generator.permutation(6000)
    other = RowMeans(units[order], 500, 0)
    assert np.allclose(other.mean(values[order]), one.mean(values), rtol=1e-9)
    both = np.column_stack([values, values**2])
    assert np.allclose(other.plain(both[order]), one.plain(both), rtol=1e-9)
    # Two equal rows in each group are the group: it has their unit's place and weight.
    doubled = RowMeans(np.repeat(units, 2), 500, 0)
    assert np.allclose(doubled.mean(np.repeat(values, 2)), one.mean(values), rtol=1e-9)
    twice = np.repeat(both, 2, axis=0)
    ratio = doubled.ratio(twice[:, 1], twice[:, 0])
    assert np.allclose(ratio, one.ratio(both[:, 1], both[:, 0]), rtol=1e-9)
    assert doubled.n_units == 6000


def test_a_tail_is_fitted_as_far_down_as_values_are_known():
    """A ratio's contrast, of which only the rows of largest numerators are known."""
    generator = np.random.default_rng(8)
    above, below = heavy(generator, 4000), heavy(generator, 4000)
    contrast = above - below * above.mean() / below.mean()
    largest = np.argsort(above)[-201:]
    reach = above[largest[0]]  # no other row's contrast is above that
    part = fit_tail(contrast[largest], n=4000, beyond=reach)
    whole = fit_tail(contrast, beyond=reach)
    assert part is not None
    assert whole is not None
    assert part.threshold == whole.threshold > reach
    assert part.shape == whole.shape
    # The twin: taken for all of the largest contrasts, they have another tail.
    assert fit_tail(contrast[largest], n=4000).threshold != fit_tail(contrast).threshold


def test_a_heavy_tail_is_told_from_a_light_one():
    """A prior of two kinds of tails follows the sample where one of typical tails holds it back."""
    one_kind = ((1.0, 0.2, 0.3),)
    generator = np.random.default_rng(9)
    heavy_tail = stats.genpareto(0.8).rvs(400, random_state=generator)
    light_tail = generator.exponential(size=400)
    told, held = (fit_tail(heavy_tail, shapes).shape for shapes in (TYPICAL_SHAPES, one_kind))
    assert told > held + 0.05
    told, held = (fit_tail(light_tail, shapes).shape for shapes in (TYPICAL_SHAPES, one_kind))
    assert told < held


def test_one_large_group_leaves_fewer_than_the_groups_there_are():
    """Twenty groups, of which one has a third of the rows."""

    class CountedAlike(RowMeans):
        @property
        def n_effective_units(self):
            return float(self.n_units)

    sizes = np.array([190, *[20] * 19])
    held, runs = {RowMeans: 0, CountedAlike: 0}, 150
    for seed in range(runs):
        group = np.repeat(np.arange(20), sizes)
        values = np.random.default_rng([seed, 12]).normal(size=20)[group]
        for kind in held:
            means = kind(ids(20, seed)[group], 500, 0)
            low, high = np.quantile(means.mean(values), [0.05, 0.95])
            held[kind] += low <= 0 <= high
    assert RowMeans(ids(20)[group], 10, 0).n_effective_units == pytest.approx(7.43, abs=0.01)
    # At a true .9: 121 or fewer with probability 2e-4. Counted as twenty they hold in .83.
    assert held[RowMeans] > 121
    assert held[CountedAlike] < held[RowMeans] - 5


def test_unequal_groups_are_named_where_they_count_as_few():
    values = np.random.default_rng(3).random(2000)
    numbers = np.arange(2000)
    equal = RowMeans(ids(40)[np.arange(2000) % 40], 10, 0)
    unequal = RowMeans(ids(40)[np.minimum(np.arange(2000) // 20, 39)], 10, 0)
    found = {kind: RowFindings.of(kind, {"it": values}, numbers) for kind in (equal, unequal)}
    assert Diagnostic.UNEQUAL_GROUPS not in found[equal].found
    assert Diagnostic.UNEQUAL_GROUPS in found[unequal].found
    # 39 groups of 20 rows and one of 1220.
    assert found[unequal].facts["n_effective_units"] == pytest.approx(2.66, abs=0.01)
    assert found[unequal].facts["details"]["UNEQUAL_GROUPS"] == "40 count as 2.66"
