"""Every word of a leaf is an action of every law that reads it, and is no other word."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from leaf_words import cases, tells_apart

import equiprob as ep
from equiprob.transforms.words import WORDS, table_of_words

T = ep.transforms
CASES = cases()
rng = np.random.default_rng(0)


def exact_on_grids(transform, leaf):
    """Whether pixels go to pixels: quarter turns."""
    if not str(transform.on(leaf.rows()).inward.actions[0]).startswith(("image", "mask")):
        return True
    matrix = transform.element(transform.sample_many(np.random.default_rng(0), 20)).get("matrix")
    return matrix is not None and np.allclose(matrix, np.round(matrix))


def apart(one, other):
    return np.abs(np.asarray(one, float) - np.asarray(other, float)).max()


@pytest.mark.parametrize(("transform", "leaf"), CASES.values(), ids=CASES.keys())
def test_a_word_is_an_action_and_is_no_other(transform, leaf):
    x, act = leaf.rows(), transform.apply
    assert apart(act(transform.identity, x), x) < 1e-13
    (g, h), others = transform.sample_many(np.random.default_rng(0), 2), ()
    moved = act(g, x)
    assert (moved.shape, moved.dtype) == (x.shape, x.dtype)
    if leaf.twin and tells_apart(transform, leaf):
        wrong = replace(transform, acts_on=leaf.twin).apply
        others = transform.sample_many(np.random.default_rng(1), 8)
        assert max(apart(act(a, x), wrong(a, x)) for a in others) > 0.1
    if exact_on_grids(transform, leaf):
        assert apart(act(transform.compose(g, h), x), act(g, act(h, x))) < 1e-12 * np.abs(x).max()
        assert apart(act(transform.inverse(g), moved), x) < 1e-12 * np.abs(x).max()


def test_every_word_is_in_the_table_of_leaves():
    tried = " ".join(str(t.on(leaf.rows()).inward.actions[0]) for t, leaf in CASES.values())
    combined = {"columns": "vectors _", "tensors2": "vectors vectors"}
    alone = WORDS.keys() - {"invariant", "wrapped"}  # the latter reads another leaf
    for word in sorted(alone):
        assert combined.get(word, word).removesuffix("_channels_first") in tried
    assert [row[0] for row in table_of_words()] == list(WORDS)


# ---- what words mean -----------------------------------------------------------------------------


def test_words_move_leaves_as_formulas_say():
    space = T.rotations3d(parity="both")
    g = np.array([0.3, -1.1, 0.4, -1.0])  # improper
    r = space.element(g)["matrix"]
    v, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 3))
    t = t + t.swapaxes(1, 2)
    six = lambda s: s[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]  # noqa: E731
    act = lambda word, x: replace(space, acts_on=word).apply(g, x)  # noqa: E731
    np.testing.assert_allclose(act("axial", v), -v @ r.T, atol=1e-14)
    np.testing.assert_allclose(act("pseudoscalar", v[:, 0]), -v[:, 0])
    np.testing.assert_allclose(act("voigt", six(t)), six(r @ t @ r.T), atol=1e-13)
    np.testing.assert_allclose(
        act("vectors[yzx]", v[:, [1, 2, 0]]), (v @ r.T)[:, [1, 2, 0]], atol=1e-14
    )
    flow = T.cyclic(4, acts_on="image of vectors[x-y]")
    arrow = np.zeros((1, 5, 5, 2))
    arrow[0, 0, 2] = [1.0, 0.0]  # at the top, to the right: after a quarter turn left, and up
    moved = flow.apply(np.array([1.0]), arrow)
    np.testing.assert_array_equal(moved[0, 2, 0], [0.0, -1.0])
    assert np.abs(moved).sum() == 1


def test_points_in_pixels_move_with_the_pixels():
    """No off-by-one: the bright pixel is where its coordinates go."""
    flips = T.dihedral(4, acts_on={"image": "image", "at": T.pixels(6, 6)})
    image = np.zeros((1, 6, 6))
    image[0, 1, 4] = 1.0
    for g in range(8):
        moved = flips.apply(np.array([float(g)]), {"image": image, "at": np.array([[4.0, 1.0]])})
        row, column = np.argwhere(moved["image"][0] == 1)[0]
        np.testing.assert_allclose(moved["at"][0], [column, row], atol=1e-12)


def test_regular_features_and_masks_go_where_the_group_says():
    quarter = T.cyclic(4, acts_on={"f": "regular", "m": "mask", "i": "image of regular"})
    x = {
        "f": np.arange(4.0)[None],
        "m": np.arange(9, dtype=np.uint8).reshape(1, 3, 3),
        "i": np.broadcast_to(np.arange(4.0), (1, 3, 3, 4)),
    }
    moved = quarter.apply(np.array([1.0]), x)
    np.testing.assert_array_equal(moved["f"], [[3, 0, 1, 2]])
    np.testing.assert_array_equal(moved["m"], np.rot90(x["m"], axes=(1, 2)))
    np.testing.assert_array_equal(moved["i"][0, 1, 1], [3, 0, 1, 2])
    assert moved["m"].dtype == np.uint8
    ones = np.full((1, 5, 5), 4)
    turned = T.rotations2d(fill=7.0, acts_on="mask").apply(np.array([np.pi / 4]), ones)
    assert set(turned.ravel()) == {0, 4}  # classes only, and no fill of the image
    assert turned[0, 0, 0] == 0


def test_indices_follow_their_items_and_padding_stays():
    order = T.permutations(3, acts_on={"nodes": "items _", "edges": "indices", "mask": "items"})
    x = {
        "nodes": np.eye(3)[None],
        "edges": np.array([[[0, 1], [2, 0], [-1, -1], [3, 3]]]),
        "mask": np.array([[True, True, False]]),
    }
    moved = order.apply(np.array([2.0, 0.0, 1.0]), x)  # item 0 goes to place 2, ...
    np.testing.assert_array_equal(moved["edges"][0], [[2, 0], [1, 2], [-1, -1], [3, 3]])
    np.testing.assert_array_equal(moved["nodes"][0][2], [1, 0, 0])
    np.testing.assert_array_equal(moved["mask"], [[True, False, True]])
    big = {**x, "edges": np.where(x["edges"] == 3, 2**40, x["edges"])}  # no 32 bits
    assert order.apply(np.array([2.0, 0.0, 1.0]), big)["edges"].max() == 2**40
    on_device = order.apply(np.array([2.0, 0.0, 1.0]), {k: jnp.asarray(v) for k, v in x.items()})
    for key in x:
        np.testing.assert_array_equal(on_device[key], moved[key])


# ---- other libraries -----------------------------------------------------------------------------


def test_irreps_may_be_strings_and_objects():
    e3nn_jax = pytest.importorskip("e3nn_jax")
    x = rng.normal(size=(3, 4))
    declared = ("1x0e + 1x1o", "0e+1o", e3nn_jax.Irreps("0e + 1o"), T.irreps("1x0e + 1x1o"))
    g = np.array([0.1, 0.2, 0.3])
    moved = [T.rotations3d(acts_on=word).apply(g, x) for word in declared]
    for other in moved[1:]:
        np.testing.assert_array_equal(other, moved[0])
    tree = T.rotations3d(acts_on={"a": declared[2], "b": ("_", declared[2])})
    both = tree.apply(g, {"a": x, "b": x[:, None]})
    np.testing.assert_array_equal(both["b"][:, 0], both["a"])
    with pytest.raises(ValueError, match="must be orthogonal"):
        T.scalings(2.0, dimensions=3, acts_on="1o").apply(np.array([0.3]), x[:, :3])


class Group:
    """The part of escnn's interface that is read: C4, its regular representation, the plane."""

    elements = (0, 1, 2, 3)
    fibergroup = property(lambda self: self)
    gspace = property(lambda self: self)

    def __init__(self, dimensionality):
        self.dimensionality = dimensionality

    def representation(self, g):
        return np.roll(np.eye(4), g, axis=0)

    def basespace_action(self, g):
        c, s = np.cos(np.pi * g / 2), np.sin(np.pi * g / 2)
        return np.array([[c, -s], [s, c]])


