"""Every result that rests on means of rows says which rows carry it."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.posterior.results import AbstractEstimator, AbstractResult
from equiprob.posterior.row_findings import RowFindings, few_carry
from equiprob.posterior.row_means import RowMeans

N, ROW, FEW = 300, 17, {"n_draws": 200}
CARRY = ep.Diagnostic.FEW_CARRY
TURNS = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
MATRIX = np.array([[1.0, 0.4], [0.0, 0.7]])


def table(size, *, matrix=MATRIX, groups=None, noise=0.1, **options):
    """A linear model of 300 vectors, one of them (or its group) of another size."""
    generator = np.random.default_rng(3)
    x = generator.normal(size=(N, 2))
    x[ROW] *= size
    y = x + noise * generator.normal(size=(N, 2))
    return ep.evaluate_orbits(
        lambda rows: rows @ matrix, x, TURNS, y=y, groups=groups, backend="python", **options
    )


def model_error(size):
    return ep.ModelEquivarianceError(**FEW).fit(table(size))


def data_error(size, method=None):
    method = method or ep.methods.Symmetrization(noise_variance=0.02)
    estimator = ep.DataEquivarianceError(method=method, **FEW)
    return estimator.fit(table(size), law=ep.InvariantLaw())


def measured_pairs(size):
    orbits = table(size)
    angles = np.random.default_rng(5).uniform(0, np.pi, (N, 1))
    moved = orbits.only.y * np.linspace(1, 2, N)[:, None]
    pairs = ep.methods.MeasuredPairs(parameters=angles, y_moved=moved, noise_variance=0.0)
    return data_error(size, pairs)


def local_error(size):
    generator = np.random.default_rng(3)
    x = generator.normal(size=(N, 2))
    x[ROW] *= size
    return ep.LocalEquivarianceError(**FEW).fit(lambda rows: rows @ MATRIX, x, TURNS)


def generators(size):
    x = np.random.default_rng(3).normal(size=(N, 2)).astype(np.float32)
    x[ROW] *= size
    slope = np.array([1.0, 0.4], np.float32)
    return ep.Generators(tolerance=10.0, **FEW).fit(lambda rows: rows @ slope, x)


def holdout(size):
    train = ep.evaluate_orbits(
        lambda rows: rows @ MATRIX, np.eye(2), TURNS, y=np.ones((2, 2)), backend="python"
    )
    bound = ep.bounds.Holdout()
    return ep.GeneralizationGap(bound=bound, **FEW).fit(table(size), train=train)


def comparison(size):
    tables = {"one": table(size), "other": table(size, matrix=1.1 * MATRIX)}
    return ep.compare(tables, **FEW)


ON_ROWS = {
    "ModelEquivarianceError": model_error,
    "Stabilizer": lambda size: ep.Stabilizer(tolerance=0.1, **FEW).fit(table(size)),
    "LocalEquivarianceError": local_error,
    "UnitErrors": lambda size: ep.UnitErrors(**FEW).fit(table(size)),
    "DataEquivarianceError": data_error,
    "DataEquivarianceError, MeasuredPairs": measured_pairs,
    "DataEquivarianceError, Oracle": lambda size: data_error(
        size, ep.methods.Oracle(f_star=lambda rows: rows @ MATRIX, backend="python")
    ),
    "DataEquivarianceError, TrainedPair": lambda size: data_error(
        size, ep.methods.TrainedPair(symmetric=table(size, matrix=np.eye(2)))
    ),
    "ApproximationGap": lambda size: ep.ApproximationGap(**FEW).fit(
        model_error(size), data_error(size)
    ),
    "SymmetryLevel": lambda size: ep.SymmetryLevel(**FEW).fit(table(size)),
    "GeneralizationGap": holdout,
    "Generators": generators,
    "compare": comparison,
    "decide": lambda size: ep.decide(comparison(size)),
    "decide on a level": lambda size: ep.decide(ep.SymmetryLevel(**FEW).fit(table(size))),
    "align": lambda size: ep.align(model_error(size), data_error(size)),
}

ON_OTHERS = {
    "ChangedDecisions": "counts of rows, each at most one",
    "Geometry": "distances between rows",
    "InvarianceCheck": "places in an order, of which none is large",
    "LearningCurve": "runs",
    "SymmetryMap": "counts of rows, each at most one",
    "StructuralLevel": "the posterior of a Gaussian process",
}
"""Estimators without means of row values that could be carried by one, and what they rest on."""


def estimators(kind=AbstractEstimator):
    for name in ep._WHERE:
        getattr(ep, name)
    for each in kind.__subclasses__():
        yield each.__name__
        yield from estimators(each)


def test_no_estimator_is_left_out():
    known = {name.partition(",")[0] for name in ON_ROWS} | set(ON_OTHERS)
    assert set(estimators()) <= known


def test_whoever_takes_means_of_rows_says_what_they_rest_on():
    root = Path(ep.__file__).parent
    takes = re.compile(r"\bRowMeans(\.of)?\(")
    says = ("RowFindings.of(", "columns=columns", "columns={")
    within = {  # what they draw is a part of a result that says it
        "auditing/assertion.py",
        "bounds/base.py",
        "bounds/transport_forms.py",
        "decisions/prospects.py",
        "errors/error_draws.py",
        "task/map_shares.py",
        "levels/budget.py",
    }
    silent = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if takes.search(text := path.read_text()) and not any(word in text for word in says)
    }
    assert silent == within


@pytest.mark.parametrize("name", ON_ROWS)
def test_one_row_that_carries_a_result_is_named(name, tmp_path):
    result: AbstractResult = ON_ROWS[name](1e3)
    assert CARRY in result.diagnostics
    # The generators found are those along which such a row moves little: half of it is left.
    share = r"\d\d" if name == "Generators" else r"(9\d|100)"
    assert re.search(rf"row {ROW} alone makes {share} % of", str(result))
    assert f"row {ROW} alone" in result.summary()["diagnostics"].iloc[0]
    result.save(tmp_path / "r.nc")
    loaded = ep.load(tmp_path / "r.nc")
    assert str(loaded) == str(result)
    assert loaded.status == result.status != "no problem found"
    # Where no row is larger than others, nothing is said of any.
    assert CARRY not in ON_ROWS[name](1.0).diagnostics


def test_groups_are_named_by_their_first_row():
    groups = np.repeat(np.arange(N // 3), 3)
    result = ep.ModelEquivarianceError(**FEW).fit(table(1e3, groups=groups))
    assert "the group of row 15 alone makes 99 % of the squared error" in result.status


def test_a_row_that_carries_all_is_named_where_rows_are_pooled():
    for size, said in ((1e3, True), (1.0, False)):
        result = ep.ModelEquivarianceError(**FEW).fit(table(size, keep="blocks"))
        assert (CARRY in result.diagnostics) is said
        assert (f"row {ROW} alone" in result.status) is said


def test_numbers_are_those_of_the_rows_that_were_passed():
    """Rows before it are left out, and candidates are compared in the order of their ids."""
    x = np.random.default_rng(3).normal(size=(N, 2))
    x[ROW] *= 1e3
    lost = np.where(np.arange(N) < 5, 0.0, 1.0)
    inputs = {"x": x, "lost": lost}
    turns = ep.transforms.rotations2d(
        acts_on={"x": "vectors", "lost": "invariant"}, output_action="vectors"
    )
    tables = {
        name: ep.evaluate_orbits(
            lambda rows, m=matrix: rows["x"] @ m + np.where(rows["lost"], 0.0, np.nan)[:, None],
            inputs,
            turns,
            y=x[:, ::-1],
            backend="python",
        )
        for name, matrix in {"one": MATRIX, "other": 1.1 * MATRIX}.items()
    }
    for result in (
        ep.ModelEquivarianceError(**FEW).fit(tables["one"]),
        ep.compare(tables, **FEW),
    ):
        assert f"row {ROW} alone" in str(result)


def found_in(values, units=None):
    units = np.arange(len(values), dtype=np.uint64) if units is None else units
    return RowFindings.of(RowMeans(units, 10, 0), {"it": values}, np.arange(len(values)))


def test_light_tails_raise_no_caution():
    # Of 300 exponential or chi-squared rows none in 10,000 samples has fewer than 45 effective.
    for seed in range(20):
        generator = np.random.default_rng(seed)
        for values in (generator.exponential(size=N), generator.normal(size=N) ** 2):
            assert not found_in(values).found - {ep.Diagnostic.UNSEEN_FAILURES}
    # Some errors of a classifier are alike: how many there are is all that is uncertain.
    errors = (np.arange(N) < 3).astype(float)
    assert CARRY not in found_in(errors).found
    assert CARRY not in found_in((np.arange(N) < 1).astype(float)).found


def test_failures_that_were_not_seen_are_noted_at_every_number_of_rows():
    for n, caution in ((20, True), (99, True), (100, False), (5000, False)):
        rows = found_in(np.ones(n))
        assert (ep.Diagnostic.RARE_FAILURES in rows.found) is caution
        assert (ep.Diagnostic.UNSEEN_FAILURES in rows.found) is not caution
        assert rows.facts["invisible_rate"] == pytest.approx(3 / n)
    assert not ep.Diagnostic.UNSEEN_FAILURES.is_caution


def test_one_wrong_label_is_a_count_and_no_carrier():
    """One error in 300 labels: how many there are in others is what the interval says."""
    means = RowMeans(np.arange(N, dtype=np.uint64), 100, 0)
    one = np.zeros(N)
    one[ROW] = 2.0  # as squared error of one-hot labels
    assert CARRY not in RowFindings.of(means, {"the risk": one}, np.arange(N)).found
    one[ROW] = 7.3  # of something that is no label: how large the next is, is not known
    assert CARRY in RowFindings.of(means, {"the risk": one}, np.arange(N)).found


def test_one_row_given_twice_is_no_count():
    sizes = np.random.default_rng(0).exponential(size=N)
    sizes[ROW] = sizes[ROW + 1] = 1e4
    assert CARRY in found_in(sizes).found
    assert CARRY in found_in(np.tile(sizes, 2)).found  # nor is a table given twice
    assert CARRY not in found_in(np.where(sizes > 1e3, 1.0, 1e-12 * sizes)).found  # labels are


def test_means_that_hardly_exist_are_named_where_no_tail_fits():
    # Closed form, from quantiles of a law without a mean: a tail of index 2 is none that fits.
    heavy = stats.pareto(0.5).ppf((np.arange(N) + 0.5) / N)
    light = stats.expon().ppf((np.arange(N) + 0.5) / N)
    means = RowMeans(np.arange(N, dtype=np.uint64), 10, 0)
    assert np.isnan(means.tail_index(heavy))
    assert few_carry(means, heavy)
    assert not few_carry(means, light)


def test_a_label_that_changes_in_one_row_is_a_count():
    x = np.random.default_rng(0).normal(size=(N, 2))
    x[:, 0] += 3 * np.sign(x[:, 0])
    x[ROW] = 0.01, 1.0
    turns = ep.transforms.rotations2d(max_angle=0.2, acts_on="vectors")
    label = lambda rows: (rows[:, 0] > 0).astype(float)  # noqa: E731
    smooth = lambda rows: np.tanh(1e3 * rows[:, 0]) * (1 + 1e-9 * rows[:, 1])  # noqa: E731
    found = {
        name: ep.ModelEquivarianceError(**FEW).fit(
            ep.evaluate_orbits(predict, x, turns, n_transforms=8, backend="python")
        )
        for name, predict in {"label": label, "smooth": smooth}.items()
    }
    assert found["label"].draws["error"].min() > 0
    assert CARRY not in found["label"].diagnostics
    assert CARRY in found["smooth"].diagnostics


def test_a_part_that_few_rows_carry_is_named():
    """Of sixty rows that have seen half turns one makes nearly all of their error."""
    means = RowMeans(np.arange(N, dtype=np.uint64), 100, 0)
    seen, size = np.zeros(N), np.random.default_rng(0).exponential(size=N)
    seen[:60] = 0.5
    part = seen * size
    part[ROW] = 40.0
    findings = RowFindings.of(
        means,
        {"the squared error": size},
        np.arange(N),
        parts={"the squared error at 180 deg": (part, seen)},
    )
    assert CARRY in findings.found
    assert f"row {ROW} alone makes" in findings.facts["details"]["FEW_CARRY"]
    assert "at 180 deg" in findings.facts["details"]["FEW_CARRY"]
    part[ROW] = 0.5
    calm = {"the squared error at 180 deg": (part, seen)}
    found = RowFindings.of(means, {"the squared error": size}, np.arange(N), parts=calm).found
    assert CARRY not in found


def test_what_few_rows_have_seen_is_known_from_as_few():
    """A part of the law that 6 of 300 rows have seen is as uncertain as 6 rows."""
    ids = np.arange(N, dtype=np.uint64)
    size, seen = np.random.default_rng(4).exponential(size=N), np.zeros(N)
    seen[:6] = 1.0
    part = RowMeans(ids, 4000, 0).weighted_means((seen * size)[:, None], seen[:, None])[:, 0]
    alone = RowMeans(ids[:6], 4000, 0).mean(size[:6])
    plain = RowMeans(ids, 4000, 0).ratio(seen * size, seen)  # power: as if all had seen it
    widths = [np.ptp(np.quantile(draws, [0.1, 0.9])) for draws in (part, alone, plain)]
    assert 0.85 < widths[0] / widths[1] < 1.5
    assert widths[2] / widths[1] < 0.8
