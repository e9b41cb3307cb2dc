"""The error of the task: bounds that hold, cases that withhold, methods that agree."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.task.methods.symmetrization import has_symmetric_law
from equiprob.testing import digits_task, disc_task, field_task

HAAR = ep.InvariantLaw()
NEAREST = KNeighborsRegressor(10)


def radial(x, y):
    """Train an exactly invariant predictor: nearest neighbours by radius."""

    def size(rows):
        return np.linalg.norm(rows, axis=1, keepdims=True)

    model = KNeighborsRegressor(20).fit(size(x), y)
    return lambda rows: model.predict(size(rows))


def fitted(train, task, **options):
    options = {"n_transforms": 8, "backend": "python"} | options
    return ep.cross_fit(train, task.x, task.y, task.transform, **options)


def symmetrized(table, n_draws=1000, law=HAAR, **options):
    method = ep.methods.Symmetrization(**options)
    return ep.DataEquivarianceError(method=method, n_draws=n_draws).fit(table, law=law)


def bounds(result, prob=0.95):
    lower, upper = result.bounds
    return np.quantile(lower, 1 - prob), np.quantile(upper, prob)


@pytest.fixture(scope="module")
def task():
    return disc_task(1500, amplitude=0.8, noise=0.2, seed=0)


@pytest.fixture(scope="module")
def table(task):
    return fitted(NEAREST, task)


@pytest.fixture(scope="module")
def symmetric_table(task):
    return fitted(radial, task)


def test_bounds_are_close_on_the_disc(task, table):
    lower, upper = bounds(symmetrized(table, noise_variance=task.noise**2))
    assert task.error / 2 < lower <= task.error <= upper < 1.3 * task.error


@pytest.mark.simulation
def test_both_bounds_hold_at_exact_symmetry_and_squares_would_not():
    runs, held, squared = 60, {"lower": 0, "upper": 0}, 0
    for seed in range(runs):
        task = disc_task(120, amplitude=0.0, noise=0.3, seed=seed)
        result = symmetrized(fitted(NEAREST, task, seed=seed), noise_variance=0.09)
        lower, upper = bounds(result)
        held["lower"] += lower <= 0
        held["upper"] += upper >= 0
        squared += np.quantile(result.draws["lower"] ** 2 + 1e-12, 0.05) <= 0
    # At a true coverage of 0.95 fewer than 49 of 60 happens with probability 4e-5.
    assert stats.binom.cdf(48, runs, 0.95) < 1e-4
    assert held["lower"] >= 49
    assert held["upper"] >= 49
    assert squared == 0


def test_unknown_noise_makes_the_upper_bound_loose_and_says_so(task, table):
    known, unknown = (symmetrized(table, noise_variance=v) for v in (task.noise**2, None))
    assert bounds(unknown)[1] > bounds(known)[1]
    assert np.array_equal(unknown.draws["lower"], known.draws["lower"])
    assert Diagnostic.NOISE_UNKNOWN in unknown.diagnostics


def test_repeats_give_the_noise(task, table):
    noise = 0.2 * np.random.default_rng(1).normal(size=(len(task.x), 3))
    repeats = task.f_star(task.x)[:, None] + noise
    result = symmetrized(table, repeats=repeats)
    # Variance of 1500 x 2 squared normals: five standard errors.
    assert abs(result.facts.of_method["noise_variance"] - 0.04) < 5 * 0.04 * np.sqrt(2 / 3000)
    with pytest.raises(ValueError, match="at least 2"):
        symmetrized(table, repeats=repeats[:, :1])
    with pytest.raises(ValueError, match="not both"):
        ep.methods.Symmetrization(noise_variance=0.1, repeats=repeats)
    with pytest.raises(ValueError, match="noise_variance"):
        ep.methods.Symmetrization(noise_variance=-1.0)


def test_combining_predictors_is_no_worse_than_the_worst_of_them(task, table):
    # The mean of nearly all 1200 rows: alone its bound is .010 to .015 less (4 of `other_draws`),
    # with a standard deviation of .002.
    rough = fitted(KNeighborsRegressor(1150), task)
    alone = bounds(symmetrized(rough, noise_variance=0.04))[0]
    both = bounds(symmetrized(rough, noise_variance=0.04, others=[table]))[0]
    assert alone < both <= task.error
    with pytest.raises(ValueError, match="same rows"):
        symmetrized(table, others=[fitted(NEAREST, disc_task(100, seed=9))])


def test_an_equivariant_predictor_says_nothing_from_below(symmetric_table):
    result = symmetrized(symmetric_table, noise_variance=0.04)
    assert (result.draws["lower"] == 0).all()
    assert Diagnostic.NO_LOWER_BOUND in result.diagnostics


def test_in_case_n_the_error_is_withheld_and_the_cost_is_not(task, table, symmetric_table):
    squeezed = disc_task(600, amplitude=0.8, seed=3)
    x = squeezed.x * np.array([1.0, 0.3])
    table_n = ep.cross_fit(
        NEAREST, x, squeezed.f_star(x), squeezed.transform, n_transforms=8, backend="python"
    )
    result = symmetrized(table_n, law=None)
    assert result.case is ep.methods.Case.NEITHER
    assert result.bounds is None
    assert Diagnostic.LAW_NOT_INVARIANT in result.diagnostics
    assert "withheld" in str(result)
    assert list(result.draws) == ["symmetry_cost_upper"]
    pair = ep.methods.TrainedPair(symmetric=symmetric_table)
    cost = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(table)
    low, high = cost.interval(0.99).loc["symmetry_cost"]
    assert low < task.symmetry_cost < high
    assert low > 0.1
    assert "error" not in cost.draws
    both = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(table, law=HAAR)
    low, high = both.interval(0.99).loc["error"]
    assert low < task.error < high


def test_what_the_free_predictor_lacks_travels_with_the_cost(symmetric_table, table):
    """Ten neighbours of a hundred rows lack more than a little asymmetry costs."""
    found = {}
    for n, held, free in ((100, None, None), (1500, symmetric_table, table)):
        small = disc_task(n, amplitude=0.8 if free else 0.3, noise=0.2 if free else 0.3, seed=0)
        pair = ep.methods.TrainedPair(
            symmetric=held or fitted(radial, small), noise_variance=small.noise_variance
        )
        result = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(
            free or fitted(NEAREST, small)
        )
        found[n] = Diagnostic.PAIR_LACKS in result.diagnostics
        low = np.quantile(result.draws["symmetry_cost"], 0.01)
        high = np.quantile(result.draws["symmetry_cost_upper"], 0.99)
        assert low <= small.symmetry_cost <= high
        assert "at most" in str(result)
        assert result.facts.of_method["best_step"] < 1.2
        result = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(
            free or fitted(NEAREST, small), law=HAAR
        )
        lower, upper = bounds(result)
        assert lower <= small.error <= upper
        assert ("error" in result.draws) == (n == 1500)
    hundred = disc_task(100, amplitude=0.3, noise=0.3, seed=0)
    alone = ep.methods.TrainedPair(symmetric=fitted(radial, hundred))
    free_table = fitted(NEAREST, hundred)
    below = ep.DataEquivarianceError(method=alone, n_draws=1000).fit(free_table, law=HAAR)
    error = ep.ModelEquivarianceError(n_draws=1000).fit(free_table)
    comparison = ep.align(error, below)
    assert comparison.p_too_free == 0  # nothing is known from above
    assert "data_upper" not in comparison.draws
    gap = ep.ApproximationGap().fit(error, below)
    assert gap.interval(0.9).loc["gap", "ci_low"] == 0
    assert "waste_upper" not in gap.draws
    assert found == {100: True, 1500: False}


def test_the_check_is_run_once_when_nothing_is_said(table):
    result = symmetrized(table, law=None)
    assert result.case is ep.methods.Case.HAAR
    assert result.facts.auc is not None
    assert Diagnostic.INDICATIVE in result.diagnostics


def test_a_range_of_rotations_is_case_i(task):
    sixty = ep.transforms.rotations2d(max_angle=np.pi / 3, acts_on="vectors")
    table = ep.cross_fit(NEAREST, task.x, task.y, sixty, n_transforms=8, backend="python")
    result = symmetrized(table, noise_variance=0.04)
    assert result.case is ep.methods.Case.INVARIANT
    # E |a r (cos(phi + t) - cos(phi))|^2 = a^2 E r^2 (1 - E cos t)
    truth = 0.8 * np.sqrt(0.5 * (1 - np.sin(np.pi / 3) / (np.pi / 3)))
    lower, upper = bounds(result)
    assert 0.3 * truth < lower <= truth <= upper


def test_laws_that_prefer_a_direction_are_not_symmetric():
    import numpyro.distributions as dist

    turns = ep.transforms.rotations2d
    assert has_symmetric_law(turns(acts_on="vectors"))
    assert has_symmetric_law(turns(max_angle=1.0, acts_on="vectors"))
    assert not has_symmetric_law(turns(acts_on="vectors", law=dist.Uniform(0.0, 1.0)))
    assert has_symmetric_law(ep.transforms.cyclic(5, acts_on="vectors"))


def test_oracle_and_measured_pairs_find_the_truth(task, table):
    oracle = ep.methods.Oracle(f_star=task.f_star, backend="python")
    generator = np.random.default_rng(2)
    angle = generator.uniform(-np.pi, np.pi, len(task.x))
    c, s = np.cos(angle), np.sin(angle)
    moved = np.stack([c * task.x[:, 0] - s * task.x[:, 1], s * task.x[:, 0] + c * task.x[:, 1]], 1)
    y_moved = task.f_star(moved) + task.noise * generator.normal(size=len(angle))
    pairs = ep.methods.MeasuredPairs(
        parameters=angle[:, None], y_moved=y_moved, noise_variance=task.noise**2
    )
    for method in (oracle, pairs):
        result = ep.DataEquivarianceError(method=method, n_draws=1000).fit(table)
        low, high = result.interval(0.9999).loc["error"]
        assert low < task.error < high
        assert high - low < 0.2
    bad = ep.methods.MeasuredPairs(parameters=angle, y_moved=y_moved[:5])
    with pytest.raises(ValueError, match="parameters must be"):
        ep.DataEquivarianceError(method=bad).fit(table)


def test_a_predictor_trained_on_these_rows_is_carried(task, symmetric_table):
    model = KNeighborsRegressor(1).fit(task.x, task.y)
    seen = ep.evaluate_orbits(
        model.predict, task.x, task.transform, y=task.y, n_transforms=4, backend="python"
    )
    for noise in (None, task.noise**2):
        result = symmetrized(seen, noise_variance=noise)
        assert Diagnostic.TRAINED_ON_ROWS in result.diagnostics
        pair = ep.methods.TrainedPair(symmetric=symmetric_table, noise_variance=noise)
        result = ep.DataEquivarianceError(method=pair, n_draws=500).fit(seen, law=HAAR)
        assert Diagnostic.TRAINED_ON_ROWS in result.diagnostics
        few = ep.methods.TrainedPair(symmetric=symmetric_table.rows(seen.row_ids[:5]))
        with pytest.raises(ValueError, match="at least 6 independent rows"):
            ep.DataEquivarianceError(method=few).fit(seen.rows(seen.row_ids[:5]), law=HAAR)


def test_what_cannot_be_fitted_is_refused(task, table):
    with pytest.raises(TypeError, match="law must be"):
        ep.DataEquivarianceError().fit(table, law="invariant")
    with pytest.raises(TypeError, match="method must be"):
        ep.DataEquivarianceError(method="gp").fit(table)
    bare = ep.evaluate_orbits(lambda b: b[:, 0], task.x, task.transform, backend="python")
    with pytest.raises(ValueError, match="pass y="):
        symmetrized(bare)
    scaled = ep.transforms.from_functions(
        lambda generator: generator.uniform(0.5, 2.0),
        lambda p, row: row,
        identity=1.0,
        output_action=ep.transforms.Action(lambda p, v: p[0] * v, lambda p, v: v / p[0]),
    )
    stretched = ep.evaluate_orbits(
        lambda b: b[:, 0], task.x, scaled, y=task.y, n_transforms=4, backend="python"
    )
    with pytest.raises(ValueError, match="changes the size"):
        symmetrized(stretched)
    relative = ep.ModelEquivarianceError(n_draws=100).fit(stretched).draws["relative_error"]
    assert np.isfinite(relative).all()


def test_labels_are_judged_by_the_brier_score():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 2))
    p = 1 / (1 + np.exp(-2 * x[:, 0]))
    y = (generator.random(400) < p).astype(int)
    turns = ep.transforms.rotations2d(acts_on="vectors")
    table = ep.cross_fit(LogisticRegression(), x, y, turns, n_transforms=8)
    truth = np.sqrt(2 * 2 * np.var(p))  # two classes; the invariant part of p is constant
    lower, upper = bounds(symmetrized(table))
    assert 0.5 * truth < lower <= truth <= upper


def test_digits_turned_right_round_cost_something_and_shifted_by_a_pixel_nothing():
    upright = digits_task()
    x, y = upright.x, upright.y

    def trained(transform, copies):
        def train(rows, labels):
            generator = np.random.default_rng(0)
            seen = [rows]
            for _ in range(copies):
                by = transform.sample_many(generator, len(rows))
                seen.append(transform.on(rows).at(by).move(rows))
            model = KNeighborsClassifier(5, weights="distance")
            model.fit(np.concatenate(seen).reshape(-1, 64), np.tile(labels, copies + 1))
            return lambda batch: model.predict_proba(np.asarray(batch).reshape(-1, 64))

        options = {"n_transforms": 4, "backend": "python", "folds": 3}
        return ep.cross_fit(train, x, y, transform, **options)

    costs = {}
    for name, transform in {
        "turned": ep.transforms.rotations2d(),
        "shifted": ep.transforms.translations(1.0, acts_on="image"),
    }.items():
        pair = ep.methods.TrainedPair(symmetric=trained(transform, 5))
        estimator = ep.DataEquivarianceError(method=pair, n_draws=1000)
        costs[name] = estimator.fit(trained(transform, 0))
        assert "error" not in costs[name].draws
    assert costs["turned"].interval(0.9).loc["symmetry_cost", "ci_low"] > 0
    assert costs["shifted"].interval(0.9).loc["symmetry_cost", "ci_low"] == 0
    assert Diagnostic.NEARLY_SYMMETRIC in costs["shifted"].diagnostics


def test_methods_agree_where_the_law_is_invariant(task, table, symmetric_table):
    """On the disc, and on digits that were turned at random."""
    lower, upper = bounds(symmetrized(table, noise_variance=task.noise**2))
    pair = ep.methods.TrainedPair(symmetric=symmetric_table)
    priced = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(table, law=HAAR)
    low, high = priced.interval(0.9).loc["error"]
    assert low < upper
    assert high > lower
    few = disc_task(100, amplitude=0.8, noise=0.2, seed=1)
    targets = ep.evaluate_orbits(lambda b: b[:, 0], few.x, few.transform, y=few.y, n_transforms=2)
    process = ep.DataEquivarianceError(method=ep.methods.GaussianProcess(), n_draws=500)
    low, high = process.fit(targets, law=HAAR).interval(0.9).loc["error"]
    assert low < upper
    assert high > lower

    digits = digits_task(turned=True)
    nearest = KNeighborsClassifier(5)

    def averaged(x, y):
        copies = np.concatenate([np.rot90(x, k, axes=(1, 2)) for k in range(4)])
        model = KNeighborsClassifier(5).fit(copies.reshape(-1, 64), np.tile(y, 4))
        return lambda rows: model.predict_proba(np.asarray(rows).reshape(-1, 64))

    free = ep.cross_fit(nearest, digits.x, digits.y, digits.transform, n_transforms=4, folds=3)
    symmetric = ep.cross_fit(
        averaged, digits.x, digits.y, digits.transform, n_transforms=4, folds=3, backend="python"
    )
    assert symmetrized(free).interval(0.9).loc["lower", "ci_low"] == 0
    pair = ep.methods.TrainedPair(symmetric=symmetric)
    priced = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(free, law=HAAR)
    assert priced.interval(0.9).loc["symmetry_cost", "ci_low"] == 0


def test_vector_fields_are_bounded_too():
    swirl = field_task(800, amplitude=0.5, noise=0.2)
    result = symmetrized(fitted(NEAREST, swirl), noise_variance=swirl.noise_variance)
    lower, upper = bounds(result)
    assert swirl.error / 2 < lower <= swirl.error <= upper < 1.5 * swirl.error


def test_the_oracle_of_a_symmetric_task_says_zero():
    calm = disc_task(100, amplitude=0.0, noise=0.1)
    table = ep.evaluate_orbits(lambda b: b[:, 0], calm.x, calm.transform, y=calm.y, n_transforms=4)
    method = ep.methods.Oracle(f_star=calm.f_star)
    found = ep.DataEquivarianceError(method=method, n_draws=100).fit(table, law=HAAR)
    assert (found.draws["error"] == 0).all()
    assert (found.draws["symmetry_cost"] == 0).all()


def test_heavy_tailed_noise_is_named_and_normal_noise_is_not():
    task = disc_task(1500, amplitude=0.3, noise=0.0, seed=0)
    generator = np.random.default_rng(0)
    found = []
    # Noise has the quantiles of its law, so that tails differ little between samples. Heavy is what
    # is above .4: these are .64 (and .50 to .81 of other samples) and -.10 to .10 (3 of
    # `other_draws`). Of plain samples of Student t, 3 degrees of freedom, it names .85.
    for law in (stats.t(2.2, scale=0.5), stats.norm()):
        noise = law.ppf((generator.permutation(1500) + 0.5) / 1500)
        y = task.y + 0.3 * noise
        table = ep.cross_fit(NEAREST, task.x, y, task.transform, n_transforms=4)
        found.append(symmetrized(table, noise_variance=0.09).diagnostics)
    assert Diagnostic.HEAVY_NOISE in found[0]
    assert Diagnostic.HEAVY_NOISE not in found[1]
