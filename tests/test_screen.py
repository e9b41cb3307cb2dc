"""Screens: every way in which transformations could act, and bounds that hold together."""

from functools import cache

import matplotlib as mpl
import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.errors.catalogue import catalogue
from equiprob.errors.screen import hidden_rate, simultaneous_upper
from equiprob.posterior.row_means import RowMeans

mpl.use("Agg")


def rows(n=150, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def length(x):
    """A length that leans a little along z."""
    return np.linalg.norm(x, axis=1) + 0.02 * x[:, 2]


@pytest.fixture(scope="module")
def found():
    x = rows()
    return ep.screen(length, x, np.linalg.norm(x, axis=1), n_draws=400)


# ---- bounds that hold together ------------------------------------------------------------------

RUNS, WAYS = 60, 40


@cache
def samples():
    """Draws of errors of many ways, all of which are 1, in each of many samples."""
    found = []
    for seed in range(RUNS):
        generator = np.random.default_rng(seed)
        ids = generator.integers(0, 2**63, 128).astype(np.uint64)
        means = RowMeans(ids, 300, 0, from_above=True)
        found.append(means.means(generator.normal(size=(128, WAYS)) ** 2))
    return found


def falsely_named(bound):
    """How often some error is said to be below 1."""
    return sum(bool((bound(draws) < 1).any()) for draws in samples())


def assert_at_most_as_stated(count):
    # Of bounds that fail in .05 of samples more than 13 of 60 are exceeded with probability 1e-6.
    assert count <= 13


@pytest.mark.simulation
def test_names_are_hardly_ever_false_however_many_are_looked_at():
    assert_at_most_as_stated(falsely_named(lambda draws: simultaneous_upper(draws, 0.95)))


def test_the_test_of_many_has_power():
    with pytest.raises(AssertionError):
        assert_at_most_as_stated(falsely_named(lambda draws: np.quantile(draws, 0.95, axis=0)))


def test_bounds_hold_for_the_stated_share_of_joint_draws():
    draws = np.random.default_rng(0).normal(size=(1000, 20)) ** 2
    inside = (draws <= simultaneous_upper(draws, 0.9)).all(axis=1).mean()
    assert 0.9 <= inside < 0.92
    one = draws[:, :1]
    assert (one <= simultaneous_upper(one, 0.9)).mean() == pytest.approx(0.9, abs=0.002)


def test_few_rows_for_many_ways_are_a_caution(found):
    # With probability .05 some of ten ways fails on rows of this share, and on none of these.
    assert 10 * (1 - hidden_rate(128, 10, 0.95)) ** 128 == pytest.approx(0.05)
    assert ep.Diagnostic.RARE_AMONG_MANY in found.diagnostics
    assert hidden_rate(400, 16, 0.95) < hidden_rate(100, 1, 0.95) < 0.03
    more = ep.screen(length, rows(400), n_draws=50)
    assert more.symmetries
    assert ep.Diagnostic.RARE_AMONG_MANY not in more.diagnostics


# ---- the catalogue ------------------------------------------------------------------------------


def names_of(x, outputs=None):
    outputs = {"": np.zeros(5)} if outputs is None else outputs
    return [candidate.name for candidate in catalogue(x, outputs)]


def test_shapes_say_what_can_act():
    of_space = names_of(rows())
    assert {"rotations of space, vectors", "orders of 3 items, permuted"} <= set(of_space)
    assert not [name for name in of_space if "image" in name]
    assert "Lorentz transformations, vectors" in names_of(rows(d=4))
    of_images = names_of(np.zeros((5, 12, 12, 3)))
    assert {"quarter turns, image", "shifts of an image up to 1 pixels, image"} <= set(of_images)
    assert "quarter turns, image_channels_first" in names_of(np.zeros((5, 3, 12, 12)))
    assert not [name for name in names_of(np.zeros((5, 20, 3))) if "image" in name]
    assert names_of(np.arange(5)) == []


def test_leaves_that_can_move_together_do():
    x = {"positions": np.zeros((5, 4, 3)), "kind": np.zeros((5, 4), int), "charge": np.zeros(5)}
    acting = {c.name: c.acts_on for c in catalogue(x, {"": np.zeros(5)})}
    assert acting["orders of 4 items, permuted of positions, kind"] == {
        "positions": "permuted",
        "kind": "permuted",
        "charge": "invariant",
    }
    assert acting["rotations of space, vectors of positions"]["kind"] == "invariant"


# ---- screens ------------------------------------------------------------------------------------


def test_ranking_is_that_of_the_errors(found):
    table = found.ranking
    assert (np.diff(table["relative_error"]) >= 0).all()
    assert table.loc["mirror in x, vectors", "up_to_rounding"]
    assert "rotations of space, vectors" in found.symmetries
    assert "shifts of 3 coordinates up to 1, points" not in found.symmetries
    assert (table["upper"] >= np.quantile(found.draws["relative_error"], 0.9, axis=0)).all()
    turning = ep.evaluate_orbits(
        length, rows(), ep.transforms.rotations3d(acts_on="vectors"), backend="python"
    )
    alone = ep.ModelEquivarianceError(n_draws=400).fit(turning).draws["relative_error"]
    together = table.loc["rotations of space, vectors", "relative_error"]
    assert together == pytest.approx(np.median(alone), rel=0.05)


def test_averaging_over_what_the_task_has_lowers_the_risk(found):
    assert found.worth_averaging[0] == "rotations of space, vectors"
    assert "shifts of 3 coordinates up to 1, points" not in found.worth_averaging
    assert "Averaging lowers the risk over rotations of space, vectors most." in str(found)


def test_outputs_that_move_along_are_found():
    x = rows(100)
    result = ep.screen(lambda b: b * np.linalg.norm(b, axis=1, keepdims=True), x, n_draws=200)
    assert "rotations of space, vectors -> vectors" in result.symmetries
    assert "rotations of space, vectors" not in result.symmetries
    assert result.worth_averaging == []
    transform = result.transforms["rotations of space, vectors -> vectors"]
    again = ep.evaluate_orbits(lambda b: b**3, x, transform, backend="python")
    assert ep.ModelEquivarianceError(n_draws=200).fit(again).draws["relative_error"].min() > 0.05


def test_several_outputs_and_inputs_are_screened_by_name():
    x = {"r": rows(60).reshape(60, 1, 3) * np.ones((1, 4, 1)), "q": rows(60, 4, seed=1)}
    x["r"] = x["r"] + rows(240, seed=2).reshape(60, 4, 3)

    def predict(b):
        field = (b["r"] * b["q"][..., None]).sum(axis=1)
        return {"dipole": field, "size": (field**2).sum(axis=1)}

    result = ep.screen(predict, x, n_draws=100)
    assert {
        "rotations of space, vectors of r -> vectors dipole",
        "rotations of space, vectors of r -> invariant size",
        "orders of 4 items, permuted of r, q -> invariant dipole",
    } <= set(result.symmetries)
    assert "rotations of space, vectors of r -> invariant dipole" not in result.symmetries


def test_labels_that_no_row_sees_changed_are_not_called_exact():
    x = rows(120, 2)
    labels = np.eye(2)
    predict = lambda b: labels[((b**2).sum(axis=1) > 1.4).astype(int)]  # noqa: E731
    result = ep.screen(predict, x, n_draws=200)
    assert ep.Diagnostic.NO_STEP_SEEN in result.diagnostics
    assert not result.ranking.loc["rotations of the plane, vectors", "up_to_rounding"]
    # About 3 of 120 rows may change, by sqrt(2) in a spread of 0.7: more than the tolerance.
    assert "rotations of the plane, vectors" not in result.symmetries


def test_rows_that_are_not_finite_are_said():
    x = rows(120, 2)
    result = ep.screen(lambda b: np.where(b[:, 0] > 2.2, np.nan, b[:, 1]), x, n_draws=100)
    assert ep.Diagnostic.NONFINITE_OUTPUTS in result.diagnostics
    assert set(np.flatnonzero(x[:, 0] > 2.2)) <= set(result.facts.nonfinite_rows)


def test_what_cannot_be_screened_is_refused():
    x = rows(60)
    with refuses("hardly varies"):
        ep.screen(lambda b: np.ones(len(b)), x)
    with refuses("no transformation of the catalogue can act"):
        ep.screen(lambda b: b * 1.0, np.linspace(0, 1, 60))
    with refuses("depends on the batch"):
        ep.screen(lambda b: (b - b.mean(axis=0))[:, 0], x)
    with refuses("tolerance must be a positive share"):
        ep.screen(length, x, tolerance=0.0)


def test_a_transform_of_ones_own_is_looked_at_with_the_others():
    mine = ep.transforms.cyclic(3, acts_on="vectors")
    result = ep.screen(
        lambda b: (b**2).sum(axis=1), rows(80, 2), transforms={"thirds": mine}, n_draws=100
    )
    assert "thirds" in result.symmetries


def test_screens_are_saved_and_drawn(found, tmp_path):
    found.save(tmp_path / "screen.nc")
    again = ep.load(tmp_path / "screen.nc")
    assert again.symmetries == found.symmetries
    assert str(again) == str(found)
    assert found.plot().axes
