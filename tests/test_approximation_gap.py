"""What a mismatch costs, the stabilizer, and which way to move."""

from itertools import pairwise

import numpy as np
import pytest

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import disc_task
from equiprob.transforms.subgroups import subgroups

HAAR = ep.InvariantLaw()
TASK = disc_task(1500, amplitude=0.8, noise=0.1, seed=0)


def model(amplitude):
    """The truth with another amplitude: its excess risk is (a - 0.8)^2 / 4, all of it waste."""
    return lambda b: 2 * (b**2).sum(axis=1) - 1 + amplitude * b[:, 0]


def orbits_of(amplitude, **options):
    options = {"n_transforms": 8, "backend": "python", "y": TASK.y} | options
    return ep.evaluate_orbits(model(amplitude), TASK.x, TASK.transform, **options)


def both(amplitude, method=None, law=HAAR, **options):
    table = orbits_of(amplitude)
    method = ep.methods.Oracle(f_star=TASK.f_star, backend="python") if method is None else method
    data = ep.DataEquivarianceError(method=method, n_draws=1000, **options).fit(table, law=law)
    return ep.ModelEquivarianceError(n_draws=1000).fit(table), data


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 1.4])
def test_the_gap_is_the_excess_risk_where_only_the_size_is_wrong(amplitude):
    gap = ep.ApproximationGap().fit(*both(amplitude))
    truth = (amplitude - 0.8) ** 2 / 4
    low, high = gap.interval(0.9999).loc["gap"]
    assert low < truth < high
    assert high < 1.5 * truth
    low, high = gap.interval(0.9999).loc["waste"]
    assert low < truth < high
    assert "Worth mending" in gap.verdict


def test_no_mismatch_is_not_worth_mending():
    # The waste is known to some 0.02, its share of a risk of 1 is 0: far below a tenth.
    _, model_error, data = both_of(model(0.8), noise=1.0)
    gap = ep.ApproximationGap(negligible_share=0.1).fit(model_error, data)
    assert "Not worth mending" in gap.verdict
    # With little noise a waste of that size would be most of the risk.
    assert "Undecided" in ep.ApproximationGap(negligible_share=0.1).fit(*both(0.8)).verdict


def test_a_model_without_risk_wastes_no_share_of_it():
    table = orbits_of(0.8, y=model(0.8)(TASK.x))
    oracle = ep.methods.Oracle(f_star=TASK.f_star, backend="python")
    data = ep.DataEquivarianceError(method=oracle).fit(table, law=HAAR)
    gap = ep.ApproximationGap().fit(ep.ModelEquivarianceError().fit(table), data)
    assert not gap.draws["gap_share"].any()
    assert "Not worth mending" in gap.verdict


def test_bounds_on_the_task_bound_the_cost():
    model_error, data_error = both(0.0, ep.methods.Symmetrization(noise_variance=0.01))
    # An invariant model says nothing from below, and the cost is not certain.
    gap = ep.ApproximationGap().fit(model_error, data_error)
    assert gap.draws["gap"].max() == 0
    assert "No cost above" in gap.verdict
    rough, data_error = both(1.6, ep.methods.Symmetrization(noise_variance=0.01))
    gap = ep.ApproximationGap().fit(rough, data_error)
    low, _high = gap.interval(0.999).loc["gap"]
    assert low > 0
    assert low < 0.16  # the truth
    waste = gap.interval(0.999)
    assert waste.loc["waste_lower", "ci_low"] < 0.16 < waste.loc["waste_upper", "ci_high"]


def test_cases_i_and_n_use_their_own_constants():
    sixty = ep.transforms.rotations2d(max_angle=np.pi / 3, acts_on="vectors")
    table = ep.evaluate_orbits(
        model(0.0), TASK.x, sixty, y=TASK.y, n_transforms=8, backend="python"
    )
    oracle = ep.methods.Oracle(f_star=TASK.f_star, backend="python")
    error = ep.ModelEquivarianceError(n_draws=500).fit(table)
    estimator = ep.DataEquivarianceError(method=oracle, n_draws=500)
    # Half of the divisor is the largest of 1 - sin(k t) / (k t): here that of k = 4.
    eigenvalue = 1 - np.sin(4 * np.pi / 3) / (4 * np.pi / 3)
    for law, name, divisor in ((HAAR, "gap", 2 * eigenvalue), (None, "gap_mixture", 4)):
        data = estimator.fit(table, law=law)
        gap = ep.ApproximationGap().fit(error, data)
        assert np.allclose(gap.draws[name], data.draws["error"] ** 2 / divisor)


