"""What a transform refuses: the error names the leaf, says what came and what to pass."""

import re

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import equiprob as ep

T = ep.transforms
IMAGES = np.ones((3, 5, 5))
VECTORS = np.ones((3, 2))
ITEMS = np.ones((3, 4, 2))
# The identity and a quarter turn: not a group, because the half turn is missing.
TURNS = np.stack([np.eye(2), [[0.0, -1.0], [1.0, 0.0]]])
# A group of two elements, one of which stretches.
STRETCHES = np.stack([np.eye(2), [[0.0, 2.0], [0.5, 0.0]]])


def keep(parameter, row):
    return row


def refuses(*words, error=ValueError):
    """Expect an error whose message has all of the words, in any order."""
    everywhere = "".join(rf"(?=.*{word})" for word in words)
    return pytest.raises(error, match=rf"(?s)^{everywhere}")


def functions(act=keep, **kwargs):
    return T.from_functions(lambda generator: generator.random(), act, **kwargs)


# ---- inputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "x", "words"),
    [
        ({"im": "image"}, {"im": IMAGES, "cell": VECTORS}, [r"x\['cell'\]", r"pass acts_on="]),
        ({"a": {"b": "image"}}, {"a": {"b": IMAGES, "c": VECTORS}}, [r"x\['a'\]\['c'\]"]),
        ("image", {"im": IMAGES}, [r"x\['im'\]", r"acts_on=\{'im': '\.\.\.'\}"]),
        ({"im": "image"}, IMAGES, ["how x transforms", r"acts_on='\.\.\.'"]),
        (None, IMAGES, ["how x transforms", "'image'"]),
        ({"im": "image", "b": "vectors"}, {"im": IMAGES}, ["declares", r"\['b'\]", r"\['im'\]"]),
    ],
    ids=["a leaf", "nested leaf", "dict input", "array input", "nothing", "leaf not there"],
)
def test_every_leaf_must_be_declared_and_be_there(declared, x, words):
    with refuses("acts_on", *words):
        T.rotations2d(acts_on=declared).apply(np.zeros(1), x)


def test_rows_as_a_list_of_dicts_are_to_be_stacked():
    """Molecules often come so; a declaration for each of thousands is not what is wanted."""
    rows = [{"positions": VECTORS[0]} for _ in range(3)]
    with refuses("list of 3 dicts", r"ep\.padded\(rows\)", "from_rows", error=TypeError):
        ep.evaluate_orbits(lambda x: x, rows, T.rotations2d(acts_on={"positions": "points"}))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_integers_and_booleans_do_not_move(dtype):
    turn = T.rotations2d(acts_on={"im": "image", "n": "vectors"})
    with refuses(r"x\['n'\]", np.dtype(dtype).name, "'vectors'", "'invariant'", "float"):
        turn.apply(np.zeros(1), {"im": IMAGES, "n": VECTORS.astype(dtype)})
    with refuses("int64", "'invariant'", "float"):
        functions().apply(np.zeros(1), VECTORS.astype(int))
    # An invariant integer leaf is fine.
    n = np.arange(3).astype(dtype)
    moved = T.rotations2d(acts_on={"im": "image", "n": "invariant"}).apply(
        np.zeros(1), {"im": IMAGES, "n": n}
    )
    np.testing.assert_array_equal(moved["n"], n)


@pytest.mark.parametrize("declared", ["imagee", "Image", "", 3])
def test_unknown_kinds_list_the_known_ones(declared):
    with refuses(rf"acts_on\['im'\] is {declared!r}", "'image'", "'permuted'", "function"):
        T.rotations2d(acts_on={"im": declared}).apply(np.zeros(1), {"im": IMAGES})


@pytest.mark.parametrize(
    ("transform", "x", "words"),
    [
        (T.rotations2d(), VECTORS, [r"rows of shape \(2,\)", r"\(height, width\)"]),
        (T.rotations2d(), np.ones((2, 3, 3, 1, 1)), [r"\(3, 3, 1, 1\)", "channel"]),
        (T.rotations2d(acts_on="vectors"), np.ones((3, 3)), ["vectors must end", "length 2"]),
        (T.rotations2d(acts_on="points"), np.ones((3, 4, 3)), ["points must end", "length 2"]),
        (T.rotations2d(acts_on="vectors"), np.ones(3), [r"shape \(\)", "length 2"]),
        (T.sign_flips(3), VECTORS, [r"\(2,\)", "length 3"]),
        (T.translations(1.0, dimensions=3), VECTORS, [r"\(2,\)", "length 3"]),
        (T.permutations(5), ITEMS, [r"\(4, 2\)", "5 items on its first axis"]),
        (T.finite([[0, 1], [1, 0]], acts_on="permuted"), ITEMS, ["2 items on its first axis"]),
        (T.translations(1.0, dimensions=3, acts_on="image"), IMAGES, ["3 dimensions", "images"]),
        (T.finite(np.eye(3)[None], acts_on="image"), IMAGES, ["3 dimensions", "images"]),
    ],
)
def test_shapes_that_do_not_fit_say_what_was_expected(transform, x, words):
    with refuses("x has rows of shape", "acts_on", *words):
        transform.apply(transform.identity, x)


