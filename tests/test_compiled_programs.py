"""Programs are compiled once for each model and shape, and never outlive the model's arrays."""

import gc
import logging
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.orbits import programs

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def evaluate(predict, x=X, transform=TURN, **arguments):
    return ep.evaluate_orbits(predict, x, transform, n_transforms=5, **arguments)


class Compilations(logging.Handler):
    """Collects what JAX compiles."""

    def __init__(self):
        super().__init__()
        self.names = []

    def emit(self, record):
        message = record.getMessage()
        if message.startswith("Finished XLA compilation"):
            self.names.append(message)

    def __enter__(self):
        self._loggers = [logging.getLogger(f"jax._src.{m}") for m in ("dispatch", "interpreters")]
        self._context = jax.log_compiles()
        self._context.__enter__()
        for logger in self._loggers:
            logger.addHandler(self)
            logger.propagate = False
        return self

    def __exit__(self, *error):
        for logger in self._loggers:
            logger.removeHandler(self)
            logger.propagate = True
        self._context.__exit__(*error)


class Linear:
    """A model whose prediction is a bound method, and which counts its traces."""

    def __init__(self, weights):
        self.weights = weights
        self.n_calls = 0

    def predict(self, x):
        self.n_calls += 1
        return x @ self.weights


def bent(x):
    return jnp.tanh(x @ jnp.array([[1.0, 0.4], [-0.7, 0.5]]))


@pytest.mark.parametrize("kind", ["function", "jitted", "bound method"])
def test_a_second_call_compiles_nothing(kind):
    model = Linear(jnp.array([[1.0, 0.4], [-0.7, 0.5]]))
    compiled = jax.jit(model.predict)
    function = model.predict
    get = {"function": lambda: function, "jitted": lambda: compiled}.get(
        kind, lambda: model.predict
    )
    with Compilations() as first:
        evaluate(get())
    assert any("run" in name for name in first.names)
    calls = model.n_calls
    with Compilations() as second:
        evaluate(get(), x=X + 1, seed=7)  # other values of the same shapes
        evaluate(
            get(),
            transform=ep.transforms.rotations2d(0.3, acts_on="vectors", output_action="vectors"),
        )
    assert second.names == []
    # Tracing, to recognize the model, is all that runs its Python again.
    assert model.n_calls - calls <= 2 * calls


def test_more_rows_and_other_seeds_use_the_same_program():
    evaluate(bent, batch_size=24)
    with Compilations() as more:
        evaluate(bent, x=np.concatenate([X, X[:11] + 1]), batch_size=24, seed=1)
    assert not [name for name in more.names if "run" in name]


def expected_displacement(weights, table):
    x = X.astype(np.float64)
    moved = [
        np.concatenate(
            [TURN.undo_on_output(g, TURN.apply(g, row[None]) @ weights) for g in parameters]
        )
        for row, parameters in zip(x, table.parameters(), strict=True)
    ]
    return np.stack(moved) - (x @ weights)[:, None]


def overwritten_numpy():
    weights = rng.normal(size=(2, 2)).astype(np.float32)

    def overwrite(new):
        weights[:] = new

    return (lambda x: x @ weights), overwrite


def jitted_overwritten_numpy():
    predict, overwrite = overwritten_numpy()
    return jax.jit(predict), overwrite


def replaced_attribute():
    model = Linear(jnp.asarray(rng.normal(size=(2, 2)), dtype=jnp.float32))

    def replace(new):
        model.weights = jnp.asarray(new)

    return model.predict, replace


def replaced_in_dict():
    parameters = {"w": jnp.asarray(rng.normal(size=(2, 2)), dtype=jnp.float32)}
    return (lambda x: jax.lax.cond(x[0, 0] > 1e9, lambda: x, lambda: x @ parameters["w"])), (
        lambda new: parameters.update(w=jnp.asarray(new))
    )


def numpy_model():
    predict, overwrite = overwritten_numpy()
    return (lambda x: predict(np.asarray(x))), overwrite


