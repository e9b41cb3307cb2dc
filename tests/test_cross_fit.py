"""Cross-fitted orbit tables: no row is predicted by a model that saw it."""

import jax
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

import equiprob as ep
from equiprob.testing import disc_task

TASK = disc_task(90, seed=1)


def fit(train, y=TASK.y, **options):
    options = {"n_transforms": 4} | options
    return ep.cross_fit(train, TASK.x, y, TASK.transform, **options)


def test_no_row_is_predicted_by_a_model_that_saw_it():
    # One nearest neighbour would return a row's own target, had it seen the row.
    table = fit(KNeighborsRegressor(1))
    assert (table.only.base[:, 0] != TASK.y).all()
    assert table.cross_fitted


def test_rows_keep_their_order_their_ids_and_their_transformations():
    def train(x, y):
        return lambda batch: batch[:, 0]

    table = fit(train, backend="python")
    whole = ep.evaluate_orbits(
        lambda b: b[:, 0], TASK.x, TASK.transform, y=TASK.y, n_transforms=4, backend="python"
    )
    assert np.array_equal(table.row_ids, whole.row_ids)
    assert np.allclose(table.only.pair_sq, whole.only.pair_sq)
    assert np.allclose(table.only.y, whole.only.y)


def test_noise_and_magnitudes_are_those_of_one_pass():
    def predict(batch, keys):
        return batch[:, 0] + jax.vmap(jax.random.normal)(keys)

    options = {"noise_repeats": 3, "keep": [0.5, 3.0], "n_transforms": 4, "backend": "python"}
    table = fit(lambda x, y: predict, **options)
    whole = ep.evaluate_orbits(predict, TASK.x, TASK.transform, y=TASK.y, **options)
    assert table.noise_repeats == 3
    # The keys are those of the rows' ids: equal up to rounding.
    for name in ("base", "pair_sq", "range_sum"):
        found = getattr(table.only, name)
        assert np.isfinite(found).all()
        assert np.allclose(found, getattr(whole.only, name))
    silent = fit(lambda x, y: lambda batch: batch[:, 0], **options | {"noise_repeats": 1})
    assert not np.allclose(table.only.pair_sq, silent.only.pair_sq)


def test_groups_share_a_fold():
    groups = np.arange(90) // 9
    seen = []

    def train(x, y):
        kept = {int(g) for g, row in zip(groups, TASK.x, strict=True) if (row == x).all(1).any()}
        seen.append((kept, len(x)))
        return lambda batch: batch[:, 0]

    fit(train, groups=groups, backend="python", folds=4)
    assert all(n == 9 * len(kept) for kept, n in seen)


def test_labels_become_probabilities_even_where_a_fold_misses_a_class():
    y = np.zeros(90, dtype=int)
    y[:40] = 1
    y[0] = 2
    table = fit(KNeighborsClassifier(5), y)
    assert table.only.base.shape == (90, 3)
    assert np.allclose(table.only.base.sum(axis=1), 1)
    assert fit(DummyClassifier(), y.astype(bool)).only.base.shape == (90, 2)


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="train must be"):
        fit("knn")
    with pytest.raises(ValueError, match="folds"):
        fit(KNeighborsRegressor(), folds=1)
    with pytest.raises(ValueError, match="too few"):
        fit(KNeighborsRegressor(), groups=np.arange(90) // 30, folds=5)
    with pytest.raises(ValueError, match="pass y"):
        fit(KNeighborsRegressor(), None)
    with pytest.raises(TypeError, match="one array"):
        ep.cross_fit(
            KNeighborsRegressor(),
            {"p": TASK.x},
            TASK.y,
            ep.transforms.rotations2d(acts_on={"p": "vectors"}),
        )
