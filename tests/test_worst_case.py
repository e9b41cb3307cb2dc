"""The search for the worst transformation of each row, against closed forms."""

import numpy as np
import pytest

import equiprob as ep

worst_case = ep.worst_case

X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
ANGLES = np.linspace(-np.pi, np.pi, 40_001)


def first(batch):
    return batch[:, :1]


def closed_form(max_angle=np.pi):
    angles = ANGLES[np.abs(ANGLES) <= max_angle + 1e-9]
    turned = X[:, [0]] * np.cos(angles) - X[:, [1]] * np.sin(angles)
    return np.abs(turned - X[:, [0]]).max(axis=1)


@pytest.mark.parametrize("backend", ["jax", "python"])
@pytest.mark.parametrize("max_angle", [np.pi, 0.5])
def test_the_worst_angle_of_a_linear_model_is_found(backend, max_angle):
    rotations = ep.transforms.rotations2d(max_angle, acts_on="vectors")
    found = worst_case(first, X, rotations, n_starts=4, backend=backend)
    assert np.allclose(found.error, closed_form(max_angle)[found.rows], rtol=1e-3)
    assert (np.diff(found.error) <= 0).all()
    assert (np.abs(found.parameters) <= max_angle + 1e-6).all()
    assert (found.error >= found.start_error).all()
    expected = {"jax": "gradient ascent", "python": "pattern search"}
    assert found.method == expected[backend]
    if max_angle == np.pi:  # the ascent has work to do: four starts are not enough
        assert (found.start_error < 0.999 * found.error).any()


def test_what_is_named_is_what_the_model_saw():
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    found = worst_case(first, X, rotations)
    change = first(found.transformed(3)) - first(X[found.rows[[3]]])
    assert np.abs(change).item() == pytest.approx(found.error[3], rel=1e-4)
    assert list(found.table(5)["row"]) == list(found.rows[:5])
    assert f"row {found.rows[0]}" in str(found)


def test_outputs_that_turn_are_turned_back():
    rotations = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    found = worst_case(lambda b: b * np.float32(2.0), X, rotations)
    assert found.error.max() < 1e-5
    matrix = np.array([[1.0, 0.0], [0.0, 3.0]], np.float32)
    broken = worst_case(lambda b: b @ matrix, X, rotations)
    # |(R^-1 M R - M) x| is largest at a quarter turn, where it is 2 |x|.
    assert np.allclose(broken.error, 2 * np.linalg.norm(X[broken.rows], axis=1), rtol=1e-3)


def test_finite_sets_are_searched_whole():
    quarter = ep.transforms.cyclic(4, acts_on="vectors")
    found = worst_case(first, X, quarter)
    x, y = X.T
    expected = np.abs(np.stack([2 * x, x + y, x - y])).max(axis=0)
    assert found.method == "all elements"
    assert np.allclose(found.error, expected[found.rows], rtol=1e-5)


def test_several_parameters_and_images():
    images = np.random.default_rng(1).normal(size=(12, 8, 8, 1)).astype(np.float32)
    shifts = ep.transforms.translations(max_shift=2.0, acts_on="image")

    def corner(batch):
        return batch[:, :4, :4].sum(axis=(1, 2))

    found = worst_case(corner, images, shifts)
    assert found.parameters.shape == (12, 2)
    assert (found.error >= found.start_error).all()
    table = ep.evaluate_orbits(corner, images, shifts, n_transforms=64, keep="all")
    sampled = np.sqrt((table.only.raw**2).sum(axis=2)).max(axis=1)
    assert (found.error > 0.95 * sampled[found.rows]).all()


def test_rows_that_are_not_finite_are_named():
    x = X.copy()
    x[7] = [100.0, 0.0]
    found = worst_case(
        lambda b: np.where(np.abs(b[:, :1]) > 50, np.nan, b[:, :1]),
        x,
        ep.transforms.rotations2d(acts_on="vectors"),
        backend="python",
    )
    assert found.nonfinite_rows == (7,)
    assert len(found) == 39
    assert 7 not in found.rows
    assert "not finite" in str(found)


def test_batches_do_not_change_the_result():
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    whole = worst_case(first, X, rotations)
    parts = worst_case(first, X, rotations, batch_size=7)
    assert np.array_equal(whole.rows, parts.rows)
    assert np.allclose(whole.parameters, parts.parameters, atol=1e-4)


def test_bad_arguments_say_what_to_pass():
    rotations = ep.transforms.rotations2d(acts_on="vectors")
    with pytest.raises(ValueError, match="n_starts must be"):
        worst_case(first, X, rotations, n_starts=0)
    with pytest.raises(TypeError, match="made by a function of"):
        worst_case(first, X, "rotations")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="pass a predict that returns one"):
        worst_case(lambda b: {"a": b, "b": b}, X, rotations)
    with pytest.raises(RuntimeError, match="predict raised"):
        worst_case(lambda b: 1 / 0, X, rotations, backend="python")
