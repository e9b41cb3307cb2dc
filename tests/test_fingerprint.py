"""Transforms are the same by what they are, not by what they are called."""

import functools
import json
import os
import subprocess
import sys

import numpy as np
import numpyro.distributions as dist
import pytest
from sklearn.linear_model import LogisticRegression
from transform_variants import VARIANTS

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.transforms import Action
from equiprob.transforms.fingerprint import difference

T = ep.transforms
TURNS = T.rotations2d(acts_on="vectors")
SCALE = 2.0
SMALL, LARGE = (T.rotations2d(law=dist.Normal(0, s), acts_on="vectors") for s in (0.01, 2))


def apart(one, other, **options):
    return difference(one.fingerprint, other.fingerprint, **options)


def test_variants_differ():
    found = {json.dumps(v.transform.fingerprint, sort_keys=True) for v in VARIANTS.values()}
    assert len(found) == len(VARIANTS)


def scaled(p, row):
    return SCALE * p[0] * row


def by(factor):
    return lambda p, row: factor * row


def drawn(low, act=scaled, **options):
    return T.from_functions(lambda generator: generator.uniform(low, 1.0), act, **options)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (SMALL, LARGE, "law is Normal(loc=0, scale=0.01) in the first and Normal(loc=0, scale=2)"),
        (TURNS, T.rotations2d(acts_on="invariant"), "acts_on is 'vectors' in the first"),
        (TURNS, T.rotations2d(0.5, acts_on="vectors"), "max_angle is 3.14159265359 in the first"),
        (
            T.rotations2d(acts_on={"a": "vectors", "b": "invariant"}),
            T.rotations2d(acts_on={"a": "vectors", "b": "vectors"}),
            "acts_on['b'] is 'invariant'",
        ),
        (
            T.rotations2d(output_action=Action(scaled, by(0.5))),
            T.rotations2d(output_action=Action(scaled, by(0.25))),
            "output_action is Action(function=a function",
        ),
        (T.cyclic(4), T.cyclic(4, fill=1.0), "fill is 0 in the first and 1"),
        (
            T.finite(np.stack([np.eye(2), -np.eye(2)])),
            T.finite(np.stack([np.eye(2), np.diag([1.0, -1.0])])),
            "elements is 2 x 2 x 2 numbers",
        ),
        (
            T.finite(np.stack([np.eye(2), -np.eye(2)])),
            T.finite(np.stack([np.eye(2), -np.eye(2)]), weights=[1, 3]),
            "weights is [0.5, 0.5] in the first and [0.25, 0.75]",
        ),
        (T.product(TURNS, SMALL), T.product(TURNS, LARGE), "factors[1].law is Normal"),
        (T.mixture([TURNS, SMALL]), T.mixture([TURNS, LARGE]), "factors[1].law is Normal"),
        (T.conjugated(SMALL), T.conjugated(LARGE), "law is Normal"),
        (T.conjugated(TURNS), T.conjugated(TURNS, seed=1), "seed is 0 in the first and 1"),
        (drawn(0.0), drawn(0.1), "law is a function"),
        (drawn(0.0), drawn(0.0, by(2.0)), "acts_on is a function"),
        (drawn(0.0, by(2.0)), drawn(0.0, by(3.0)), "acts_on is a function"),
        (
            drawn(0.0, functools.partial(lambda k, p, row: k * row, 2.0)),
            drawn(0.0, functools.partial(lambda k, p, row: k * row, 3.0)),
            "acts_on is a partial function",
        ),
        (drawn(0.0), drawn(0.0, haar=True), "haar is False"),
        (drawn(0.0), drawn(0.0, inverse=lambda p: 1 / p), "inverse is None"),
    ],
)
def test_what_differs_is_named(one, other, words):
    assert words in apart(one, other)
    assert (apart(one, other, besides=["acts_on", "output_action"]) is None) == (
        words.startswith(("acts_on", "output_action"))
    )


def test_laws_that_only_their_draws_tell_apart():
    """What a compiled law does cannot be read: what it draws can."""
    mixed = [
        dist.MixtureSameFamily(dist.Categorical(np.array(p)), dist.Normal(np.array([0, 3.0]), 1))
        for p in ([0.5, 0.5], [0.1, 0.9])
    ]
    one, other = (T.rotations2d(law=law) for law in mixed)
    assert "numbers drawn with one seed" in apart(one, other)


def test_equal_transforms_are_equal():
    assert apart(SMALL, T.rotations2d(law=dist.Normal(0.0, 0.01), acts_on="vectors")) is None
    assert apart(T.rotations2d(np.deg2rad(30)), T.rotations2d(np.pi / 6)) is None  # to rounding
    quarter = [np.linalg.matrix_power(np.array([[0.0, -1], [1, 0]]), k) for k in range(4)]
    assert apart(T.cyclic(4), T.finite(np.stack(quarter), acts_on="image")) is None
    assert apart(drawn(0.0, name="one"), drawn(0.0, name="other")) is None  # a title
    assert apart(drawn(0.0, by(2.0)), drawn(0.0, by(2.0))) is None
    both = {"a": "vectors", "b": "points"}
    turned = dict(reversed(both.items()))
    assert apart(T.rotations2d(acts_on=both), T.rotations2d(acts_on=turned)) is None


def test_globals_that_a_function_reads_count(monkeypatch):
    before = drawn(0.0).fingerprint
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert "acts_on is a function" in difference(before, drawn(0.0).fingerprint)


