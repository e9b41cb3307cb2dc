"""What cannot be evaluated is refused: what was expected, what came, what to pass instead."""

import concurrent.futures

import jax
import jax.numpy as jnp
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


# ---- inputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[:1], ["x has 1 row", "at least 2"]),
        (X[:0], ["x has 0 row", "at least 2"]),
        ({}, ["x holds no arrays", "rows first"]),
        (np.float32(1), ["x must be an array", "rows first", r"shape \(\)"]),
        (np.array([["a", "b"]] * 3), ["x must be an array of numbers", "<U1"]),
        (np.array([[1, None]] * 3), ["x must be an array of numbers", "object"]),
        (
            {"a": X, "b": X[:20]},
            ["different numbers of rows", r"x\['a'\]\": 24", r"x\['b'\]\": 20"],
        ),
    ],
    ids=["one row", "no row", "no leaf", "a number", "strings", "objects", "unequal lengths"],
)
def test_x_must_be_arrays_with_the_same_rows(x, words):
    with refuses(*words):
        evaluate(x=x)


def test_bytes_in_the_other_order_are_refused_or_turned_round():
    """Compiled code reads them as they lie: errors of 1e52 came out, and no caution."""
    x = X.astype(X.dtype.newbyteorder())
    with refuses("x has dtype '[<>]f4'", "other order", "pass it as float32"):
        evaluate(x=x)
    with refuses(r"x\['p'\]", "other order"):
        ep.Geometry().fit({"p": x}, TURN)
    plain = evaluate(backend="python", y=X)
    turned = evaluate(lambda b: linear(b).astype(x.dtype), backend="python", y=x)
    np.testing.assert_allclose(turned.only.pair_sq, plain.only.pair_sq, rtol=1e-5)
    np.testing.assert_array_equal(turned.only.y, plain.only.y)


def test_imaginary_parts_are_not_dropped():
    with refuses("y has dtype complex", "imaginary part would be lost", "np.stack"):
        evaluate(y=X + 1j)
    with refuses("complex64", "np.stack", error=TypeError):
        evaluate(lambda x: linear(x) * 1j)


def test_outputs_without_a_number_are_refused():
    with refuses(r"shape \(24, 0\)", "no number"):
        evaluate(lambda x: x[:, :0], transform=STILL)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
def test_x_must_be_finite(bad, dtype):
    x = X.astype(dtype)
    x[[3, 20], 1] = bad
    with refuses("x is not finite", r"rows \[3, 20\]", "drop or mend"):
        evaluate(x=x)
    with refuses(r"x\['p'\] is not finite"):
        evaluate(x={"p": jnp.asarray(x), "q": X})


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[:, :, None], ["x has rows of shape", r"\(2, 1\)", "'vectors'", "axis of length 2"]),
        (np.arange(48).reshape(24, 2), ["x has dtype int64", "'invariant'", "float"]),
        ({"p": X}, [r"does not say how x\['p'\] transforms", r"acts_on=\{'p': '...'\}"]),
    ],
    ids=["shape", "integers", "undeclared"],
)
def test_leaves_must_be_declared_and_fit(x, words):
    with refuses("acts_on" if "dtype" not in words[0] else "", *words):
        evaluate(x=x)


# ---- the transform and its output action ----------------------------------------------------


def test_an_output_action_must_fit_the_output():
    with refuses(r"the output has rows of shape \(\)", "output_action", "axis of length 2"):
        evaluate(lambda x: x[:, 0])
    with refuses(r"how the output\['a'\] transforms", r"output_action=\{'a': '...'\}"):
        evaluate(lambda x: {"a": x})


def test_a_missing_inverse_is_refused_where_outputs_need_it():
    matrices = np.stack([np.eye(2), [[0.0, -1.0], [1.0, 0.0]]])
    half = ep.transforms.finite(matrices, output_action="vectors")
    with refuses("has no inverse", r"Action\(function, inverse\)"):
        evaluate(transform=half)
    assert len(evaluate(transform=ep.transforms.finite(matrices))) == 24
    blur = ep.transforms.from_functions(
        lambda generator: generator.exponential(),
        lambda p, row: row * jnp.exp(-p[0]),
        output_action=lambda p, row: row,
    )
    with refuses("output_action has no inverse", r"Action\(function, inverse\)"):
        evaluate(transform=blur)


def test_a_failing_action_is_not_blamed_on_the_model():
    def act(parameter, row):
        raise KeyError("crop")

    augment = ep.transforms.from_functions(lambda generator: 1.0, act)
    with refuses("the action raised KeyError: 'crop'", error=RuntimeError):
        evaluate(transform=augment)


# ---- counts, seeds and names ----------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, 2.5])
def test_counts_must_be_positive_integers(bad):
    with refuses("n_transforms must be a positive integer", f"got {bad!r}"):
        ep.evaluate_orbits(linear, X, TURN, n_transforms=bad)
    with refuses("batch_size must be a positive integer", f"got {bad!r}"):
        evaluate(batch_size=bad)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_transforms": "3"}, "n_transforms must be an integer, got '3'"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"predict": 3}, "predict must be a function, got 3"),
        ({"progress": "yes"}, "progress must be True or False or None, got 'yes'"),
        ({"row_ids": [[1], [1, 2]]}, "row_ids must be an array or None"),
        ({"speed": 3}, "evaluate_orbits.*unexpected keyword argument 'speed'"),
    ],
)
def test_arguments_of_a_wrong_kind_are_named(arguments, words):
    with refuses(words, error=TypeError):
        ep.evaluate_orbits(**{"predict": linear, "x": X, "transform": TURN} | arguments)


