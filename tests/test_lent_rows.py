"""Models are lent their rows: they alter none, and what is masked never counts as data."""

import ctypes

import dask.array
import jax
import numpy as np
import pytest
import xarray
from refusals import refuses

import equiprob as ep
from equiprob.arguments.lending import Lent

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 2))
FLAT = ep.transforms.rotations2d(acts_on="vectors")
MASKED = np.ma.masked_array(X.copy(), mask=np.zeros(X.shape, bool))
MASKED[7, 1], MASKED[250, 0] = np.ma.masked, np.ma.masked
MASKED.data[MASKED.mask] = 1e20  # what netCDF puts there


def first(batch):
    return np.asarray(batch)[:, 0]


def doubles(batch):
    batch *= 2
    return batch[:, 0]


def sorts(batch):
    batch.sort(axis=1)
    return batch[:, 0]


def doubles_as_c_does(batch):
    """Double the batch where it lies, whatever its flags say: as torch.from_numpy would."""
    there = (ctypes.c_double * batch.size).from_address(batch.ctypes.data)
    np.ctypeslib.as_array(there)[:] *= 2
    return np.array(batch[:, 0])


def evaluate(predict=first, x=X, transform=FLAT, **arguments):
    return ep.evaluate_orbits(predict, x, transform, n_transforms=4, **arguments)


# ---- models that write into their input -----------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("predict", [doubles, sorts], ids=["product", "sort"])
def test_a_model_that_writes_into_its_input_is_told_to_copy(predict, batch_size):
    x = X.copy()
    with refuses("read-only", r"work on a copy \(x = np.array\(x\)\)", error=RuntimeError):
        evaluate(predict, x, backend="python", batch_size=batch_size)
    np.testing.assert_array_equal(x, X)


def test_one_that_writes_past_the_flag_is_found_and_alters_nothing():
    x = X.copy()
    with refuses("predict writes into its input", "torch.tensor copies"):
        evaluate(doubles_as_c_does, x)
    np.testing.assert_array_equal(x, X)


def test_one_that_writes_only_later_is_found_too():
    x = X.copy()

    def late(batch):
        return doubles_as_c_does(batch) if (batch == X[200]).all(axis=1).any() else first(batch)

    with refuses("predict writes into its input"):
        evaluate(late, x, batch_size=50)
    np.testing.assert_array_equal(x, X)


def test_leaves_that_do_not_move_are_lent_as_well():
    x = {"r": X.copy(), "q": X[:, :1].copy()}
    charged = ep.transforms.rotations2d(acts_on={"r": "vectors", "q": "invariant"})

    def predict(batch):
        batch["q"][:] += 1
        return batch["r"][:, 0] * batch["q"][:, 0]

    with refuses("read-only", error=RuntimeError):
        evaluate(predict, x, charged)
    np.testing.assert_array_equal(x["q"], X[:, :1])


def test_a_copy_is_all_it_takes():
    def predict(batch):
        batch = np.array(batch)
        batch *= 2
        return batch[:, 0]

    once, twice = evaluate(backend="python"), evaluate(predict, backend="python")
    np.testing.assert_allclose(twice.only.pair_sq, 4 * once.only.pair_sq)


def test_whoever_else_calls_a_model_or_an_action_lends_rows_too():
    x = X.copy()
    with refuses("read-only", error=RuntimeError):
        ep.check_action(FLAT, x, predict=doubles)
    with refuses("read-only", error=RuntimeError):
        ep.worst_case(doubles, x, FLAT, backend="python", n_starts=2, n_steps=1)
    np.testing.assert_array_equal(x, X)


def test_actions_may_write_into_their_copy_of_a_row():
    def shifted(angle, row):
        return np.asarray(row) + angle[0]

    def shifts(angle, row):
        if isinstance(row, jax.core.Tracer):  # NumPy's own is written in place
            return shifted(angle, row)
        row += angle[0]
        return row

    x = X.copy()
    pure, written = (
        evaluate(first, x, ep.transforms.rotations2d(acts_on=ep.transforms.Action(action)))
        for action in (shifted, shifts)
    )
    np.testing.assert_array_equal(written.only.pair_sq, pure.only.pair_sq)
    np.testing.assert_array_equal(x, X)


