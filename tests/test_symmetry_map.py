"""Where the symmetry holds, on rings whose images agree, contradict, or leave the data."""

import numpy as np
import pytest
from scipy import stats

import equiprob as ep
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.pooled_shares import pooled_shares

TURNS = ep.transforms.rotations2d(acts_on="vectors")
FEWEST = 4
RINGS = np.array(["agrees", "contradicts", "leaves"])


def rings(n, seed, noise=0.0):
    """Return points of three rings, labels and rings.

    Of the first all have one label; of the second half have, on one side; of the third there are
    only those on one side, so that half of the images of each leave the data.
    """
    g = np.random.default_rng([seed, n])
    ring = g.integers(3, size=n)
    angle = g.uniform(-np.pi, np.pi, n) * np.where(ring == 2, 0.5, 1.0)
    radius = 1 + ring + g.uniform(-0.1, 0.1, n)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    y = np.where(ring == 1, np.cos(angle) > 0, ring == 2)
    return x, (y ^ (g.random(n) < noise)).astype(int), ring


def table(x, y, transform=TURNS, n_transforms=8, **options):
    shape = (int(y.max()) + 1,) if y.dtype.kind == "i" else y.shape[1:]
    constant = np.full(shape, 1 / shape[0] if y.dtype.kind == "i" else 0.0)

    def nothing(rows):
        n = len(next(iter(rows.values())) if isinstance(rows, dict) else rows)
        return np.broadcast_to(constant, (n, *shape))

    return ep.evaluate_orbits(
        nothing, x, transform, y=y, n_transforms=n_transforms, backend="python", **options
    )


def fitted(x, y, by=None, n_draws=300, tolerance=None, **options):
    estimator = ep.SymmetryMap(n_draws=n_draws, tolerance=tolerance)
    return estimator.fit(table(x, y, **options), by=by)


@pytest.fixture(scope="module")
def of_rings():
    x, y, ring = rings(400, 0)
    return x, y, RINGS[ring], fitted(x, y, by=RINGS[ring])


def test_intervals_hold_the_shares_and_those_of_counts_alone_do_not():
    runs, held, counted = 12, np.zeros(2), 0
    for seed in range(runs):
        x, y, _ = rings(160, seed, noise=0.1)
        result = fitted(x, y)
        for k, name in enumerate(("extrinsic", "incorrect")):
            low, high = np.quantile(result.draws[name], [0.05, 0.95])
            held[k] += low <= 1 / 6 <= high
        # The wrong estimator: what is far or contradicted, though nothing moved it there.
        count = result.rows["extrinsic"] + result.rows["incorrect"]
        spread = count.std() / np.sqrt(len(count))
        counted += abs(count.mean() - 1 / 3) < 1.645 * spread
    # 90 % intervals hold the truth in .83 to .98 of runs (docs/calibration_data.md).
    assert stats.binom.cdf(FEWEST - 1, runs, 0.8) < 1e-4
    assert (held >= FEWEST).all()
    assert counted < FEWEST  # the twin


def test_groups_are_told_apart(of_rings):
    *_, result = of_rings
    middle = {
        kind: dict(
            zip(
                result.coords["group"],
                np.median(result.draws[f"{kind}_by_group"], axis=0),
                strict=True,
            )
        )
        for kind in ("extrinsic", "incorrect", "correct")
    }
    # Within .15 of the truth: standard deviations of the estimates are .02 to .05.
    assert middle["incorrect"]["contradicts"] == pytest.approx(0.5, abs=0.15)
    assert middle["extrinsic"]["leaves"] == pytest.approx(0.5, abs=0.15)
    assert middle["correct"]["agrees"] > 0.85
    assert middle["incorrect"]["agrees"] < 0.05
    assert middle["incorrect"]["leaves"] < 0.05


def test_the_three_shares_sum_to_one_in_every_part(of_rings):
    *_, result = of_rings
    for suffix in ("", "_by_magnitude", "_by_group", "_by_group_and_magnitude"):
        parts = [result.draws[kind + suffix] for kind in ("extrinsic", "incorrect", "correct")]
        np.testing.assert_allclose(sum(parts), 1.0, atol=1e-9)
        assert all((part >= 0).all() for part in parts)


