"""Gaps predicted from gaps that were observed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import equiprob as ep
from equiprob.bounds.gap_model import (
    _FADING,
    _STRAIGHTENING,
    _bend_root,
    _steepness,
    log_usual,
    nodes_of,
)
from equiprob.bounds.gap_runs import read_gap_runs
from equiprob.curves.importance import importance_draws
from equiprob.posterior.diagnostics import Diagnostic

mpl.use("Agg")

SIZES, LEVELS = (100, 200, 400), (0.0, 0.3, 1.0)


def true_gap(n, level, rate=0.8):
    return 4.0 * (0.4 + 0.6 * level) * np.asarray(n, float) ** -rate


def observed(seed=0, rate=0.8, noise=0.1, sizes=SIZES, seeds=4, *, odd=False):
    """Runs with noise of the sample, which levels share, and of each run.

    The first may be of a fourth level, so that a model compiled for three levels and one that was
    not observed serves this one, too.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for n in sizes:
        for s in range(seeds):
            shared = generator.normal()
            for level in LEVELS:
                level = 0.6 if odd and not rows else level
                own = (0.7 * shared + 0.7 * generator.normal()) * noise / np.sqrt(n)
                gap = true_gap(n, level, rate) * (1 + 0.05 * generator.normal()) + own
                rows.append({"level": level, "n": n, "seed": s, "gap": gap})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def orbits():
    x = np.random.default_rng(0).normal(size=(1000, 2))
    eighths = ep.transforms.cyclic(8, acts_on="vectors")
    return ep.evaluate_orbits(
        lambda b: np.asarray(b)[:, 0], x, eighths, y=x[:, 0], n_transforms=2, backend="python"
    )


def fit(orbits, runs, n_draws=1000, **options):
    bound = ep.bounds.Calibrated(runs=runs, **options)
    return ep.GeneralizationGap(bound=bound, n_draws=n_draws).fit(orbits)


@pytest.fixture(scope="module")
def result(orbits):
    return fit(orbits, observed(odd=True), level=0.3)


PROBLEMS = 8
LEAST = 4
"""At a true coverage of 0.9, fewer of 8 intervals hold with probability 4e-4."""


@pytest.fixture(scope="module")
def intervals(orbits):
    """Return 90 % intervals at 2000 rows and the gap of a run there, over problems."""
    found = []
    for seed in range(PROBLEMS):
        rate = 0.5 + 0.05 * (seed % 10)
        level = LEVELS[seed % 3]
        forecast = fit(orbits, observed(seed, rate, odd=True), level=level).forecast(2000)
        generator = np.random.default_rng([seed, 1])
        gap = true_gap(2000, level, rate) * (1 + 0.05 * generator.normal())
        gap += 0.1 / np.sqrt(2000) * generator.normal()
        found.append((*np.quantile(forecast.draws["gap"][:, 0], [0.05, 0.95]), gap))
    return np.array(found)


def held(low, high, gap):
    return int(((low <= gap) & (gap <= high)).sum())


@pytest.mark.simulation
def test_gaps_of_larger_samples_lie_in_their_intervals(intervals):
    low, high, gap = intervals.T
    assert held(low, high, gap) >= LEAST
    middle = (low + high) / 2  # power twins: intervals elsewhere, and too narrow ones
    assert held(low * 3, high * 3, gap) < LEAST
    assert held(middle - (high - low) / 40, middle + (high - low) / 40, gap) < LEAST


def test_draws_and_words(result, orbits):
    assert set(result.draws) >= {"gap", "expected_gap"}
    assert result.draws["gap"].shape == (1000,)
    assert (result.draws["expected_gap"] > 0).all()
    assert result.draws["gap"].std() > result.draws["expected_gap"].std()
    assert "one training run of '0.3'" in str(result)
    assert "1000 training rows" in str(result)
    assert list(result.summary().index) == ["gap", "expected_gap"]
    assert result.facts.of_bound["observed"]["n"] == [100] * 4 + [200] * 4 + [400] * 4
    again = fit(orbits, observed(odd=True), level=0.3)
    np.testing.assert_array_equal(again.draws["gap"], result.draws["gap"])


