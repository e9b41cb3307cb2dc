"""Rows or transformations: the split of variance, and of a budget."""

import numpy as np
import pytest

import equiprob as ep
from equiprob.testing import linear_task


def table(n=400, m=8, design="random", model=None, **kwargs):
    task = linear_task(n)
    return ep.evaluate_orbits(
        model or task.predict, task.x, task.transform, n_transforms=m, design=design, **kwargs
    )


def test_parts_of_a_linear_model_are_the_closed_form():
    # |d|^2 = 4 sin^2(angle) |Px|^2 with |Px|^2 = A |x|^2 / 2, |x|^2 chi-squared with 2 degrees of
    # freedom: the row's mean has variance (2 A)^2, one transformation adds
    # E (A |x|^2 / 2)^2 Var(4 sin^2) = 2 A^2 * 2.
    a = linear_task(2).asymmetry
    parts = table(n=4000, m=16).variance_parts
    assert parts is not None
    # Relative sd of a variance of 4000 exponentials: sqrt(8 / 4000) = 4.5 %; five of them.
    assert abs(parts.between_rows / (2 * a) ** 2 - 1) < 0.23
    assert abs(parts.within / (4 * a**2) - 1) < 0.23
    assert abs(parts.within / (2 * a**2) - 1) > 0.23  # power: half of it


@pytest.mark.simulation
def test_the_predicted_error_is_the_error_of_replications():
    task = linear_task(2)
    generator = np.random.default_rng(0)
    parts = table(n=4000, m=4).variance_parts
    assert parts is not None
    estimates = []
    for seed in range(300):
        x = generator.normal(size=(40, 2))
        orbits = ep.evaluate_orbits(
            task.predict,
            x,
            task.transform,
            n_transforms=3,
            design="random",
            seed=seed,
            backend="python",
        )
        estimates.append(orbits.only.pair_sq.mean())
    # Relative sd of the ratio of standard deviations: about 1 / sqrt(600) + 3 %; five of it.
    assert abs(np.std(estimates) / np.sqrt(parts.variance(40, 3)) - 1) < 0.3


def test_rows_are_bought_where_they_differ_and_transformations_where_those_do():
    inputs_differ = table(model=lambda x: x**3)
    assert inputs_differ.allocation(10_000).n_transforms <= 3
    x = np.tile([1.0, 0.0], (200, 1)) + 1e-5 * np.arange(200)[:, None]
    transform = ep.transforms.rotations2d(acts_on="vectors")
    alike = ep.evaluate_orbits(
        lambda b: b[:, :1] ** 3, x, transform, n_transforms=8, design="random"
    )
    split = alike.allocation(10_000)
    assert split.n_transforms > 20
    assert split.n_units >= 30
    assert split.n_units * (1 + split.n_transforms) <= 10_000 * 1.01
    assert split.relative_error <= split.same_budget
    assert "Best split" in str(split)


def test_a_full_orbit_has_no_monte_carlo_error():
    x = np.random.default_rng(0).normal(size=(50, 2))
    quarter = ep.transforms.cyclic(4, acts_on="vectors")
    orbits = ep.evaluate_orbits(lambda b: b[:, :1], x, quarter)
    assert orbits.allocation(1000).n_transforms == 4
    assert orbits.allocation(1000).parts.monte_carlo_share == 0


def test_shared_transformations_are_a_second_sample():
    crossed = table(n=400, m=16, design="crossed")
    parts = crossed.variance_parts
    assert parts is not None
    assert parts.between_transforms > 0
    assert parts.monte_carlo_share > 0.5  # 16 shared angles against 400 rows


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="budget must be"):
        table().allocation(1)
    with pytest.raises(ValueError, match="keep='all'"):
        table(keep="rows").allocation(1000)
