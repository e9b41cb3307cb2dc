"""Results: intervals as ArviZ makes them, labelled trees, files, and clear configurations."""

import copy
import pickle
from dataclasses import MISSING, dataclass, fields, replace

import arviz_base
import numpy as np
import pytest
import xarray as xr

import equiprob as ep
from equiprob.arguments.checked import field_types
from equiprob.arguments.refusals import is_refusal
from equiprob.posterior.chains import one_after_another
from equiprob.posterior.facts import Facts
from equiprob.posterior.kinds import KINDS, saved_class
from equiprob.report.audit_page import result_page
from equiprob.testing import linear_task


@pytest.fixture(scope="module")
def task():
    return linear_task(60, optimum=0.4, seed=0)


@pytest.fixture(scope="module")
def orbits(task):
    return ep.evaluate_orbits(task.predict, task.x, task.transform, y=task.y, backend="python")


@pytest.fixture(scope="module")
def results(orbits):
    other = ep.evaluate_orbits(
        lambda b: 0.5 * b, orbits.x, orbits.transform, y=orbits.only.y, backend="python"
    )
    return {
        "error": ep.ModelEquivarianceError(n_draws=300).fit(orbits),
        "level": ep.SymmetryLevel(n_draws=300).fit(orbits),
        "range": ep.SymmetryLevel(n_draws=300, path=ep.paths.Range()).fit(orbits),
        "comparison": ep.compare({"a": orbits, "b": other}, n_draws=300),
    }


@pytest.mark.parametrize("name", ["error", "level", "range", "comparison"])
def test_saved_results_come_back_whole(results, name, tmp_path):
    result = results[name]
    path = tmp_path / "result.nc"
    result.save(path)
    again = ep.load(path)
    assert type(again) is type(result)
    assert str(again) == str(result)
    assert again.diagnostics == result.diagnostics
    for key, draws in result.draws.items():
        assert np.array_equal(again.draws[key], draws)
    assert again.summary().equals(result.summary())
    assert [p.name for p in tmp_path.iterdir()] == ["result.nc"]  # nothing partial is left


