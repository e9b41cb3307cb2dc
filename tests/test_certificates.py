"""Certificates: never too small more often than stated, however one stops."""

from functools import partial

import jax
import matplotlib as mpl
import numpy as np
import pytest
from refusals import refuses
from scipy import stats

import equiprob as ep
from equiprob.errors.betting import log_capital, upper_bound
from equiprob.testing import linear_task

mpl.use("Agg")

TURN = ep.transforms.rotations2d(acts_on="vectors")
STRETCH = np.array([[1.0, 0.5, -0.5], [0.2, -0.4, 0.2]])


def probabilities(x):
    return jax.nn.softmax(x @ STRETCH)


def rows(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def orbits():
    return ep.evaluate_orbits(probabilities, rows(400), TURN, n_transforms=4, batch_size=50)


# ---- the bets -------------------------------------------------------------------------------

DELTA = 0.1
RUNS, LENGTH = 2000, 300
LAWS = {
    "rare failures": (lambda g, size: np.where(g.random(size) < 0.01, 1.0, 0.001), 0.01099),
    "heavy": (lambda g, size: g.beta(0.05, 0.95, size), 0.05),
    "0/1": (lambda g, size: (g.random(size) < 0.3) * 1.0, 0.3),
    "exactly zero": (lambda g, size: np.zeros(size), 0.0),
}


def ever_too_small(values, mean):
    """Whether the bound is below the mean at any time: the worst that stopping can do."""
    return log_capital(values, mean).max() >= -np.log(DELTA)


def ever_too_small_for_fixed_n(values, mean):
    """Do the same with the bound of a single look, the normal one."""
    n = np.arange(1, len(values) + 1)
    middle = values.cumsum() / n
    variance = np.maximum((values**2).cumsum() / n - middle**2, 0.0)
    bound = middle + stats.norm.isf(DELTA) * np.sqrt(variance / n)
    return bool((bound < mean)[29:].any())


def violations(law, too_small):
    draw, mean = LAWS[law]
    samples = draw(np.random.default_rng(7), (RUNS, LENGTH))
    return sum(too_small(values, mean) for values in samples)


def assert_no_more_than_stated(count):
    # A method that is wrong just as often as stated fails here with probability 1e-6.
    assert count <= stats.binom.isf(1e-6, RUNS, DELTA)


@pytest.mark.parametrize("law", LAWS)
def test_bounds_hold_at_all_times_at_once(law):
    assert_no_more_than_stated(violations(law, ever_too_small))


@pytest.mark.parametrize("law", ["rare failures", "heavy", "0/1"])
def test_the_test_of_bounds_has_power(law):
    with pytest.raises(AssertionError):
        assert_no_more_than_stated(violations(law, ever_too_small_for_fixed_n))


def test_capital_is_what_its_formula_says():
    values, mean = np.array([0.2, 0.9, 0.0]), 0.4
    places = np.arange(14)
    shares = 1 / ((places + 1) * (places + 2))
    grown = np.prod([1 - 0.5**places * (x - mean) / (1 - mean) for x in values], axis=0)
    expected = np.log(grown @ (shares / shares.sum()))
    assert log_capital(values, mean)[-1] == pytest.approx(expected)


def test_bound_is_where_the_capital_suffices_and_falls_with_rows():
    values = np.random.default_rng(0).random(500) ** 3
    bounds = [upper_bound(values[:n], DELTA) for n in (1, 10, 100, 500)]
    assert bounds == sorted(bounds, reverse=True)
    assert log_capital(values, bounds[-1]).max() == pytest.approx(-np.log(DELTA), abs=1e-6)
    assert values.mean() < bounds[-1] < 1


def test_bound_of_zeros_is_that_of_no_failure_in_n():
    # Clopper and Pearson's, with half of the capital on the largest bet.
    n = 1000
    assert upper_bound(np.zeros(n), DELTA) <= 1 - (DELTA / 2) ** (1 / n) + 1e-9
    assert upper_bound(np.zeros(n), DELTA) >= 1 - DELTA ** (1 / n)


def test_all_failures_certify_nothing():
    assert upper_bound(np.ones(50), DELTA) == 1.0


# ---- certificates ---------------------------------------------------------------------------


def test_certificate_is_of_the_rows_statistics(orbits):
    certificate = ep.certify(orbits, bound=2.0, tolerance=0.3, delta=0.04)
    squares = (orbits.only.raw**2).sum(axis=2)
    upper, table = certificate.upper, certificate.summary()
    assert upper["squared_error"] == pytest.approx(2 * upper_bound(squares.mean(axis=1) / 2, 0.02))
    assert upper["share"] == pytest.approx(upper_bound((squares > 0.09).mean(axis=1), 0.02))
    assert upper["error"] == pytest.approx(np.sqrt(upper["squared_error"]))
    assert table.loc["squared_error", "estimate"] == pytest.approx(squares.mean())
    assert table.loc["share", "estimate"] == pytest.approx((squares > 0.09).mean())
    assert (table["ci_high"] > table["estimate"]).all()
    assert list(certificate.interval().columns) == ["ci_low", "ci_high"]
    assert certificate.status == "no problem found"


def test_alone_each_claim_has_all_of_delta(orbits):
    both = ep.certify(orbits, bound=2.0, tolerance=0.3)
    alone = ep.certify(orbits, bound=2.0).upper["squared_error"]
    assert alone < both.upper["squared_error"]


def test_certificate_says_what_it_certifies_and_rounds_up(orbits):
    text = str(ep.certify(orbits, bound=2.0, tolerance=0.3))
    assert "With confidence 95 %, whenever one stops" in text
    said = float(text.split("squared error is at most ")[1].split()[0])
    upper = ep.certify(orbits, bound=2.0, tolerance=0.3).upper["squared_error"]
    assert upper <= said <= 1.011 * upper


def test_the_bound_needs_no_kept_displacements_and_the_share_does():
    table = ep.evaluate_orbits(probabilities, rows(60), TURN, n_transforms=3, keep="rows")
    assert ep.certify(table, bound=2.0).upper["squared_error"] < 2
    with refuses("needs every displacement", "keep='all'"):
        ep.certify(table, tolerance=0.1)
    single = ep.evaluate_orbits(probabilities, rows(60), TURN, n_transforms=1, keep="rows")
    assert ep.certify(single, tolerance=1.4).means["share"].estimate == 0


def test_rows_that_are_not_finite_count_as_the_worst():
    broken = rows(60)
    model = lambda x: jax.numpy.where(x[:, :1] > 1.5, np.nan, probabilities(x))  # noqa: E731
    table = ep.evaluate_orbits(model, broken, TURN, n_transforms=3)
    certificate = ep.certify(table, bound=2.0, tolerance=0.1)
    share = certificate.means["share"]
    assert share.estimate >= (~table.valid).mean() > 0
    assert ep.Diagnostic.NONFINITE_AS_WORST in certificate.diagnostics
    assert "largest possible" in str(certificate)


def test_groups_count_once_and_must_be_together():
    labels = np.repeat(np.arange(30), [1, 3] * 15)
    evaluate = partial(ep.evaluate_orbits, probabilities, rows(60), TURN, n_transforms=3)
    certificate = ep.certify(evaluate(groups=labels), bound=2.0)
    assert (certificate.n_units, certificate.n_rows) == (30, 60)
    assert ep.Diagnostic.GROUPS_COUNT_ONCE in certificate.diagnostics
    squares = evaluate().only.pair_sq
    by_group = [squares[labels == g].mean() for g in range(30)]
    assert certificate.means["squared_error"].estimate == pytest.approx(np.mean(by_group))
    with refuses("must follow each other"):
        ep.certify(evaluate(groups=np.arange(60) % 30), bound=2.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["say what to certify", "bound=", "tolerance="]),
        ({"bound": 0.0}, ["bound must be a positive number"]),
        ({"tolerance": np.nan}, ["tolerance must be a positive number"]),
        ({"bound": 1e-4}, ["largest possible squared error", "rows", "2 for class probabilities"]),
        ({"bound": 2.0, "delta": 1.0}, ["delta must lie strictly between 0 and 1"]),
        ({"bound": 2.0, "delta": True}, ["delta must lie strictly between 0 and 1"]),
    ],
)
def test_what_cannot_be_certified_is_refused(orbits, arguments, words):
    with refuses(*words):
        ep.certify(orbits, **arguments)