@pytest.mark.parametrize(
    "make",
    [
        overwritten_numpy,
        jitted_overwritten_numpy,
        replaced_attribute,
        replaced_in_dict,
        numpy_model,
    ],
)
def test_a_model_whose_arrays_changed_gives_new_results(make):
    predict, change = make()
    for _ in range(2):
        weights = rng.normal(size=(2, 2)).astype(np.float32)
        change(weights)
        table = evaluate(predict)
        np.testing.assert_allclose(table.only.raw, expected_displacement(weights, table), atol=1e-5)
        np.testing.assert_allclose(table.only.base, X @ weights, atol=1e-5)


def test_numbers_that_changed_give_new_results():
    scale = [1.0]
    predict = lambda x: scale[0] * x + 1.0  # noqa: E731
    first = evaluate(predict).only.raw
    scale[0] = 1.0000002  # one rounding in float32
    scale[0] *= 2
    second = evaluate(predict).only.base
    np.testing.assert_allclose(second, 2.0000004 * X + 1, atol=1e-6)
    assert first.shape == (24, 5, 2)


def test_the_outcome_of_an_earlier_shape_is_not_reused():
    predict, overwrite = overwritten_numpy()
    for _ in range(2):
        weights = rng.normal(size=(2, 2)).astype(np.float32)
        overwrite(weights)
        for size in (24, 8):
            table = evaluate(predict, batch_size=size)
            np.testing.assert_allclose(table.only.base, X @ weights, atol=1e-5)


def test_models_made_in_a_loop_do_not_meet_in_the_cache():
    """Ids of dead objects are used again: the cache must not take one model for another."""
    for scale in range(1, 5):
        table = evaluate(lambda x, s=float(scale): s * x + 1.0)
        np.testing.assert_allclose(table.only.base, scale * X + 1, rtol=1e-6)


def held_by_programs():
    """Return how many bytes of arrays the cache holds, beside what is compiled."""
    held = [p.traces for p in programs._programs.values()]
    found = 0
    for traces in held:
        for _, captured in traces.values():
            found += sum(len(one.digest) for one in captured)
            found += sum(getattr(one, "nbytes", 0) for one in captured)
    return found


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_a_model_and_its_weights_go_when_nobody_holds_them(as_array):
    model = Linear(as_array(rng.normal(size=(2, 50_000)).astype(np.float32)))
    predict = lambda x, model=model: model.predict(x).sum(axis=1)  # noqa: E731
    scalar = ep.transforms.rotations2d(acts_on="vectors")
    for size in (24, 8):
        for called in (predict, Linear(model.weights[:, :1]).predict):
            evaluate(called, transform=scalar, batch_size=size)
    assert held_by_programs() < 10_000, "digests in place of 400,000 bytes for each size"
    gone, n = weakref.ref(model), len(programs._programs)
    del model, predict, called
    gc.collect()
    assert gone() is None
    assert len(programs._programs) < n


def test_a_random_key_that_a_model_captured_is_recognized():
    key = jax.random.key(0)
    predict = lambda x: x * jax.random.uniform(key)  # noqa: E731
    first = evaluate(predict).only.base
    np.testing.assert_array_equal(evaluate(predict).only.base, first)
    key = jax.random.key(1)
    assert not np.array_equal(evaluate(predict).only.base, first)


@pytest.mark.parametrize(
    "layer",
    [
        jax.nn.relu,
        jax.nn.gelu,
        jax.checkpoint(jnp.tanh),
        lambda x: jax.lax.scan(lambda c, _: (jax.nn.relu(c), None), x, None, length=2)[0],
        lambda x: x + jax.random.normal(jax.random.key(0), x.shape[1:]),
    ],
    ids=["relu", "gelu", "checkpoint", "scan", "fixed key"],
)
def test_deterministic_layers_are_taken_for_repeatable(layer):
    assert evaluate(lambda x: layer(x)).backend == "jax"
