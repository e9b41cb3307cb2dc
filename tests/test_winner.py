"""The winner's curse: what the best of several owes to luck is taken off, and nothing else."""

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.decisions.choice import Choice
from equiprob.decisions.shrinkage import Shrinkage
from equiprob.decisions.winner import Winner
from equiprob.posterior.row_means import RowMeans

N_DRAWS = 400


def losses_of(risks, n, generator):
    """Return 0/1 losses ``(row, candidate)`` that go together, of given risks."""
    shared, own = generator.normal(size=(n, 1)), generator.normal(size=(n, len(risks)))
    return ((shared + own) / np.sqrt(2) < stats.norm.ppf(risks)).astype(float)


def winner_of(losses, ids, seed=0):
    place = int(losses.mean(axis=0).argmin())
    draws = RowMeans(ids, N_DRAWS, seed).means(losses[:, [place]])[:, 0]
    return Winner(losses, ids, place, draws, seed)


# ---- the risk of the winner ------------------------------------------------------------------


def test_the_winners_risk_covers_where_that_of_the_rows_that_chose_it_does_not():
    risks, runs, n, covered, plain, off = np.full(12, 0.25), 120, 60, 0, 0, []
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        ids = np.arange(n, dtype=np.uint64) + np.uint64(1000 * seed)
        winner = winner_of(losses_of(risks, n, generator), ids)
        low, high = np.quantile(winner.draws, [0.05, 0.95])
        covered += low <= 0.25 <= high
        low, high = np.quantile(winner.loss, [0.05, 0.95])
        plain += low <= 0.25 <= high
        off.append([winner.expected - 0.25, winner.apparent - 0.25])
    # A true coverage of 0.9 or more falls below with probability 1e-4.
    low, high = stats.binomtest(covered, runs).proportion_ci(0.9998)
    assert high >= 0.9
    low, high = stats.binomtest(plain, runs).proportion_ci(0.9998)
    assert high < 0.9  # power
    # The mean of either is known to its standard error; four of them, 6e-5.
    error = 4 * np.std(off, axis=0) / np.sqrt(runs)
    cross_fitted, apparent = np.mean(off, axis=0)
    assert abs(cross_fitted) < error[0] + 0.04 * 0.25  # at most 4 % too high or low
    assert apparent < -error[1] - 0.04 * 0.25


def test_where_one_is_ahead_nothing_is_added():
    generator = np.random.default_rng(0)
    losses = losses_of(np.array([0.05, 0.4, 0.4, 0.4]), 300, generator)
    winner = winner_of(losses, np.arange(300, dtype=np.uint64))
    assert winner.optimism == 0
    assert np.array_equal(winner.draws, winner.loss)
    assert winner.words("a").endswith("for 'a'")
    alone = Winner(losses[:1], np.arange(1, dtype=np.uint64), 0, winner.loss, 0)
    assert alone.optimism == 0  # one row has no others


def test_groups_are_on_one_side_of_each_split():
    generator = np.random.default_rng(1)
    losses = losses_of(np.full(8, 0.3), 40, generator)
    ids = np.arange(40, dtype=np.uint64)
    one = winner_of(losses, ids)
    order = generator.permutation(200)
    five = winner_of(np.repeat(losses, 5, axis=0)[order], np.repeat(ids, 5)[order])
    assert five.optimism == pytest.approx(one.optimism)
    assert one.optimism > 0
    torn = winner_of(np.repeat(losses, 5, axis=0), np.arange(200, dtype=np.uint64))
    assert torn.optimism < 0.7 * one.optimism  # power: rows of a group on both sides


def test_a_risk_of_which_noise_was_taken_off_is_not_below_nothing():
    """What is left of the squares of a perfect sampler has either sign."""
    losses = np.stack([np.full(50, -1e-3), np.ones(50)], axis=1)
    ids = np.arange(50, dtype=np.uint64)
    for besides, least in ((0.0, 0.0), (np.array([0.5, 0.0]), 0.5)):
        drawn = np.linspace(-2e-3, 1e-3, 100) + least
        found = Winner(losses, ids, 0, drawn, 0, (0.0, np.inf), besides)
        assert found.apparent == found.expected == least
        assert found.draws.min() == least
        assert "-" not in found.words("sampler")


