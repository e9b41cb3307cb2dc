"""Tables of runs as people have them, and counts of failures."""

import numpy as np
import pandas as pd
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.curves.likelihood import binomial_told
from equiprob.curves.runs import read_runs
from equiprob.posterior.diagnostics import Diagnostic

SIZES = (100, 1000, 10_000)
LONG = pd.DataFrame(
    [
        (c, n, s, 30 / (n + k) + 0.001 * s)
        for k, c in enumerate("ab")
        for n in SIZES
        for s in (0, 1)
    ],
    columns=["candidate", "n", "seed", "risk"],
)


def same(given, expected=LONG):
    found, told = read_runs(given), read_runs(expected)
    assert found.candidates == told.candidates
    for name in ("sizes", "candidate", "size", "seed"):
        np.testing.assert_array_equal(getattr(found, name), getattr(told, name))
    np.testing.assert_allclose(found.risk, told.risk)
    return found


def test_rows_of_one_cell_are_its_seeds_where_there_is_no_column():
    same(LONG.drop(columns="seed"))


def test_sizes_may_be_written_as_people_write_them():
    words = {100: "100", 1000: "1k", 10_000: "0.01M"}
    same(LONG.assign(n=LONG.n.map(words)))
    shares = {100: "1%", 1000: "10 %", 10_000: "100%"}
    shared = LONG.assign(n=LONG.n.map(shares))
    found = read_runs(shared, n_total=10_000)
    np.testing.assert_array_equal(found.sizes, SIZES)
    with refuses("'1%'", "n_total"):
        read_runs(shared)
    with refuses("'many'", "row 2"):
        read_runs(LONG.assign(n=["1k", "1k", "many", *["2k"] * 9]))


def test_candidates_may_be_columns():
    wide = LONG.pivot(index=["n", "seed"], columns="candidate", values="risk").reset_index()
    same(wide)
    wide.loc[2, "b"] = np.nan
    holed = read_runs(wide)
    assert holed.left_out == ("b at n = 1000",)
    assert len(holed.risk) == len(LONG) - 1


def test_a_mean_with_its_spread_stands_for_its_runs():
    cells = LONG.groupby(["candidate", "n"]).risk
    means = cells.agg(risk="mean", sd="std").assign(seeds=4).reset_index()
    found = read_runs(means)
    assert len(found.risk) == 4 * len(means)
    made = pd.DataFrame({"c": found.candidate, "n": found.size, "r": found.risk})
    again = made.groupby(["c", "n"]).r.agg(["mean", "std"])
    np.testing.assert_allclose(again["mean"], means["risk"])
    np.testing.assert_allclose(again["std"], means["sd"], rtol=0.02)
    assert len(read_runs(means.drop(columns="sd")).risk) == len(means)
    with refuses("seeds", "number of runs"):
        read_runs(means.assign(seeds=0))


def test_accuracies_and_other_sizes():
    same(LONG.assign(accuracy=1 - LONG.risk).drop(columns="risk"))
    with refuses("accuracy", "divide percentages by 100"):
        read_runs(LONG.assign(accuracy=95.0).drop(columns="risk"))
    with refuses("accuracy", "trials"):
        read_runs(LONG.assign(accuracy=1.0).drop(columns="risk"))
    compute = LONG.assign(compute=1e15 * LONG.n, n=5)
    np.testing.assert_allclose(read_runs(compute, size="compute").sizes, 1e15 * np.array(SIZES))
    with refuses("one loss", "mse", "rmse"):
        read_runs(LONG.assign(loss=["mse", "rmse"] * 6))
    with refuses("failures", "trials"):
        read_runs(LONG.assign(failures=0).drop(columns="risk"))
    with refuses("failures", "0 to trials", "candidate a"):
        read_runs(LONG.assign(failures=11, trials=10).drop(columns="risk"))
    with refuses("trials", "failures and successes together", "candidate a"):
        read_runs(LONG.assign(failures=1, successes=8, trials=10).drop(columns="risk"))