def test_rows_that_are_not_independent_are_refused():
    evaluate = partial(ep.evaluate_orbits, probabilities, rows(20), TURN, n_transforms=3)
    with refuses("crossed", "design='quasi'"):
        ep.certify(evaluate(design="crossed"), bound=2.0)
    with refuses("stochastic"):
        ep.certify(evaluate(noise_repeats=2), bound=2.0)


def test_certificate_is_drawn_with_units(orbits):
    figure = ep.certify(orbits, bound=2.0, tolerance=0.3).plot()
    names = [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes]
    assert names == [
        ("rows", "squared error (squared output units)"),
        ("rows", "share above the tolerance"),
    ]
    looks, bounds = ep.certify(orbits, bound=2.0).means["squared_error"].path()
    assert looks[-1] == 400
    assert (np.diff(bounds) <= 1e-9).all()


# ---- rules of stopping ----------------------------------------------------------------------


def test_a_pass_stops_when_its_certificate_is_reached():
    evaluate = partial(ep.evaluate_orbits, n_transforms=4, batch_size=50)
    # What 200 rows certify is reached there, if not before.
    asked = ep.certify(evaluate(probabilities, rows(400)[:200], TURN), bound=2.0, tolerance=0.3)
    squared_error, share = asked.upper["squared_error"] * 1.001, asked.upper["share"] * 1.001
    rule = ep.stopping.certificate_reached(
        squared_error=squared_error, bound=2.0, share=share, tolerance=0.3
    )
    stopped = evaluate(probabilities, rows(400), TURN, stop_when=rule)
    assert 50 < len(stopped) <= 200
    assert stopped.stopped == (
        f"squared error certified to be at most {squared_error:g} and share certified to be at "
        f"most {share:g}"
    )
    certificate = ep.certify(stopped, bound=2.0, tolerance=0.3)
    assert certificate.upper["squared_error"] <= squared_error * (1 + 1e-9)
    assert certificate.upper["share"] <= share * (1 + 1e-9)
    # One chunk earlier it was not.
    before = evaluate(probabilities, rows(400)[: len(stopped) - 50], TURN)
    earlier = ep.certify(before, bound=2.0, tolerance=0.3).upper
    assert earlier["squared_error"] > squared_error or earlier["share"] > share
    # The rule starts afresh with another model on the same rows.
    worse = evaluate(lambda x: probabilities(9 * x), rows(400), TURN, stop_when=rule)
    assert worse.stopped is None
    assert len(worse) == 400


