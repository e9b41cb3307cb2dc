"""The demo's networks: they learn, are as symmetric as they say, and repeat exactly."""

import jax
import numpy as np
import pytest

import equiprob as ep
from equiprob.demo.networks import CANDIDATES, load_split, train

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def split():
    """Few rows make few steps; one shape for all tests makes few programs to compile."""
    full = load_split()
    return full._replace(x_train=full.x_train[:256], y_train=full.y_train[:256])


@pytest.fixture(scope="module")
def models(split):
    return {c.name: train(c, split, SEEDS) for c in CANDIDATES}


def accuracy(predict, x, y):
    return float((np.asarray(predict(x)).argmax(axis=1) == y).mean())


def moved_by_quarter_turns(predict, x):
    upright = np.asarray(predict(x))
    turns = [np.asarray(predict(np.rot90(x, k, axes=(1, 2)))) for k in (1, 2, 3)]
    return max(float(np.abs(turn - upright).max()) for turn in turns)


def test_split_is_fixed_disjoint_and_scaled():
    split = load_split()
    assert all(np.array_equal(a, b) for a, b in zip(split, load_split(), strict=True))
    assert split.x_train.shape == (898, 8, 8)
    assert split.x_test.shape == (899, 8, 8)
    assert split.x_train.dtype == split.x_test.dtype == np.float32
    assert split.x_train.min() == 0
    assert split.x_train.max() == 1
    train_rows = {row.tobytes() for row in split.x_train}
    assert not any(row.tobytes() in train_rows for row in split.x_test)


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("plain", 0.9),
        ("augmented to 30 degrees", 0.85),
        ("augmented to 180 degrees", 0.6),
        ("averaged over quarter turns", 0.75),
    ],
)
def test_short_training_learns(models, split, name, at_least):
    for predict in models[name]:
        p = np.asarray(predict(split.x_test))
        assert p.shape == (len(split.x_test), 10)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        loss = -np.log(p[np.arange(len(p)), split.y_test] + 1e-7).mean()
        assert loss < 0.6 * np.log(10)  # log(10): what knowing nothing costs
        assert accuracy(predict, split.x_test, split.y_test) >= at_least


def test_averaging_over_quarter_turns_is_exactly_invariant(models, split):
    for predict in models["averaged over quarter turns"]:
        assert moved_by_quarter_turns(predict, split.x_test) < 2e-6
    assert moved_by_quarter_turns(models["plain"][0], split.x_test) > 0.1


def test_augmentation_holds_where_plain_training_does_not(models, split):
    x = ep.transforms.rotations2d().apply(np.array([np.deg2rad(30)]), split.x_test)
    plain, augmented = (models[n][0] for n in ("plain", "augmented to 30 degrees"))
    assert accuracy(augmented, x, split.y_test) > accuracy(plain, x, split.y_test) + 0.1


def test_same_seed_same_numbers(models, split):
    first, second = models["plain"]
    for predict, again in zip((first, second), train(CANDIDATES[0], split, SEEDS), strict=True):
        np.testing.assert_array_equal(predict(split.x_test), again(split.x_test))
    assert np.abs(np.asarray(first(split.x_test) - second(split.x_test))).max() > 0.01


def test_predict_is_hashable_and_traceable(models, split):
    predict = models["averaged over quarter turns"][0]
    assert isinstance(hash(predict), int)
    x = split.x_test
    np.testing.assert_allclose(jax.jit(predict)(x), predict(x), atol=1e-6)