def test_costs_choose_too():
    losses = losses_of(np.full(6, 0.3), 60, np.random.default_rng(2))
    winner = winner_of(losses, np.arange(60, dtype=np.uint64))
    dear = np.where(np.arange(6) == 3, 0.0, 10.0)
    forced = Winner(losses, winner.unit_ids, 3, winner.loss, 0, besides=dear)
    assert winner.optimism > 0
    assert forced.optimism == pytest.approx(0, abs=1e-12)


# ---- how much candidates differ ----------------------------------------------------------------


def estimated(risks, generator):
    """Return draws ``(draw, candidate)`` of estimates of standard error 1, some of it shared."""
    noise = generator.normal(size=(N_DRAWS, len(risks)))
    estimates = risks + generator.normal(size=len(risks))
    shared = 5 * generator.normal(size=(N_DRAWS, 1))
    return estimates + noise - noise.mean(axis=0) + shared - shared.mean()


def stated_and_true(risks_of, runs):
    """Return p_best and regret of the chosen as stated, plainly stated, and true, ``(run, 6)``."""
    found = []
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        risks = risks_of(generator)
        draws = estimated(risks, generator)
        (likely,) = Shrinkage.of(draws, seed).posterior(draws)
        row = []
        for each in (likely, draws):
            choice = Choice([str(k) for k in range(len(risks))], each, 0.0)
            chosen = choice.order[0]
            row += [choice.p_best[chosen], choice.value_of_perfect_information]
            row.append(risks[chosen] - risks.min())
        found.append([*row, float(risks[chosen] == risks.min())])
    return np.array(found)


@pytest.mark.parametrize("k", [2, 4, 12])
def test_near_ties_are_stated_nearer_to_the_truth(k):
    found = stated_and_true(lambda g: 0.1 * g.normal(size=k), 120)
    ours, plain, regret = found[:, 1], found[:, 4], found[:, 2]
    # Pairs on the same data: five standard errors, 6e-7.
    apart = np.abs(plain - regret) - np.abs(ours - regret)
    assert apart.mean() > 5 * apart.std() / np.sqrt(120)
    assert found[:, 0].mean() < found[:, 3].mean() - 0.03


@pytest.mark.parametrize("k", [2, 4, 12])
def test_candidates_that_differ_are_stated_as_before(k):
    found = stated_and_true(lambda g: 2 * g.normal(size=k), 150)
    p, best = found[:, 0], found[:, 6]
    # Sums of independent terms: five standard deviations, 6e-7, and what is understated by design.
    assert abs(np.mean(best - p)) < 5 * np.sqrt(np.mean(p * (1 - p)) / 150) + 0.05
    # The choice is hardly ever another, and no worse by more than chance: five standard errors.
    worse = found[:, 2] - found[:, 5]
    assert worse.mean() <= 5 * worse.std() / np.sqrt(150) + 1e-12


def test_one_far_ahead_stays_ahead():
    def one_ahead(generator):
        return 0.1 * generator.normal(size=12) - 6 * (np.arange(12) == 5)

    found = stated_and_true(one_ahead, 40)
    assert (found[:, 6] == 1).all()
    assert found[:, 0].mean() > 0.95  # a normal law of differences states .9