@pytest.mark.parametrize(
    ("transform", "x", "kind", "known"),
    [
        (T.rotations2d(acts_on="permuted"), ITEMS, "permuted", ["image", "points", "vectors"]),
        (T.permutations(4, acts_on="vectors"), ITEMS, "vectors", ["permuted"]),
        (T.sign_flips(2, acts_on="image"), IMAGES, "image", ["points", "vectors"]),
        (T.finite([[0, 1], [1, 0]], acts_on="points"), ITEMS, "points", ["permuted"]),
        (functions("image"), IMAGES, "image", ["invariant"]),
    ],
)
def test_kinds_a_transform_lacks_are_named_with_those_it_has(transform, x, kind, known):
    words = [f"'{label}'" for label in [*known, "invariant"]]
    with refuses(f"has no action of kind '{kind}'", "it knows", "function", *words):
        transform.apply(transform.identity, x)


@pytest.mark.parametrize(
    "x",
    [
        {"a": VECTORS, "b": VECTORS[:2]},
        {"a": VECTORS, "b": np.ones(())},
    ],
    ids=["different numbers", "no rows at all"],
)
def test_leaves_must_hold_the_same_rows(x):
    turn = T.rotations2d(acts_on={"a": "vectors", "b": "invariant"})
    with refuses("same rows on its first axis", r"\(3, 2\)"):
        turn.apply(np.zeros(1), x)


@pytest.mark.parametrize(
    ("transform", "x", "parameter"),
    [
        (T.rotations2d(acts_on="vectors"), VECTORS, 0.1),
        (T.rotations2d(acts_on="vectors"), VECTORS, np.zeros(2)),
        (T.rotations2d(acts_on="vectors"), VECTORS, np.zeros((3, 1))),
        (T.permutations(4), ITEMS, np.arange(3.0)),
        (T.translations(1.0), VECTORS, np.zeros(1)),
    ],
)
def test_a_parameter_of_the_wrong_shape_is_refused(transform, x, parameter):
    with refuses("one parameter vector of shape", re.escape(f"got shape {np.shape(parameter)}")):
        transform.apply(parameter, x)


# ---- outputs --------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [keep, T.Action(keep)])
def test_a_function_on_outputs_needs_its_inverse(declared):
    turn = T.rotations2d(output_action={"force": declared})
    for move in (turn.apply_to_output, turn.undo_on_output):
        with refuses(r"output_action\['force'\] has no inverse", r"Action\(function, inverse\)"):
            move(np.zeros(1), {"force": VECTORS})


@pytest.mark.parametrize(
    ("transform", "output", "words"),
    [
        (T.finite(TURNS, output_action="vectors"), VECTORS, ["has no inverse", "inverse="]),
        (
            T.finite(STRETCHES, output_action="vectors"),
            VECTORS,
            ["not orthogonal", "'invariant' or pass orthogonal"],
        ),
        (functions(output_action="vectors"), VECTORS, ["no action of kind 'vectors'"]),
        (T.rotations2d(output_action="vector"), VECTORS, ["output_action is 'vector'", "'points'"]),
        (
            T.rotations2d(output_action="vectors"),
            np.ones((3, 10)),
            [r"output has rows of shape \(10,\)", "output_action", "length 2"],
        ),
        (
            T.rotations2d(output_action="vectors"),
            VECTORS.astype(int),
            ["the output has dtype int64", "'invariant'"],
        ),
        (
            T.rotations2d(output_action={"energy": "invariant"}),
            {"energy": VECTORS, "force": VECTORS},
            [r"the output\['force'\]", "output_action"],
        ),
    ],
    ids=["no inverse", "not orthogonal", "kind", "unknown", "shape", "integer", "undeclared"],
)
def test_output_actions_that_do_not_fit_say_so(transform, output, words):
    for move in (transform.apply_to_output, transform.undo_on_output):
        with refuses(*words):
            move(transform.identity, output)


# ---- functions of the user --------------------------------------------------------------------


def test_an_action_must_keep_the_shape():
    cut = functions({"a": lambda parameter, row: row[:1]})
    with refuses(r"leaf \['a'\]", r"shape \(2,\)", r"shape \(1,\)", "must keep the shape"):
        cut.apply(np.zeros(1), {"a": VECTORS})


def test_an_action_that_raises_names_its_leaf_and_its_error():
    def fail(parameter, row):
        raise KeyError("no such augmentation")

    with refuses(r"leaf \['a'\]", "KeyError", "no such augmentation", error=RuntimeError) as caught:
        functions({"a": fail}).apply(np.zeros(1), {"a": VECTORS})
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_law_must_draw_parameters_like_the_identity():
    pair = T.from_functions(lambda generator: generator.random(2), keep, name="pairs")
    with refuses("distribution of pairs", r"\(2,\)", r"\(1,\)", "identity"):
        pair.sample(np.random.default_rng(0))
    with refuses("scalar draws", r"identity has shape \(2,\)"):
        T.from_functions(dist.Normal(0.0, 1.0), keep, identity=[0.0, 0.0])
    with refuses("Generator", "Distribution", "got int"):
        T.from_functions(3, keep)


