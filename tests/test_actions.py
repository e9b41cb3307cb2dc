"""How elements act on leaves: dtypes, and the conventions images, points and lists share."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from transform_variants import IMAGES, POINTS, VARIANTS, VECTORS

import equiprob as ep


def relative_error(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


# ---- dtypes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_leaves_keep_their_dtype_and_kind(variant):
    transform = variant.transform
    g = transform.sample(np.random.default_rng(0))
    exact = transform.apply(g, variant.x)
    single = transform.apply(g, variant.x.astype(np.float32))
    on_device = transform.apply(g, jnp.asarray(variant.x, dtype=jnp.float32))
    assert isinstance(exact, np.ndarray)
    assert exact.dtype == np.float64
    assert single.dtype == np.float32
    assert on_device.dtype == jnp.float32
    assert 0 < relative_error(single, exact) < 1e-5 or np.array_equal(
        exact.astype(np.float32), single
    )


def test_one_transform_moves_leaves_of_several_kinds_and_precisions():
    turn = ep.transforms.rotations2d(
        acts_on={"a": "image", "b": "points", "c": "vectors", "d": "invariant"}
    )
    x = {
        "a": IMAGES.astype(np.float32),
        "b": POINTS,
        "c": VECTORS.astype(np.float16),
        "d": np.arange(6),
    }
    moved = turn.apply(np.array([np.pi / 2]), x)
    assert {k: v.dtype for k, v in moved.items()} == {k: v.dtype for k, v in x.items()}
    np.testing.assert_array_equal(moved["a"], np.rot90(x["a"], axes=(1, 2)))
    np.testing.assert_array_equal(moved["b"], np.stack([-POINTS[..., 1], POINTS[..., 0]], -1))
    np.testing.assert_array_equal(moved["c"], np.stack([-x["c"][:, 1], x["c"][:, 0]], -1))
    np.testing.assert_array_equal(moved["d"], x["d"])


# ---- conventions ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_quarter_turns_of_images_are_exact(size, channels):
    image = np.random.default_rng(1).random((2, size, size, *channels)).astype(np.float32)
    turn = ep.transforms.rotations2d()
    for k, element in enumerate(ep.transforms.cyclic(4).enumeration().parameters):
        expected = np.rot90(image, k, axes=(1, 2))
        np.testing.assert_array_equal(ep.transforms.cyclic(4).apply(element, image), expected)
        np.testing.assert_array_equal(turn.apply(np.array([k * np.pi / 2]), image), expected)
    flip = ep.transforms.dihedral(4)
    np.testing.assert_array_equal(flip.apply(np.array([4.0]), image), image[:, ::-1])


@pytest.mark.parametrize("transform", [ep.transforms.rotations2d, ep.transforms.scalings])
def test_images_may_have_their_channels_first(transform):
    last = np.random.default_rng(2).random((3, 6, 8, 2)).astype(np.float32)
    first = np.moveaxis(last, -1, 1)
    parameter = np.array([0.4])
    moved = transform(acts_on="image_channels_first", fill=0.5).apply(parameter, first)
    expected = transform(acts_on="image", fill=0.5).apply(parameter, last)
    assert not np.array_equal(moved, first)
    np.testing.assert_array_equal(np.moveaxis(moved, 1, -1), expected)


@pytest.mark.parametrize(
    ("declared", "shape", "other"),
    [
        ("image", (1, 28, 28), "'image_channels_first'"),
        ("image", (3, 8, 8), "'image_channels_first'"),
        ("image_channels_first", (28, 28, 3), "declare it 'image'$"),
        ("image_channels_first", (28, 28), "must be \\(channel"),
    ],
)
def test_a_picture_in_the_other_layout_is_refused(declared, shape, other):
    """It would be turned about an axis that is none, without an error."""
    with pytest.raises(ValueError, match=other):
        ep.transforms.rotations2d(acts_on=declared).on(np.zeros((2, *shape)))


@pytest.mark.parametrize(
    ("transform", "parameter"),
    [
        (ep.transforms.rotations2d, [0.7]),
        (lambda **k: ep.transforms.translations(9, **k), [2.3, -3.6]),
        (lambda **k: ep.transforms.dihedral(5, **k), [7.0]),
    ],
    ids=["rotations2d", "translations", "dihedral"],
)
def test_images_and_points_move_the_same_way(transform, parameter):
    """The centre of mass of a smooth blob goes where the point at its centre goes."""
    axis = np.arange(31) - 15.0
    x, y = np.meshgrid(axis, -axis)
    centre = np.array([[4.0, 2.5]])
    blob = np.exp(-((x - centre[0, 0]) ** 2 + (y - centre[0, 1]) ** 2) / 8)[None]
    moved = transform(acts_on="image").apply(np.array(parameter), blob)[0]
    found = [(moved * x).sum() / moved.sum(), (moved * y).sum() / moved.sum()]
    expected = transform(acts_on="points").apply(np.array(parameter), centre)[0]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_points_translate_and_vectors_do_not():
    shift = ep.transforms.translations(1.0, acts_on={"p": "points", "v": "vectors"})
    moved = shift.apply(np.array([0.5, -0.25]), {"p": POINTS, "v": POINTS})
    np.testing.assert_allclose(moved["p"] - POINTS, np.broadcast_to([0.5, -0.25], POINTS.shape))
    np.testing.assert_array_equal(moved["v"], POINTS)


def test_permutations_are_left_actions():
    """Item i moves to place p[i], in both families, and products apply the second first."""
    items = np.array([[10.0, 20, 30, 40]])
    p = np.array([2, 0, 3, 1])
    expected = np.empty_like(items)
    expected[:, p] = items
    group = ep.transforms.permutations(4)
    listed = ep.transforms.finite([[0, 1, 2, 3], p.tolist()], acts_on="permuted")
    np.testing.assert_array_equal(group.apply(p.astype(float), items), expected)
    np.testing.assert_array_equal(listed.apply(np.array([1.0]), items), expected)
    q = np.array([1.0, 2, 3, 0])
    np.testing.assert_array_equal(group.compose(p.astype(float), q), p[q.astype(int)])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 6)])
@pytest.mark.parametrize("fill", [0.0, 7.0])
@pytest.mark.parametrize("shift", [(0.25, -0.6), (-1.5, 0.75), (9.0, 0.0)])
def test_shifted_images_are_interpolated_as_scipy_does(shape, fill, shift):
    image = np.random.default_rng(0).random(shape)
    moved = ep.transforms.translations(20, acts_on="image", fill=fill).apply(shift, image[None])[0]
    expected = ndimage.shift(image, (-shift[1], shift[0]), order=1, mode="grid-constant", cval=fill)
    np.testing.assert_allclose(moved, expected, atol=1e-12)


def test_corners_read_the_fill_and_wrapped_images_the_other_side():
    ones = np.ones((1, 4, 4))
    shifted = ep.transforms.translations(2, acts_on="image", fill=7.0).apply([1.0, 0.0], ones)
    np.testing.assert_array_equal(shifted[0], [[7, 1, 1, 1]] * 4)
    ramp = np.arange(16.0).reshape(1, 4, 4)
    wrapped = ep.transforms.translations(2, acts_on="image", wrap=True).apply([1.0, -2.0], ramp)
    np.testing.assert_array_equal(wrapped, np.roll(ramp, (2, 1), axis=(1, 2)))
