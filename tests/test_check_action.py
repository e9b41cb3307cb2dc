"""`check_action` reports round trips, compositions, shapes and dtypes, right or wrong."""

import re

import numpy as np
import pytest
from transform_variants import IMAGES, POINTS, SPATIAL, VARIANTS, VECTORS

import equiprob as ep
from equiprob.transforms import Action


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_variant_is_an_action(variant):
    check = ep.check_action(variant.transform, variant.x, n_transforms=2)
    assert check.status == "ok"
    row = check.table.loc["x"]
    assert row["identity_error"] < 1e-14
    undone = variant.has_inverse or variant.transform.law.factors
    assert np.isnan(row["round_trip_error"]) == (not undone)
    assert np.isnan(row["composition_error"]) == (not variant.has_product)
    assert not row["round_trip_error"] > 1e-13
    assert not row["composition_error"] > 1e-13


def test_leaves_are_reported_by_name_with_their_dtypes():
    turn = ep.transforms.rotations2d(
        acts_on={"picture": "image", "atoms": "points", "kind": "invariant"},
        output_action="vectors",
    )
    x = {"picture": IMAGES.astype(np.float32), "atoms": POINTS, "kind": np.arange(6)}
    check = ep.check_action(turn, x, VECTORS.astype(np.float32))
    assert list(check.table.index) == ["x['atoms']", "x['kind']", "x['picture']", "y"]
    assert list(check.table["dtype"]) == ["float64", "int64", "float32", "float32"]
    assert list(check.table["row_shape"]) == [(4, 2), (), (5, 5), (2,)]
    assert check.table.loc["y", "round_trip_error"] < 1e-6
    assert check.table.loc["x['atoms']", "round_trip_error"] < 1e-15
    assert all(name in str(check) for name in check.table.index)


def test_interpolation_is_measured_and_is_not_wrong():
    axis = np.arange(21) - 10.0
    distance = np.hypot(*np.meshgrid(axis - 2, axis))
    smooth, sharp = np.exp(-(distance**2) / 18)[None], (distance < 3).astype(float)[None]
    floors = [
        ep.check_action(ep.transforms.rotations2d(), image).table.loc["x", "round_trip_error"]
        for image in (smooth, sharp)
    ]
    assert 1e-3 < floors[0] < 0.1 < floors[1] < 0.5
    check = ep.check_action(ep.transforms.rotations2d(), sharp)
    assert check.status == "ok"
    assert f"{floors[1]:.2g} of its spread (interpolation)" in str(check)
    assert ep.check_action(ep.transforms.cyclic(4), sharp).table.loc["x", "round_trip_error"] == 0


def scaling(act, **arguments):
    return ep.transforms.from_functions(
        lambda generator: generator.uniform(1.5, 2.0), act, **{"identity": 1.0, **arguments}
    )


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (scaling(lambda p, row: row * p[0], inverse=lambda p: p), r"g\^-1 g x differs .* inverse"),
        (scaling(lambda p, row: row * p[0], identity=0.0), "the identity moves it by 1 of its"),
        (scaling(lambda p, row: row[:1] * p[0]), r"shape \(3,\) into one of shape \(1,\)"),
        (
            scaling(lambda p, row: (np.asarray(row) * float(p[0])).astype(np.float32)),
            "returns float32; cast",
        ),
    ],
    ids=["inverse", "identity", "shape", "dtype"],
)
def test_what_is_wrong_is_said(transform, words):
    check = ep.check_action(transform, SPATIAL)
    assert check.status.startswith("x: ")
    assert not check.table.loc["x", "ok"]
    assert "something is wrong" in str(check)
    assert re.search(words, check.status)


def test_a_product_that_does_not_fit_the_action_is_found():
    """An angle that acts twice as large is an action; half an angle is not one of a full turn."""
    twice, half = (
        ep.transforms.rotations2d(acts_on=_turn_by(factor), output_action="invariant")
        for factor in (2.0, 0.5)
    )
    assert ep.check_action(twice, VECTORS).status == "ok"
    status = ep.check_action(half, VECTORS, n_transforms=32).status
    assert "(g h) x differs from g (h x)" in status


def _turn_by(factor):
    def act(parameter, row):
        angle = factor * float(parameter[0])
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin], [sin, cos]]) @ row

    return act


def test_outputs_use_the_inverse_they_will_be_compared_with():
    def output_action(inverse):
        return Action(lambda p, row: row * p[0], inverse)

    right = output_action(lambda p, row: row / p[0])
    wrong = output_action(lambda p, row: row * p[0])
    lossless = ep.check_action(scaling("invariant", output_action=right), SPATIAL, VECTORS)
    assert lossless.table.loc["y", "round_trip_error"] < 1e-15
    assert "y: g^-1 g x differs" in (
        ep.check_action(scaling("invariant", output_action=wrong), SPATIAL, VECTORS).status
    )


def test_class_labels_are_left_out():
    turn = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
    assert list(ep.check_action(turn, VECTORS, [0, 1, 0, 1, 1, 0]).table.index) == ["x"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_transforms": 0}, "n_transforms must be a positive integer.* got 0"),
        ({"x": np.float64(3)}, r"x must hold arrays with rows first, got shape \(\)"),
        ({"x": np.full((2, 2), np.nan)}, "x is not finite"),
        ({"y": np.full(6, np.inf)}, "y is not finite"),
        ({"x": {"a": VECTORS}}, r"does not say how x\['a'\] transforms"),
    ],
)
def test_bad_input_is_refused(arguments, words):
    turn = ep.transforms.rotations2d(acts_on="vectors")
    with pytest.raises(ValueError, match=words):
        ep.check_action(turn, **{"x": VECTORS, **arguments})