def test_what_functions_lack_is_said():
    with refuses("can only be sampled", "quantile"):
        functions(name="crops").parameters(np.zeros(1))
    with refuses("crops has no inverse", "pass inverse="):
        functions(name="crops").inverse(np.zeros(1))


# ---- parameters of the constructors -----------------------------------------------------------


@pytest.mark.parametrize("angle", [0, -1.0, 3.2, 180, np.nan])
def test_max_angle_is_in_radians_up_to_half_a_turn(angle):
    with refuses("max_angle", r"\(0, pi\] radians", "deg2rad"):
        T.rotations2d(angle)
    assert T.rotations2d(np.pi).is_haar


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (dist.Normal(jnp.zeros(2), 1.0), ["scalar draws", r"batch_shape \(2,\)"]),
        (
            dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)),
            ["scalar draws", r"event_shape \(2,\)"],
        ),
        ("normal", ["Distribution", "got str"]),
        (lambda generator: generator.random(), ["Distribution", "from_functions"]),
    ],
    ids=["batch", "vector", "text", "function"],
)
def test_a_law_is_one_scalar_distribution(law, words):
    with refuses("law must", *words):
        T.rotations2d(law=law)


@pytest.mark.parametrize("make", [T.cyclic, T.dihedral])
@pytest.mark.parametrize("order", [0, -2, 2.5])
def test_orders_are_positive_integers(make, order):
    with refuses("order must be a positive integer", f"got {order!r}"):
        make(order)


@pytest.mark.parametrize("make", [T.cyclic, T.dihedral])
def test_orders_are_no_text(make):
    with refuses("order must be an integer", "got '4'", error=TypeError):
        make("4")


@pytest.mark.parametrize("shift", [0, -1.0, np.nan, np.inf])
def test_max_shift_is_positive(shift):
    with refuses("max_shift must be positive", "got"):
        T.translations(shift)


def test_whole_shifts_have_a_whole_bound():
    with refuses("whole=True", "integer", "got 1.5"):
        T.translations(1.5, whole=True)
    with refuses("no shifts up to 0.5"):
        T.translations(2, whole=True).restricted(0.5)


@pytest.mark.parametrize(
    ("make", "name", "bad"),
    [
        (lambda n: T.translations(1.0, dimensions=n), "dimensions", [0, -1, 1.5, 10**9]),
        (T.sign_flips, "dimensions", [0, -1, 1.5, 10**8]),
        (T.permutations, "items", [1, 0, 2.5, 10**9]),
    ],
    ids=["translations", "sign_flips", "permutations"],
)
def test_sizes_are_integers(make, name, bad):
    for size in bad:
        with refuses(f"{name} must be", "integer", f"got {size!r}"):
            make(size)


@pytest.mark.parametrize(
    "weights", [[1.0], [1, 1, 1], [1, 0], [1, -1], [1, np.nan], [1, np.inf], [[1, 1]]], ids=str
)
def test_weights_are_positive_one_for_each_element(weights):
    with refuses("weights must be positive", "each of the 2 elements", "got"):
        T.finite(TURNS, weights=weights)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ([[0, 1], [1, 1]], ["permutations of 0..1", "floats"]),
        ([[1, 2], [2, 1]], ["permutations of 0..1"]),
        (np.zeros((2, 2, 3)), [r"\(element, d, d\)", r"shape \(2, 2, 3\)"]),
        (np.eye(2), [r"\(element, d, d\)", r"float64 of shape \(2, 2\)"]),
        (np.full((1, 2, 2), np.nan), ["finite matrices"]),
        (np.stack([np.eye(2), np.ones((2, 2))]), ["invertible", "from_functions"]),
        ([], ["0 elements"]),
    ],
    ids=["repeats", "from one", "not square", "one matrix", "NaN", "singular", "empty"],
)
def test_elements_are_permutations_or_invertible_matrices(elements, words):
    with refuses(*words):
        T.finite(elements)


def test_a_finite_set_holds_the_identity_and_a_restriction_some_element():
    with refuses("does not contain the identity", "add it"):
        T.finite(TURNS[1:]).apply(np.zeros(1), VECTORS)
    with refuses("no element", "up to -1"):
        T.cyclic(4).restricted(-1)


@pytest.mark.parametrize("size", [np.nan, np.inf, -np.inf, [1.0, 2.0], []], ids=str)
def test_a_magnitude_is_one_finite_number(size):
    """Results had been said by magnitudes of NaN, and could not be drawn."""
    with refuses("magnitude must return one finite number", "for the parameter"):
        functions(magnitude=lambda parameter: size).magnitude(np.ones((3, 1)))
    assert (
        functions(magnitude=lambda parameter: [2.0]).magnitude(np.ones((3, 1))).tolist()
        == [2.0] * 3
    )
