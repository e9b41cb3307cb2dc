"""Several inputs and outputs, outputs that are not finite, and targets."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
W = np.array([[1.0, 0.4], [-0.7, 0.5]], dtype=np.float32)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
SINGLE = {"rtol": 2e-5, "atol": 2e-6}
"""Rounding of outputs of about 1 in float32."""


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


# ---- several inputs and outputs -------------------------------------------------------------


def molecule(seed=1):
    generator = np.random.default_rng(seed)
    return {
        "place": generator.normal(size=(24, 3, 2)).astype(np.float32),
        "field": generator.normal(size=(24, 2)).astype(np.float32),
        "kind": generator.integers(0, 3, size=(24, 3)),
    }


def energy_and_forces(x):
    charge = x["kind"].astype(jnp.float32)[..., None] - 1.0
    centred = x["place"] - x["place"].mean(axis=1, keepdims=True)
    forces = charge * x["field"][:, None] + centred
    return {"energy": (centred**2).sum(axis=(1, 2)) + forces[:, 0, 0], "forces": forces}


MOLECULE_TURN = ep.transforms.rotations2d(
    acts_on={"place": "points", "field": "vectors", "kind": "invariant"},
    output_action={"energy": "invariant", "forces": "vectors"},
)


def test_dicts_of_inputs_and_outputs():
    x = molecule()
    y = {"energy": np.zeros(24)}
    table = ep.evaluate_orbits(energy_and_forces, x, MOLECULE_TURN, y=y, n_transforms=4)
    assert table.outputs == ("energy", "forces")
    with pytest.raises(ValueError, match=r"choose one, as in orbits\['energy'\]"):
        _ = table.only
    with pytest.raises(KeyError, match="no output 'force'"):
        table["force"]
    energy, forces = table["energy"].only, table["forces"].only
    np.testing.assert_array_equal(table["forces"].row_ids, table.row_ids)
    assert (energy.output_shape, forces.output_shape) == ((), (3, 2))
    assert energy.y.shape == (24, 1)
    assert forces.y is None
    # The forces turn with the molecule, the energy has a part that does not stay.
    assert np.sqrt(forces.pair_sq.mean()) < 10 * forces.float_floor
    assert np.sqrt(energy.pair_sq.mean()) > 0.5
    expected = energy_and_forces(x)
    np.testing.assert_allclose(energy.base[:, 0], expected["energy"], **SINGLE)
    np.testing.assert_allclose(forces.base, np.reshape(expected["forces"], (24, 6)), **SINGLE)


def test_outputs_are_told_apart_by_name_in_any_order():
    still = ep.transforms.rotations2d(
        acts_on="vectors", output_action={"b": "invariant", "a": "invariant"}
    )
    predict = lambda x: OrderedDict(b=x[:, 0] + 2.0, a=x[:, 0])  # noqa: E731
    table = ep.evaluate_orbits(predict, X, still, y={"b": X[:, 1]}, n_transforms=3)
    assert table.backend == "jax"
    np.testing.assert_allclose(table["a"].only.base[:, 0], X[:, 0])
    np.testing.assert_allclose(table["b"].only.base[:, 0], X[:, 0] + 2, rtol=1e-6)
    np.testing.assert_array_equal(table["b"].only.y[:, 0], X[:, 1])


def test_the_python_backend_takes_dicts_too():
    def predict(x):
        assert all(type(leaf) is np.ndarray for leaf in x.values())
        return {k: np.asarray(v) for k, v in energy_and_forces(x).items()}

    one = ep.evaluate_orbits(energy_and_forces, molecule(), MOLECULE_TURN, n_transforms=4)
    other = ep.evaluate_orbits(predict, molecule(), MOLECULE_TURN, n_transforms=4)
    assert (one.backend, other.backend) == ("jax", "python")
    for name in ("energy", "forces"):
        assert_same_statistics(one[name], other[name], rtol=1e-4, atol=2e-5)


# ---- outputs that are not finite ------------------------------------------------------------


def test_outputs_that_are_not_finite_are_counted_by_row_and_set_aside():
    def predict(x):
        out = x @ W
        out = jnp.where((x[:, :1] > 1.0) & (x[:, 1:] > 0), jnp.inf, out)
        return jnp.where((x[:, :1] < -1.0) & (x[:, 1:] > 0), -jnp.inf, out)

    table = ep.evaluate_orbits(predict, X, TURN, n_transforms=7, keep="all")
    outputs = table.only.raw
    bad = ~np.isfinite(outputs).all(axis=2)
    bad_base = ~np.isfinite(table.only.base).all(axis=1)
    assert 0 < bad_base.sum() < (bad.any(axis=1) | bad_base).sum() < 22
    finite_base = ~bad_base
    np.testing.assert_array_equal(table.only.n_nonfinite[finite_base], bad.sum(axis=1)[finite_base])
    assert (table.only.n_nonfinite[bad_base] >= 1).all()
    np.testing.assert_array_equal(table.valid, ~(bad.any(axis=1) | bad_base))
    np.testing.assert_array_equal(table.nonfinite_rows, np.flatnonzero(~table.valid))
    assert f"{len(table.nonfinite_rows)} rows not finite" in str(table)

    finite = table.finite
    assert len(finite) == table.valid.sum()
    assert finite.valid.all()
    assert finite.finite is finite
    for name, values in statistics_of(finite).items():
        np.testing.assert_array_equal(values, statistics_of(table)[name][table.valid])
        assert np.isfinite(values).all()
    np.testing.assert_array_equal(finite.row_ids, table.row_ids[table.valid])
    np.testing.assert_array_equal(finite.x, X[table.valid])
    np.testing.assert_array_equal(finite.parameters(), table.parameters()[table.valid])


def test_too_few_finite_rows_are_refused_when_used():
    table = ep.evaluate_orbits(lambda x: x / 0.0, X, TURN, n_transforms=3)
    with pytest.raises(ValueError, match=r"0 of 24 rows have only finite outputs; at least 2"):
        _ = table.finite


# ---- targets --------------------------------------------------------------------------------


def test_targets_are_encoded_like_the_output():
    classify = lambda x: jax.nn.softmax(jnp.concatenate([x @ W, x[:, :1]], axis=1))  # noqa: E731
    turn = ep.transforms.rotations2d(acts_on="vectors")
    labels = np.arange(24) % 3
    for y in (labels, labels[:, None], labels.astype(np.uint8), labels.tolist()):
        table = ep.evaluate_orbits(classify, X, turn, y=y, n_transforms=3)
        np.testing.assert_array_equal(table.only.y, np.eye(3)[labels])
    soft = rng.dirichlet(np.ones(3), size=24)
    table = ep.evaluate_orbits(classify, X, turn, y=soft, n_transforms=3)
    np.testing.assert_array_equal(table.only.y, soft)
    binary = ep.evaluate_orbits(
        lambda x: jax.nn.softmax(x @ W), X, turn, y=labels.astype(bool), n_transforms=3
    )
    np.testing.assert_array_equal(binary.only.y, np.eye(2)[labels.astype(bool).astype(int)])
    assert ep.evaluate_orbits(classify, X, turn, n_transforms=3).only.y is None


def test_one_word_declares_all_outputs_invariant():
    x = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d(acts_on="vectors")
    table = ep.evaluate_orbits(
        lambda b: {"norm": (b**2).sum(axis=1), "first": b[:, 0]}, x, turn, n_transforms=2
    )
    assert table.outputs == ("first", "norm")
    assert table["norm"].only.pair_sq.max() < 1e-9 < table["first"].only.pair_sq.min()
