"""A model's error while it is trained."""

import time
import warnings

import numpy as np
import pytest

import equiprob as ep

X = np.random.default_rng(0).normal(size=(300, 2))
TURNS = ep.transforms.rotations2d(acts_on="vectors")


def model(asymmetry):
    """Radii, and a part of the first coordinate: its error is the share of that."""
    return lambda x: np.hypot(x[:, 0], x[:, 1]) + asymmetry * x[:, 0]


def watched(asymmetries, **options):
    watch = ep.callbacks.Watch(X, TURNS, share=1e9, **options)
    return watch, [watch(model(a), epoch) for epoch, a in enumerate(asymmetries)]


def test_numbers_for_a_log_and_a_warning_where_the_symmetry_is_lost():
    # All rows whose first coordinate is not tiny have their error doubled: P(lost) is .9 and more.
    with pytest.warns(UserWarning, match=r"since epoch 1 the error .* more than doubled") as said:
        watch, found = watched([0.5, 0.1, 0.1, 0.4, 0.4])
    assert len(said) == 1  # from then on it is compared with what it is now
    assert [check.epoch for check in watch.checks] == [0, 1, 2, 3, 4]
    # Of x0 - (R x)0 over all angles: sqrt(2) times the asymmetry, but for the 256 rows.
    assert [f["equivariance/error"] for f in found] == pytest.approx(
        [0.7, 0.14, 0.14, 0.57, 0.57], rel=0.25
    )
    assert all(f["equivariance/error_low"] < f["equivariance/error"] for f in found)


def test_noise_of_training_warns_of_nothing():
    """Errors that come and go by less than twice, and a model that is exact, up to rounding."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watched([0.3, 0.2, 0.35, 0.25], every=1)
        exact = lambda x: ((x / 3) ** 2).sum(axis=1)  # noqa: E731
        other = lambda x: ((x / 7) ** 2).sum(axis=1)  # noqa: E731
        watch = ep.callbacks.Watch(X, TURNS, share=1e9, n_transforms=4)
        for epoch, one in enumerate([exact, other]):
            watch(one, epoch)


def test_looks_are_put_off_where_they_take_too_much_of_the_time():
    watch = ep.callbacks.Watch(X, TURNS, every=2, share=0.03)
    assert watch(model(0.1), 0)
    assert watch(model(0.1), 1) is None  # every other epoch
    assert watch(model(0.1), 2) is None  # no time has gone by since the first look
    assert watch.spent == 0
    watch._started -= 1000
    assert watch(model(0.1), 4)
    watch._started = time.perf_counter() - 50 * watch.spent
    assert watch(model(0.1), 6) is None  # another look of this length would not fit
    watch._started = time.perf_counter() - 100 * watch.spent
    assert watch(model(0.1), 8)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"n_rows": 0}, {"share": 0.0}, {"delta": 1.0}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
        ep.callbacks.Watch(X, TURNS, **wrong)


def test_scalars_of_a_result():
    orbits = ep.evaluate_orbits(model(0.1), X, TURNS, n_transforms=4)
    result = ep.ModelEquivarianceError().fit(orbits)
    scalars = result.scalars("e/")
    assert scalars["e/error"] == np.median(result.draws["error"])
    assert scalars["e/error_low"] < scalars["e/error"] < scalars["e/error_high"]
    assert all(isinstance(value, float) for value in scalars.values())
    assert not any("profile" in name for name in scalars)
    shown = result._repr_html_()
    assert "<table" in shown
    assert str(result).split(",")[0] in shown
    assert "orbit table" in orbits._repr_html_()
    assert "rotations2d" in TURNS._repr_html_()