def test_words_name_the_group_that_is_contradicted_and_from_which_size_on(of_rings):
    *_, result = of_rings
    assert "labels contradict it for contradicts (" in str(result)
    assert "harmless for agrees (" in str(result)
    assert result.status == "no problem found"


def test_telling_rows_lie_beside_rows_with_another_label(of_rings):
    _, y, by, result = of_rings
    rows = result.telling_rows(10)
    assert len(rows) == 10
    assert (by[rows["position"]] == "contradicts").all()
    assert (y[rows["position"]] != y[rows["beside"]]).all()


def test_a_map_is_drawn_saved_and_read_back(of_rings, tmp_path):
    *_, result = of_rings
    figure = result.plot()
    assert len(figure.axes) == 2
    result.save(tmp_path / "map.nc")
    again = ep.load(tmp_path / "map.nc")
    assert str(again) == str(result)
    np.testing.assert_array_equal(again.telling_rows()["beside"], result.telling_rows()["beside"])


def test_few_rows_for_the_edge_of_the_data_are_a_caution(of_rings):
    x, y, _ = rings(150, 4)
    assert Diagnostic.FEW_AROUND in fitted(x, y).diagnostics
    assert Diagnostic.FEW_AROUND not in of_rings[-1].diagnostics


def test_numbers_contradict_beyond_the_tolerance_alone():
    x, _, ring = rings(300, 1)
    y = np.where(ring == 1, 2 * x[:, 0], 0.0)
    strict = fitted(x, y, by=RINGS[ring], tolerance=0.5)
    loose = fitted(x, y, by=RINGS[ring], tolerance=9.0)
    assert np.median(strict.draws["incorrect_by_group"], axis=0).argmax() == 1
    assert np.quantile(strict.draws["incorrect_by_group"][:, 1], 0.05) > 0.5
    assert np.quantile(loose.draws["incorrect"], 0.95) < 0.05
    assert "by more than 0.5" in str(strict)


def test_targets_that_turn_along_agree():
    x, _, _ = rings(300, 2)
    along = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    turning = fitted(x, x, transform=along, tolerance=0.5)
    fixed = fitted(x, np.tile([1.0, 0.0], (300, 1)), transform=along, tolerance=0.5)
    assert np.quantile(turning.draws["incorrect"], 0.95) < 0.05
    assert np.quantile(fixed.draws["incorrect"], 0.05) > 0.4


def test_two_values_in_one_column_are_labels(of_rings):
    x, y, by, _ = of_rings
    ids = np.arange(len(x))
    of_numbers = fitted(x, y.astype(float), by=by, row_ids=ids)
    of_labels = fitted(x, y, by=by, row_ids=ids)
    assert of_numbers.facts.labelled
    np.testing.assert_array_equal(of_numbers.rows["incorrect"], of_labels.rows["incorrect"])


def test_copies_of_rows_are_named_unless_they_are_one_group():
    x, y, _ = rings(200, 3)
    twice, labels = np.tile(x, (2, 1)), np.tile(y, 2)
    coincide = Diagnostic.NEIGHBOURS_COINCIDE
    assert coincide in fitted(twice, labels).diagnostics
    grouped = fitted(twice, labels, groups=np.arange(400) % 200)
    assert coincide not in grouped.diagnostics
    single = fitted(x, y)
    for kind in ("extrinsic", "incorrect"):
        assert np.median(grouped.draws[kind]) == pytest.approx(
            np.median(single.draws[kind]), abs=0.06
        )


def test_moved_copies_among_the_rows_are_named():
    x, y, _ = rings(150, 4)
    quarter = ep.transforms.cyclic(4, acts_on="vectors")
    augmented = np.concatenate([x, x @ np.array([[0.0, 1.0], [-1.0, 0.0]])])
    found = fitted(augmented, np.tile(y, 2), transform=quarter)
    assert Diagnostic.NEIGHBOURS_COINCIDE in found.diagnostics
    assert Diagnostic.NEIGHBOURS_COINCIDE not in fitted(x, y, transform=quarter).diagnostics


