"""Transformations that are ready to act: one program for all of them."""

from collections import Counter
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from leaf_words import cases

import equiprob as ep
from equiprob.levels.predictor import AveragedPredictor
from equiprob.transforms.acting import displacement

T = ep.transforms
N, BATCH = 40, 8
X = np.random.default_rng(0).normal(size=(N, 4, 2)).astype(np.float32)
WEIGHTS = np.array([[1.0, 0.3], [-0.2, 0.7]], np.float32)
TURN = T.rotations2d(acts_on="vectors", output_action="vectors")
COMPILED = "/jax/core/compile/backend_compile_duration"


def model():
    """A new function each time, of which nothing has been compiled."""
    return lambda x: jnp.tanh(x @ WEIGHTS)


@contextmanager
def programs(*, of=None):
    """Count the programs compiled meanwhile, by the name of their function; all, or those named."""
    found = Counter()

    def listen(event, _, fun_name="", **others):
        name = fun_name.removeprefix("jit(").removesuffix(")")
        if event == COMPILED and (of is None or name in of):
            found[name] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def averaged(predict):
    parameters = TURN.parameters(np.array([[0.1], [0.4]]))
    return AveragedPredictor(predict, TURN, parameters, np.full(2, 0.5), 0.3)


def evaluated(predict):
    ep.evaluate_orbits(predict, X, TURN, n_transforms=4, batch_size=BATCH, progress=False)


def searched(predict):
    ep.worst_case(predict, X, TURN, n_starts=2, n_steps=2, batch_size=BATCH)


def differentiated(predict):
    ep.LocalEquivarianceError(n_draws=20).fit(predict, X, TURN, batch_size=BATCH)


def predicted(predict):
    average = averaged(jax.jit(predict))
    for start in range(0, N, BATCH):
        average(X[start : start + BATCH])


MODELS_PROGRAMS = {
    evaluated: {"run": 1},
    searched: {"run": 2, "total": 1},  # several starts, then one step after the other
    differentiated: {"along": 1, "motion": 1},
    predicted: {"<lambda>": 1},
}


@pytest.mark.parametrize("use", MODELS_PROGRAMS)
def test_chunks_share_their_programs(use):
    expected = MODELS_PROGRAMS[use]
    with programs(of=expected) as found:
        use(model())
    assert found == expected  # five chunks each


def test_the_count_of_programs_has_power():
    with programs(of={"total"}) as found:
        for start in range(0, N, BATCH):  # as worst_case did: a new function for each chunk

            def total(weights, chunk=X[start : start + BATCH]):
                return jnp.tanh(chunk @ weights).sum()

            jax.jit(jax.grad(total))(WEIGHTS)
    assert found["total"] == N / BATCH


def test_moves_are_an_argument_of_compiled_functions_scans_and_derivatives():
    predict = model()
    acting = TURN.on(X, X)
    angles = np.random.default_rng(1).uniform(-np.pi, np.pi, (3, N, 1))
    apart = [displacement(predict, acting.at(each), X)[0] for each in angles]

    step = jax.jit(lambda moves, x: displacement(predict, moves, x)[0])
    with programs() as found:
        compiled = [step(acting.at(each), X) for each in angles]
    assert found == {"<lambda>": 1}
    np.testing.assert_allclose(compiled, apart, atol=1e-6)

    moves = acting.at(np.moveaxis(angles, 0, 1), by="transformation")
    around = lambda _, one: (None, one.around(predict, X))  # noqa: E731
    scanned = jax.jit(lambda moves: jax.lax.scan(around, None, moves)[1])(moves)
    np.testing.assert_allclose(scanned - predict(X), apart, atol=1e-6)

    # Both derivatives against a difference, of an error of order step^2 plus rounding / step.
    size = lambda moves: (displacement(predict, moves, X)[0] ** 2).sum(axis=(1, 2))  # noqa: E731
    direction, here = np.ones(1), angles[0]
    difference = (size(acting.at(here + 1e-2)) - size(acting.at(here - 1e-2))) / 2e-2
    _, along = jax.jvp(size, (acting.at(here),), (acting.rates(here, direction, 1e-5),))
    np.testing.assert_allclose(along, difference, atol=2e-2)
    assert np.abs(difference).max() > 1

    gradient = jax.grad(lambda moves: size(moves).sum())(acting.at(here))
    uniforms = (here + np.pi) / (2 * np.pi)  # the angle is 2 pi u - pi
    slopes = acting.slopes(gradient, uniforms, 1e-4)[:, 0]
    np.testing.assert_allclose(slopes, 2 * np.pi * along, rtol=1e-3, atol=1e-3)