def test_forecast_agrees_with_the_gap_and_says_how_far_it_reaches(result):
    forecast = result.forecast([50, 1000, 20_000])
    np.testing.assert_allclose(
        forecast.draws["expected_gap"][:, 1], result.draws["expected_gap"], rtol=1e-9
    )
    np.testing.assert_allclose(forecast.draws["gap"][:, 1], result.draws["gap"], rtol=1e-9)
    assert "mean gap of such runs" in str(forecast)
    width = np.ptp(np.quantile(np.log(forecast.draws["expected_gap"]), [0.05, 0.95], axis=0), 0)
    assert width[2] > width[1]
    with pytest.raises(ValueError, match="predicted at 25 to 40000 rows"):
        result.forecast(50_000)


def test_a_level_that_was_not_observed_lies_between(orbits, result):
    between = fit(orbits, observed(), level=0.6)
    assert np.median(between.draws["expected_gap"]) > np.median(result.draws["expected_gap"])
    assert between.facts.of_bound["observed"] == {"n": [], "gap": []}
    assert np.median(between.curves["without"] / between.curves["expected_gap"]) > 1


def test_results_are_saved_and_drawn(result, tmp_path):
    result.save(tmp_path / "gap.nc")
    loaded = ep.load(tmp_path / "gap.nc")
    np.testing.assert_array_equal(
        loaded.forecast(3000).draws["gap"], result.forecast(3000).draws["gap"]
    )
    figure = result.plot()
    (ax,) = figure.axes
    assert ax.get_xlabel() == "independent rows"
    assert "risk" in ax.get_ylabel()
    labels = ax.get_legend_handles_labels()[1] or [t.get_text() for t in figure.legends[0].texts]
    assert "observed gap" in labels
    assert "mean gap without the symmetry" in labels
    result.forecast([500, 5000]).plot()


# ---- theory's shape ----------------------------------------------------------------------------


def test_shape_is_an_exponent_a_result_or_a_mapping(orbits, result):
    calibrated = ep.bounds.Calibrated(runs=observed(), shape=0.7)
    n = np.array([100.0, 1000.0])
    slope = np.diff(calibrated._log_shape("0.3", n, None)) / np.diff(np.log(n))
    assert slope == pytest.approx(-0.7)
    line = ep.GeneralizationGap(
        bound=ep.bounds.RKHS(
            features=lambda x: x / 10,
            radii=(20.0, 20.0),
            loss=ep.bounds.BoundedLoss(range=1, slope=1),
        ),
        n_draws=200,
    ).fit(orbits)
    for shape in (line, {"0.3": line}):
        calibrated = ep.bounds.Calibrated(runs=observed(), shape=shape)
        slope = np.diff(calibrated._log_shape("0.3", n, None)) / np.diff(np.log(n))
        assert slope == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="no entry for '1'"):
        calibrated._log_shape("1", n, None)
    with pytest.raises(ValueError, match="no shape in the mapping"):
        fit(orbits, observed(), shape={"0.3": line}, level=0.5)
    with pytest.raises(TypeError, match="shape must be an exponent"):
        fit(orbits, observed(), shape="fast", level=0.3)


def test_without_a_shape_the_geometry_gives_the_rate(orbits):
    geometry = ep.Geometry(n_draws=100).fit(
        np.random.default_rng(0).random((100, 4)), ep.transforms.sign_flips(4)
    )

    class Problem:
        pass

    Problem.geometry = geometry
    rate = -ep.bounds.Calibrated(runs=observed())._log_shape("0", np.array([np.e]), Problem)[0]
    assert rate == pytest.approx(1 / np.median(geometry.draws["orbit_dimension"]))


def test_parameters_far_from_any_posterior_have_a_density(orbits, monkeypatch):
    """Proposals have heavy tails: covariances there were singular in float64."""
    found = []

    def looks(log_density, centre, *rest):
        far = centre + np.random.default_rng(0).choice([-40.0, 0.0, 40.0], (2000, len(centre)))
        found.append(log_density(far))
        return importance_draws(log_density, centre, *rest)

    monkeypatch.setattr("equiprob.bounds.gap_model.importance_draws", looks)
    fit(orbits, observed(), n_draws=100, level=0.3)
    assert not np.isnan(found[0]).any()