def test_labels_that_are_noise_are_named():
    x, _, _ = rings(300, 5)
    noise = np.random.default_rng(5).integers(2, size=300)
    result = fitted(x, noise)
    assert Diagnostic.TRUTH_UNRESOLVED in result.diagnostics
    numbers = fitted(x, np.random.default_rng(5).normal(size=300))
    assert Diagnostic.TRUTH_UNRESOLVED in numbers.diagnostics


def test_a_class_of_few_rows_is_not_said_to_agree():
    x, y, _ = rings(300, 6)
    rare = np.append(y, [2, 2, 2])  # all of their neighbours are of other classes
    at = np.array([[0.3, 2.0], [-2.0, 0.1], [0.2, -2.0]])
    result = fitted(np.concatenate([x, at]), rare)
    correct = result.draws["correct_by_group"][:, 2]
    assert np.quantile(correct, 0.95) - np.quantile(correct, 0.05) > 0.4


def test_a_leaf_that_stays_decides_nothing_by_its_unit():
    x, y, ring = rings(300, 7)
    turns = ep.transforms.rotations2d(acts_on={"at": "vectors", "kind": "invariant"})
    given = {"transform": turns, "row_ids": np.arange(300)}
    kelvin = fitted({"at": x, "kind": 1e4 * ring.astype(float)}, y, **given)
    electronvolt = fitted({"at": x, "kind": 1e-4 * ring.astype(float)}, y, **given)
    # In both, rings are told apart by the leaf, and rows of one by where they are.
    np.testing.assert_allclose(kelvin.rows["incorrect"], electronvolt.rows["incorrect"])
    assert np.median(kelvin.draws["incorrect"]) == pytest.approx(1 / 6, abs=0.06)


def test_pooling_draws_groups_together_that_are_alike_and_leaves_others_apart():
    g = np.random.default_rng(0)
    few = g.beta(0.5 + 1, 0.5 + 4, size=(2000, 1))  # 1 of 5
    many = g.beta(0.5 + np.full(9, 50), 0.5 + 50, size=(2000, 9))
    pooled = pooled_shares(np.concatenate([few, many], axis=1), 0)
    assert 0.35 < np.median(pooled[:, 0]) < 0.5  # the others are at one half
    spread = g.beta([1, 99, 1, 99, 50], [99, 1, 99, 1, 50], size=(2000, 5))
    kept = pooled_shares(spread, 0)
    np.testing.assert_allclose(np.median(kept, 0), np.median(spread, 0), atol=0.03)
    # Joint with other results: in the order of each group's own draws.
    assert stats.spearmanr(pooled[:, 0], few[:, 0]).statistic > 0.3


def test_what_does_not_fit_is_refused():
    x, y, _ = rings(100, 8)
    orbits = table(x, y)
    with pytest.raises(ValueError, match="one label for each of the 100 rows"):
        ep.SymmetryMap().fit(orbits, by=np.zeros(7))
    with pytest.raises(ValueError, match="at most 40 are taken"):
        ep.SymmetryMap().fit(orbits, by=np.arange(100))
    no_targets = ep.evaluate_orbits(lambda rows: rows[:, 0], x, TURNS, backend="python")
    with pytest.raises(ValueError, match="pass y="):
        ep.SymmetryMap().fit(no_targets)
    few = table(x, y, groups=np.arange(100) % 20)
    with pytest.raises(ValueError, match="at least 40 independent rows"):
        ep.SymmetryMap().fit(few)
    with pytest.raises(ValueError, match="larger than 0"):
        ep.SymmetryMap(tolerance=0.0)
    with pytest.raises(ValueError, match=r"between 0\.5 and 1"):
        ep.SymmetryMap(near=0.3)


def test_the_share_of_near_rows_sets_what_is_far():
    orbits = table(*rings(200, 9)[:2])
    # Of the seed alone: draws of weights move neither order.
    few, many = (ep.SymmetryMap(near=near).fit(orbits).rows for near in (0.7, 0.98))
    assert few["extrinsic"].mean() > many["extrinsic"].mean() + 0.05
    assert few["incorrect"].mean() <= many["incorrect"].mean()
