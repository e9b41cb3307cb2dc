"""Controls: what a sound analysis finds where there is nothing to find."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsRegressor

import equiprob as ep
from equiprob.testing import disc_task

TASK = disc_task(1500, amplitude=0.0, noise=0.1)  # as many as the check needs to say anything


def analysis(x, y, transform):
    """Bounds on the data error; of the wrong group, on the symmetry cost alone."""
    orbits = ep.cross_fit(KNeighborsRegressor(10), x, y, transform, n_transforms=4)
    method = ep.methods.Symmetrization(noise_variance=0.0)
    return ep.DataEquivarianceError(method=method, n_draws=500).fit(orbits)


@pytest.fixture(scope="module")
def found():
    return ep.controls(analysis, TASK.x, TASK.y, TASK.transform)


def test_the_analysis_runs_three_times(found):
    assert list(found.results) == ["as given", "wrong group", "permuted targets"]
    given, wrong, permuted = found.results.values()
    assert given.case.value == permuted.case.value == "H"
    # Each of the two lower bounds, of an error of 0, is above it in .998 of draws with probability
    # .002.
    assert np.quantile(given.draws["lower"], 0.002) == 0
    assert np.quantile(permuted.draws["lower"], 0.002) == 0
    assert permuted.draws["symmetry_cost_upper"].mean() > 0.9 * np.var(TASK.y)
    assert wrong.case.value == "N"
    assert np.quantile(wrong.draws["symmetry_cost_upper"], 0.05) > np.quantile(
        given.draws["symmetry_cost_upper"], 0.95
    )


def test_words_table_and_figure_hold_all_three(found):
    assert all(f"{name}: Over" in str(found) for name in found.results)
    table = found.summary(0.9)
    assert set(table.index.get_level_values("analysis")) == set(found.results)
    assert ("as given", "lower") in table.index
    assert ("wrong group", "lower") not in table.index
    figure = found.plot()
    assert len(figure.axes) == 4
    assert any("not identified" in text.get_text() for text in figure.axes[0].texts)


def test_the_wrong_group_can_be_given():
    wrong = ep.transforms.rotations2d(0.1, acts_on="vectors")
    seen = []

    def record(x, y, transform):
        seen.append((transform, y))
        return ep.ModelEquivarianceError(n_draws=50).fit(
            ep.evaluate_orbits(lambda b: b[:, 0], x, transform, y=y, n_transforms=2)
        )

    given = TASK.transform
    ep.controls(record, TASK.x, TASK.y, given, wrong=wrong, seed=3)
    assert [transform for transform, _ in seen] == [given, wrong, given]
    assert (seen[1][1] == TASK.y).all()
    assert (seen[2][1] != TASK.y).any()
    assert (np.sort(seen[2][1]) == np.sort(TASK.y)).all()


def test_what_is_no_analysis_is_refused():
    with pytest.raises(TypeError, match="must return a result of this package"):
        ep.controls(lambda x, y, t: 1.0, TASK.x, TASK.y, TASK.transform)
    with pytest.raises(ValueError, match="permutes the targets"):
        ep.controls(analysis, TASK.x, None, TASK.transform)


def test_another_centre_is_one_of_rotations():
    """The wrong group keeps distances and fixes a point that is not the origin."""
    wrong = ep.transforms.conjugated(TASK.transform, seed=2)
    turned = wrong.apply(np.array([1.0]), TASK.x)
    before = np.linalg.norm(TASK.x[1:] - TASK.x[:-1], axis=1)
    np.testing.assert_allclose(np.linalg.norm(turned[1:] - turned[:-1], axis=1), before, rtol=1e-9)
    assert np.abs(wrong.apply(np.array([1.0]), np.zeros((1, 2)))).max() > 0.1