def test_a_risk_that_its_test_rows_hardly_tell_is_hardly_known():
    # A standard error a million times the risk: that of a logarithm is sqrt(log(1e12)), 5.3.
    curve = ep.LearningCurve(n_draws=500).fit(LONG.assign(risk_se=1e6 * LONG.risk))
    spread = np.log(curve.risk(LONG.n.max())).std()
    assert spread.between(2, 10).all()


def test_the_table_is_questioned_where_it_looks_odd():
    assert Diagnostic.RISKS_RISE in read_runs(LONG.assign(risk=1 - LONG.risk)).diagnostics()
    assert Diagnostic.RISKS_RISE not in read_runs(LONG).diagnostics()
    rates = LONG.assign(risk=np.minimum(2 * LONG.risk, 0.9))
    few = {"n_draws": 200}
    assert Diagnostic.MAY_BE_RATES in ep.LearningCurve(**few).fit(rates).diagnostics
    stated = ep.LearningCurve(risk_max=1, **few).fit(rates)
    assert Diagnostic.MAY_BE_RATES not in stated.diagnostics
    assert stated.draws["risk"].max() <= 1


def test_the_likelihood_of_counts_is_that_of_the_binomial_law():
    """Against the integral over the runs' own log risks, on a fine grid: arithmetic, no draws."""
    failures, trials = np.array([0.0, 3.0, 50.0]), np.array([50.0, 50.0, 60.0])
    at = np.log(np.array([0.02, 0.1, 0.7]))
    for sd in (0.05, 0.3):
        y = at[:, None] + sd * np.linspace(-8, 8, 4001)
        inside = np.exp(-0.5 * ((y - at[:, None]) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        rate = np.exp(np.minimum(y, -1e-9))
        inside *= rate ** failures[:, None] * (1 - rate) ** (trials - failures)[:, None]
        inside[y > 0] = 0.0
        exact = np.log(np.trapezoid(inside, y, axis=1))
        told = binomial_told(at, failures, trials, np.full(3, sd**2))
        # Laplace's method: worst for the many failures beside the bound.
        np.testing.assert_allclose(told.fit, exact, atol=0.05)
        # The twin: the same without the runs' own noise is seen to differ.
        plain = failures * at + (trials - failures) * np.log1p(-np.exp(at))
        assert sd < 0.1 or np.abs(plain - exact).max() > 0.05
        step = 1e-4
        up, down = (
            binomial_told(at + d, failures, trials, np.full(3, sd**2)) for d in (step, -step)
        )
        np.testing.assert_allclose(told.score, (up.fit - down.fit) / (2 * step), rtol=0.1, atol=0.3)


def test_success_everywhere_is_a_table_like_others():
    runs = pd.DataFrame(
        [
            (c, n, failures, 50)
            for c, cells in {"never fails": (20, 3, 0), "fails": (40, 25, 14)}.items()
            for n, failures in zip(SIZES, cells, strict=True)
        ],
        columns=["candidate", "n", "failures", "trials"],
    )
    curve = ep.LearningCurve(n_draws=1000).fit(runs)
    last = curve.risk(10_000)
    low, high = last["never fails"].quantile([0.05, 0.95])
    # None of 50 failed: of rates above 6 % that is less probable than 5 %.
    assert 0 < low < 0.01 < high < 0.08
    assert 0.15 < last["fails"].median() < 0.4
    assert curve.p_best(10_000)["never fails"] > 0.99
    successes = runs.assign(successes=50 - runs.failures).drop(columns="failures")
    np.testing.assert_array_equal(
        ep.LearningCurve(n_draws=1000).fit(successes).risk(5000), curve.risk(5000)
    )


@pytest.mark.parametrize("column", ["risk", "candidate"])
def test_a_table_that_says_too_little_is_refused(column):
    with refuses("candidate", "risk"):
        read_runs(LONG.drop(columns=column).assign(remark="x"))