def test_missing_arguments_are_told_with_their_order():
    with refuses(r"audit.*'transform'.*\(models, x, y, transform\) in this order", error=TypeError):
        ep.audit(linear, X, TURN)
    with refuses(r"fit.*'orbits'.*are \(orbits\) in this order", error=TypeError):
        ep.ModelEquivarianceError().fit()


@pytest.mark.parametrize("bad", [-1, 2**32, 0.5])
def test_seeds_must_fit(bad):
    with refuses(r"seed must be an integer in \[0, 2\*\*32\)", "got"):
        evaluate(seed=bad)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"design": "sobol"}, ["design must be one of", "'quasi'", "'full'", "'sobol'"]),
        ({"design": "full"}, ["needs a finite set", "rotations2d", "design='quasi'"]),
        ({"backend": "numpy"}, ["backend must be", "'python'", "'torch'", "'numpy'"]),
        ({"keep": "some"}, ["keep must be", "'rows'", "'some'"]),
        ({"keep": [30.0, -1.0]}, ["keep must list positive magnitudes"]),
        ({"keep": []}, ["keep must list positive magnitudes"]),
        ({"on_error": "ignore"}, ["on_error must be 'raise' or 'skip'", "'ignore'"]),
    ],
)
def test_choices_are_listed(arguments, words):
    with refuses(*words):
        evaluate(**arguments)


def test_what_is_no_executor_and_no_file_is_refused(tmp_path):
    for executor in (concurrent.futures.ThreadPoolExecutor, 4):
        with refuses("executor must be a concurrent.futures.Executor", "Dask", error=TypeError):
            evaluate(executor=executor)
    for path in (tmp_path, tmp_path / "none" / "orbits.nc"):
        with refuses("checkpoint must name a file in a folder that exists"):
            evaluate(checkpoint=path)
    with refuses("checkpoint_every must be seconds", "-1"):
        evaluate(checkpoint=tmp_path / "orbits.nc", checkpoint_every=-1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"row_ids": np.arange(23)}, ["row_ids must hold one label", "24 rows", r"\(23,\)"]),
        ({"row_ids": np.zeros(24, int)}, ["row_ids must be unique", "groups="]),
        ({"groups": np.zeros((24, 2))}, ["groups must hold one label", r"\(24, 2\)"]),
        ({"groups": np.zeros(24, int)}, ["single group", "at least 2"]),
        ({"groups": np.full(24, np.nan)}, ["groups holds NaN", "integers or strings"]),
    ],
)
def test_row_labels_must_fit(arguments, words):
    with refuses(*words):
        evaluate(**arguments)


# ---- targets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros((23, 2)), [r"y has shape \(23, 2\)", "24 rows", "one target for each row"]),
        (np.zeros((24, 3)), [r"rows of shape \(3,\)", r"\(2,\)", "shaped like the output"]),
        (np.zeros(24), [r"rows of shape \(\)", r"\(2,\)", "class labels"]),
        (3.0, [r"y has shape \(\)", "24 rows"]),
        (np.where(np.arange(48).reshape(24, 2) == 7, np.nan, 1.0), ["not finite", r"\[3\]"]),
        (np.array(["cat", "dog"] * 12), ["y has dtype <U3", "integers from 0"]),
        ({"a": np.zeros((24, 2))}, [r"y names \['a'\]", "the outputs are", "'output'"]),
        ({"output": np.zeros(5)}, [r"y\['output'\] has shape \(5,\)"]),
        (np.full(24, 2), ["labels from 2 to 2", "2 classes", r"0..1"]),
        (np.full(24, -1), ["labels from -1 to -1", r"0..1"]),
    ],
)
def test_targets_must_fit(y, words):
    with refuses(*words):
        evaluate(lambda x: jax.nn.softmax(x @ W), transform=STILL, y=y)


def test_several_outputs_take_a_dict_of_targets():
    still = ep.transforms.rotations2d(
        acts_on="vectors", output_action={"a": "invariant", "b": "invariant"}
    )
    with refuses("pass y as a dict", r"\['a', 'b'\]"):
        evaluate(lambda x: {"a": x, "b": x}, transform=still, y=np.zeros((24, 2)))


LABELS = np.arange(24) % 2


@pytest.mark.parametrize(
    ("predict", "row"),
    [
        (linear, 0),
        (lambda x: jax.nn.softmax(x @ W) * 1.01, 0),
        (lambda x: jnp.stack([1 + x[:, 0] ** 2, -(x[:, 0] ** 2)], axis=1), 0),
        (lambda x: jnp.where(x == X[17], 0.9, jax.nn.softmax(x @ W)), 17),
    ],
    ids=["logits", "a sum of 1.01", "outside [0, 1]", "one row in a later chunk"],
)
def test_class_labels_need_probabilities(predict, row):
    with refuses("class labels", r"in \[0, 1\]", "sum 1", f"row {row} is", "softmax"):
        evaluate(predict, transform=STILL, y=LABELS, batch_size=8)


def test_probabilities_may_be_rounded_or_not_finite_and_are_asked_of_labels_alone():
    def rounded(x):
        return jnp.where(x == X[5], jnp.nan, jax.nn.softmax(x @ W) * 1.0005)

    table = evaluate(rounded, transform=STILL, y=LABELS)
    np.testing.assert_array_equal(table.nonfinite_rows, [5])
    evaluate(linear, transform=STILL, y=np.eye(2)[LABELS])
    half = evaluate(lambda x: jax.nn.softmax((x @ W).astype(jnp.bfloat16)), X, STILL, y=LABELS)
    assert half.valid.all()


@pytest.mark.parametrize("n_classes", [(), (1,)])
def test_class_labels_need_classes(n_classes):
    with refuses("integer labels", "class probabilities", "as floats for a regression"):
        evaluate(lambda x: jnp.zeros((len(x), *n_classes)), transform=STILL, y=LABELS)