def test_bends_are_integrals_of_slopes():
    nodes = nodes_of(np.array([100.0, 200.0, 400.0]))
    u, middle = np.log(nodes), np.log(200.0)
    root = _bend_root(u, middle)
    fine = np.linspace(u[0], u[-1], 2001)
    scale = np.exp(-(fine - middle) / _STRAIGHTENING)
    slopes = np.exp(-np.abs(fine[:, None] - fine) / _FADING) * scale[:, None] * scale
    since = (np.minimum(fine, u[-1]) >= middle) & (fine <= u[-1])
    exact = slopes[np.ix_(since, since)].sum() * (fine[1] - fine[0]) ** 2
    assert (root[-1] ** 2).sum() == pytest.approx(exact, rel=0.1)
    assert root[np.isclose(nodes, 200.0)] == pytest.approx(0.0)


def test_exponents_are_near_those_of_regular_models_or_near_theory():
    nodes = np.array([100.0, 300.0, 1000.0])
    assert _steepness(-0.5 * np.log(nodes)[None], np.log(nodes)) == pytest.approx(-0.5)
    departure = np.linspace(-3, 3, 2001)
    density = np.exp(log_usual(departure, 0.4))
    assert np.trapezoid(density, departure) == pytest.approx(1, abs=1e-3)
    near = np.abs(departure - 0.4) < 0.24
    share = np.trapezoid(density[near], departure[near])
    assert 0.7 * 0.95 < share < 0.7 * 0.96 + 0.3 * 0.4


# ---- runs that cannot be used ------------------------------------------------------------------


def test_gaps_that_are_not_finite_are_left_out_and_named():
    runs = observed()
    runs.loc[4, "gap"] = np.nan
    runs.loc[4, ["n", "level"]] = np.nan  # a crashed run need not have anything
    checked = read_gap_runs(runs)
    assert checked.left_out == ("4",)
    assert Diagnostic.RUNS_LEFT_OUT in checked.diagnostics()
    assert len(checked.gap) == len(runs) - 1


def test_negative_gaps_are_taken_and_sizes_and_seeds_are_judged():
    runs = observed(seeds=2)
    runs.loc[0, "gap"] = -0.1
    checked = read_gap_runs(runs)
    assert checked.gap.min() == -0.1
    assert checked.diagnostics() == {Diagnostic.FEW_SEEDS}
    assert Diagnostic.TWO_SIZES in read_gap_runs(observed(sizes=(100, 200))).diagnostics()
    assert checked.n_samples == 6
    assert not read_gap_runs(runs.assign(gap_se=np.nan)).gap_se.any()
    last = checked.with_last("0.3", 0.3)
    assert last.candidates == ("0", "1", "0.3")
    np.testing.assert_array_equal(last.levels, [0.0, 1.0, 0.3])
    names, others = np.array(checked.candidates), np.array(last.candidates)
    np.testing.assert_array_equal(names[checked.candidate], others[last.candidate])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r[r["n"] == 100], r"at 2 numbers of rows or more, got n = \[100.0\]"),
        (lambda r: r.drop(columns="gap"), r"\['gap'\] missing"),
        (lambda r: r.drop(columns="level"), "'candidate' .* or 'level'"),
        (lambda r: r.assign(n=-1), "n must be a positive number"),
        (lambda r: r.assign(seed=0), "seed must differ"),
        (lambda r: r.assign(gap_se=-1.0), "gap_se must not be negative"),
        (lambda r: r.assign(gap_se=np.inf), "gap_se must not be negative or infinite"),
        (lambda r: r.assign(level=-r["level"]), "level must be at least 0"),
        (lambda r: r.assign(gap="much"), "'gap' must hold numbers"),
        (
            lambda r: r.assign(candidate="a", seed=np.arange(len(r))),
            "'a' has",
        ),
    ],
)
def test_runs_that_cannot_be_used_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        read_gap_runs(change(observed()))


def test_who_is_asked_for_must_be_clear(orbits):
    runs = observed()
    with pytest.raises(ValueError, match="whose gap"):
        fit(orbits, runs)
    with pytest.raises(ValueError, match="one of the two"):
        fit(orbits, runs, level=0.3, candidate="0")
    named = runs.rename(columns={"level": "candidate"})
    with pytest.raises(ValueError, match="needs a column 'level'"):
        fit(orbits, named, level=0.3)
    with pytest.raises(ValueError, match="speak of 1 to"):
        fit(orbits, observed(sizes=(4, 8, 9)), level=0.3)
    with pytest.raises(ValueError, match="every gap is zero"):
        fit(orbits, runs.assign(gap=0.0), level=0.3)
