"""A model is a function of its row: not of the batch, of the calls before, or of other threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx_files import linear_file
from refusals import refuses

import equiprob as ep
from equiprob.orbits import python_backend
from equiprob.orbits.jax_backend import JaxBackend
from equiprob.orbits.programs import trace
from equiprob.orbits.row_counts import may_choose_rows, may_use_number_of_rows
from equiprob.orbits.row_wise import judged, require_row_wise
from equiprob.posterior.diagnostics import Diagnostic

rng = np.random.default_rng(0)
N = 300
X = rng.normal(size=(N, 2)).astype(np.float32)
Y = (X**2).sum(axis=1)
W, V = rng.normal(size=(2, 16)).astype(np.float32), rng.normal(size=16).astype(np.float32)
FLAT = ep.transforms.rotations2d(acts_on="vectors")
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")


def batch_norm(x, xp):
    h = xp.asarray(x) @ W
    return xp.tanh((h - h.mean(0)) / (h.std(0) + 1e-5)) @ V


def centred(x, xp):
    return (xp.asarray(x) - xp.asarray(x).mean(0))[:, 0]


def slightly(x, xp):
    """A set that is felt in the fourth digit."""
    return xp.asarray(x)[:, 0] + 1e-3 * xp.asarray(x)[:, 1].mean()


def in_order(x, xp):
    return xp.sort(xp.asarray(x), axis=0)[:, 0]


def summed_up(x, xp):
    return xp.cumsum(xp.asarray(x), axis=0)[:, 0]


def after_the_first(x, xp):
    return xp.asarray(x)[:, 0] - xp.asarray(x)[0, 0]


def network(x, xp):
    return xp.tanh(xp.asarray(x) @ W) @ V


DEPENDENT = [batch_norm, centred, slightly, in_order, summed_up, after_the_first]


def on(xp, model):
    return lambda x: model(x, xp)


def evaluate(predict, x=X, transform=QUARTERS, **arguments):
    settings = {"n_transforms": 4, "progress": False} | arguments
    return ep.evaluate_orbits(predict, x, transform, **settings)


# ---- the batch ------------------------------------------------------------------------------


@pytest.mark.parametrize("xp", [np, jnp], ids=["python", "jax"])
@pytest.mark.parametrize("model", DEPENDENT)
def test_models_that_depend_on_the_batch_are_refused(model, xp):
    with refuses("depends on the batch", r"model.eval\(\)", "batch norm", "batch_dependent=True"):
        evaluate(on(xp, model))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
@pytest.mark.parametrize("model", [batch_norm, centred, summed_up, after_the_first])
def test_they_are_refused_in_small_batches_too(model, batch_size):
    with refuses("depends on the batch"):
        evaluate(on(np, model), batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_they_are_refused_by_jax_in_small_batches_too(batch_size):
    with refuses("depends on the batch"):
        evaluate(on(jnp, centred), batch_size=batch_size)


def of_largest(x, xp):
    return xp.asarray(x)[:, 0] / xp.abs(xp.asarray(x)).max()


def above_the_least(x, xp):
    return xp.asarray(x)[:, 0] - xp.asarray(x).ravel().min()


def below_the_last(x, xp):
    return xp.asarray(x)[:, 0] - xp.sort(xp.asarray(x)[:, 0])[-1]


@pytest.mark.parametrize("xp", [np, jnp], ids=["python", "jax"])
@pytest.mark.parametrize("model", [of_largest, above_the_least, below_the_last])
@pytest.mark.parametrize("n", [5, 20, 128])
def test_a_batch_may_have_a_largest_row_wherever_it_is(model, xp, n):
    """In a batch that holds it the model is what it was: 15 % had passed, of 20 rows 65 %."""
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
        with refuses("depends on the batch"):
            evaluate(on(xp, model), x)


def test_what_a_row_alone_has_a_largest_of_is_its_own_affair():
    def inside(x):
        return jax.nn.softmax(x @ W)[:, 0] + jnp.sort(x, axis=1)[:, 0]

    def looped(x):
        return jax.lax.fori_loop(0, 2, lambda _, h: h / jnp.abs(h).max(), x)[:, 0]

    assert not may_choose_rows(trace(inside, X)[0], N)
    assert may_choose_rows(trace(looped, X)[0], N)
    assert evaluate(inside).backend == "jax"


def test_an_output_that_is_divided_by_the_size_of_the_batch():
    with refuses("depends on the batch"):
        evaluate(lambda x: np.asarray(x)[:, 0] / len(x), batch_size=50)


OF_THE_NUMBER_OF_ROWS = {
    "divided": lambda x: x[:, 0] / x.shape[0],
    "multiplied": lambda x: x[:, 0] * x.shape[0],
    "to the power": lambda x: x[:, 0] ** x.shape[0],
    "another way for many": lambda x: x[:, 0] if x.shape[0] > 10 else -x[:, 0],
    "captured": lambda x: x[:, 0] * np.full(len(x), 1 / len(x), np.float32),
    "compiled": jax.jit(lambda x: x[:, 0] / jnp.sqrt(float(x.shape[0]))),
}
OF_ROWS = {
    "network": lambda x: jnp.tanh(x @ jnp.ones((2, 20))).mean(axis=1),
    "by row": jax.vmap(lambda row: (row**2).sum()),
    "normalised": lambda x: (x - x.mean(axis=1, keepdims=True)).sum(axis=1),
    "reshaped": lambda x: (x.reshape(-1, 1) * 2).reshape(x.shape).sum(axis=1),
    "mapped": lambda x: jax.lax.map(lambda row: row.sum(), x),
    "repeated": lambda x: jnp.repeat(x, 3, axis=0).reshape(len(x), 3, -1).sum(axis=(1, 2)),
    "compiled": jax.jit(lambda x: jnp.sort(x, axis=1)[:, 0]),
}


@pytest.mark.parametrize("name", OF_THE_NUMBER_OF_ROWS)
def test_models_of_the_number_of_rows_are_refused(name):
    with refuses("depends on the batch"):
        evaluate(OF_THE_NUMBER_OF_ROWS[name], X.astype(np.float32), batch_size=20)


@pytest.mark.parametrize("name", OF_ROWS)
def test_models_of_rows_are_not_evaluated_in_fewer(name):
    """A batch of fewer rows is compiled for: it is for models whose trace gives reason alone."""
    for n in (2, 3, 7, 20):
        x = jnp.ones((n, 2), jnp.float32)
        assert not may_use_number_of_rows(OF_ROWS[name], x, trace(OF_ROWS[name], x)[0])


def test_shapes_that_follow_from_the_number_of_rows_condemn_no_model():
    """Rows are padded to a multiple of eight: the trace has other numbers, the rows have not."""

    def padded(x):
        full = jnp.concatenate([x, jnp.zeros((-len(x) % 8, x.shape[1]), x.dtype)])
        return (full**2).sum(axis=1)[: len(x)]

    x = X.astype(np.float32)
    assert may_use_number_of_rows(padded, x[:20], trace(padded, x[:20])[0])
    evaluate(padded, x, batch_size=20)


def test_whoever_else_calls_such_a_model_refuses_it():
    for xp in (np, jnp):
        with refuses("depends on the batch"):
            ep.worst_case(on(xp, centred), X, FLAT, n_starts=2, n_steps=1)
    with refuses("depends on the batch"):
        ep.assert_equivariant(on(np, centred), X, FLAT, max_error=1.0)
    with refuses("depends on the batch"):
        ep.cross_fit(lambda x, y: on(np, centred), X, Y, FLAT)
    with refuses("depends on the batch"):
        ep.LocalEquivarianceError().fit(on(jnp, centred), X, FLAT)
    with refuses("depends on the batch"):
        ep.Generators().fit(on(jnp, centred), X)


def test_declared_such_a_model_is_measured_and_every_result_says_so(tmp_path):
    def errors(**arguments):
        tables = [
            evaluate(on(np, centred), batch_size=size, batch_dependent=True, **arguments)
            for size in (None, 32, 7)
        ]
        return [float(np.sqrt(table.moments.pair_sq.mean())) for table in tables]

    one, _, three = errors()
    assert three < 0.98 * one  # what goes unsaid: the number is one of the batch, too
    path = tmp_path / "orbits.nc"
    settings = {"y": Y, "batch_dependent": True}
    table = evaluate(on(np, centred), checkpoint=path, **settings)
    resumed = evaluate(on(np, centred), checkpoint=path, **settings)
    halves = [evaluate(on(np, centred), X[part], **settings | {"y": Y[part]}) for part in PARTS]
    with refuses("batch_dependent was True there and is False here"):
        evaluate(on(np, network), checkpoint=path, y=Y)
    for each in (table, resumed, ep.merge(*halves), table["output"], table.finite):
        assert each.batch_dependent
    small = {"n_draws": 100}
    error = ep.ModelEquivarianceError(**small).fit(table)
    error.save(tmp_path / "error.nc")
    law = ep.InvariantLaw()
    for result in (
        error,
        ep.load(tmp_path / "error.nc"),
        ep.DataEquivarianceError(**small).fit(table, law=law),
        ep.Stabilizer(tolerance=0.1, **small).fit(table),
        ep.SymmetryLevel(**small).fit(table),
        ep.GeneralizationGap(bound=ep.bounds.Holdout(), **small).fit(halves[1], train=halves[0]),
        ep.compare({"a": table, "b": evaluate(on(np, network), y=Y)}, **small),
        ep.audit(on(np, centred), X, None, QUARTERS, batch_dependent=True, **small)["model"][
            "model_error"
        ],
    ):
        assert Diagnostic.BATCH_DEPENDENT in result.diagnostics
    assert "outputs depend on the batch, as declared" in str(error)
    with refuses("certify a model", "function of each row alone"):
        ep.certify(evaluate(on(np, centred), batch_dependent=True), bound=100.0)


PARTS = (slice(100), slice(100, N))


def test_what_was_declared_of_no_model_is_said_of_none():
    assert not evaluate(on(np, network)).batch_dependent
    error = ep.ModelEquivarianceError(n_draws=100).fit(evaluate(on(np, network)))
    assert Diagnostic.BATCH_DEPENDENT not in error.diagnostics


@pytest.mark.parametrize("batch_size", [None, 7, 1])
def test_networks_are_functions_of_their_rows(batch_size):
    deep = [rng.normal(size=(64, 64)).astype(np.float32) / 6 for _ in range(20)]

    def predict(x, xp):
        h = xp.tile(xp.asarray(x, dtype=np.float32), (1, 32))
        for w in deep:
            h = xp.tanh(h @ w)
        return h[:, :3]

    evaluate(on(np, predict), batch_size=batch_size)
    evaluate(on(jnp, predict), batch_size=batch_size)
    in_double = lambda x: predict(x, np).astype(np.float64)  # noqa: E731
    evaluate(in_double, X.astype(np.float64), batch_size=batch_size)


def test_a_model_made_for_one_number_of_rows_is_given_no_other(tmp_path):
    sizes = set()

    def fixed(x):
        sizes.add(len(x))
        if len(x) != 50:
            raise RuntimeError("expected 50 rows")
        return network(x, np)

    assert evaluate(fixed, batch_size=50).n_finite == N
    assert sizes >= {50, 4}  # it was tried, and may refuse
    with refuses("depends on the batch"):
        evaluate(lambda x: fixed(x) - fixed(x).mean(), batch_size=50)
    path = tmp_path / "linear.onnx"
    linear_file(path, np.ones((2, 1), np.float32))
    assert evaluate(ep.adapters.from_onnx(path)).n_finite == N
    alone = lambda x: np.array([float(np.squeeze(x, axis=0)[0])])  # noqa: E731
    assert evaluate(alone, batch_size=1).n_finite == N


def test_what_rounding_makes_of_a_batch_is_told_from_what_the_batch_makes():
    """Outputs in another batch may differ as they do under a rounding of the input, not by more."""
    acting = FLAT.on(X)
    steep = lambda x: [np.sin(1e3 * x[:, :1].astype(np.float64)).astype(np.float32)]  # noqa: E731

    def shifted(by):
        def outputs_of(x):
            is_first = len(x) == len(X) and np.array_equal(x[1], X[1])
            return steep(x * np.float32(1.0 if is_first else 1 + by))

        return outputs_of

    require_row_wise(shifted(2e-7), X, judged(steep(X)[0], N, {}), acting.moving, may_shorten=True)
    with refuses("depends on the batch"):
        require_row_wise(
            shifted(1e-3), X, judged(steep(X)[0], N, {}), acting.moving, may_shorten=True
        )


# ---- the calls before -----------------------------------------------------------------------


class Drifting:
    """Drifts after some calls, as a counter, a cache or a running average makes a model do."""

    def __init__(self, after):
        self.after, self.calls = after, 0

    def __call__(self, x):
        self.calls += 1
        return network(x, np) * (1 + 0.05 * max(0, self.calls - self.after))


@pytest.mark.parametrize("after", [0, 2])
def test_a_model_that_changes_at_once_is_not_repeatable(after):
    with refuses("not repeatable"):
        evaluate(Drifting(after), backend="python")


@pytest.mark.parametrize("after", [5, 12])
def test_a_model_that_changes_during_the_pass_is_refused(after, tmp_path):
    settings = {"backend": "python", "batch_size": 100, "checkpoint": tmp_path / "orbits.nc"}
    with refuses("predict changed during the pass", "4 of 4 rows", "counter, a cache, running"):
        evaluate(Drifting(after), **settings)
    # What was written is of no use, and the next call must not take it for good.
    assert not settings["checkpoint"].exists()
    assert evaluate(Drifting(1000), **settings).n_finite == N


def test_a_callback_may_not_change_either():
    model = Drifting(3)

    def predict(x):
        return jax.pure_callback(lambda x: model(np.asarray(x)), jnp.zeros(len(x)), x)

    with refuses("(changed during the pass|not repeatable)"):
        evaluate(predict, backend="jax", batch_size=100)


def test_a_stream_and_a_rule_are_looked_at_too():
    with refuses("predict changed during the pass"):
        evaluate(Drifting(8), iter([X[:150], X[150:]]), batch_size=50, keep="blocks")
    with refuses("predict changed during the pass"):
        rule = lambda table: "enough" if len(table) >= 150 else None  # noqa: E731
        evaluate(Drifting(8), backend="python", batch_size=50, stop_when=rule)


def test_looking_again_costs_few_rows():
    counted = []

    def predict(x):
        counted.append(len(x))
        return network(np.asarray(x), np)

    x = np.tile(X, (4, 1)) + rng.normal(size=(4 * N, 2)).astype(np.float32)
    table = evaluate(predict, x, backend="python", batch_size=100)
    once = len(x) * (1 + table.count[0])
    again = 1 + 2  # half a hundredth twice, a hundredth changed by roundings, one of the rows
    assert sum(counted) - once <= again / 100 * once + 2 * 4
    assert {2, 40, 48} <= set(counted)  # alone, in another order, and changed


@pytest.mark.parametrize("n", [8, 100])
def test_a_compiled_model_is_looked_at_in_one_batch(n):
    with mock.patch.object(
        JaxBackend, "outputs_at", autospec=True, side_effect=JaxBackend.outputs_at
    ) as looks:
        evaluate(on(jnp, network), X[:n])
    assert looks.call_count == 1


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_model_that_is_random_on_some_rows_is_refused(share):
    """Always the same rows: 44 are looked at, and miss a fifth of the rows once in 10^4."""
    draw = np.random.default_rng(0)

    def predict(x):
        lucky = np.floor(1e4 * np.linalg.norm(x, axis=1)) % round(1 / share) == 0
        return network(x, np) + 0.1 * lucky * draw.normal(size=len(x))

    with refuses("not repeatable"):
        evaluate(predict, X[:100], backend="python")


# ---- other threads --------------------------------------------------------------------------


class OneBuffer:
    """Returns the same array at each call."""

    def __init__(self):
        self.out = np.empty(128)

    def __call__(self, x):
        out = self.out[: len(x)]
        out[:] = network(x, np)
        time.sleep(2e-4)  # another thread's turn
        return out


class OneBufferOfEachSize:
    """Returns the same array whenever it is asked about as many rows, as compiled models may."""

    def __init__(self):
        self.out = {}

    def __call__(self, x):
        out = self.out.setdefault(len(x), np.empty(len(x)))
        out[:] = network(x, np)
        time.sleep(2e-4)
        return out


class OneScratch:
    """Keeps what it computes in between in one place."""

    def __init__(self):
        self.between = np.empty((128, 16))

    def __call__(self, x):
        between = self.between[: len(x)]
        between[:] = np.tanh(np.asarray(x) @ W)
        time.sleep(2e-4)
        return between @ V


def squares(predict, threads):
    with ThreadPoolExecutor(threads) as pool:
        return evaluate(predict, backend="python", batch_size=10, executor=pool).only.pair_sq


def test_a_model_with_one_buffer_is_called_by_one_thread_at_a_time(monkeypatch):
    expected = evaluate(on(np, network), backend="python", batch_size=10).only.pair_sq
    np.testing.assert_allclose(squares(OneBuffer(), 4), expected, rtol=1e-4)
    # Power: without the lock the numbers are others, and that is noticed at the end.
    monkeypatch.setattr(python_backend, "_share_memory", lambda *_: False)
    with refuses("changed during the pass", "several threads", "ProcessPoolExecutor"):
        squares(OneBuffer(), 4)


def test_a_model_with_one_scratch_is_noticed():
    with refuses("changed during the pass", "several threads"):
        squares(OneScratch(), 4)
    assert np.isfinite(squares(OneScratch(), 1)).all()


def test_threads_do_not_wait_for_a_model_that_returns_a_view_of_its_input():
    engine = python_backend.PythonBackend(lambda x: x[:, 0], FLAT, X)
    assert engine._alone is None
    for looked_at in (None, 32):
        for model in (OneBuffer(), OneBufferOfEachSize()):
            engine = python_backend.PythonBackend(model, FLAT, X[:100], looked_at=looked_at)
            assert engine._alone is not None
