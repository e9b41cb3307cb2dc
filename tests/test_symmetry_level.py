"""The optimal symmetry level: finite-m correction, coverage, optimism, predictors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import commuting_part, linear_task

FAST = ep.SymmetryLevel(n_draws=1000)


def orbits_of(task, **options):
    return ep.evaluate_orbits(
        task.predict, task.x, task.transform, y=task.y, backend="python", **options
    )


@pytest.mark.parametrize("design", ["quasi", "random"])
def test_exact_symmetry_is_found_at_level_zero_with_four_transformations(design):
    task = linear_task(6000, optimum=0.0, seed=1)
    table = orbits_of(task, n_transforms=4, design=design)
    result = FAST.fit(table)
    assert np.median(result.draws["position"]) < 0.03
    assert result.interval(0.9).loc["position", "ci_low"] == 0
    # Power: without the finite-m correction the optimum sits near 1/5 for independent draws and
    # near 1/17 for the two lattices.
    residual = table.only.y - table.only.base
    average = table.mean_displacement
    uncorrected = 1 - (residual * average).sum() / (average**2).sum()
    assert uncorrected > (0.04 if design == "quasi" else 0.15)


def test_position_is_exact_when_rows_are_closed_under_the_group():
    # Rows closed under C4 and full orbits: (13) holds to rounding.
    generator = np.random.default_rng(0)
    seeds = generator.normal(size=(10, 2))
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    x = np.concatenate([seeds @ np.linalg.matrix_power(turn, k).T for k in range(4)])
    matrix = generator.normal(size=(2, 2))
    common = commuting_part(matrix)
    y = x @ (common + 0.35 * (matrix - common))
    c4 = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
    table = ep.evaluate_orbits(lambda b: b @ matrix, x, c4, y=y, backend="python")
    assert table.design.kind == "full"
    result = FAST.fit(table)
    assert result.shipped_position == pytest.approx(0.35, abs=1e-12)
    risk = ep.paths.Blend().risk(table)
    excess = risk.columns.mean(axis=0) @ risk.limit
    for index in (0, 50, 120):
        s = risk.positions[index]
        blend = x @ (common + s * (matrix - common))
        direct = ((y - blend) ** 2).sum(axis=1) - ((y - x @ matrix) ** 2).sum(axis=1)
        assert excess[index] == pytest.approx(direct.mean(), abs=1e-12)


@pytest.fixture(scope="module")
def coverage():
    runs, truths = 100, (0.0, 0.4, 1.0)
    covered = {"position": 0, "risk_saved": 0, "half width": 0, "in-sample saving": 0}
    for seed in range(runs):
        truth = truths[seed % 3]
        task = linear_task(150, optimum=truth, seed=seed)
        result = FAST.fit(orbits_of(task, n_transforms=4, seed=seed))
        limits = result.interval(0.9)
        low, high = limits.loc["position"]
        covered["position"] += low <= truth <= high
        middle = result.draws["position"].mean()
        covered["half width"] += abs(truth - middle) <= (high - low) / 8
        saved = task.risk_saved(result.shipped_position)
        low, high = limits.loc["risk_saved"]
        covered["risk_saved"] += low <= saved <= high
        covered["in-sample saving"] += low + saved * 0.5 <= saved <= high - saved * 0.5
    return covered, runs


@pytest.mark.simulation
def test_intervals_of_position_and_saving_cover(coverage):
    # For a true coverage of 0.85, 0.90 or 0.95 the assertion fails with probability below 1e-4.
    covered, runs = coverage

    def acceptable(count):
        low, high = stats.binomtest(count, runs).proportion_ci(0.9999)
        return high >= 0.85 and low <= 0.97

    assert acceptable(covered["position"])
    assert acceptable(covered["risk_saved"])
    assert not acceptable(covered["half width"])  # power
    assert not acceptable(covered["in-sample saving"])


def test_the_cross_fitted_saving_is_free_of_optimism():
    # A model at its optimum: an in-sample optimum always "saves"; elsewhere at most zero.
    ours, in_sample = [], []
    for seed in range(80):
        task = linear_task(60, optimum=1.0, noise=2.0, seed=seed)
        table = orbits_of(task, n_transforms=4, seed=seed)
        ours.append(FAST.fit(table).facts.risk_saved_cross_fitted)
        risk = ep.paths.Blend().risk(table)
        in_sample.append(-(risk.columns.mean(axis=0) @ risk.limit).min())
    # Means of 80: 5 standard errors.
    assert np.mean(ours) < 5 * np.std(ours) / np.sqrt(80)
    assert np.mean(in_sample) > 3 * np.std(in_sample) / np.sqrt(80)  # power: optimism shows


def range_problem(n=800, seed=0):
    """Targets invariant to turns up to 60 degrees or so, and not to larger ones."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(-np.pi, np.pi, n)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y = np.cos(angle) + 0.05 * generator.normal(size=n)

    def predict(batch):  # right on average over small turns, with a fast wrong wiggle
        turn = np.arctan2(batch[:, 1], batch[:, 0])
        return np.cos(turn) + 0.5 * np.sin(12 * turn)

    return predict, x, y


