"""The demo's networks: they learn, are as symmetric as they say, and repeat exactly."""

import jax
import numpy as np
import pytest

import equiprob as ep
from equiprob.demo.networks import CANDIDATES, load_split, train

BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}
PLAIN = BY_NAME["plain"]
QUARTER_TURNS = BY_NAME["averaged over quarter turns"]


@pytest.fixture(scope="module")
def split():
    return load_split()


@pytest.fixture(scope="module")
def small(split):
    # A quarter of the rows is a quarter of the steps.
    return split._replace(x_train=split.x_train[:256], y_train=split.y_train[:256])


@pytest.fixture(scope="module")
def plain(small):
    return train(PLAIN, small, seeds=(0, 1))


@pytest.fixture(scope="module")
def averaged(small):
    return train(QUARTER_TURNS, small, seeds=(0,))[0]


def accuracy(predict, x, y):
    return float((np.asarray(predict(x)).argmax(axis=1) == y).mean())


def turned_back(predict, x):
    """Return how far quarter turns of the input move the output at most."""
    upright = np.asarray(predict(x))
    turns = (np.asarray(predict(np.rot90(x, k, axes=(1, 2)))) for k in (1, 2, 3))
    return max(float(np.abs(turn - upright).max()) for turn in turns)


def test_split_is_fixed_disjoint_and_scaled(split):
    again = load_split()
    assert all(np.array_equal(a, b) for a, b in zip(split, again, strict=True))
    assert split.x_train.shape == (898, 8, 8)
    assert split.x_test.shape == (899, 8, 8)
    assert split.x_train.dtype == split.x_test.dtype == np.float32
    assert split.x_train.min() == 0
    assert split.x_train.max() == 1
    train_rows = {row.tobytes() for row in split.x_train}
    assert not any(row.tobytes() in train_rows for row in split.x_test)


def test_plain_network_reads_upright_digits(split):
    predict = train(PLAIN, split, seeds=(0,))[0]
    assert accuracy(predict, split.x_test, split.y_test) >= 0.96


@pytest.mark.parametrize("name", list(BY_NAME))
def test_short_training_learns(name, small):
    predict = train(BY_NAME[name], small, seeds=(0,))[0]
    p = np.asarray(predict(small.x_test))
    assert p.shape == (len(small.x_test), 10)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    loss = -np.log(p[np.arange(len(p)), small.y_test] + 1e-7).mean()
    assert loss < np.log(10) / 2  # log(10): what knowing nothing costs
    assert accuracy(predict, small.x_test, small.y_test) >= 0.6


def test_averaging_over_quarter_turns_is_exactly_invariant(averaged, plain, split):
    assert turned_back(averaged, split.x_test) < 2e-6
    assert turned_back(plain[0], split.x_test) > 0.1


def test_augmentation_holds_where_plain_training_does_not(plain, small):
    augmented = train(BY_NAME["augmented to 30 degrees"], small, seeds=(0,))[0]
    x = ep.transforms.rotations2d().apply(np.array([np.deg2rad(30)]), small.x_test)
    assert accuracy(augmented, x, small.y_test) > accuracy(plain[0], x, small.y_test) + 0.1


def test_same_seed_same_numbers(plain, small):
    again = train(PLAIN, small, seeds=(0, 1))
    for first, second in zip(plain, again, strict=True):
        np.testing.assert_array_equal(first(small.x_test), second(small.x_test))
    assert np.abs(np.asarray(plain[0](small.x_test) - plain[1](small.x_test))).max() > 0.01


def test_predict_is_hashable_and_traceable(averaged, small):
    assert isinstance(hash(averaged), int)
    x = small.x_test[:8]
    np.testing.assert_allclose(jax.jit(averaged)(x), averaged(x), atol=1e-6)