def test_kappa_is_used_where_it_is_finite_and_carried_where_it_is_not():
    generator = np.random.default_rng(0)
    phi = generator.uniform(-np.pi, np.pi, 4000)
    leaning = phi[generator.random(4000) < (1 + 0.6 * np.cos(phi)) / 1.6]
    for angle, finite in ((leaning, True), (phi[:1000] / 8, False)):
        radius = np.sqrt(generator.random(len(angle)))
        x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        law = ep.InvarianceCheck(n_draws=500).fit(x, TASK.transform)
        assert np.isfinite(law.kappa) == finite
        table = ep.evaluate_orbits(
            model(0.0), x, TASK.transform, y=TASK.f_star(x), n_transforms=4, backend="python"
        )
        error = ep.ModelEquivarianceError(n_draws=500).fit(table)
        oracle = ep.methods.Oracle(f_star=TASK.f_star, backend="python")
        data = ep.DataEquivarianceError(method=oracle, n_draws=500).fit(table, law=law)
        gap = ep.ApproximationGap().fit(error, data)
        assert (Diagnostic.KAPPA_INFINITE in gap.diagnostics) == (not finite)
        assert (Diagnostic.KAPPA_ESTIMATED in gap.diagnostics) == finite
        assert ("gap" in gap.draws) == finite
        if finite:
            constant = (1 + np.sqrt(law.kappa)) ** 2
            assert np.allclose(gap.draws["gap"] * constant, data.draws["error"] ** 2)
            assert gap.draws["gap"].max() < np.mean((model(0.0)(x) - TASK.f_star(x)) ** 2)
        else:
            assert "not observed" in gap.verdict


def test_in_case_n_an_exact_model_pays_the_symmetry_cost_and_others_are_refused():
    symmetric = orbits_of(0.0)
    pair = ep.methods.TrainedPair(symmetric=symmetric)
    exact, cost = both(0.0, pair, law=None)
    free_table = orbits_of(0.8)
    free = ep.ModelEquivarianceError(n_draws=1000).fit(free_table)
    cost = ep.DataEquivarianceError(method=pair, n_draws=1000).fit(free_table)
    gap = ep.ApproximationGap().fit(exact, cost)
    low, high = gap.interval(0.9999).loc["gap"]
    assert low < 0.16 < high
    with pytest.raises(ValueError, match="withheld"):
        ep.ApproximationGap().fit(free, cost)
    with pytest.raises(ValueError, match="withheld"):
        ep.align(free, cost)


def test_results_of_other_transformations_or_draws_do_not_mix():
    error, data = both(0.3)
    other = ep.evaluate_orbits(
        model(0.3), TASK.x, ep.transforms.cyclic(4, acts_on="vectors"), backend="python"
    )
    for combine in (ep.ApproximationGap().fit, ep.align):
        with pytest.raises(ValueError, match="different transforms: kind is"):
            combine(ep.ModelEquivarianceError(n_draws=1000).fit(other), data)
        with pytest.raises(ValueError, match="draws"):
            combine(ep.ModelEquivarianceError(n_draws=500).fit(orbits_of(0.3)), data)
    reseeded = ep.ModelEquivarianceError(n_draws=1000, weight_seed=1).fit(orbits_of(0.3))
    assert Diagnostic.JOINED_AS_INDEPENDENT in ep.align(reseeded, data).diagnostics
    assert Diagnostic.JOINED_AS_INDEPENDENT not in ep.align(error, data).diagnostics
    with pytest.raises(ValueError, match="negligible_share"):
        ep.ApproximationGap(negligible_share=2.0)


def test_align_says_which_way_to_move():
    assert ep.align(*both(0.3)).direction == "less symmetry"
    freer = ep.align(*both(1.4))
    assert freer.direction == "more symmetry"
    low, high = freer.interval(0.99).loc["ratio"]
    assert low < 1.4 / 0.8 < high
    assert high - low < 0.01  # joint: the same rows weigh the same in both


