"""No result leaves `fit` with a draw that is not finite, whatever the numbers it is fitted to."""

from dataclasses import replace

import numpy as np
import pytest
from every_estimator import EVERY, Data, numbers_of
from hypothesis import given, settings
from hypothesis import strategies as st

import equiprob as ep
from equiprob.orbits.statistics import LARGEST, SMALLEST
from equiprob.posterior.diagnostics import Diagnostic

W = np.array([[1.0, 0.4], [-0.7, 0.5]])


def linear(batch):
    return np.asarray(batch) @ W


def one_class(batch):
    return np.tile([1.0, 0.0], (len(batch), 1))


def ties(batch):
    return np.sign(np.asarray(batch) @ W)


def nothing(batch):
    return np.zeros((len(batch), 2))


def diverging(batch):
    """Return outputs of which those of a few rows are beyond all bounds."""
    batch = np.asarray(batch)
    return batch @ W * np.where(np.linalg.norm(batch, axis=1) > 2.0, 1e200, 1.0)[:, None]


def data(n, *, predict=linear, seed=0, groups=None):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2))
    y = x @ W + 0.3 * generator.normal(size=(n, 2))
    return Data(predict, x, y, None if groups is None else np.arange(n) % groups)


def scaled(rows, factor):
    """Return the same data with outputs and targets in another unit."""

    def predict(batch):
        with np.errstate(over="ignore"):  # of the model, not of what is made of its outputs
            return factor * rows.predict(batch)

    return replace(rows, predict=predict, y=factor * rows.y, size=factor * rows.size)


problems = st.builds(
    lambda n, predict, seed, groups, exponent: scaled(
        data(n, predict=predict, seed=seed, groups=groups), 10.0**exponent
    ),
    st.sampled_from([2, 3, 12, 40]),
    st.sampled_from([linear, one_class, ties, diverging, nothing]),
    st.integers(0, 5),
    st.sampled_from([None, 2, 5]),
    st.one_of(st.sampled_from([-300, -200, -59, 0, 59, 200, 300]), st.integers(-300, 300)),
)

SLOW = {
    "screen",
    "task's error, a process",
    "inputs' law",
    "geometry",
    "gap, transport",
    "gap, covering",
}


@pytest.mark.parametrize("name", EVERY)
def test_draws_are_finite_or_the_numbers_are_refused(name):
    @settings(max_examples=3 if name in SLOW else 12, deadline=None)
    @given(problems)
    def check(problem):
        try:
            result = EVERY[name](problem)
        except ValueError:
            return  # what was wrong, in words
        assert all(np.isfinite(values).all() for values in numbers_of(result)[0].values())
        assert "nan" not in str(result)

    check()


POWERS = {"output units": 1, "output units per input unit": 1, "risk": 2}


