"""Decisions: probabilities, regret, costs, and what information is worth."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from refusals import refuses
from scipy import stats

import equiprob as ep
from equiprob.decisions.choice import Choice
from equiprob.decisions.information.run import regressed
from equiprob.decisions.shrinkage import Shrinkage
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import linear_task

TURNS = ep.transforms.rotations2d(acts_on="vectors")
information = ep.information


def slope_table(slope, x, y, **options):
    return ep.evaluate_orbits(
        lambda b: slope * b[:, 0], x, TURNS, y=y, n_transforms=1, backend="python", **options
    )


def compared(slopes, n=200, seed=0, **options):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    y = x[:, 0] + generator.normal(size=n)
    tables = {
        name: [slope_table(s, x, y) for s in slope] if isinstance(slope, tuple) else
        slope_table(slope, x, y)
        for name, slope in slopes.items()
    }  # fmt: skip
    return ep.compare(tables, **options)


class Curves:
    """Two candidates: a known risk of 1, and one of mean `mean` and standard deviation `spread`.

    A run of the second is off by its seed.
    """

    candidates = ("known", "unknown")
    n_observed = np.array([100, 300, 1000])
    diagnostics = ()

    def __init__(self, mean=1.0, spread=0.03, seeds=0.05, n_draws=4000):
        generator = np.random.default_rng(0)
        self.risk_drawn = generator.normal(mean, spread, n_draws)
        self.noise = seeds * generator.normal(size=(n_draws, 64))

    def risk(self, n, predictive=False, n_seeds=1):
        drawn = self.risk_drawn + 0.01 * np.log10(n / 1000)
        if predictive:
            drawn = drawn + self.noise[:, :n_seeds].mean(axis=1)
        return pd.DataFrame({"known": np.ones(len(drawn)), "unknown": drawn})


def expected_minimum(mean, sd):
    """E min(0, N(mean, sd^2))."""
    return mean * stats.norm.cdf(-mean / sd) - sd * stats.norm.pdf(mean / sd)


# ---- the choice ---------------------------------------------------------------------------------


def test_probabilities_and_regret_of_two_normal_losses_are_the_closed_form():
    generator = np.random.default_rng(0)
    draws = generator.normal([0.0, 0.5], [1.0, 1.0], size=(40_000, 2))
    choice = Choice(["a", "b"], draws, rope=0.3)
    gap, sd = 0.5, np.sqrt(2)
    p_best = stats.norm.cdf(gap / sd)
    assert choice.p_best[0] == pytest.approx(p_best, abs=5 * 0.5 / np.sqrt(40_000))
    regret = -expected_minimum(gap, sd)
    error = 5 * choice.regret[:, 0].std() / np.sqrt(40_000)
    assert choice.value_of_perfect_information == pytest.approx(regret, abs=error)
    assert abs(choice.value_of_perfect_information - 1.1 * regret) > error  # power
    worse, equal, better = choice.against(0)[1]
    assert worse + equal + better == pytest.approx(1)
    assert better == pytest.approx(stats.norm.cdf((-0.3 - gap) / sd), abs=0.0125)


def test_equal_candidates_share_the_probability_of_being_best():
    draws = np.repeat(np.random.default_rng(0).normal(size=(500, 1)), 2, axis=1)
    choice = Choice(["a", "b"], draws, rope=0.0)
    assert np.allclose(choice.p_best, 0.5)
    assert choice.verdict("risk", "here").startswith("Ship 'a' or 'b': they are equal")


def test_the_verdict_is_two_sentences_and_the_same_in_both_places():
    for slopes, rope in (({"a": 1.0, "b": 0.0}, 0.0), ({"a": 1.0, "b": 0.99}, 0.0),
                         ({"a": 1.0, "b": 0.99}, 0.2)):  # fmt: skip
        comparison = compared(slopes, rope=rope)
        decision = ep.decide(comparison, information=())
        assert decision.verdict == comparison.verdict
        assert decision.verdict.count(". ") == 1
        assert "loss minimized is the expected squared error (200 held-out rows)" in str(decision)
    undecided = ep.decide(compared({"a": 1.0, "b": 1.04}, n=60))
    assert str(undecided).startswith("Undecided: ")
    assert "of what could be learned first, 540 more held-out rows" in undecided.verdict


def test_probabilities_against_a_reference_add_up_to_one():
    decision = ep.decide(
        compared({"a": 1.0, "b": 0.9, "c": 0.5}), rope=0.02, reference="b", information=()
    )
    three = decision.table[["p_worse", "p_equal", "p_better"]]
    assert np.allclose(three.sum(axis=1), 1)
    assert three.loc["b", "p_equal"] == 1
    assert three.loc["c", "p_worse"] > 0.9
    assert decision.table["p_best"].sum() == pytest.approx(1)


@pytest.mark.simulation
def test_stated_probabilities_and_regrets_come_true():
    hits, stated, regrets = [], [], []
    for seed in range(150):
        generator = np.random.default_rng([seed, 1])
        slopes = dict(zip("ab", 1 + 0.15 * generator.normal(size=2), strict=True))
        decision = ep.decide(compared(slopes, n=80, seed=seed, n_draws=500), information=())
        truth = {name: (slope - 1) ** 2 for name, slope in slopes.items()}
        chosen, best = decision.candidates[0], min(truth, key=lambda name: truth[name])
        hits.append(chosen == best)
        stated.append(float(decision.choice.p_best[0]))
        regrets.append([decision.value_of_perfect_information, truth[chosen] - truth[best]])
    stated, regrets = np.array(stated), np.array(regrets)

    # Sums of independent terms: five standard deviations, 6e-7.
    def calibrated(p):
        return abs(np.sum(hits - p)) <= 5 * np.sqrt(np.sum(p * (1 - p)) + 1e-9)

    assert calibrated(stated)
    assert not calibrated(np.ones(150))  # power
    off = regrets[:, 0] - regrets[:, 1]
    assert abs(off.mean()) <= 5 * off.std() / np.sqrt(150)
    tripled = 3 * regrets[:, 0] - regrets[:, 1]
    assert abs(tripled.mean()) > 5 * tripled.std() / np.sqrt(150)


# ---- costs --------------------------------------------------------------------------------------


def test_costs_put_risk_training_and_inference_into_one_unit():
    comparison = compared({"a": 1.0, "b": 0.9}, rope=0.01)
    plain = ep.decide(comparison, information=())
    assert plain.candidates == ["a", "b"]
    costs = ep.Costs(
        price_of_risk=0.5,
        n_predictions=1000,
        training={"a": 300.0, "b": 10.0},
        per_prediction={"a": 0.01, "b": 0.0},
    )
    decision = ep.decide(comparison, costs=costs, information=())
    assert decision.candidates == ["b", "a"]  # a saves some 5 of 500 and costs 300 more
    for name in "ab":
        risk = comparison.table.loc[name, "risk"]
        total = 1000 * (0.5 * risk + costs.per_prediction[name]) + costs.training[name]
        assert decision.table.loc[name, "loss"] == pytest.approx(total)
    assert decision.facts.rope == pytest.approx(0.01 * 500)  # the comparison's, in this unit
    assert decision.units["regret"] == "cost"
    in_risk = ep.decide(comparison, costs={"a": 0.1, "b": 0.0}, information=())
    assert in_risk.candidates == ["b", "a"]
    assert in_risk.units["regret"] == "risk"


def test_averaging_is_worth_its_evaluations_or_not():
    task = linear_task(200, optimum=0.5, seed=1)
    table = ep.evaluate_orbits(
        task.predict, task.x, task.transform, y=task.y, n_transforms=6, backend="python",
        design="random",
    )  # fmt: skip
    level = ep.SymmetryLevel(n_draws=1000).fit(table)
    free = ep.decide(level)
    assert free.candidates == ["averaged", "as trained"]
    dear = ep.decide(level, costs={"as trained": 0.0, "averaged": 10.0})
    assert dear.candidates[0] == "as trained"
    # At a price near the saving, more transformations are worth something, and less than rows
    # without end.
    saved = float(np.median(level.draws["risk_saved_shipped"]))
    even = ep.decide(
        level,
        costs={"as trained": 0.0, "averaged": saved},
        information=[information.Transformations(6), information.Rows(10_000)],
    )
    values = even.information["value"]
    assert 0 < level.facts.monte_carlo_share < 1
    assert 0 < values["6 more transformations of each row"] < values["10000 more held-out rows"]


# ---- information --------------------------------------------------------------------------------


def values_of(result, wanted):
    decision = ep.decide(result, information=wanted)
    return [f["value"] for f in decision.facts.information], decision


@pytest.mark.parametrize("kind", ["rows", "seeds", "runs"])
def test_more_is_worth_more_and_never_more_than_all(kind):
    amounts = (1, 4, 16, 64)
    if kind == "runs":
        result, wanted = Curves(), [information.Run("unknown", 1000, k) for k in amounts]
    else:
        result = compared({"a": (0.9, 1.0, 1.3), "b": (0.8, 1.1, 1.25)}, n=60)
        make = {"rows": information.Rows, "seeds": information.Seeds}[kind]
        wanted = [make(10 * k) for k in amounts]
    values, decision = values_of(result, wanted)
    assert np.all(np.diff(values) >= 0)
    assert values[0] > 0
    assert values[-1] <= decision.value_of_perfect_information


def test_a_decision_that_is_clear_is_worth_no_information():
    values, decision = values_of(compared({"a": 1.0, "b": 0.0}), [information.Rows(1000)])
    assert values == [0.0]
    assert decision.value_of_perfect_information == 0


def test_rows_are_worth_what_a_nested_simulation_finds():
    comparison = compared({"a": 1.0, "b": 1.04}, n=80, seed=3)
    shrinkage, (_, likely) = comparison.shrinkage, comparison.likely_risk
    generator, n, n_new, nested = np.random.default_rng(0), 80, 160, []
    for truth in likely[:1000]:
        noise = np.sqrt(shrinkage.noise * n / n_new) * generator.normal(size=2)
        estimates = (n * shrinkage.estimates + n_new * (truth + noise)) / (n + n_new)
        later = Shrinkage(estimates, shrinkage.noise * n / (n + n_new), 0).expected
        nested.append(later[0] - later.min())  # the first is chosen today
    nested = np.array(nested)
    (ours,), _ = values_of(comparison, [information.Rows(n_new)])
    # Monte Carlo error of the nested simulation, five standard errors, and 10 % for the scale, of
    # which the rows to come will tell as well.
    error = 5 * nested.std() / np.sqrt(1000) + 0.1 * nested.mean()
    assert ours == pytest.approx(nested.mean(), abs=error)
    estimates = comparison.expected_risk
    plain = Choice(comparison.candidates, estimates, 0.0)
    middle = estimates.mean(axis=0)
    unshrunk = plain.value_of(middle + np.sqrt(n_new / (n + n_new)) * (estimates - middle))
    assert abs(unshrunk - nested.mean()) > error  # power: nothing known of how much they differ


@pytest.mark.parametrize("n_seeds", [1, 4, 16])
def test_a_run_is_worth_what_the_normal_closed_form_says(n_seeds):
    curves = Curves(mean=1.005)
    (ours,), _ = values_of(curves, [information.Run("unknown", 1000, n_seeds)])
    mean, variance = curves.risk_drawn.mean() - 1, 0.03**2
    sd = np.sqrt(variance**2 / (variance + 0.05**2 / n_seeds))
    truth = min(mean, 0.0) - expected_minimum(mean, sd)
    # Monte Carlo error of the mean of 4000 draws of min(0, N(mean, sd)): at most sd / 63, times 5.
    assert ours == pytest.approx(truth, abs=5 * sd / np.sqrt(4000))
    assert abs(ours - truth / 2) > 5 * sd / np.sqrt(4000)  # power
    (of_known,), _ = values_of(curves, [information.Run("known", 1000)])
    assert of_known == 0
    (of_both,), _ = values_of(curves, [information.Run(None, 1000, n_seeds)])
    assert of_both == pytest.approx(ours, rel=1e-6)


def test_what_is_expected_given_outcomes_of_two_kinds_are_two_means():
    outcome = np.where(np.arange(400) % 4 == 0, 1.0, 2.0)[:, None]  # ties: no room for splines
    values = np.random.default_rng(0).normal(size=(400, 3)) + outcome
    means = np.stack([values[outcome[:, 0] == kind].mean(axis=0) for kind in outcome[:, 0]])
    np.testing.assert_allclose(regressed(values, outcome), means, atol=1e-9)


def test_of_many_candidates_the_likeliest_are_thought_of_running_again():
    table = pd.DataFrame({f"c{k}": np.full(100, 1.0 + k) for k in range(12)})
    table["c11"] += np.random.default_rng(0).normal(0, 8, 100)
    curves = Curves(n_draws=100)
    curves.candidates, curves.risk = tuple(table.columns), lambda n, **options: table
    named = ep.decide(curves).information.index
    assert len(named) == 20
    assert any("'c11'" in name for name in named)  # not merely the first ten
    assert not any("'c10'" in name for name in named)


def test_seeds_are_worth_something_only_where_trainings_differ():
    # Trainings that hardly differ: the architectures' spread is known.
    alike = compared({"a": (1.0, 1.0001, 0.9999), "b": (0.9, 0.9001, 0.8999)}, n=60)
    apart = compared({"a": (0.7, 1.0, 1.3), "b": (0.6, 0.9, 1.2)}, n=60)
    (little,), _ = values_of(alike, [information.Seeds(3)])
    (much,), _ = values_of(apart, [information.Seeds(3)])
    assert little < 1e-6 < much


def test_values_are_listed_with_their_price():
    comparison = compared({"a": 1.0, "b": 1.04}, n=60)
    wanted = [information.Rows(100, cost=0.002), information.Rows(1000)]
    table = ep.decide(comparison, information=wanted).information
    assert list(table.index) == ["1000 more held-out rows", "100 more held-out rows"]
    assert (table["share"] <= 1).all()
    row = table.loc["100 more held-out rows"]
    assert row["value_per_cost"] == pytest.approx(row["value"] / 0.002)
    assert np.isnan(table.iloc[0]["cost"])


# ---- curves, files, figures, refusals -----------------------------------------------------------


def test_a_curve_is_decided_at_a_horizon_and_says_which():
    curves = Curves(mean=0.9)
    default = ep.decide(curves)
    assert default.facts.horizon == 1000
    assert Diagnostic.HORIZON_LARGEST in default.diagnostics
    assert "at n = 1000, the largest observed, as no horizon was stated" in default.verdict
    far = ep.decide(curves, horizon=10_000)
    assert Diagnostic.HORIZON_LARGEST not in far.diagnostics
    assert "at n = 10000, a forecast: runs reach n = 1000" in far.verdict
    assert "another run of 'unknown' at n = 10000" in far.information.index
    assert far.candidates[0] == "unknown"


def test_decisions_are_saved_and_come_back(tmp_path):
    for result in (compared({"a": 1.0, "b": 1.04}, n=60), Curves()):
        decision = ep.decide(result)
        decision.save(tmp_path / "decision.nc")
        again = ep.load(tmp_path / "decision.nc")
        assert str(again) == str(decision)
        pd.testing.assert_frame_equal(again.table, decision.table)
        pd.testing.assert_frame_equal(again.information, decision.information)
    loaded = compared({"a": (1.0, 1.1), "b": (0.9, 1.04)}, n=60)
    loaded.save(tmp_path / "comparison.nc")
    again = ep.decide(ep.load(tmp_path / "comparison.nc"))
    pd.testing.assert_frame_equal(again.table, ep.decide(loaded).table)


def test_figures_have_units_and_names():
    comparison = compared({"a": 1.0, "b": 1.04}, n=60)
    costs = ep.Costs(price_of_risk=0.5, n_predictions=1000)
    decision = ep.decide(comparison, costs=costs, information=[information.Rows(100, cost=20.0)])
    left, right = decision.plot().axes
    assert left.get_xlabel() == "probability of being best"
    assert right.get_xlabel() == "regret (cost)"
    worth, per_cost = decision.plot(kind="information").axes
    assert worth.get_xlabel() == "expected fall\nof the loss (cost)"
    assert "pays above 1" in per_cost.get_xlabel()
    (ax,) = ep.plots.plot_regret(Curves(), n_sizes=4).axes
    assert ax.get_xlabel().startswith("training rows")
    assert {"known", "unknown"} <= {line.get_label() for line in ax.get_lines()}
    with refuses("kind must be .candidates. or .information.", "'pie'"):
        decision.plot(kind="pie")
    with refuses("no information was considered"):
        ep.decide(comparison, information=()).plot(kind="information")


COMPARISON = partial(compared, {"a": 1.0, "b": 0.9}, n=50, n_draws=100)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"costs": {"a": 1.0, "c": 2.0}}, ("costs names", "'c'", "'a', 'b'")),
        ({"costs": {"a": 1.0}}, ("says nothing of", "'b'")),
        ({"costs": {"a": 1.0, "b": np.nan}}, ("not finite", "'b'")),
        (
            {"costs": ep.Costs(price_of_risk=1, n_predictions=1, training={"z": 1.0})},
            ("training names", "'z'"),
        ),
        ({"rope": -0.1}, ("rope", "-0.1")),
        ({"horizon": 1000}, ("horizon", "learning curves")),
        ({"reference": "z"}, ("reference", "'z'")),
        ({"information": [information.Seeds(1)]}, ("seeds", "trained models")),
        ({"information": [information.Transformations(8)]}, ("transformations", "do not depend")),
        ({"information": [information.Run("a", 100)]}, ("learning curves",)),
    ],
)
def test_what_cannot_be_decided_is_refused(options, words):
    with refuses(*words):
        ep.decide(COMPARISON(), **options)


def test_what_cannot_be_learned_or_priced_is_refused():
    for make in (
        lambda: information.Rows(0),
        lambda: information.Run("a", np.inf),
        lambda: information.Seeds(2, cost=-1.0),
        lambda: ep.Costs(price_of_risk=-1, n_predictions=10),
        lambda: ep.Costs(price_of_risk=1, n_predictions=np.inf),
    ):
        with refuses("positive number"):
            make()
    with refuses("no candidate 'x'"):
        ep.decide(Curves(), information=[information.Run("x", 100)])
    with refuses("horizon must be a number"):
        ep.decide(Curves(), horizon=-5)
    with refuses("result must be what ep.compare returns", "LearningCurve", error=TypeError):
        ep.decide(3)  # pyright: ignore[reportArgumentType]
    x = np.random.default_rng(2).normal(size=(50, 2))
    exact = ep.evaluate_orbits(
        lambda b: (b**2).sum(axis=1), x, TURNS, y=np.ones(50), backend="python"
    )
    with refuses("nothing to decide"):
        ep.decide(ep.SymmetryLevel(n_draws=100).fit(exact))