def test_the_stabilizer_of_a_half_turn():
    c8 = ep.transforms.cyclic(8, acts_on="vectors")
    table = ep.evaluate_orbits(
        lambda b: (b**2).sum(axis=1) + b[:, 0] * b[:, 1], TASK.x, c8, backend="python"
    )
    result = ep.Stabilizer(tolerance=0.05, n_draws=500).fit(table)
    assert result.subgroup == (0, 4)
    assert result.probability.sum() == 2
    measure = result.draws["measure"]
    assert (np.diff(measure, axis=1) >= 0).all()
    assert measure[:, -1].min() == 1
    everything = ep.Stabilizer(tolerance=5.0, n_draws=500).fit(table)
    assert len(everything.subgroup) == 8


def test_the_largest_range_of_angles():
    table = orbits_of(0.5, design="crossed", n_transforms=60, y=None)
    result = ep.Stabilizer(tolerance=0.1, n_draws=500).fit(table)
    # e(t)^2 = a^2 E r^2 (1 - cos t) = 0.125 (1 - cos t)
    largest = np.rad2deg(np.arccos(1 - 0.1**2 / 0.125))
    angles = result.coords["transform"]
    below = angles[angles <= largest].max()
    assert result.largest_magnitude <= largest * 1.1
    assert result.largest_magnitude >= np.sort(angles[angles <= below])[-3]
    bins = ep.Stabilizer(tolerance=0.1, n_draws=500).fit(orbits_of(0.5))
    assert bins.facts.what == "magnitude bins"
    assert bins.largest_magnitude <= largest * 1.2


def test_membership_is_probable_in_between():
    table = ep.evaluate_orbits(
        model(0.5),
        TASK.x[:60],
        ep.transforms.cyclic(2, acts_on="vectors"),
        backend="python",
    )
    result = ep.Stabilizer(tolerance=0.5, n_draws=2000).fit(table)  # e of the half turn: 0.5
    assert 0.02 < result.probability[1] < 0.98
    assert result.subgroup == (0,)


def test_subgroups_of_the_square():
    found = subgroups(ep.transforms.dihedral(4, acts_on="vectors"))
    assert found is not None
    assert sorted(map(len, found)) == [1, 2, 2, 2, 2, 2, 4, 4, 4, 8]
    assert subgroups(ep.transforms.rotations2d(acts_on="vectors")) is None


def test_bad_tolerances_are_refused():
    for kwargs in ({"tolerance": 0.0}, {"tolerance": 1.0, "credibility": 1.0}):
        with pytest.raises(ValueError, match=r"toler|credib"):
            ep.Stabilizer(**kwargs)
    grid = ep.Stabilizer(tolerance=0.1, tolerances=[0.2, 0.1], n_draws=50).fit(orbits_of(0.5))
    assert all(a < b for a, b in pairwise(grid.coords["tolerance"]))


@pytest.mark.parametrize("kind", ["data", "bounds", "cost", "gap", "align", "stabilizer", "law"])
def test_results_are_saved_and_drawn(kind, tmp_path):
    import matplotlib.pyplot as plt

    error, data = both(0.3)
    if kind == "law":
        result = ep.InvarianceCheck(n_draws=200).fit(TASK.x[:100], TASK.transform)
    elif kind == "stabilizer":
        result = ep.Stabilizer(tolerance=0.1, n_draws=200).fit(orbits_of(0.3))
    elif kind == "bounds":
        result = both(0.3, ep.methods.Symmetrization())[1]
    elif kind == "cost":
        pair = ep.methods.TrainedPair(symmetric=orbits_of(0.0))
        result = both(0.8, pair, law=None)[1]
    else:
        result = {
            "data": data,
            "gap": ep.ApproximationGap().fit(error, data),
            "align": ep.align(error, data),
        }[kind]
    result.save(tmp_path / "r.nc")
    assert str(ep.load(tmp_path / "r.nc")) == str(result)
    figure = result.plot()
    assert figure.axes
    assert all(ax.get_xlabel() for ax in figure.axes)
    plt.close(figure)


def sideways(amplitude):
    """The truth with its asymmetric part turned by a right angle."""
    return lambda b: 2 * (b**2).sum(axis=1) - 1 + amplitude * b[:, 1]


def both_of(predict, n=1500, seed=0, noise=0.1, n_draws=1000):
    task = disc_task(n, amplitude=0.8, noise=noise, seed=seed)
    table = ep.evaluate_orbits(
        predict, task.x, task.transform, y=task.y, n_transforms=8, backend="python"
    )
    oracle = ep.methods.Oracle(f_star=task.f_star, backend="python")
    data = ep.DataEquivarianceError(method=oracle, n_draws=n_draws).fit(table, law=HAAR)
    return table, ep.ModelEquivarianceError(n_draws=n_draws).fit(table), data