def direct_risk(predict, x, y, degrees):
    """The risk of averaging over up to so many degrees, by a fine grid."""
    angle = np.arctan2(x[:, 1], x[:, 0])
    turns = np.deg2rad(np.linspace(-degrees, degrees, 401))
    outputs = [predict(np.stack([np.cos(angle + t), np.sin(angle + t)], axis=1)) for t in turns]
    return ((y - np.mean(outputs, axis=0)) ** 2).mean()


@pytest.mark.parametrize("design", ["quasi", "random"])
def test_range_finds_the_best_angle_and_its_risk_is_unbiased(design):
    predict, x, y = range_problem()
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    grid = [7.5, 15, 30, 45, 90, 180]
    table = ep.evaluate_orbits(
        predict, x, rotations, y=y, n_transforms=32, design=design, backend="python"
    )
    result = ep.SymmetryLevel(n_draws=1000, path=ep.paths.Range(positions=grid)).fit(table)
    truth = np.array([direct_risk(predict, x, y, d) for d in [1e-6, *grid]])
    if design == "quasi":
        # 15, 30 and 45 degrees save all but a twentieth of each other; 7.5 and 90 half of it, more
        # than 5 posterior standard deviations away.
        left = (truth - truth.min()) / (truth[0] - truth.min())
        found = np.median(result.draws["position"])
        assert left[result.coords["position_grid"] == found].max() < 0.1
        assert np.sum(left < 0.1) == 3  # power
    # 5 posterior sds of the change of risk: false failure below 1e-5 over the grid.
    change = result.draws["risk"] - result.draws["risk"][:, [0]]
    error = change.mean(axis=0) - (truth - truth[0])
    assert (np.abs(error) <= 5 * change.std(axis=0) + 1e-3).all()


def test_range_from_declared_magnitudes_equals_range_from_all_outputs():
    predict, x, y = range_problem(200)
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    grid = [15.0, 60.0, 180.0]
    risks = []
    for keep in ("all", grid):
        table = ep.evaluate_orbits(predict, x, rotations, y=y, keep=keep, backend="python")
        path = ep.paths.Range(positions=grid)
        risks.append(ep.SymmetryLevel(n_draws=200, path=path).fit(table).draws["risk"])
    assert np.allclose(*risks, atol=1e-12)


def test_range_says_what_it_needs():
    predict, x, y = range_problem(100)
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    path = ep.SymmetryLevel(path=ep.paths.Range())
    table = ep.evaluate_orbits(predict, x, rotations, y=y, keep="rows", backend="python")
    with pytest.raises(ValueError, match=r"keep='all'.*keep=\["):
        path.fit(table)
    table = ep.evaluate_orbits(predict, x, rotations, y=y, keep=[30.0], backend="python")
    with pytest.raises(ValueError, match="sums up to"):
        ep.SymmetryLevel(path=ep.paths.Range(positions=[20.0])).fit(table)


def test_level_says_what_it_needs():
    task = linear_task(40)
    with pytest.raises(ValueError, match="pass y="):
        FAST.fit(ep.evaluate_orbits(task.predict, task.x, task.transform, backend="python"))
    with pytest.raises(ValueError, match="one transformation"):
        FAST.fit(orbits_of(task, n_transforms=1))
    with pytest.raises(ValueError, match="design='quasi'"):
        FAST.fit(orbits_of(task, design="crossed"))


