"""The loop over chunks: where it stops, what it passes over, what it hands to a rule."""

import numpy as np
import pytest
from refusals import refuses

import equiprob as ep

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
Y = rng.normal(size=(24, 2))
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
W = np.array([[1.0, 0.4], [-0.7, 0.5]], dtype=np.float32)


def linear(x):
    return x @ W


def evaluate(predict=linear, **arguments):
    return ep.evaluate_orbits(predict, X, TURN, n_transforms=4, batch_size=8, **arguments)


def fails_on(*rows):
    def predict(x):
        x = np.asarray(x)
        if (x[:, None] == X[list(rows)]).all(axis=2).any():
            raise OverflowError("too large")
        return linear(x)

    return predict


# ---- stop_when ------------------------------------------------------------------------------


def test_a_rule_sees_the_table_so_far_and_ends_the_pass():
    seen = []

    def rule(table):
        seen.append((len(table), len(table.x), table.only.pair_sq.sum(), table.stopped))
        return "enough rows" if len(table) >= 16 else None

    table = evaluate(y=Y, stop_when=rule)
    whole = evaluate(y=Y)
    assert [n for n, *_ in seen] == [8, 16] == [m for _, m, *_ in seen]
    assert table.stopped == "enough rows"
    assert "stopped: enough rows" in str(table)
    for (n, _, total, reason), expected in zip(seen, (8, 16), strict=True):
        assert reason is None
        np.testing.assert_allclose(total, whole.only.pair_sq[:expected].sum(), rtol=1e-6)
        assert n == expected
    np.testing.assert_array_equal(table.row_ids, whole.row_ids[:16])
    np.testing.assert_array_equal(table.x, X[:16])
    np.testing.assert_array_equal(table.only.y, Y[:16])
    assert ep.ModelEquivarianceError(n_draws=100).fit(table).facts["n_rows"] == 16


def test_a_rule_that_never_stops_changes_nothing():
    table, plain = evaluate(stop_when=lambda table: None), evaluate()
    assert table.stopped is None
    np.testing.assert_array_equal(table.only.pair_sq, plain.only.pair_sq)
    assert table.floor_method == plain.floor_method
    assert table.only.float_floor == plain.only.float_floor


def test_a_table_given_to_a_rule_is_not_changed_later():
    held = []
    evaluate(stop_when=lambda table: held.append((table, table.only.pair_sq.copy())))
    for table, then in held:
        np.testing.assert_array_equal(table.only.pair_sq, then)


def test_rules_must_be_functions_that_give_reasons():
    with refuses("stop_when must be a function", error=TypeError):
        evaluate(stop_when=0.1)
    with refuses("must return None or the reason", "True", error=TypeError):
        evaluate(stop_when=lambda table: True)


# ---- on_error -------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [[3], [10], [20, 23], [3, 10]])
def test_chunks_that_raise_are_passed_over_and_named(failing):
    table, whole = evaluate(fails_on(*failing), y=Y, on_error="skip"), evaluate(y=Y)
    chunks = sorted({row // 8 for row in failing})
    assert [(s.start, s.stop) for s in table.skipped] == [(8 * c, 8 * c + 8) for c in chunks]
    assert all("OverflowError" in s.reason and "too large" in s.reason for s in table.skipped)
    assert f"rows {8 * chunks[0]} to {8 * chunks[0] + 7}" in str(table)
    left = np.flatnonzero(~np.isin(np.arange(24) // 8, chunks))
    np.testing.assert_array_equal(np.flatnonzero(table.valid), left)
    np.testing.assert_array_equal(table.row_ids, whole.row_ids)
    np.testing.assert_allclose(table.only.pair_sq[left], whole.only.pair_sq[left], rtol=1e-5)
    assert table.only.float_floor > 0
    result = ep.ModelEquivarianceError(n_draws=100).fit(table)
    assert result.facts["n_rows"] == len(left)
    assert ep.Diagnostic.NONFINITE_OUTPUTS in result.diagnostics


def test_a_model_that_always_raises_is_an_error_even_then():
    with refuses("no row was evaluated", "OverflowError", error=RuntimeError):
        evaluate(fails_on(*range(24)), on_error="skip")


def test_what_is_not_the_models_failure_is_never_passed_over():
    with refuses("changed the batch"):
        evaluate(lambda x: np.asarray(x)[:-1], on_error="skip")
