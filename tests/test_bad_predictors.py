"""What a predictor may not do: each refusal says what came back and what to return."""

import warnings

import jax
import numpy as np
import pytest
from refusals import refuses

import equiprob as ep

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
STILL = ep.transforms.rotations2d(acts_on="vectors")
W = np.array([[1.0, 0.4], [-0.7, 0.5]], dtype=np.float32)


def linear(x):
    return x @ W


def evaluate(predict=linear, x=X, transform=TURN, **arguments):
    return ep.evaluate_orbits(predict, x, transform, n_transforms=3, **arguments)


@pytest.mark.parametrize("as_numpy", [False, True], ids=["jax", "python"])
@pytest.mark.parametrize(
    ("predict", "words", "error"),
    [
        (lambda x: x[:-1], ["changed the batch", "given 8 rows", r"\(7, 2\)"], ValueError),
        (lambda x: x.sum(), ["changed the batch", r"shape \(\)", "rows first"], ValueError),
        (lambda x: x.argmax(axis=1), ["returned int", "predict_proba"], TypeError),
    ],
    ids=["fewer rows", "no rows", "labels"],
)
def test_predictors_must_return_floats_for_each_row(predict, words, error, as_numpy):
    chosen = (lambda x: predict(np.asarray(x))) if as_numpy else predict
    with refuses(*words, error=error):
        evaluate(chosen, transform=STILL, batch_size=8)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda x: None, ["NoneType", "not an array of numbers"]),
        (lambda x: [object()] * len(x), ["list", "not an array of numbers"]),
        (lambda x: [[1.0], [1.0, 2.0]] * 4, ["list", "not an array of numbers"]),
        (lambda x: [list(row) for row in [*np.asarray(x), []]], ["list", "not an array"]),
        (lambda x: {"a": {"b": x}}, ["nested", "return a flat dict"]),
        (lambda x: {"a": {"b": np.asarray(x)}}, ["dict", "not an array of numbers"]),
        (lambda x: {}, ["empty dict"]),
        (lambda x: np.array(["cat"] * len(x)), ["<U3", "return floats"]),
        (lambda x: {"label": np.arange(len(x)), "p": x}, ["int", "'label'", "all but one of"]),
    ],
    ids=[
        "None",
        "objects",
        "ragged",
        "ragged NumPy",
        "nested",
        "nested NumPy",
        "empty",
        "strings",
        "label",
    ],
)
def test_predictors_must_not_return_objects(returned, words):
    with refuses(*words, error=TypeError):
        evaluate(returned, transform=STILL, batch_size=8)


def test_several_unnamed_outputs_are_refused():
    for several in (lambda x: (x, x), lambda x: [x]):
        with refuses("(tuple|list)", "dict of named arrays", error=TypeError):
            evaluate(several, transform=STILL)


@pytest.mark.parametrize("as_numpy", [False, True], ids=["jax", "python"])
def test_predictors_must_be_repeatable(as_numpy):
    noise = np.random.default_rng(0)

    def predict(x):
        x = np.asarray(x) if as_numpy else x
        return x + noise.normal(size=x.shape).astype(np.float32)

    with refuses("not repeatable", "dropout"):
        evaluate(predict)


@pytest.mark.parametrize("scale", [np.float32(0), np.float32(1)])
def test_a_callback_must_be_repeatable(scale):
    noise = np.random.default_rng(0)

    def callback(x):
        return x + scale * noise.normal(size=x.shape).astype(x.dtype)

    predict = lambda x: jax.pure_callback(callback, x, x)  # noqa: E731
    if scale == 0:
        assert evaluate(predict).backend == "jax"
        return
    with refuses("not repeatable", "the same rows gave different outputs"):
        evaluate(predict)


@pytest.mark.parametrize("as_numpy", [False, True], ids=["jax", "python"])
def test_a_predictor_that_raises_names_the_rows(as_numpy):
    def always(x):
        x = np.asarray(x) if as_numpy else x
        raise ZeroDivisionError("no such layer")

    with refuses("ZeroDivisionError", "rows 0 to 7", "no such layer", error=RuntimeError) as caught:
        evaluate(always, batch_size=8)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_predictor_that_raises_later_names_the_later_rows():
    def late(x):
        x = np.asarray(x)
        if (x == X[17]).any():
            raise OverflowError("too large")
        return x

    with refuses("OverflowError on rows 16 to 23: too large", error=RuntimeError):
        evaluate(late, batch_size=8)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_predictor_that_raises_names_the_rows():
    def check(x):
        if (x == X[17]).any():
            raise OverflowError("too large")
        return x

    def late(x):
        return jax.pure_callback(check, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    with refuses("predict raised", "on rows 16 to 23", "too large", error=RuntimeError):
        evaluate(late, batch_size=8, backend="jax")


@pytest.mark.parametrize("as_dict", [False, True], ids=["shape", "names"])
def test_outputs_must_stay_the_same_from_batch_to_batch(as_dict):
    def predict(x):
        x = np.asarray(x)
        late = (x == X[17]).any()
        return {"b" if late else "a": x} if as_dict else x[:, : 1 if late else 2]

    still = ep.transforms.rotations2d(acts_on="vectors", output_action={"a": "invariant"})
    with refuses("first and", "later", "same outputs for every batch"):
        evaluate(predict, transform=still if as_dict else STILL, batch_size=8)


def test_a_predictor_may_write_all_its_outputs_to_one_place():
    place = np.empty_like(X)
    alone = evaluate(lambda x: np.asarray(x) @ W, backend="python").only
    reused = evaluate(lambda x: np.matmul(x, W, out=place[: len(x)]), backend="python").only
    assert (alone.pair_sq > 0).all()
    for name in ("base", "pair_sq", "displacement", "float_floor"):
        np.testing.assert_array_equal(getattr(reused, name), getattr(alone, name))


def test_a_predictor_of_a_fixed_batch_is_found_at_the_short_one():
    with refuses("changed the batch", "given 8 rows", r"\(16, 2\)"):
        evaluate(lambda x: np.resize(np.asarray(x), (16, 2)), batch_size=16)


def test_asking_for_jax_says_why_it_cannot_trace():
    with refuses("backend='jax'", "cannot trace"):
        evaluate(lambda x: np.tanh(np.asarray(x)), backend="jax")


def test_good_input_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(evaluate(y=X.astype(np.float64), transform=TURN)) == 24


def test_what_is_no_transform_is_refused():
    for wrong in (ep.transforms.rotations2d, "rotations2d"):
        with pytest.raises(TypeError, match=r"ep\.transforms\.rotations2d\(\)"):
            ep.evaluate_orbits(lambda b: b[:, 0], np.ones((4, 2)), wrong)
