"""How often a transformation changes the decision: shares that a formula knows."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

import equiprob as ep

mpl.use("Agg")

TURNS = ep.transforms.rotations2d(acts_on="vectors")
EDGE = 1.0
RADIUS = np.sqrt(-2 * np.log1p(-(np.arange(4000) + 0.5) / 4000))  # of Gaussian points, as quantiles
BEYOND = np.arccos(np.clip(EDGE / RADIUS, -1, 1)) / np.pi
TRUTH = float((2 * BEYOND * (1 - BEYOND)).mean())


def predict(rows):
    right = (rows[:, 0] > EDGE).astype(float)
    return np.stack([1 - right, right], axis=1)


def evaluated(n, seed=0, predict=predict, transform=TURNS, y=None, **options):
    x = np.random.default_rng(seed).normal(size=(n, 2))
    y = None if y is None else y(x)
    options = {"keep": "all", "n_transforms": 5, "backend": "python"} | options
    return ep.evaluate_orbits(predict, x, transform, y=y, **options)


@pytest.mark.simulation
def test_intervals_hold_the_share_and_those_of_pairs_do_not():
    runs, held, naive = 60, 0, 0
    for seed in range(runs):
        orbits = evaluated(100, seed)
        result = ep.ChangedDecisions(n_draws=400).fit(orbits)
        low, high = np.quantile(result.draws["share"], [0.05, 0.95])
        held += low <= TRUTH <= high
        share = result.rows["share"].mean()
        half = 1.645 * np.sqrt(share * (1 - share) / (5 * 100)) / 2
        naive += abs(share - TRUTH) <= half  # half the width that independent pairs would give
    # At a coverage of 0.87 fewer than 42 of 60 has probability 1e-4; the narrow ones hold the truth
    # in less than half of the runs, and in 42 of 60 or more once in a thousand.
    assert stats.binom.cdf(41, runs, 0.87) < 5e-4
    assert held >= 42
    assert naive < 42


def test_labels_say_which_way_decisions_turn():
    wrong = np.arange(400) % 10 == 0
    orbits = evaluated(400, y=lambda x: ((x[:, 0] > EDGE) ^ wrong).astype(int))
    result = ep.ChangedDecisions(n_draws=400).fit(orbits)
    middle = {name: np.median(result.draws[name]) for name in result.draws}
    assert middle["turned_wrong"] + middle["turned_right"] == pytest.approx(
        middle["share"], abs=0.02
    )  # draws of the three are joint; two medians differ from that of the sum by less than this
    assert middle["turned_wrong"] > 4 * middle["turned_right"]
    assert result.draws["share_by_class"].shape == (400, 2)
    by_class = np.median(result.draws["share_by_class"], axis=0)
    assert by_class[1] > by_class[0] + 0.2  # of the few beyond the edge most come back
    assert "A right class turns wrong" in str(result)
    assert "class 1" in str(result)
    result.plot()


def test_small_turns_change_fewer_decisions():
    share = ep.ChangedDecisions(n_draws=400).fit(evaluated(300)).draws["share_by_magnitude"]
    middle = np.median(share, axis=0)
    assert middle[0] < 0.1 < middle[-1]  # 300 rows: five standard deviations of 0.02
    quarters = ep.transforms.cyclic(4, acts_on="vectors")
    result = ep.ChangedDecisions(n_draws=400).fit(evaluated(300, transform=quarters))
    assert result.coords["magnitude"].tolist() == [0.0, 90.0, 180.0]
    assert np.median(result.draws["share_by_magnitude"][:, 0]) < 0.01
    assert result.draws["share_by_magnitude"][:, 1].std() > 0


def test_a_share_that_was_never_seen_is_not_sure_to_be_none():
    def same(rows):
        return np.broadcast_to([0.3, 0.7], (len(rows), 2))

    share = ep.ChangedDecisions(n_draws=2000).fit(evaluated(100, predict=same)).draws["share"]
    # Jeffreys' posterior of no failure in 100 has its 95 % point at 0.019.
    assert 0.01 < np.quantile(share, 0.95) < 0.03


def test_numbers_change_beyond_a_threshold():
    orbits = evaluated(200, predict=lambda rows: rows[:, 0])
    moved = np.abs(orbits.only.raw[..., 0]) > 0.5
    result = ep.ChangedDecisions(threshold=0.5, n_draws=400).fit(orbits)
    assert result.rows["share"] == pytest.approx(moved.mean(axis=1))
    assert (
        result.worst_rows(3).tolist() == np.argsort(-moved.mean(axis=1), kind="stable")[:3].tolist()
    )
    assert "moves by more than 0.5" in str(result)
    result.plot()


@pytest.mark.parametrize(
    ("options", "threshold", "message"),
    [
        ({"predict": lambda rows: rows[:, 0]}, None, "pass threshold="),
        ({"keep": "rows"}, None, "keep='all'"),
        ({"design": "crossed"}, None, "design='quasi'"),
        ({}, -1.0, "at least 0"),
    ],
)
def test_what_it_needs(options, threshold, message):
    with pytest.raises(ValueError, match=message):
        ep.ChangedDecisions(threshold=threshold, n_draws=50).fit(evaluated(40, **options))