def test_a_group_that_may_lack_rows_waits():
    labels = np.repeat(np.arange(80), 5)
    rule = ep.stopping.certificate_reached(squared_error=0.9, bound=2.0)
    table = ep.evaluate_orbits(
        probabilities, rows(400), TURN, n_transforms=4, batch_size=24, groups=labels, stop_when=rule
    )
    assert len(table) % 24 == 0
    certificate = ep.certify(table, bound=2.0)
    assert certificate.n_units == (len(table) - 1) // 5
    assert certificate.upper["squared_error"] <= 0.9 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["say what to certify"]),
        ({"squared_error": 0.1}, ["squared_error= and bound= go together"]),
        ({"tolerance": 0.1}, ["share= and tolerance= go together"]),
        ({"squared_error": 3.0, "bound": 2.0}, ["between 0 and the largest possible, 2"]),
    ],
)
def test_rules_that_ask_for_the_impossible_are_refused(arguments, words):
    with refuses(*words):
        ep.stopping.certificate_reached(**arguments)


def test_a_pass_stops_when_its_interval_is_narrow():
    task = linear_task(1500)
    evaluate = partial(
        ep.evaluate_orbits, task.predict, task.x, task.transform, backend="python", n_transforms=3
    )
    narrower = partial(
        ep.stopping.interval_narrower, estimator=ep.ModelEquivarianceError(n_draws=500)
    )
    rule = narrower(0.15, relative=True)
    table = evaluate(stop_when=rule)
    assert table.stopped is not None
    assert "the 90 % credible interval of error" in table.stopped
    assert 100 <= len(table) < 1500
    draws = ep.ModelEquivarianceError(n_draws=500).fit(table).draws["error"]
    assert np.ptp(np.quantile(draws, [0.05, 0.95])) <= 0.15 * np.median(draws)
    assert len(evaluate(stop_when=rule)) == len(table)  # a rule serves one pass after the other
    assert evaluate(stop_when=narrower(1e-9)).stopped is None
    with refuses("width must be a positive number"):
        ep.stopping.interval_narrower(0.0)
    with refuses("quantity must be one of", "relative_error", "got 'profile'"):
        evaluate(stop_when=narrower(0.1, quantity="profile"))