def test_errors_of_equal_size_need_not_be_aligned():
    _, model_error, data = both_of(sideways(0.8))
    gap = ep.ApproximationGap().fit(model_error, data)
    # In truth the gap is 0, the waste |f_perp - f*_perp|^2 = .64 / 4 + .64 / 4, the alignment 0.
    assert gap.draws["gap"].mean() < 0.005
    limits = gap.interval(0.9999)
    assert limits.loc["waste", "ci_low"] < 0.32 < limits.loc["waste", "ci_high"]
    assert limits.loc["alignment", "ci_low"] < 0 < limits.loc["alignment", "ci_high"]
    assert np.ptp(limits.loc["alignment"]) < 0.5  # power: it would not hold the 1 of equal parts
    assert "Worth mending" in gap.verdict
    text = str(gap)
    assert text.startswith("The model's asymmetric part wastes 0.3")
    assert "No cost is shown of the two errors' being of different size" in text
    assert "0 unrelated" in text
    assert "0 unrelated" in str(ep.align(model_error, data))


@pytest.mark.parametrize(("amplitude", "said"), [(0.4, "alike"), (-0.5, "wrong sign")])
def test_the_alignment_says_what_is_only_too_weak_and_what_has_the_wrong_sign(amplitude, said):
    table, model_error, data = both_of(model(amplitude))
    aligned = ep.align(model_error, data)
    assert np.median(aligned.draws["alignment"]) == pytest.approx(np.sign(amplitude), abs=0.05)
    assert said in str(aligned)
    level = ep.SymmetryLevel(n_draws=500).fit(table)
    low, high = level.interval(0.9999).loc["unclipped_position"]
    assert low < 0.8 / amplitude < high  # exactly 2 and -1.6
    assert ("wrong sign" in str(level)) == (amplitude < 0)
    assert ("weaker than the task's" in str(level)) == (amplitude > 0)
    assert {0.0, 1.0} >= set(level.draws["position"])


def test_bounds_on_the_task_bound_the_alignment():
    table, model_error, _ = both_of(sideways(0.8))
    bounds = ep.methods.Symmetrization(noise_variance=0.01)
    data = ep.DataEquivarianceError(method=bounds, n_draws=1000).fit(table, law=HAAR)
    found = ep.align(model_error, data)
    low = np.quantile(found.draws["alignment_lower"], 0.001)
    assert low < 0 < np.quantile(found.draws["alignment_upper"], 0.999)
    aligned = both_of(model(0.8))
    data = ep.DataEquivarianceError(method=bounds, n_draws=1000).fit(aligned[0], law=HAAR)
    assert np.quantile(ep.align(aligned[1], data).draws["alignment_lower"], 0.05) > 0.9


def test_where_there_is_no_cost_none_is_stated():
    gap = ep.ApproximationGap().fit(*both(0.8))
    assert str(gap).startswith("No waste of the model's asymmetric part is shown: it is at most")
    assert "No cost is shown" in str(gap)
    sure = ep.ApproximationGap().fit(*both(0.3))
    assert "costs at least" in str(sure)
    assert "No cost" not in str(sure)


@pytest.mark.simulation
def test_waste_and_alignment_cover():
    # 40 samples of 100 rows, nominal 0.9. At a true coverage of 0.85, 22 or fewer hold the truth
    # with probability 6e-6; of intervals of a tenth of the width some 5 would.
    waste_truth, cosine = (0.4 - 0.8) ** 2 / 4 + 0.4**2 / 4, 1 / np.sqrt(2)

    def predict(b):
        return 2 * (b**2).sum(axis=1) - 1 + 0.4 * b[:, 0] + 0.4 * b[:, 1]

    held = dict.fromkeys(("waste", "alignment", "narrow"), 0)
    for seed in range(40):
        _, model_error, data = both_of(predict, n=100, seed=seed, n_draws=400)
        gap = ep.ApproximationGap().fit(model_error, data)
        for name, truth in (("waste", waste_truth), ("alignment", cosine)):
            low, high = np.quantile(gap.draws[name], [0.05, 0.95])
            held[name] += low <= truth <= high
            cut = 0.45 * (high - low)
            held["narrow"] += low + cut <= truth <= high - cut
    assert held["waste"] > 22
    assert held["alignment"] > 22
    assert held["narrow"] / 2 <= 22  # power