def test_the_same_candidate_twice_stays_a_tie_and_pairs_keep_their_difference():
    generator = np.random.default_rng(0)
    draws = estimated(np.array([0.0, 1.0, 2.0]), generator)
    draws = draws[:, [0, 0, 1, 2]]
    (likely,) = Shrinkage.of(draws, 0).posterior(draws)
    assert np.array_equal(likely[:, 0], likely[:, 1])
    # Two that go together row by row, far from a third: their difference is hardly less clear than
    # its three standard errors, though a hundredth of the differences to the third.
    noise = generator.normal(size=(N_DRAWS, 1))
    draws = np.hstack([0 * noise, 0.03 + 0.01 * noise, 1 + 0.2 * noise])
    (likely,) = Shrinkage.of(draws, 0).posterior(draws)
    clear = likely[:, 1] - likely[:, 0]
    assert 2.2 < clear.mean() / clear.std() < 3.3


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_the_unit_of_the_risk_has_no_effect(scale):
    draws = estimated(np.array([0.0, 1.0, 2.0]), np.random.default_rng(1))
    (plain,) = Shrinkage.of(draws, 0).posterior(draws)
    (scaled,) = Shrinkage.of(scale * draws, 0).posterior(scale * draws)
    assert np.allclose(scaled / scale, plain)
    (same,) = Shrinkage.of(np.ones((10, 3)), 0).posterior(np.ones((10, 3)))
    assert np.array_equal(same, np.ones((10, 3)))


def test_more_data_are_worth_what_they_win():
    # Candidates alike: twice as much data later, whose estimates are twice as well known.
    stated, won, plainly = [], [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        risks = 0.3 * generator.normal(size=12)
        draws = estimated(risks, generator)
        shrinkage = Shrinkage.of(draws, seed)
        (likely,) = shrinkage.posterior(draws)
        choice = Choice([str(k) for k in range(12)], likely, 0.0)
        stated.append(choice.value_of(shrinkage.to_be_expected(likely, shrinkage.noise / 2)))
        today = draws.mean(axis=0)
        later = (today + risks + generator.normal(size=12)) / 2
        won.append(risks[today.argmin()] - risks[later.argmin()])
        plain = Choice(choice.candidates, draws, 0.0)
        plainly.append(plain.value_of(today + np.sqrt(0.5) * (draws - today)))
    error = 5 * np.std(won) / np.sqrt(200)  # 6e-7
    assert abs(np.mean(stated) - np.mean(won)) < error + 0.05
    assert np.mean(plainly) - np.mean(won) > 0.2  # power


# ---- where it is said ----------------------------------------------------------------------------


def test_comparisons_and_decisions_say_the_cross_fitted_risk_first(tmp_path):
    generator = np.random.default_rng(3)
    x = generator.normal(size=(60, 2))
    y = x[:, 0] + generator.normal(size=60)
    turns = ep.transforms.rotations2d(acts_on="vectors")
    tables = {
        str(k): ep.evaluate_orbits(
            lambda b, k=k: (0.9 + 0.05 * k) * b[:, 0] + 0.3 * np.sin(9 * k * b[:, 1]), x, turns,
            y=y, n_transforms=1, backend="python",
        )
        for k in range(6)
    }  # fmt: skip
    comparison = ep.compare(tables)
    first = comparison.table.iloc[0]
    winner = comparison.winner
    assert winner.optimism > 0
    words = f"{first['cross_fitted']:.3g} ({np.quantile(winner.draws, 0.05):.3g} to "
    assert words in str(comparison)
    assert f"on rows that did not choose it, {first['risk']:.3g} on those that did" in str(
        comparison
    )
    again = ep.compare(tables)
    assert str(again) == str(comparison)
    assert np.array_equal(again.winner.draws, winner.draws)
    comparison.save(tmp_path / "comparison.nc")
    assert str(ep.load(tmp_path / "comparison.nc")) == str(comparison)
    costs = dict.fromkeys(comparison.candidates, 0.5) | {comparison.candidates[-1]: 0.0}
    decision = ep.decide(comparison, costs=costs, information=())
    assert decision.candidates[0] == comparison.candidates[-1]
    assert decision.winner is not None
    assert decision.winner.apparent == pytest.approx(comparison.table["risk"].iloc[-1])
    assert f"{decision.table['cross_fitted'].iloc[0]:.3g} (" in str(decision)