@pytest.mark.parametrize("exponent", [-180, 170])
@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"screen"}))
def test_results_follow_the_unit_of_the_outputs(name, exponent):
    # Powers of two change no digit, so that whatever has a unit must follow it exactly; what has
    # none must stay. 2**-180 is 7e-55: squares of squares of it are still numbers.
    # A screen shifts outputs as far as inputs, whose unit stays.
    rows = data(40)
    factor = 2.0**exponent
    one, other = EVERY[name](rows), EVERY[name](scaled(rows, factor))
    (draws, units), (of_other, _) = numbers_of(one), numbers_of(other)
    for key, values in draws.items():
        expected = values * factor ** POWERS.get(units.get(key, ""), 0)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(of_other[key], expected, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("factor", [1e-200, 1e-61])
def test_outputs_whose_squares_are_lost_are_refused_with_their_unit(factor):
    with pytest.raises(ValueError, match=r"squares of differences are lost.*ep\.Output\(scale=1e"):
        _ = scaled(data(12), factor * 0.01).orbits


def test_the_unit_that_is_advised_works():
    rows = scaled(data(12), 1e-200)
    orbits = rows.evaluated(outputs=ep.Output(scale=1e200))
    plain = data(12).model_error().draws["error"]
    assert np.allclose(ep.ModelEquivarianceError(n_draws=100).fit(orbits).draws["error"], plain)


def test_targets_that_cannot_be_squared_are_refused_by_row():
    rows = data(12)
    y = rows.y.copy()
    y[7] = 1e200
    with pytest.raises(ValueError, match=r"targets of 'output'.*in rows \[7\]"):
        _ = replace(rows, y=y).orbits


def test_a_row_that_diverges_is_left_out_by_number():
    rows = data(200)
    far = np.flatnonzero(np.linalg.norm(rows.x, axis=1) > 2.0)
    without = replace(rows, x=np.delete(rows.x, far, 0), y=np.delete(rows.y, far, 0))
    result = replace(rows, predict=diverging).model_error()
    assert result.nonfinite_rows == tuple(far)
    assert Diagnostic.NONFINITE_OUTPUTS in result.diagnostics
    error = result.draws["error"].mean()
    # Another half per cent each time (2 of `other_draws`).
    assert error == pytest.approx(without.model_error().draws["error"].mean(), rel=0.2)


def test_limits_leave_room_for_squares_of_squares():
    rounding = SMALLEST * np.finfo(float).eps
    assert rounding**4 > np.finfo(float).tiny
    assert np.finfo(float).max / 1e12 > LARGEST**4


def test_a_result_with_draws_that_are_not_finite_says_so():
    result = data(12).model_error()
    broken = replace(result, draws=dict(result.draws) | {"error": np.full(100, np.nan)})
    assert Diagnostic.NOT_FINITE in broken.diagnostics
    assert broken.status == Diagnostic.NOT_FINITE.value
    assert Diagnostic.NOT_FINITE not in result.diagnostics


def test_a_part_of_the_law_that_was_never_drawn_is_named():
    turns = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    flips = ep.transforms.sign_flips(2, acts_on="vectors", output_action="vectors")
    rows = data(12)
    rare = ep.transforms.mixture([turns, flips], weights=[1 - 1e-9, 1e-9])
    orbits = ep.evaluate_orbits(linear, rows.x, rare, backend="python", n_transforms=4)
    result = ep.ModelEquivarianceError(n_draws=100).fit(orbits)
    assert result.draws["error_by_part"].shape == (100, 1)
    assert Diagnostic.PART_NOT_DRAWN in result.diagnostics
    both = ep.transforms.mixture([turns, flips])
    orbits = ep.evaluate_orbits(linear, rows.x, both, backend="python", n_transforms=8)
    result = ep.ModelEquivarianceError(n_draws=100).fit(orbits)
    assert result.draws["error_by_part"].shape == (100, 2)
    assert Diagnostic.PART_NOT_DRAWN not in result.diagnostics


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e50])
def test_a_law_that_is_not_invariant_is_found_in_any_unit(unit):
    # All rows lie on one side: an AUC near 1 in metres must be one in nanometres. Its standard
    # error is below .03, so that it falls below .8 with a probability under 1e-6.
    x = np.abs(np.random.default_rng(0).normal(size=(120, 2))) * unit
    turns = ep.transforms.rotations2d(acts_on="vectors")
    result = ep.InvarianceCheck(n_draws=200).fit(x, turns)
    assert not result.is_invariant
    assert result.facts.auc > 0.8


def test_a_classifier_that_gives_one_answer_establishes_nothing():
    from sklearn.dummy import DummyClassifier

    x = np.random.default_rng(0).normal(size=(120, 2))
    check = ep.InvarianceCheck(n_draws=200, classifier=DummyClassifier())
    blind = check.fit(np.abs(x), ep.transforms.rotations2d(acts_on="vectors"))
    assert not blind.is_invariant
    assert Diagnostic.BLIND_CLASSIFIER in blind.diagnostics
    assert "says nothing" in str(blind)
    nothing_to_tell = check.fit(x, ep.transforms.finite([np.eye(2)], acts_on="vectors"))
    assert nothing_to_tell.is_invariant
    assert Diagnostic.BLIND_CLASSIFIER not in nothing_to_tell.diagnostics