def test_equivariant_model_has_nothing_to_average():
    x = np.random.default_rng(2).normal(size=(50, 2)).astype(np.float32)
    predict = lambda b: (b**2).sum(axis=1)  # noqa: E731
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    table = ep.evaluate_orbits(predict, x, rotations, y=np.ones(50))
    result = FAST.fit(table)
    assert "position" not in result.draws
    assert Diagnostic.UP_TO_ROUNDING in result.diagnostics
    assert "changes nothing" in str(result)
    assert np.allclose(result.predictor(predict)(x), predict(x), rtol=1e-6)


def test_blended_predictor_is_the_blend_for_numpy_and_for_traced_jax():
    task = linear_task(300, optimum=0.4, seed=3)
    result = FAST.fit(orbits_of(task))
    shipped = result.predictor(task.predict)
    s, common = result.shipped_position, commuting_part(task.matrix)
    expected = task.x @ (common + s * (task.matrix - common))
    assert np.allclose(shipped(task.x), expected, atol=1e-12)
    assert shipped.n_evaluations == 17
    traced = jax.jit(shipped)(jnp.asarray(task.x, dtype=jnp.float32))
    assert np.allclose(traced, expected, atol=1e-5)
    # It is a model like any other: its own pass finds the blended error.
    own = ep.ModelEquivarianceError(n_draws=500).fit(
        ep.evaluate_orbits(shipped, task.x, task.transform, backend="python")
    )
    # Medians are .7 and .6 % below, with standard deviations of .2 % (4 of `other_draws`).
    assert np.median(own.draws["error"]) == pytest.approx(s * task.error, rel=0.1)
    assert np.median(result.draws["level"]) == pytest.approx(s * task.error, rel=0.2)


def test_range_predictor_averages_within_its_range():
    predict, x, y = range_problem(300)
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    table = ep.evaluate_orbits(predict, x, rotations, y=y, backend="python")
    path = ep.paths.Range(positions=[15, 30, 60])
    result = ep.SymmetryLevel(n_draws=500, path=path).fit(table)
    shipped = result.predictor(predict)
    largest = np.rad2deg(np.abs(shipped.parameters).max())
    assert largest <= result.shipped_position
    improved = ((y - shipped(x)) ** 2).mean()
    assert improved < 0.5 * ((y - predict(x)) ** 2).mean()
    # Two averages over the same range, by other transformations: .0005 apart at most (2 of
    # `other_draws`).
    assert improved == pytest.approx(direct_risk(predict, x, y, result.shipped_position), abs=0.01)


