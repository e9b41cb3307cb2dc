"""The loop over chunks: where it stops, what it passes over, what it hands to a rule."""

import os
import signal
import time

import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.orbits import parts

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
    assert ep.ModelEquivarianceError(n_draws=100).fit(table).facts.n_rows == 16


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
def test_rows_that_raise_are_passed_over_and_named(failing):
    table, whole = evaluate(fails_on(*failing), y=Y, on_error="skip"), evaluate(y=Y)
    assert [(s.start, s.stop) for s in table.skipped] == [(r, r + 1) for r in failing]
    assert all("OverflowError" in s.reason and "too large" in s.reason for s in table.skipped)
    assert f"skipped row {failing[0]}: predict raised OverflowError on row" in str(table)
    left = np.delete(np.arange(24), failing)
    np.testing.assert_array_equal(np.flatnonzero(table.valid), left)
    np.testing.assert_array_equal(table.row_ids, whole.row_ids)
    np.testing.assert_allclose(table.only.pair_sq[left], whole.only.pair_sq[left], rtol=1e-5)
    assert table.only.float_floor > 0
    result = ep.ModelEquivarianceError(n_draws=100).fit(table)
    assert result.facts.n_rows == len(left)
    assert ep.Diagnostic.NONFINITE_OUTPUTS in result.diagnostics
    said = f"{len(failing)} of 24 rows ({100 * len(failing) / 24:.2g} %): {failing}; predict raised"
    assert said in result.status
    assert "a selection" in result.status
    both = ep.compare({"a": table, "b": whole}, n_draws=50)
    assert f"'a' lacks {said}" in both.cautions


def test_a_model_that_always_raises_is_an_error_even_then():
    with refuses("no row was evaluated", "OverflowError", error=RuntimeError):
        evaluate(fails_on(*range(24)), on_error="skip")


def test_what_is_not_the_models_failure_is_never_passed_over():
    with refuses("changed the batch"):
        evaluate(lambda x: np.asarray(x)[:-1], on_error="skip")


def test_a_model_for_one_number_of_rows_is_asked_for_that_many_in_every_part():
    sizes = []

    def predict(x):
        sizes.append(len(x))
        assert len(x) == 8, "made for 8 rows"
        return fails_on(3)(x)

    table = evaluate(predict, on_error="skip", backend="python", batch_dependent=True)
    assert set(sizes) == {8}
    assert [(s.start, s.stop) for s in table.skipped] == [(3, 4)]


def test_a_chunk_that_fails_as_a_whole_is_given_up_soon(monkeypatch):
    monkeypatch.setattr(parts, "_MOST_FAILURES", 5)
    calls = []

    def predict(x):
        calls.append(len(x))
        if (x[:, None] == X[:8]).all(axis=2).any():
            raise MemoryError("too large")
        return linear(x)

    table = evaluate(predict, on_error="skip", backend="python")
    assert [(s.start, s.stop) for s in table.skipped] == [(0, 8)]
    assert len(calls) < 5 + 2 * 5 + 15


# ---- signals --------------------------------------------------------------------------------


def ended_by(number, chunk, path=None):
    """Send a signal in the midst of a pass; return what ended it and how far it had come."""

    def rule(table):
        if len(table) >= chunk:
            os.kill(os.getpid(), number)
            time.sleep(10)  # a signal comes at once

    # A shell that starts tests in the background has Ctrl-C ignored by all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as ended:
            evaluate(stop_when=rule, checkpoint=path, checkpoint_every=1000)
    finally:
        signal.signal(signal.SIGINT, before)
    return ended.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_pass_that_says_where_it_is_and_goes_on(number, tmp_path, capsys):
    path = tmp_path / "orbits.nc"
    error = ended_by(number, 16, path)
    line = f"equiprob: the pass ended; {path} holds the first 16 rows: the same call goes on"
    assert line in capsys.readouterr().err
    assert any(line in note for note in error.__notes__)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    calls = []

    def counts(x):
        calls.append(len(x))
        return linear(x)

    table = evaluate(counts, checkpoint=path, backend="python")
    assert len(table) == 24


def test_without_a_checkpoint_it_says_what_to_pass(capsys):
    ended_by(signal.SIGTERM, 8)
    assert "after 8 rows, of which nothing is kept; with checkpoint=" in capsys.readouterr().err


def test_a_handler_of_the_users_own_stays(monkeypatch):
    called = []
    before = signal.signal(signal.SIGTERM, lambda *_: called.append(1))
    try:

        def rule(table):
            os.kill(os.getpid(), signal.SIGTERM)

        assert len(evaluate(stop_when=rule)) == 24
        assert called
    finally:
        signal.signal(signal.SIGTERM, before)


def sizes_seen(predict, n=4096, **options):
    """Return the numbers of rows that a model is called with, and its table."""
    seen = []

    def spied(rows):
        seen.append(len(rows))
        return predict(rows)

    x = np.random.default_rng(0).normal(size=(n, 2))
    turns = ep.transforms.rotations2d(acts_on="vectors")
    options = {"n_transforms": 2, "backend": "python", "progress": False} | options
    return seen, ep.evaluate_orbits(spied, x, turns, **options)


def test_quick_models_are_given_larger_chunks():
    # Less than a microsecond a row, if one of twenty calls is not held up for 4 ms.
    seen, table = sizes_seen(lambda rows: rows[:, 0] * rows[:, 1])
    assert 512 in seen
    assert max(seen) in (512, 1024)
    _, small = sizes_seen(lambda rows: rows[:, 0] * rows[:, 1], batch_size=128)
    assert np.array_equal(table.row_ids, small.row_ids)
    assert np.allclose(table.only.displacement, small.only.displacement, rtol=0, atol=1e-14)
    assert np.allclose(table.only.pair_sq, small.only.pair_sq, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 128}, {"n": 2000}, {"batch_dependent": True}, {"stop_when": lambda _: None}],
)
def test_chunks_stay_as_they_are_where_they_matter(options):
    seen, _ = sizes_seen(lambda rows: rows[:, 0] * rows[:, 1], **options)
    assert max(seen) == (125 if "n" in options else 128)


def test_chunks_of_models_that_are_not_quick_stay_small():
    def slow(rows):
        time.sleep(0.005)  # 39 microseconds a row, or more
        return rows[:, 0]

    seen, _ = sizes_seen(slow, n=2048, n_transforms=1)
    assert max(seen) == 128


def test_a_chunk_that_makes_a_model_slower_is_not_kept():
    def slower(rows):
        if len(rows) == 1024:
            time.sleep(0.1)  # 98 microseconds a row
        return rows[:, 0]

    seen, _ = sizes_seen(slower, n=5000)
    large = [n for n in seen if n > 128]
    # Tried once, on a chunk and its two transformations.
    assert large.count(1024) == 3
    assert large.count(512) > 3


def test_a_quick_model_that_takes_no_larger_chunks_goes_on_with_small_ones():
    def fixed(rows):  # writes to a buffer of its own
        buffer = np.zeros(200)
        buffer[: len(rows)] = rows[:, 0] * rows[:, 1]
        return buffer[: len(rows)].copy()

    seen, table = sizes_seen(fixed)
    assert seen.count(512) == 1  # tried once
    _, small = sizes_seen(fixed, batch_size=128)
    assert np.array_equal(table.only.pair_sq, small.only.pair_sq)

    def never(rows):
        if len(rows) > 128:
            return fixed(rows)
        if len(seen) > 60:
            raise RuntimeError("no more")
        return fixed(rows)

    with pytest.raises(RuntimeError, match="no more"):
        sizes_seen(never)
