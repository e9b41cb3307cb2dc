"""Rounding, or a bug: the floor of a float64 pass, and where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.orbits.programs import perturbed_once

X = np.random.default_rng(0).normal(size=(150, 2)).astype(np.float32)
ROTATIONS = ep.transforms.rotations2d(acts_on="vectors")
FAST = ep.ModelEquivarianceError(n_draws=300)


def radius(batch):
    return jnp.tanh((batch**2).sum(axis=1, keepdims=True))


def test_a_float64_pass_measures_the_rounding_of_an_exact_model():
    table = ep.evaluate_orbits(radius, X, ROTATIONS)
    assert table.floor_method == "float64 pass"
    rms = np.sqrt(table.only.pair_sq.mean())
    # The whole error is rounding; 32 of 150 rows measure it.
    assert table.only.float_floor == pytest.approx(rms, rel=0.4)
    result = FAST.fit(table)
    assert result.is_exact
    assert "float64" in str(result)
    assert result.facts["floor_method"] == "float64 pass"


def test_an_error_of_a_few_roundings_is_not_hidden():
    table = ep.evaluate_orbits(lambda b: radius(b) + 1e-5 * b[:, :1], X, ROTATIONS)
    assert table.floor_method == "float64 pass"
    assert not FAST.fit(table).is_exact


@pytest.mark.parametrize(
    ("predict", "x", "kwargs"),
    [
        (radius, X, {"backend": "python"}),
        (lambda b: radius(b.astype(jnp.float32)), X, {}),
        (lambda b: np.tanh((b**2).sum(axis=1)), X.astype(np.float64), {}),
    ],
    ids=["black box", "casts inside", "float64 inputs"],
)
def test_elsewhere_the_input_is_perturbed(predict, x, kwargs):
    table = ep.evaluate_orbits(predict, x, ROTATIONS, **kwargs)
    assert table.floor_method == "perturbation"
    assert table.only.float_floor > 0
    result = FAST.fit(table)
    assert result.is_exact
    assert "One rounding of the input" in str(result)


def test_a_large_error_needs_no_second_pass():
    calls = []

    def model(batch):
        calls.append(batch.dtype)
        return batch[:, :1]

    table = ep.evaluate_orbits(model, X, ROTATIONS)
    assert table.floor_method == "perturbation"
    assert all(dtype == np.float32 for dtype in calls)


def test_the_float64_floor_does_not_depend_on_the_batch_size():
    floors = [
        ep.evaluate_orbits(radius, X, ROTATIONS, batch_size=size).only.float_floor
        for size in (16, 150)
    ]
    assert floors[0] == pytest.approx(floors[1], rel=1e-6)


def test_several_outputs_have_a_floor_each():
    table = ep.evaluate_orbits(lambda b: {"a": radius(b), "b": 100 * radius(b)}, X, ROTATIONS)
    assert table["b"].only.float_floor > 10 * table["a"].only.float_floor
    assert FAST.fit(table["a"]).is_exact
    assert FAST.fit(table["b"]).is_exact


@pytest.mark.parametrize("leaf", [0, 1])
def test_the_signs_of_the_probe_are_balanced_and_without_order(leaf):
    shape = (64, 28, 28)
    x = {"a": np.ones(shape, np.float32), "b": np.ones(shape, np.float32)}
    moved = jax.tree.leaves(perturbed_once(x))
    signs, other = (np.sign(np.asarray(each) - 1) for each in (moved[leaf], moved[1 - leaf]))
    assert set(np.unique(signs)) == {-1, 1}
    shifted = [np.roll(signs, 1, axis) for axis in range(3)]
    for products in (signs, *(signs * each for each in (*shifted, other))):
        assert abs(products.mean()) < 5 / np.sqrt(signs.size)  # 6e-7 for each, were it chance
    assert abs((signs * signs).mean()) > 5 / np.sqrt(signs.size)  # order would be seen