@pytest.fixture(scope="module")
def half_turn():
    """A truth that half turns leave alone and quarter turns do not, and a model that both move."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(500, 2))
    y = x[:, 0] ** 2 - x[:, 1] ** 2 + 0.3 * generator.normal(size=500)

    def predict(rows):
        return rows[:, 0] ** 2 - rows[:, 1] ** 2 + 0.5 * rows[:, 0]

    turns = ep.transforms.cyclic(4, acts_on="vectors")
    table = ep.evaluate_orbits(predict, x, turns, y=y, n_transforms=4)
    return predict, x, y, table


def test_rows_without_a_transformation_in_range_are_no_steps_of_the_loss():
    """Of two transformations a row few are within 15 degrees: most rows save exactly 0 there."""
    predict, x, y = range_problem(300)
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    table = ep.evaluate_orbits(predict, x, rotations, y=y, n_transforms=2, backend="python")
    result = ep.SymmetryLevel(n_draws=200, path=ep.paths.Range(positions=[15])).fit(table)
    assert result.shipped_position == 15
    assert ep.Diagnostic.STEP_LOSS not in result.diagnostics
    assert ep.Diagnostic.FEW_IN_RANGE in result.diagnostics
    # Simulated, nominal 0.9, 84 samples of 150 rows: savings of positions chosen on other rows hold
    # at .94, those at the position that these rows chose at .56.
    saved = result.draws
    assert np.array_equal(saved["risk_saved"], saved["risk_saved_cross_fitted"])


def test_the_subgroup_that_the_truth_has_is_found(half_turn):
    predict, x, y, table = half_turn
    result = ep.SymmetryLevel(path=ep.paths.Subgroups(), n_draws=500).fit(table)
    assert list(result.coords["position_grid"]) == ["none", "order 2", "order 4"]
    assert result.draws["is_best"].mean(axis=0)[1] > 0.99
    assert result.facts.p_between > 0.99
    assert "'order 2'" in str(result)
    better = result.predictor(predict)
    np.testing.assert_allclose(better(x), (predict(x) + predict(-x)) / 2, atol=1e-6)
    # The average is over the whole subgroup, and the saving is that of the predictor itself.
    saved = ((predict(x) - y) ** 2 - (better(x) - y) ** 2).mean()
    # It is .8 % above, with a standard deviation of .4 % (7 of `other_draws`): 3 % is 5 of them
    # away.
    assert result.draws["risk_saved"].mean() == pytest.approx(saved, rel=0.03)
    assert (result.draws["risk_saved"] == result.draws["risk_saved_shipped"]).all()
    labels = [t.get_text() for t in result.plot().axes[0].get_yticklabels()]
    assert labels[1] == "order 2   (best: 1.00)"


def test_rounding_does_not_choose_between_equal_averages(half_turn):
    _, x, y, _ = half_turn
    square = ep.transforms.dihedral(4, acts_on="vectors")

    def predict(rows):  # reflections across the first axis change nothing
        return rows[:, 0] ** 2 - rows[:, 1] ** 2 + 0.5 * rows[:, 0]

    table = ep.evaluate_orbits(predict, x, square, y=y, n_transforms=8)
    result = ep.SymmetryLevel(path=ep.paths.Subgroups(), n_draws=200).fit(table)
    p_best = result.draws["is_best"].mean(axis=0)
    assert p_best.max() == 1
    assert len(result.shipment.weights) == 2


def test_subgroups_are_those_of_a_finite_group_on_whole_orbits(half_turn):
    predict, x, y, _ = half_turn
    path = ep.SymmetryLevel(path=ep.paths.Subgroups(), n_draws=100)
    turns = ep.transforms.cyclic(4, acts_on="vectors")
    circle = ep.transforms.rotations2d(acts_on="vectors")
    for transform, keep, message in (
        (circle, "auto", "needs a finite group"),
        (turns, "rows", "whole orbit"),
    ):
        table = ep.evaluate_orbits(predict, x, transform, y=y, n_transforms=4, keep=keep)
        with pytest.raises(ValueError, match=message):
            path.fit(table)


def test_subgroups_of_one_order_have_names_of_their_own():
    flips = ep.transforms.sign_flips(3)
    x = np.random.default_rng(0).normal(size=(60, 3))
    table = ep.evaluate_orbits(
        lambda b: b[:, 0] + b[:, 1] * b[:, 2], x, flips, y=x[:, 0], n_transforms=8
    )
    result = ep.SymmetryLevel(path=ep.paths.Subgroups(), n_draws=100).fit(table)
    names = result.coords["position_grid"]
    assert len(names) == len(set(names)) == 16  # the subspaces of three bits
    assert names[0] == "none"
    assert names[-1] == "order 8"


def test_probabilities_of_full_none_and_between_add_up():
    ends = []
    for seed in range(12):
        table = orbits_of(linear_task(200, optimum=0.0, seed=seed), n_transforms=4)
        facts = FAST.fit(table).facts
        ends.append([facts.p_full, facts.p_none, facts.p_between])
    np.testing.assert_allclose(np.sum(ends, axis=1), 1.0)
    # The truth is the end: the share of draws beyond it is about uniform, the mean of 12 is .5 with
    # a standard deviation of .083, and below .2 with probability 2e-4.
    full, none, _ = np.mean(ends, axis=0)
    assert full > 0.2
    # A draw that prefers no averaging is rare, not impossible: 2.5e-4 to 3.3e-4 of them, and no
    # task above .003, in four other dozens of tasks.
    assert none < 0.01