PROGRAM = """
import json
from equiprob.transforms import from_functions, mixture, rotations2d
WORDS = {"left", "right", "up", "down"}
def act(p, row):
    return row * len(WORDS) if "up" in {"up", "north", "top"} else row
made = mixture([from_functions(lambda g: g.normal(), act), rotations2d()])
found = json.dumps(made.fingerprint)
"""


def test_fingerprints_are_the_same_in_every_process():
    here = {"__name__": "__main__"}
    exec(PROGRAM, here)
    there = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}print(found, end='')"],
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert there == here["found"]
    assert any("a function" in words for words in json.loads(there).values())


# ---- where they are used --------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(80, 2))
Y = X[:, 0] ** 2
ERROR, TASK = ep.ModelEquivarianceError(n_draws=50), ep.DataEquivarianceError(n_draws=50)
PROMISED = ep.InvariantLaw()


def table(transform, rows=slice(None), predict=lambda b: b[:, 0], **options):
    options = {"y": Y[rows], "n_transforms": 4, "backend": "python"} | options
    return ep.evaluate_orbits(predict, X[rows], transform, **options)


def _merge(one, other):
    ep.merge(table(one, slice(40)), table(other, slice(40, 80)))


def _align(one, other):
    ep.align(ERROR.fit(table(one)), TASK.fit(table(other), law=PROMISED))


def _gap(one, other):
    model, task = ERROR.fit(table(one)), TASK.fit(table(other), law=PROMISED)
    ep.ApproximationGap().fit(model, task)


def _generalization(one, other):
    gap = ep.GeneralizationGap(bound=ep.bounds.Holdout(), n_draws=50)
    gap.fit(table(one, slice(40)), train=table(other, slice(40, 80)))


def _law(one, other):
    check = ep.InvarianceCheck(n_draws=50, classifier=LogisticRegression())
    TASK.fit(table(one), law=check.fit(X, other))


def _others(one, other):
    method = ep.methods.Symmetrization(others=[table(other, predict=lambda b: b[:, 1])])
    ep.DataEquivarianceError(method=method, n_draws=50).fit(table(one), law=PROMISED)


def _pair(one, other):
    method = ep.methods.TrainedPair(symmetric=table(other, predict=lambda b: b[:, 1]))
    ep.DataEquivarianceError(method=method, n_draws=50).fit(table(one))


@pytest.mark.parametrize(
    "use",
    [_merge, _align, _gap, _generalization, _law, _others, _pair],
)
def test_other_transforms_are_refused_by_what_differs(use):
    with pytest.raises(ValueError, match=r"law is Normal\(loc=0, scale=0.01\).*scale=2\)"):
        use(SMALL, LARGE)
    use(LARGE, T.rotations2d(law=dist.Normal(0.0, 2.0), acts_on="vectors"))


@pytest.mark.parametrize("use", [_merge, _align, _gap, _generalization, _law])
def test_other_actions_are_refused(use):
    with pytest.raises(ValueError, match=r"acts_on is 'vectors' in .* and 'invariant' in"):
        use(TURNS, T.rotations2d(acts_on="invariant"))


def test_a_geometry_of_other_orbits_is_refused():
    quarters, half = (T.cyclic(order, acts_on="vectors") for order in (4, 2))
    geometry = ep.Geometry(n_draws=50).fit(X, half)
    predictors = ep.bounds.PredictorClass(lipschitz=5.0, defect=20.0, output_range=20.0)
    gap = ep.GeneralizationGap(bound=ep.bounds.Covering(predictors=predictors), n_draws=50)
    gap.fit(table(half), geometry=geometry)
    with pytest.raises(ValueError, match=r"orbits and geometry are over .*: elements is"):
        gap.fit(table(quarters), geometry=geometry)


def test_candidates_may_take_their_inputs_in_other_forms():
    """Channels first for one network and last for the other: the same rows under the same law."""
    images, ids = np.random.default_rng(0).random((30, 6, 6, 1)), np.arange(30)
    y = images.mean(axis=(1, 2, 3))
    forms = {"image": images, "image_channels_first": np.moveaxis(images, -1, 1)}
    tables = {
        form: ep.evaluate_orbits(
            lambda b: b.mean(axis=(1, 2, 3)),
            x,
            T.cyclic(4, acts_on=form),
            y=y,
            row_ids=ids,
            backend="python",
            design="full",
        )
        for form, x in forms.items()
    }
    note = Diagnostic.OTHER_TRANSFORMS
    assert note not in ep.compare(tables).diagnostics
    half = ep.evaluate_orbits(
        lambda b: b.mean(axis=(1, 2, 3)), images, T.cyclic(2), y=y, row_ids=ids, design="full"
    )
    # Risks are of the inputs as they are: no transform enters them, and nothing is refused.
    mixed = ep.compare({"four": tables["image"], "two": half})
    assert note in mixed.diagnostics
    assert not note.is_caution
    assert "elements is 4 x 2 x 2 numbers" in mixed.table.loc["two", "diagnostics"]
    assert mixed.table.loc["four", "diagnostics"] == "no problem found"


def test_one_of_several_outputs_is_compared_by_its_own_action():
    both = T.rotations2d(acts_on="vectors", output_action={"a": "invariant", "v": "vectors"})
    alone = T.rotations2d(acts_on="vectors", output_action="vectors")
    several = ep.evaluate_orbits(
        lambda b: {"a": b[:, 0], "v": b}, X, both, y={"v": X}, backend="python"
    )
    one = table(alone, predict=lambda b: b, y=X)
    ep.align(ERROR.fit(several["v"]), TASK.fit(one, law=PROMISED))
    with pytest.raises(ValueError, match="output_action is 'invariant'"):
        ep.align(ERROR.fit(several["a"]), TASK.fit(one, law=PROMISED))