def test_loaded_level_says_that_it_cannot_predict(results, task, tmp_path):
    results["level"].save(tmp_path / "level.nc")
    with pytest.raises(ValueError, match="fit it again"):
        ep.load(tmp_path / "level.nc").predictor(task.predict)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.nc"):
        ep.load(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(ValueError, match=r"text\.nc cannot be read"):
        ep.load(tmp_path / "text.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="no equiprob result"):
        ep.load(tmp_path / "foreign.nc")


def test_tree_has_arviz_groups_and_units(results):
    tree = results["error"].tree
    assert set(tree.children) == {"posterior", "rows", "diagnostics"}
    assert tree["posterior"].sizes["chain"] == 1
    assert tree["posterior"].sizes["draw"] == 300
    assert tree["posterior"]["profile"].dims == ("chain", "draw", "magnitude")
    assert tree["posterior"]["error"].attrs["units"] == "output units"
    assert tree["rows"].sizes["row"] == 60


def test_intervals_follow_arviz_defaults_and_arguments(results):
    result = results["error"]
    draws = result.draws["error"]
    with arviz_base.rc_context({"stats.ci_prob": 0.5, "stats.ci_kind": "eti"}):
        low, high = result.interval().loc["error"]
    assert (low, high) == pytest.approx(np.quantile(draws, [0.25, 0.75]), rel=1e-3)
    hdi = np.ptp(result.interval(0.9, "hdi").loc["error"])
    assert hdi <= np.ptp(result.interval(0.9, "eti").loc["error"])


@pytest.mark.parametrize("prob", [0, 1, -0.1, 1.5, "0.9", True])
def test_interval_probabilities_outside_their_range_are_refused(results, prob):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        results["error"].interval(prob)


def test_unknown_interval_kinds_are_refused(results):
    with pytest.raises(ValueError, match="'eti' or 'hdi'"):
        results["error"].interval(0.9, "quantile")


def test_summary_has_estimates_intervals_errors_and_words(results):
    summary = results["error"].summary(0.9)
    columns = ["estimate", "ci_low", "ci_high", "mc_error", "unit", "diagnostics"]
    assert list(summary.columns) == columns
    error = summary.loc["error"]
    assert error["ci_low"] < error["estimate"] < error["ci_high"]
    per_component = summary.loc["error_per_component", "estimate"]
    assert per_component == pytest.approx(error["estimate"] / np.sqrt(2))
    assert summary.loc["relative_error", "unit"] == "share"


def test_the_same_rows_weigh_the_same_in_every_estimator(results):
    # The level left at the optimum is position x error, draw by draw.
    level, error = results["level"].draws, results["error"].draws
    assert np.allclose(level["level"], level["position"] * error["error"], rtol=1e-6)


def test_what_is_asked_for_and_not_there_is_told_what_there_is(results):
    error = results["error"]
    with pytest.raises(
        KeyError, match=r"no 'eror' among the draws.*'error'.*\.diagnostics"
    ) as told:
        error.draws["eror"]
    assert str(told.value)[0] == "t", "without the quotes of other KeyErrors"
    assert is_refusal(told.value)
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert again.facts == error.facts
        with pytest.raises(KeyError, match="no 'eror' among the draws"):
            again.draws["eror"]
    assert error.draws.get("eror") is None
    assert "eror" not in error.draws


def test_configurations_say_that_fit_returns_the_result():
    estimator = ep.ModelEquivarianceError()
    with pytest.raises(AttributeError, match=r"result = ModelEquivarianceError\(\).fit"):
        estimator.summary()
    with pytest.raises(AttributeError, match="no attribute 'sumary'"):
        estimator.sumary()
    with pytest.raises(ValueError, match="n_draws"):
        ep.ModelEquivarianceError(n_draws=0)
    with pytest.raises(ValueError, match="weight_seed"):
        ep.SymmetryLevel(weight_seed=-1)
    with pytest.raises(TypeError):
        ep.ModelEquivarianceError(100)


def test_results_and_configurations_are_frozen(results):
    with pytest.raises(AttributeError):
        results["error"].facts = {}
    with pytest.raises(AttributeError):
        ep.SymmetryLevel().n_draws = 1


# ---- draws of Markov chains ----------------------------------------------------------------------

RHO, N_CHAINS, LENGTH = 0.9, 4, 1000


@pytest.fixture(scope="module")
def of_chains(results):
    """Return a result whose draws are of four chains that forget a tenth a step."""
    generator = np.random.default_rng(0)
    steps = generator.normal(size=(N_CHAINS, LENGTH)) * np.sqrt(1 - RHO**2)
    chains = np.empty_like(steps)
    chains[:, 0] = generator.normal(size=N_CHAINS)
    for i in range(1, LENGTH):
        chains[:, i] = RHO * chains[:, i - 1] + steps[:, i]
    draws, n_chains = one_after_another({"error": 10 + chains}, N_CHAINS * LENGTH)
    facts = replace(results["error"].facts, n_chains=n_chains)
    return replace(results["error"], draws=draws, facts=facts)


def test_monte_carlo_errors_count_effective_draws(of_chains):
    found = of_chains.summary().loc["error", "mc_error"]
    truth = np.sqrt((1 + RHO) / (1 - RHO) / (N_CHAINS * LENGTH))
    # 210 effective draws: over seeds the estimate's standard deviation is a tenth of it.
    assert found == pytest.approx(truth, rel=0.4)
    independent = replace(of_chains, facts=replace(of_chains.facts, n_chains=1))
    assert independent.summary().loc["error", "mc_error"] < 0.4 * truth  # the power twin


def test_trees_and_files_keep_chains(of_chains, tmp_path):
    posterior = of_chains.tree["posterior"]
    assert (posterior.sizes["chain"], posterior.sizes["draw"]) == (N_CHAINS, LENGTH)
    as_one = of_chains.draws["error"].reshape(N_CHAINS, LENGTH)
    assert np.array_equal(posterior["error"].values, as_one)
    of_chains.save(tmp_path / "chains.nc")
    again = ep.load(tmp_path / "chains.nc")
    assert np.array_equal(again.draws["error"], of_chains.draws["error"])
    assert again.n_chains == N_CHAINS


def test_draws_are_taken_evenly_from_as_many_chains_as_share_them():
    chains = {"a": np.arange(40.0).reshape(4, 10)}
    draws, n_chains = one_after_another(chains, 8)
    assert n_chains == 4
    assert draws["a"].tolist() == [0, 5, 10, 15, 20, 25, 30, 35]
    draws, n_chains = one_after_another(chains, 6)
    assert n_chains == 3
    draws, n_chains = one_after_another(chains, 80)
    assert (n_chains, len(draws["a"])) == (4, 80)


# ---- facts ---------------------------------------------------------------------------------------


def made_up(kind):
    """Return the facts of a class that say something where nothing was said."""
    of_all = {each.name for each in fields(Facts)}
    return {
        each.name
        for each in fields(kind)
        if each.name not in of_all and each.default not in (MISSING, None)
    }


def test_no_fact_is_made_up():
    """A gap had said that it was of 0 rows."""
    for name, kind in KINDS.items():
        if kind.is_saved:
            declared = field_types(saved_class(name))["facts"]
            assert made_up(declared) == set(), name


def test_the_test_of_facts_has_power():
    @dataclass(frozen=True, kw_only=True)
    class Some(Facts):
        n_rows: int = 0

    assert made_up(Some) == {"n_rows"}


def test_a_page_lists_what_a_method_says_of_itself(orbits):
    method = ep.methods.Symmetrization(noise_variance=0.04)
    found = ep.DataEquivarianceError(method=method, n_draws=50).fit(orbits, law=ep.InvariantLaw())
    listed = dict(result_page(found).reproduction)
    assert listed["noise variance"] == "0.04"
    assert "of method" not in listed