def test_whole_numbers_of_moves_have_no_derivative():
    both = T.product(TURN, T.permutations(4, acts_on="permuted", output_action="permuted"))
    predict, acting = model(), both.on(X, X)
    uniforms = np.random.default_rng(2).random((N, both.n_uniforms))
    parameters = both.parameters(uniforms)
    moves, direction = acting.at(parameters), np.eye(both.identity.size)[0]

    def size(moves):
        return (displacement(predict, moves, X)[0] ** 2).sum()

    rates = acting.rates(parameters, direction, 1e-5)
    _, along = jax.jvp(size, (moves,), (rates,))
    gradient = jax.grad(size, allow_int=True)(moves)
    slopes = acting.slopes(gradient, uniforms, 1e-4)
    assert float(along) != 0
    np.testing.assert_allclose(slopes[:, 0].sum(), 2 * np.pi * along, rtol=1e-3)
    np.testing.assert_array_equal(slopes[:, 1:], 0)


def test_one_transformation_for_all_rows_is_one_for_each():
    acting, angle = TURN.on(X, X), np.array([0.7])
    shared, each = acting.at(angle), acting.at(np.full((N, 1), 0.7))
    np.testing.assert_array_equal(shared.move(X), each.move(X))
    np.testing.assert_array_equal(shared.back(shared.move(X)), each.back(each.move(X)))
    forth = acting.at(angle, outputs="forth")
    np.testing.assert_array_equal(forth.forth(X), shared.move(X))
    traced = jax.jit(lambda moves, x: moves.move(x))(shared, X)
    np.testing.assert_allclose(traced, shared.move(X), atol=1e-6)


def test_where_nothing_moves_nothing_is_measured():
    still = T.rotations2d(acts_on="invariant")
    for backend in ("jax", "python"):
        table = ep.evaluate_orbits(model(), X, still, backend=backend, progress=False)
        np.testing.assert_array_equal(table.only.pair_sq, 0)
        assert np.abs(table.only.base).max() > 0.1


# ---- kernels: leading axes are batch axes, in each library ---------------------------------------

CASES = cases()


def several(transform, leaf, n=4):
    """Return rows in float32, and the action and arrays of `n` transformations for each."""
    x = leaf.rows(np.float32)
    generator = np.random.default_rng(3)
    parameters = transform.sample_many(generator, n * len(x)).reshape(len(x), n, -1)
    moves = transform.on(x).at(parameters, by="transformation")
    return x, moves.inward.actions[0], moves.there[0]


@pytest.mark.parametrize(("transform", "leaf"), CASES.values(), ids=CASES.keys())
def test_batch_axes_are_one_row_after_the_other(transform, leaf):
    x, action, arrays = several(transform, leaf)
    at = lambda *place: {name: values[place] for name, values in arrays.items()}  # noqa: E731
    rows = [[action.apply(at(j, i), row, 0) for i, row in enumerate(x)] for j in range(4)]
    exact = {"rtol": 0, "atol": 0 if leaf.kind == "i" else 2e-6 * max(np.abs(x).max(), 1)}
    np.testing.assert_allclose([action.apply(at(j), x, 1) for j in range(4)], rows, **exact)
    # What no transformation moves keeps an axis of length 1.
    block = action.apply(arrays, x[None], 2)
    np.testing.assert_allclose(np.broadcast_to(block, np.shape(rows)), rows, **exact)
    shared = {name: values[:, :1] for name, values in arrays.items()}
    alike = [[action.apply(at(j, 0), row, 0) for row in x] for j in range(4)]
    block = action.apply(shared, x[None], 2)
    np.testing.assert_allclose(np.broadcast_to(block, np.shape(alike)), alike, **exact)


def test_the_test_of_batch_axes_has_power():
    """An action that takes the first transformation for all rows differs from row by row."""
    x, action, arrays = several(*next(iter(CASES.values())))
    first = {name: np.broadcast_to(values[:, :1], values.shape) for name, values in arrays.items()}
    assert np.abs(action.apply(first, x[None], 2) - action.apply(arrays, x[None], 2)).max() > 0.1


def test_leaves_that_no_transformation_moves_are_given_to_every_call():
    shift = T.translations(1.0, acts_on={"r": "points", "v": "vectors"}, output_action="points")
    x = {"r": X, "v": X[:, 0]}
    predict = lambda x: jnp.tanh(x["v"])[:, None] + x["r"] * jnp.array([1.0, 0.9])  # noqa: E731
    tables = [
        ep.evaluate_orbits(predict, x, shift, n_transforms=3, backend=backend, progress=False)
        for backend in ("python", "jax")
    ]
    found = [np.sqrt(table.only.pair_sq.mean()) for table in tables]
    assert found[0] > 0.01
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_a_recommended_model_may_be_a_part_of_another_compiled_function():
    """What rotations of space are is computed by JAX, and must stay numbers while it traces."""
    turn = T.rotations3d(acts_on="vectors", output_action="vectors")
    x = np.random.default_rng(4).normal(size=(6, 3)).astype(np.float32)
    parameters = turn.parameters(np.random.default_rng(5).random((2, 3)))
    average = AveragedPredictor(jnp.tanh, turn, parameters, np.full(2, 0.5), 0.0)
    np.testing.assert_allclose(jax.jit(average)(x), average(x), atol=1e-6)
