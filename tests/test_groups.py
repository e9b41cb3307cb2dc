"""Rows of a group stay together wherever rows are split."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import equiprob as ep
from equiprob.bounds.halves import Blocks
from equiprob.levels import optimum
from equiprob.task import invariance_check
from equiprob.task.methods import neighbours, symmetrization, trained_pair

PACKAGE = Path(ep.__file__).parent
SPLITS = re.compile(r"\.permutation\(|\bfolds(_of)?\(|KFold|train_test_split|array_split")

WHERE = {
    "task/cross_fit.py": "tested here",
    "task/invariance_check.py": "tested here",
    "task/methods/symmetrization.py": "tested here",
    "task/methods/trained_pair.py": "tested here",
    "task/methods/neighbours.py": "tested here",
    "errors/generators.py": "tested here",
    "levels/optimum.py": "tested here",
    "curves/split.py": "tested here",
    "bounds/halves.py": "tested here",
    "bounds/held_out.py": "deals units; tested with the gap's bounds",
    "bounds/gap_model.py": "takes draws in pieces that fit into memory",
    "curves/importance.py": "shuffles draws",
    "curves/mixing.py": "shuffles draws",
    "curves/tied.py": "takes draws in pieces that fit into memory",
    "auditing/run.py": "takes some rows, and leaves the rest unused",
    "bounds/promises.py": "compares rows within blocks of them, and judges nothing by them",
    "decisions/shrinkage.py": "shuffles draws",
    "decisions/winner.py": "halves the units of the table",
    "geometry/alike_rows.py": "takes some rows, and leaves the rest unused",
    "task/joined.py": "shuffles draws",
    "geometry/geometry.py": "takes one row of each group",
    "geometry/clouds.py": "takes some rows, and leaves the rest unused",
    "geometry/nets.py": "ep.Geometry is given rows that are independent",
    "task/controls.py": "shuffles targets",
    "testing/digits.py": "the images are independent",
    "demo/networks.py": "the demo's images are independent",
    "transforms/product.py": "shuffles transformations",
    "transforms/other_coordinates.py": "shuffles coordinates",
    "levels/few_transforms.py": "shuffles transformations",
    "task/symmetry_map.py": "takes some groups, and leaves the rest unused",
    "transforms/euclidean3d.py": "shuffles transformations",
}
"""Every module that shuffles or splits something, and why groups are not torn apart there."""

N, SIZE = 120, 6
GROUPS = np.arange(N)[::-1] // SIZE
FLIPS = ep.transforms.sign_flips(2, acts_on="vectors")


def rows(seed=0, n_groups=N // SIZE, size=SIZE, d=2):
    """Return rows that hardly differ within their group, as frames of a trajectory."""
    generator = np.random.default_rng(seed)
    centre = np.repeat(generator.normal(size=(n_groups, d)), size, axis=0)[::-1]
    return centre + 0.01 * generator.normal(size=centre.shape)


X = rows()
Y = X[:, 0] ** 2 + X[:, 1]


def table(predict=lambda b: b[:, 0] ** 2, groups=GROUPS, **options):
    options = {"y": Y, "n_transforms": 4, "backend": "python", "keep": "all"} | options
    return ep.evaluate_orbits(predict, X, FLIPS, groups=groups, **options)


def test_every_place_that_splits_is_known():
    found = {
        str(path.relative_to(PACKAGE)).replace("\\", "/")
        for path in PACKAGE.rglob("*.py")
        if any(
            SPLITS.search(line) and not line.lstrip().startswith("def ")
            for line in path.read_text().splitlines()
        )
    }
    assert found == set(WHERE)


def _symmetrization(groups):
    method = ep.methods.Symmetrization(noise_variance=0.0, others=[table(groups=groups)])
    ep.DataEquivarianceError(method=method, n_draws=50).fit(
        table(lambda b: b[:, 1], groups), law=ep.InvariantLaw()
    )


def _trained_pair(groups):
    method = ep.methods.TrainedPair(symmetric=table(groups=groups))
    ep.DataEquivarianceError(method=method, n_draws=50).fit(table(lambda b: b[:, 1], groups))


def _neighbours(groups):
    with contextlib.suppress(ValueError):  # after its split, it asks for more groups
        ep.DataEquivarianceError(method=ep.methods.Neighbours(), n_draws=50).fit(
            table(groups=groups)
        )


def _law(groups):
    ep.DataEquivarianceError(n_draws=50).fit(table(groups=groups))


def _audit(groups):
    ep.audit({"a": lambda b: b[:, 0] ** 2}, X, Y, FLIPS, groups=groups, n_draws=50)


def _level(groups):
    ep.SymmetryLevel(n_draws=50).fit(table(lambda b: b[:, 0] + b[:, 1] ** 2, groups))


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (symmetrization, _symmetrization),
        (trained_pair, _trained_pair),
        (neighbours, _neighbours),
        (invariance_check, _law),
        (invariance_check, _audit),
        (optimum, _level),
    ],
)
def test_folds_are_of_groups(module, call, monkeypatch):
    seen = []

    def recorded(units, *others, folds=module.folds):
        seen.append(len(np.unique(units)))
        return folds(units, *others)

    monkeypatch.setattr(module, "folds", recorded)
    call(GROUPS)
    assert set(seen) == {N // SIZE}
    seen.clear()
    call(None)  # the same recorder sees rows where there are no groups
    assert set(seen) == {N}


def groups_of(x):
    """Return the groups of rows, which are told by their first entry."""
    order = np.argsort(X[:, 0])
    return set(GROUPS[order[np.searchsorted(X[order, 0], x[:, 0])]])


def _splits_of_cross_fit(groups):
    def train(x, y):
        held = groups_of(x)
        return lambda b: splits.append((held, b[:, 0])) or b[:, 0]

    splits = []
    ep.cross_fit(train, X, Y, FLIPS, groups=groups, backend="python", n_transforms=2)
    still = [(held, first) for held, first in splits if np.isin(first, X[:, 0]).all()]
    return [(held, groups_of(first[:, None])) for held, first in still]


def _splits_of_learning_curves(groups):
    def train(x, y, seed):
        held = groups_of(x)
        return lambda b: splits.append((held, b[:, 0])) or b[:, 0]

    splits = []
    ep.run_learning_curve(
        {"a": train}, X, Y, FLIPS, sizes=[20, 60], seeds=[0, 1], groups=groups, backend="python"
    )
    still = [(held, first) for held, first in splits if np.isin(first, X[:, 0]).all()]
    return [(held, groups_of(first[:, None])) for held, first in still]


@pytest.mark.parametrize("splits", [_splits_of_cross_fit, _splits_of_learning_curves])
def test_no_group_is_trained_on_and_judged(splits):
    apart = splits(GROUPS)
    assert apart
    assert not any(held & judged for held, judged in apart)
    assert any(held & judged for held, judged in splits(None))  # rows alone tear groups apart


def test_halves_hold_whole_groups():
    orbits = table()
    labels = [np.flatnonzero(orbits.unit_ids == u) for u in np.unique(orbits.unit_ids)]
    blocks = Blocks.of(labels, 2, np.random.default_rng(0))
    for block in range(2):
        there = GROUPS[blocks.rows_of(block)]
        for split in blocks.splits(block, 3, np.random.default_rng(1)):
            one, other = (set(there[half]) for half in split.rows)
            assert not one & other


def test_the_law_of_frames_is_judged_by_their_groups():
    """Frames that look alike are recognized, moved or not; their groups are not.

    With 40 groups the AUC has a standard deviation of at most .07 at chance (Mann-Whitney, 8 groups
    a fold, 5 folds): it is off by .35 with probability 6e-7.
    """
    x = rows(n_groups=40, size=8, d=4)
    flips = ep.transforms.sign_flips(4, acts_on="vectors")
    labels = np.repeat(np.arange(40), 8)[::-1]
    orbits = ep.evaluate_orbits(
        lambda b: b[:, 0], x, flips, y=x[:, 0], groups=labels, backend="python"
    )
    kept = ep.DataEquivarianceError(n_draws=200).fit(orbits)
    torn = ep.InvarianceCheck(n_draws=200).fit(x, flips)
    assert abs(kept.facts.auc - 0.5) < 0.35
    assert torn.facts.auc > 0.9  # what tearing groups apart makes of the same rows


def test_few_groups_are_dealt_into_fewer_folds():
    check = ep.InvarianceCheck(n_draws=50, classifier=LogisticRegression())
    assert "auc" in check.fit(X, FLIPS, groups=np.arange(N) // 20).draws  # 6 groups, 3 folds
    with pytest.raises(ValueError, match=r"3 independent rows \(or groups\).*InvariantLaw"):
        check.fit(X, FLIPS, groups=np.arange(N) // 40)


def test_standard_errors_of_runs_are_those_of_groups():
    """Each row ten times over: the error is that of the rows, not of ten times as many."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = {"a": lambda x, y, seed: lambda b: b[:, 0]}
    settings = {"sizes": [10], "seeds": [0], "test_size": 0.5, "backend": "python"}
    labels = np.repeat(np.arange(60), 10)
    once = ep.run_learning_curve(model, x, x[:, 1], FLIPS, groups=np.arange(60), **settings)
    often = ep.run_learning_curve(
        model, np.repeat(x, 10, axis=0), np.repeat(x[:, 1], 10), FLIPS, groups=labels, **settings
    )
    alone = ep.run_learning_curve(
        model, np.repeat(x, 10, axis=0), np.repeat(x[:, 1], 10), FLIPS, **settings
    )
    assert often["risk_se"][0] == pytest.approx(once["risk_se"][0])
    assert alone["risk_se"][0] < 0.7 * once["risk_se"][0]
    with pytest.raises(ValueError, match="no group is left to train on"):
        ep.run_learning_curve(
            model, x, x[:, 1], FLIPS, groups=np.arange(60) // 30, **settings | {"test_size": 0.9}
        )
