"""Learning curves: known truths, what they say beyond the data, and what they refuse.

Intervals of probability 0.998 miss a truth that the model allows once in 500; seeds are fixed.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from click.testing import CliRunner
from refusals import refuses

import equiprob as ep
from equiprob.cli import main
from equiprob.curves.grid import SLOPES
from equiprob.curves.runs import read_runs
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.report.curve_page import curve_page
from equiprob.testing import ridge_task

INERTIA = Path(__file__).parents[2] / "shared" / "data" / "emlp_inertia.csv"


def power_laws(sizes=(100, 300, 1000), seeds=3, scatter=0.05, seed=0):
    """Two candidates whose curves cross at n = 1000 * (4 / 3) ** (1 / 0.4)."""
    g = np.random.default_rng(seed)
    rows = [
        (name, n, s, scale * (n / 1000) ** -alpha * np.exp(scatter * g.normal()))
        for name, scale, alpha in (("steep", 0.4, 0.9), ("flat", 0.3, 0.5))
        for n in sizes
        for s in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["candidate", "n", "seed", "risk"])


@cache
def fitted():
    return ep.LearningCurve().fit(power_laws())


@cache
def ridge():
    task = ridge_task(2)
    return task, ep.LearningCurve().fit(task.runs([100, 300, 1000]))


def inside(draws, truth, prob=0.9):
    # Draws may be infinite, between which nothing can be interpolated.
    low, high = np.quantile(draws, [0.5 - prob / 2, 0.5 + prob / 2], method="nearest")
    return low <= truth <= high


def test_curves_of_known_shape_are_found_within_and_beyond_the_data():
    """Ranks of the truths among the draws are .13 to .90, and .9958 of one (flat, 550 rows).

    Other chains change them: of 2800 effective draws 12 are beyond that one, and fewer than 3, as
    the assertion needs to fail, with probability 7e-4.
    """
    result = fitted()
    assert result.candidates == ["steep", "flat"]
    for n in (100, 550, 1000, 3000):
        risk = result.risk(n)
        for name, scale, alpha in (("steep", 0.4, 0.9), ("flat", 0.3, 0.5)):
            truth = scale * (n / 1000) ** -alpha
            assert inside(risk[name], truth, 0.998), (name, n)
            # The twin: a truth half as large again is seen to be wrong, within the data.
            assert n > 1000 or not inside(risk[name], 1.5 * truth, 0.998)


def test_the_command_line_fits_what_python_does(tmp_path):
    power_laws().to_csv(tmp_path / "runs.csv", index=False)
    done = CliRunner().invoke(
        main,
        f"curve {tmp_path}/runs.csv --at 5000 --json --save {tmp_path}/curve.nc".split(),
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["verdict"] == str(fitted())
    assert told["p_best"]["5000"] == dict(fitted().p_best(5000))
    saved = ep.load(tmp_path / "curve.nc")
    np.testing.assert_array_equal(saved.risk(5000), fitted().risk(5000))


def test_intervals_widen_beyond_the_data_and_risks_seldom_rise_there():
    result = fitted()
    sizes = (1000, 2000, 5000, 20000, 10**6)
    logs = np.stack([np.log(result.risk(n)["flat"]) for n in sizes])
    assert (np.diff(logs.std(axis=1)) > 0).all()
    # Real curves rise in some percent of steps; here .02 of draws do by a tenth, of 4000.
    assert (logs[-1] > logs[0] + 0.1).mean() < 0.05


def test_draws_do_not_depend_on_what_was_asked_before_and_fits_repeat_bit_by_bit():
    result = fitted()
    first = result.risk(40_000)
    result.crossover("flat", "steep")
    assert np.array_equal(first, result.risk(40_000))
    assert np.array_equal(first, ep.LearningCurve().fit(power_laws()).risk(40_000))


def test_runs_scatter_more_than_expectations_and_the_mean_of_many_seeds_less_than_one():
    result = fitted()
    expected, one = result.risk(1000), result.risk(1000, predictive=True)
    many = result.risk(1000, predictive=True, n_seeds=16)
    spread = [np.log(frame["flat"]).std() for frame in (expected, many, one)]
    assert spread[0] < spread[1] < spread[2]


def test_the_crossover_and_the_exchange_rate_are_those_of_the_curves():
    result = fitted()
    crossing = result.crossover("flat", "steep")
    assert inside(crossing, 1000 * (4 / 3) ** (1 / 0.4), 0.998)
    # Never, if the steep curve levels off: .30 and .70, known to .01, as are the rank .18 of the
    # truth and below the probability of .68; the rank .0075 of the rate fails once in a million.
    assert 0 < np.isinf(crossing).mean() < 0.5
    back = result.crossover("steep", "flat")
    assert np.isinf(back).mean() > 0.5
    rate = result.exchange_rate("flat", "steep", 300)
    truth = 1000 * (4 / 3 / (300 / 1000) ** -0.5 * 1.0) ** (1 / 0.9) / 300
    assert inside(rate, truth, 0.998)
    assert not inside(rate, 2 * truth, 0.998)


def test_probabilities_of_being_best_follow_the_curves():
    result = fitted()
    assert result.p_best(100)["flat"] > 0.95
    # .56, of 4000 draws: known to .008.
    assert result.p_best(30_000)["steep"] > 0.5
    assert result.p_best(500).sum() == pytest.approx(1.0)


def test_the_optimal_level_of_a_ridge_task_is_found():
    task, result = ridge()
    for n in (1000, 6000):
        level = result.optimal_level(n)
        assert inside(level, task.optimal_level(n), 0.998)
        assert not inside(level, 0.7 * task.optimal_level(n), 0.998)
        assert (result.measured_level(n) >= level).all()
    # Ranks are .74 and .33 of 400 effective draws, widths .08; those of the twins are 0.
    low, high = np.quantile(result.optimal_level(1000), [0.05, 0.95])
    assert high - low < 0.25 * task.optimal_level(1000)


@pytest.mark.parametrize("spoiled", ["floors", "errors", "roots"])
def test_tables_that_the_theory_does_not_hold_for_are_named_and_forecast_without_it(spoiled):
    task, held = ridge()
    assert Diagnostic.THEORY_DOUBTED not in held.diagnostics  # the twin
    runs, truth = task.runs([100, 300, 1000]), task.risk(6000)
    names = list(dict.fromkeys(runs.candidate))
    place = runs.candidate.map(names.index).to_numpy()
    if spoiled == "floors":
        floors = np.array([0.3, 0.0, 0.5, 0.1, 0.4])
        runs, truth = runs.assign(risk=runs.risk + floors[place]), truth + floors
    elif spoiled == "roots":
        runs, truth = runs.assign(risk=np.sqrt(runs.risk)), np.sqrt(truth)
    else:
        errors = runs.groupby("candidate", sort=False).error.mean().to_numpy()
        runs = runs.assign(error=errors[[3, 0, 4, 1, 2]][place])
    result = ep.LearningCurve(n_draws=500).fit(runs)
    # Slacks are 9 prior standard deviations above what is usual, or Pareto k is above 2.
    assert Diagnostic.THEORY_DOUBTED in result.diagnostics
    # Log odds of squares are 5 to 14 where risks are roots, -30 to -2 where they are not; 3 decide.
    assert (Diagnostic.ROOTED_RISKS in result.diagnostics) == (spoiled == "roots")
    risk = result.risk(6000).to_numpy()
    # Of forecasts whose five 90 % intervals mostly hold together; with the theory one or two do.
    assert sum(inside(risk[:, k], truth[k], 0.95) for k in range(5)) >= 4


def test_the_optimal_level_weighs_costs_as_the_curves_show_them():
    """Costs at the end rise with squared errors, and the level follows from that slope.

    Errors seen at fewer rows are larger; taking their size for the unit made costs less than half
    as large.
    """
    _, curve = ridge()
    n = curve.n_observed[-1]
    at = list(curve.coords["n"]).index(n)
    costs = curve.draws["risk"][:, :, at] - curve.draws["floor"]
    squares = curve.draws["model_error"] ** 2
    slopes = (costs[:, -1] - costs[:, 0]) / (squares[:, -1] - squares[:, 0])
    truth, level = curve.draws["data_error"], curve.optimal_level(n)
    used = 0.5 * (truth / level - 1)
    # The median is .988, of 400 effective draws or more with a standard deviation of .07: known
    # to .005.
    assert np.median(used / slopes) == pytest.approx(1, abs=0.1)


def test_the_truth_of_a_ridge_task_is_that_of_its_formula():
    task = ridge_task(0, p_sym=3, p_perp=6, asymmetry=0.3)
    n = 400
    excess = task.noise**2 / (n - 10)
    expected = task.noise**2 + excess * np.array([3 * (n - 10) / (n - 4) * (1 + 0.3), 9])
    # Without the asymmetric part its variance is noise; with all of it, least squares. The mean of
    # 4000 trainings has a relative error of 1.2 % of the excess: 5 of them.
    both = task.risk(n, [0.0, 1.0])
    assert both[1] == pytest.approx(expected[1], abs=5 * 0.012 * excess * 9)
    assert both[0] - 0.3 == pytest.approx(expected[0], abs=5 * 0.012 * excess * 9)
    share = 0.3 / (0.3 + 6 * excess)
    assert task.optimal_share(n) == pytest.approx(share, abs=0.02)


def test_a_stated_data_error_takes_the_place_of_its_prior():
    task, result = ridge()
    runs = task.runs([100, 300, 1000])
    told = np.full(500, task.data_error) * (1 + 0.01 * np.random.default_rng(0).normal(size=500))
    narrowed = ep.LearningCurve().fit(runs, data_error=told)
    # Of .0046 and .0143 or .0149, each known to 5 %.
    assert narrowed.draws["data_error"].std() < 0.6 * result.draws["data_error"].std()
    assert inside(narrowed.optimal_level(1000), task.optimal_level(1000), 0.998)


def test_priors_can_be_seen():
    prior = ep.LearningCurve().prior(power_laws())
    assert "Prior" in str(prior)
    # Where the runs are no evidence, typical slopes are as the prior says: of 4000 independent
    # draws the standard deviation of logarithms is known to 1.2 %, and 6 % is five of that. The
    # grid cuts the log-normal law off, which takes 6 % of it; so the law is taken from the grid.
    logs, weight = np.log(SLOPES), np.exp(ep.CurvePriors().on_grid().typical)
    spread = np.sqrt(weight @ (logs - weight @ logs) ** 2)
    drawn = np.log(prior.draws["common_exponent"])
    assert drawn.std() == pytest.approx(spread, rel=0.06)
    posterior = np.log(fitted().draws["common_exponent"])
    assert posterior.std() != pytest.approx(spread, rel=0.06)


def test_priors_are_the_users_to_change():
    steep = ep.CurvePriors(exponent=dist.LogNormal(0.0, 0.1))
    drawn = ep.LearningCurve(priors=steep).prior(power_laws()).draws["common_exponent"]
    assert 0.9 < np.median(drawn) < 1.2  # the grid point next to 1 is 1.0 or 1.1, whatever the draw
    flat = ep.LearningCurve(priors=ep.CurvePriors.flat_theory()).fit(power_laws())
    width = np.log(flat.risk(10_000)).quantile([0.05, 0.95]).diff().iloc[1]
    # Power laws that hardly bend are known better than real curves are: 2.1 and 1.2 against 2.7
    # and 1.9, each known to 3 %.
    assert (width < 0.9 * np.log(fitted().risk(10_000)).quantile([0.05, 0.95]).diff().iloc[1]).all()


def test_results_can_be_saved_and_loaded(tmp_path):
    result = fitted()
    result.save(tmp_path / "curve.nc")
    loaded = ep.load(tmp_path / "curve.nc")
    assert np.allclose(loaded.risk(5000), result.risk(5000))
    assert str(loaded) == str(result)


def test_the_page_answers_at_the_sizes_asked_for():
    curve = fitted()
    answers = curve_page(curve, sizes=[5000, 300]).sections[0].table
    assert list(answers["n"].unique()) == ["300", "5,000"]
    (row,) = answers[answers["n"] == "5,000"].loc[[curve.candidates[0]]].to_dict("records")
    risk = curve.risk(5000)[curve.candidates[0]]
    assert row["risk"] == pytest.approx(np.median(risk))
    assert row["ci_low"] < row["risk"] < row["ci_high"]
    assert row["p_best"] == f"{curve.p_best(5000)[curve.candidates[0]]:.2f}"
    last = curve.n_observed[-1]
    assert list(curve_page(curve).sections[0].table["n"].unique()) == [
        f"{n:,.0f}" for n in (last, 10 * last)
    ]


def test_status_says_what_the_runs_cannot_tell():
    found = fitted().diagnostics
    assert Diagnostic.NO_ERRORS in found
    assert Diagnostic.TWO_SIZES not in found
    runs = power_laws()
    one_more = runs.tail(1).assign(seed=3, risk=np.nan)
    crashed = pd.concat([runs, one_more], ignore_index=True)
    result = ep.LearningCurve().fit(crashed)
    assert Diagnostic.RUNS_LEFT_OUT in result.diagnostics
    assert result.facts.left_out == ["18"]
    assert Diagnostic.FEW_SEEDS in read_runs(runs[1:]).diagnostics()
    few = read_runs(power_laws(sizes=(100, 1000))[:6])
    assert {Diagnostic.TWO_SIZES, Diagnostic.ONE_CANDIDATE} <= few.diagnostics()


def changed(**columns):
    return power_laws().assign(**columns)


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (power_laws().drop(columns="candidate"), ["candidate", "a column for each"]),
        (power_laws(sizes=(100,)), ["2 sample sizes", "100"]),
        (changed(risk=-1.0), ["risk", "above 0", "candidate steep"]),
        (changed(risk=np.nan), ["2 sample sizes", "18 runs have no finite risk"]),
        (changed(seed=0), ["seed", "differ"]),
        (changed(n=0), ["n must be a positive"]),
        (changed(n=np.inf), ["n must be a positive"]),
        (changed(risk_se=-0.1), ["risk_se", "negative"]),
        (changed(risk_se=np.inf), ["risk_se", "infinite"]),
        (changed(error=np.inf), ["error", "infinite"]),
        (changed(risk="large"), ["risk", "numbers", "'large' in row 0"]),
        (changed(risk=1j), ["risk", "real numbers", "complex"]),
        (changed(risk=1e-300), ["risk", "1e-100", "another unit", "candidate steep"]),
        (changed(candidate=None), ["candidate", "name", "n 100"]),
        (pd.concat([power_laws(), power_laws().risk], axis=1), ["'risk'", "twice"]),
    ],
)
def test_runs_that_cannot_be_used_are_refused(runs, words):
    with refuses(*words):
        ep.LearningCurve().fit(runs)


def test_questions_that_cannot_be_answered_are_refused():
    result = fitted()
    with refuses("optimal_level", "'error'"):
        result.optimal_level(1000)
    with refuses("between", "100"):
        result.risk(10)
    with refuses("'medium'", "steep"):
        result.crossover("steep", "medium")
    with refuses("twice"):
        result.crossover("steep", "steep")
    with refuses("n_seeds"):
        result.risk(1000, predictive=True, n_seeds=0)
    with refuses("data_error", "error"):
        ep.LearningCurve().fit(power_laws(), data_error=np.ones(5))
    relative = power_laws().assign(relative_error=0.1)
    with refuses("relative_error"):
        ep.LearningCurve().fit(relative).optimal_level(300)
    with refuses("case"):
        ep.LearningCurve(case="X")
    with refuses("exponent", "Distribution", error=TypeError):
        ep.CurvePriors(exponent=0.5)
    with refuses("turns must be 4 weights"):
        ep.CurvePriors(turns=(1.0, 0.0))
    with refuses("rise must lie between 0 and 1"):
        ep.CurvePriors(rise=1.5)
    with refuses("risk_max=0.1", "percentages"):
        ep.LearningCurve(risk_max=0.1).fit(power_laws())


@pytest.mark.skipif(not INERTIA.exists(), reason="the public table is not there")
def test_forecasts_of_a_public_table():
    table = pd.read_csv(INERTIA)
    result = ep.LearningCurve().fit(table[table.n <= 1000])
    held, narrow = [], []
    for n in (3000, 10_000, 30_000):
        drawn = np.log(result.risk(n, predictive=True))
        low, middle, high = (drawn.quantile(p) for p in (0.01, 0.5, 0.99))
        seen = np.log(table[table.n == n].groupby("candidate").risk.mean())
        held += [low[k] <= seen[k] <= high[k] for k in result.candidates]
        away = (seen - middle).abs()
        narrow += [away[k] <= (high - low)[k] / 20 for k in result.candidates]
    # Of 12 intervals that hold in 98 % of cases, fewer than 9 hold with probability 7e-5. Nine of
    # these 12 runs have ranks of .095 to .65 among the draws, known to .023 or better: chains that
    # other rounding makes others fail as rarely. One run (MLP+Aug at 3000) has rank .95.
    assert sum(held) >= 9
    assert sum(narrow) < 9  # the twin
    # The least effective number of draws is 170. The widest ratio is 28, known to 24 %; the
    # probability is .92, known to .021; the last .44, known to .04: all five standard errors off.
    drawn = result.risk(10_000)
    assert (drawn.quantile(0.95) / drawn.quantile(0.05)).max() < 100
    best = result.p_best(10_000)
    assert best["EMLP-O(3)"] + best["EMLP-SO(3)"] > 0.8
    here = result.risk(1000)
    assert 0.1 < (here["MLP+Aug"] < here["EMLP-O(3)"]).mean() < 0.9