def test_field_types_of_escnn_are_read():
    x = rng.normal(size=(2, 4, 5, 5))
    for g in T.cyclic(4).enumeration().parameters:
        field = T.cyclic(4, acts_on=Group(2)).apply(g, x)
        words = T.cyclic(4, acts_on="image_channels_first of regular").apply(g, x)
        np.testing.assert_array_equal(field, words)
        vector = T.cyclic(4, acts_on=Group(0)).apply(g, x[:, :, 0, 0])
        np.testing.assert_array_equal(
            vector, T.cyclic(4, acts_on="regular").apply(g, x[:, :, 0, 0])
        )
    with pytest.raises(ValueError, match=r"lacks some .*cyclic\(4\)"):
        T.cyclic(8, acts_on=Group(2)).apply(np.array([1.0]), x)
    with pytest.raises(ValueError, match="lives in 3 dimensions"):
        T.cyclic(4, acts_on=Group(3)).apply(np.array([1.0]), x)


# ---- what is refused -----------------------------------------------------------------------------

V, M = np.ones((2, 3)), np.ones((2, 4, 4))


@pytest.mark.parametrize(
    ("transform", "x", "words"),
    [
        (T.rotations3d(acts_on="vector"), V, "did you mean 'vectors'"),
        (T.rotations3d(acts_on="items vektor"), M, "'vektor' is no word of an axis"),
        (T.rotations2d(acts_on="image/0"), M, "stride must be positive"),
        (T.rotations2d(acts_on="image of"), M, "acts_on is 'image of'"),
        (T.rotations2d(acts_on="image of regular"), M, "no action of kind 'image of regular'"),
        (T.cyclic(4, acts_on="image of regular"), M, "no channels that could be regular"),
        (T.cyclic(4, acts_on="image of regular"), M[..., None], "takes 4 channels, and it has 1"),
        (T.rotations2d(acts_on="voigt"), np.ones((2, 6)), "of three dimensions"),
        (T.rotations2d(acts_on="vectors[xyz]"), V[:, :2], "each of the axes x, y"),
        (T.rotations3d(acts_on="vectors[xyy]"), V, "each of the axes x, y, z"),
        (T.rotations3d(acts_on="vectors _"), V, "length 3 on its last but one axis"),
        (T.permutations(4, acts_on="items"), M, "'items', and a row has 2 axes.*'items _'"),
        (T.permutations(3, acts_on="items items"), V, "3 items on its last but one axis"),
        (T.permutations(3, acts_on="indices"), V, "numbers of items must be integers"),
        (T.rotations3d(acts_on="vectors"), V.astype(int), "'indices'"),
        (T.finite([[[1.0]], [[2.0]]], acts_on="regular"), np.ones((2, 2)), "is no group"),
        (T.cyclic(3, acts_on=T.by_element([[0, 1], [1, 0]])), V[:, :2], "2 entries for a set of 3"),
        (
            T.cyclic(3, acts_on=T.by_element([[0, 1], [1, 0], [1, 0]])),
            V[:, :2],
            "product of their permutations",
        ),
        (T.rotations3d(acts_on=()), V, r"acts_on is \(\)"),
        (T.rotations3d(acts_on=("vectors", 3)), M, "3 is no word of an axis"),
    ],
)
def test_what_does_not_fit_says_so(transform, x, words):
    with pytest.raises(ValueError, match=words):
        transform.on(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.reflected([0, 0]), "each of 0..k-1 once"),
        (lambda: T.reflected([1, 2, 0]), "done twice"),
        (lambda: T.reflected([1, 0], signs=[1, 2]), "1 or -1"),
        (lambda: T.reflected([1, 0], signs=[1, -1]), "must be equal"),
        (lambda: T.by_element([[0, 0]]), "permutations of 0..1"),
        (lambda: T.by_element([1.0, 2.0]), "got float64 of shape"),
        (lambda: T.pixels(0, 3), "positive"),
    ],
)
def test_objects_check_what_they_are_made_of(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_outputs_keep_their_size_by_what_they_hold():
    """A representation may stretch where the law's own matrices do not."""
    stretch = np.array([np.eye(2), [[0.0, 2.0], [0.5, 0.0]]])
    half_turn = T.cyclic(2, output_action=T.by_element(stretch))
    with pytest.raises(ValueError, match="not orthogonal"):
        half_turn.on(output=np.ones((3, 2)))
    T.rotations3d(output_action="voigt").on(output=np.ones((3, 6)))
    T.lorentz(output_action="pseudoscalar").on(output=np.ones(3))
