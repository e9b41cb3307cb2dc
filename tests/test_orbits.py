"""The one pass: it evaluates what it says, on any backend, and keeps what it says."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.testing import commuting_part

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
W = np.array([[1.0, 0.4], [-0.7, 0.5]], dtype=np.float32)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
SINGLE = {"rtol": 2e-5, "atol": 2e-6}
"""Rounding of outputs of about 1 in float32."""


def bent(x):
    return jnp.tanh(x @ W) + x[:, :1] ** 2


def bent_numpy(x):
    x = np.asarray(x)  # refuses a tracer
    return np.tanh(x @ W.astype(x.dtype)) + x[:, :1] ** 2


def statistics_of(table):
    s = table.only
    return {
        name: getattr(s, name)
        for name in ("base", "displacement", "pair_sq", "bin_sq", "bin_weight")
    }


def assert_same_statistics(one, other, **tolerance):
    other = statistics_of(other)
    for name, values in statistics_of(one).items():
        np.testing.assert_allclose(values, other[name], err_msg=name, **tolerance)


def by_hand(table, predict, x):
    """Return ``rho(g)^-1 f(g.x) - f(x)`` one row and one transformation at a time, in float64."""
    displaced = []
    for row, parameters in zip(x, table.parameters(), strict=True):
        base = predict(row[None])
        moved = [predict(TURN.apply(g, row[None])) for g in parameters]
        back = [TURN.undo_on_output(g, out) for g, out in zip(parameters, moved, strict=True)]
        displaced.append(np.concatenate(back) - base)
    return np.stack(displaced)


# ---- what is evaluated ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["jax", "python"])
@pytest.mark.parametrize("design", ["quasi", "random", "crossed"])
def test_displacements_are_those_of_their_parameters(backend, design):
    predict = bent if backend == "jax" else bent_numpy
    table = ep.evaluate_orbits(predict, X, TURN, n_transforms=5, design=design, backend=backend)
    assert table.backend == backend
    expected = by_hand(table, bent_numpy, X.astype(np.float64))
    np.testing.assert_allclose(table.only.raw, expected, **SINGLE)
    np.testing.assert_allclose(table.only.base, bent_numpy(X), **SINGLE)


def test_numpy_models_are_evaluated_in_their_own_precision():
    x = X.astype(np.float64)
    table = ep.evaluate_orbits(bent_numpy, x, TURN, n_transforms=5)
    assert table.backend == "python"
    np.testing.assert_allclose(table.only.raw, by_hand(table, bent_numpy, x), rtol=0, atol=1e-14)
    assert 0 < table.only.float_floor < 1e-14
    # A NumPy model that JAX could trace stays in float64 too.
    traceable = ep.evaluate_orbits(lambda batch: batch @ W.astype(np.float64), x, TURN)
    assert traceable.backend == "python"
    assert traceable.only.float_floor < 1e-14


def test_float_floor_is_of_the_size_of_rounding():
    table = ep.evaluate_orbits(lambda x: x @ W, X, TURN, n_transforms=3)
    assert 1e-8 < table.only.float_floor < 1e-6
    assert np.sqrt(table.only.pair_sq.mean()) > 1e3 * table.only.float_floor
    commuting = ep.evaluate_orbits(lambda x: 2.0 * x, X, TURN, n_transforms=3)
    assert np.sqrt(commuting.only.pair_sq.mean()) < 3 * commuting.only.float_floor


@pytest.mark.parametrize("design", ["quasi", "random", "crossed"])
def test_batch_size_and_backend_change_nothing_but_rounding(design):
    tables = [
        ep.evaluate_orbits(bent, X, TURN, n_transforms=5, design=design, batch_size=size, seed=3)
        for size in (24, 7)
    ]
    tables.append(
        ep.evaluate_orbits(bent_numpy, X, TURN, n_transforms=5, design=design, batch_size=5, seed=3)
    )
    assert [t.backend for t in tables] == ["jax", "jax", "python"]
    for other in tables[1:]:
        assert_same_statistics(tables[0], other, **SINGLE)
        np.testing.assert_array_equal(tables[0].parameters(), other.parameters())
    different = ep.evaluate_orbits(bent, X, TURN, n_transforms=5, design=design, seed=4)
    assert np.abs(different.only.pair_sq - tables[0].only.pair_sq).max() > 0.01


def test_a_linear_map_has_the_closed_form_in_each_row():
    """Identity pairs of row x are ``2 |x W_perp|^2``, W_perp the part that does not commute."""
    x, w = X.astype(np.float64), W.astype(np.float64)
    for predict in (lambda batch: np.asarray(batch) @ w, lambda batch: batch @ W):
        table = ep.evaluate_orbits(predict, x, TURN, n_transforms=9)
        expected = 2 * ((x @ (w - commuting_part(w))) ** 2).sum(axis=1)
        exact = table.only.float_floor < 1e-12
        np.testing.assert_allclose(table.only.pair_sq, expected, rtol=1e-12 if exact else 1e-4)


def test_an_action_that_cannot_be_traced_runs_in_numpy():
    def act(parameter, row):
        return np.asarray(row) * float(parameter[0])  # float() refuses a tracer

    scale = ep.transforms.from_functions(lambda generator: generator.random(), act)
    table = ep.evaluate_orbits(bent, X, scale, n_transforms=4)
    assert table.backend == "python"
    moved = [bent_numpy(X * table.parameters()[:, j]) for j in range(4)]
    expected = np.stack(moved, axis=1) - bent_numpy(X)[:, None]
    np.testing.assert_allclose(table.only.raw, expected, **SINGLE)


def test_more_transformations_than_a_block_are_all_evaluated():
    table = ep.evaluate_orbits(bent, X, TURN, n_transforms=41)
    assert table.only.raw.shape == (24, 41, 2)
    np.testing.assert_allclose(table.only.raw, by_hand(table, bent_numpy, X), **SINGLE)


# ---- what is kept ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    return ep.evaluate_orbits(bent, X, TURN, n_transforms=16, keep="all")


def test_statistics_are_those_of_the_displacements(kept):
    s, raw = kept.only, kept.only.raw
    first, second = kept.design.replicates
    assert (first + second, np.gcd(first, 4), np.gcd(second, 4)) == (16, 1, 1)
    means = np.stack([raw[:, :first].mean(axis=1), raw[:, first:].mean(axis=1)], axis=1)
    np.testing.assert_allclose(s.displacement, means)
    np.testing.assert_allclose(kept.replicates, s.base[:, None] + means)
    np.testing.assert_allclose(kept.mean_displacement, raw.mean(axis=1))
    np.testing.assert_allclose(s.pair_sq, (raw**2).sum(axis=2).mean(axis=1))
    np.testing.assert_allclose(kept.mean_displacement_sq, (means[:, 0] * means[:, 1]).sum(axis=1))


def test_bins_split_the_displacements_by_magnitude(kept):
    sizes = TURN.magnitude(kept.parameters())
    squares = (kept.only.raw**2).sum(axis=2)
    edges = np.concatenate([[0], (kept.bin_magnitude[1:] + kept.bin_magnitude[:-1]) / 2, [181]])
    # Edges are quantiles of the law, which the middles of bins give to .05 degrees.
    clear = (np.abs(sizes[..., None] - edges[1:-1]) > 0.05).all(axis=(1, 2))
    assert clear.sum() > len(clear) / 2
    for b, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = (sizes >= low) & (sizes < high)
        weight, squared = inside.mean(axis=1), (squares * inside).mean(axis=1)
        np.testing.assert_allclose(kept.only.bin_weight[clear, b], weight[clear], atol=1e-15)
        np.testing.assert_allclose(kept.only.bin_sq[clear, b], squared[clear], atol=1e-14)
    np.testing.assert_allclose(kept.only.bin_sq.sum(axis=1), kept.only.pair_sq)


def test_a_crossed_design_keeps_each_transformation():
    table = ep.evaluate_orbits(bent, X, TURN, n_transforms=5, design="crossed", keep="all")
    assert (table.parameters() == table.parameters()[0]).all()
    np.testing.assert_allclose(table.only.pair_sq_each, (table.only.raw**2).sum(axis=2))


def test_declared_ranges_agree_with_what_was_kept(kept):
    magnitudes = np.array([20.0, 90.0, 180.0])
    declared = ep.evaluate_orbits(bent, X, TURN, n_transforms=16, keep=magnitudes[::-1])
    assert declared.only.raw is None
    np.testing.assert_array_equal(declared.range_magnitudes, magnitudes)
    sums, squares = kept.sums_up_to(magnitudes)
    np.testing.assert_allclose(declared.only.range_sum, sums, atol=1e-14)
    np.testing.assert_allclose(declared.only.range_sq, squares, atol=1e-14)
    np.testing.assert_allclose(sums[:, :, -1], kept.only.displacement)
    # By hand, for the first range and replicate.
    first = kept.design.replicates[0]
    inside = TURN.magnitude(kept.parameters())[:, :first] <= 20
    assert 0 < inside.mean() < 0.3
    expected = (kept.only.raw[:, :first] * inside[..., None]).mean(axis=1)
    np.testing.assert_allclose(sums[:, 0, 0], expected, atol=1e-14)


def test_row_statistics_alone_have_no_ranges():
    table = ep.evaluate_orbits(bent, X, TURN, n_transforms=16, keep="rows")
    assert table.only.raw is None
    with pytest.raises(ValueError, match="pass keep='all' to evaluate_orbits"):
        table.sums_up_to(np.array([20.0]))


def test_progress_is_shown_on_request(capfd):
    ep.evaluate_orbits(bent, X, TURN, n_transforms=3, batch_size=8, progress=True)
    assert "orbits: 100%" in capfd.readouterr().err
    ep.evaluate_orbits(bent, X, TURN, n_transforms=3, batch_size=8)
    assert capfd.readouterr().err == ""


def test_integers_reach_the_model_as_they_are():
    x = {"at": np.ones((5, 2), np.float32), "kind": np.full(5, 2**40)}
    turn = ep.transforms.rotations2d(acts_on={"at": "vectors", "kind": "invariant"})
    seen = []

    def predict(batch):
        seen.append(batch["kind"])
        return batch["at"][:, 0]

    ep.evaluate_orbits(predict, x, turn, n_transforms=2, backend="python")
    assert {kind.dtype for kind in seen} == {np.dtype(np.int64)}
    assert {int(k) for kind in seen for k in kind} == {2**40}
