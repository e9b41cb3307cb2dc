"""The problems' stated truths are their truths."""

import numpy as np
import pytest

import equiprob as ep
from equiprob.testing import digits_task, disc_task, field_task, flow_task, label_task

TASKS = {
    "disc": disc_task(20_000, amplitude=0.8, noise=0.2, seed=1),
    "field": field_task(20_000, amplitude=0.5, noise=0.2, seed=1),
    "labels": label_task(20_000, amplitude=0.2, seed=1),
    "flow": flow_task(600, wind=0.7, size=12, seed=1),
}


@pytest.mark.parametrize("name", TASKS)
def test_stated_error_cost_and_noise(name):
    task = TASKS[name]
    table = ep.evaluate_orbits(
        task.f_star, task.x, task.transform, y=task.y, n_transforms=5, backend="python"
    )
    stats = table.only
    # Of 20,000 rows (or 600 x 144 numbers) errors are known to .1 % and noise, which is of the
    # seed alone, to 1 %.
    assert np.sqrt(stats.pair_sq.mean()) == pytest.approx(task.error, rel=0.03)
    assert task.symmetry_cost == pytest.approx(task.error**2 / 2)
    assert ((stats.y - stats.base) ** 2).sum(axis=1).mean() == pytest.approx(
        task.noise_variance, rel=0.03
    )


def test_still_air_is_symmetric_and_mass_only_grows():
    calm = flow_task(20, wind=0.0, noise=0.0)
    assert calm.error < 1e-12
    for turns in range(4):
        np.testing.assert_allclose(
            calm.f_star(np.rot90(calm.x, turns, axes=(1, 2))),
            np.rot90(calm.y, turns, axes=(1, 2)),
            atol=1e-12,
        )
    assert (calm.y.mean(axis=(1, 2)) > calm.x.mean(axis=(1, 2))).all()
    assert 0 < calm.y.min() < calm.y.max() < 1


def test_wind_blows_to_the_right():
    task = flow_task(1, wind=3.0, noise=0.0)
    calm = flow_task(1, wind=0.0, noise=0.0)
    np.testing.assert_allclose(task.y, np.roll(calm.y, 3, axis=2), atol=0.01)


def test_digits_turned_at_random():
    upright, turned = digits_task(), digits_task(turned=True)
    assert upright.error is None
    assert turned.error == 0
    assert (upright.y == turned.y).all()
    squares = [(image**2).sum() for image in upright.x]
    np.testing.assert_allclose([(image**2).sum() for image in turned.x], squares, rtol=1e-5)
    assert np.mean([(a == b).all() for a, b in zip(upright.x, turned.x, strict=True)]) < 0.3


def test_probabilities_outside_0_and_1_are_refused():
    with pytest.raises(ValueError, match=r"between -0\.3 and 0\.3"):
        label_task(5, amplitude=0.4)