def test_what_is_lent_is_a_copy_that_is_looked_at():
    lent = Lent.of({"a": X, "b": jax.numpy.arange(3)})
    assert not np.shares_memory(lent.x["a"], X)
    assert not lent.x["a"].flags.writeable
    lent.require_unchanged()
    lent.x["a"].flags.writeable = True
    lent.x["a"][0, 0] += 1
    with refuses("predict writes"):
        lent.require_unchanged()


# ---- masked arrays --------------------------------------------------------------------------


def test_the_fill_value_is_what_would_have_counted():
    """Power: without its mask, one entry in 300 decides the error."""
    table = evaluate(x=np.asarray(MASKED))
    assert np.sqrt(table.only.pair_sq.mean()) > 1e18


@pytest.mark.parametrize(
    "x",
    [
        MASKED,
        {"a": MASKED, "b": X},
        dask.array.from_array(MASKED),
        lambda: iter([MASKED[:100], MASKED[100:]]),
    ],
    ids=["array", "leaf", "dask", "stream"],
)
def test_masked_inputs_are_refused_with_what_to_do(x):
    x = x() if callable(x) else x
    leaf = isinstance(x, dict)
    moved = ep.transforms.rotations2d(
        acts_on={"a": "vectors", "b": "vectors"} if leaf else "vectors"
    )
    with refuses("x.* masked entries", "drop their rows, or fill them", "ep.Output"):
        evaluate(lambda b: first(b["a"] if leaf else b), x, moved)


def test_xarray_has_nan_where_arrays_were_masked():
    for values in (MASKED, dask.array.from_array(MASKED)):
        with refuses(r"x is not finite \(NaN or infinity\) in rows \[7"):
            evaluate(x=xarray.DataArray(values))


@pytest.mark.parametrize("streamed", [False, True])
def test_masked_targets_are_refused(streamed):
    x = iter([(X[:100], MASKED[:100, 1]), (X[100:], MASKED[100:, 1])]) if streamed else X
    with refuses("y has 1 masked entries"):
        evaluate(x=x, **({} if streamed else {"y": MASKED[:, 1]}))


def test_masked_targets_in_declared_padding_are_padding():
    data = ~MASKED.mask
    output = ep.Output(mask=data)
    both = lambda batch: np.asarray(batch)  # noqa: E731
    table = evaluate(both, y=MASKED, outputs=output)
    assert table.only.y is not None
    assert np.abs(table.only.y).max() < 10
    with refuses("masked entries"):  # of which one is beyond the padding
        data = data.copy()
        data[7, 1] = True
        evaluate(both, y=MASKED, outputs=ep.Output(mask=data))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ep.InvarianceCheck(n_draws=50).fit(MASKED, FLAT),
        lambda: ep.Geometry().fit(MASKED, FLAT),
        lambda: ep.check_action(FLAT, MASKED),
        lambda: ep.worst_case(first, MASKED, FLAT),
        lambda: ep.cross_fit(lambda x, y: first, MASKED, X[:, 0], FLAT),
        lambda: ep.padded([{"r": MASKED[:10]}, {"r": MASKED[:3]}]),
        lambda: ep.padded([{"r": list(MASKED[:10])}, {"r": X[:3]}]),
    ],
    ids=["law", "geometry", "action", "worst case", "cross-fit", "padded", "list"],
)
def test_everything_that_takes_rows_refuses_masks(call):
    with refuses("masked entries"):
        call()


def test_arrays_with_nothing_masked_are_arrays():
    unmasked = np.ma.masked_array(X, mask=np.zeros(X.shape, bool))
    np.testing.assert_array_equal(evaluate(x=unmasked).only.pair_sq, evaluate().only.pair_sq)


@pytest.mark.parametrize("as_list", [False, True])
def test_masked_outputs_are_outputs_that_are_not_finite(as_list):

    def predict(batch):
        batch = np.asarray(batch)
        far = np.linalg.norm(batch, axis=1) > 1.5
        values = np.ma.masked_array(np.where(far[:, None], 1e20, batch), np.c_[far, far])
        return list(values) if as_list else values

    table = evaluate(predict, backend="python")
    far = np.linalg.norm(X, axis=1) > 1.5
    np.testing.assert_array_equal(table.nonfinite_rows, np.flatnonzero(far))
    assert np.isfinite(table.finite.only.pair_sq).all()
