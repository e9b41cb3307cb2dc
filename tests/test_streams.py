"""Rows that stream past, blocks of bounded size, and tables that are merged."""

import pickle
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from refusals import refuses

import equiprob as ep
from equiprob.orbits.storage.blocks import N_TOP, BlockSums
from equiprob.posterior.row_means import RowMeans

rng = np.random.default_rng(3)
N = 1500
X = rng.normal(size=(N, 2))
Y = X @ rng.normal(size=(2, 2)) + 100  # far from zero, where sums of squares lose digits
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
W = np.array([[1.0, 0.4], [-0.7, 0.5]])


def model(x):
    return x @ W + x**2


def evaluate(x=X, y=Y, keep="rows", *, predict=model, n_transforms=4, **arguments):
    return ep.evaluate_orbits(
        predict, x, TURN, y=y, n_transforms=n_transforms, keep=keep, progress=False, **arguments
    )


def in_batches(*sizes, y=Y):
    start = 0
    for size in (*sizes, N - sum(sizes)):
        part = slice(start, start + size)
        yield X[part] if y is None else (X[part], y[part])
        start += size


def assert_same_rows(table, expected):
    np.testing.assert_array_equal(table.row_ids, expected.row_ids)
    np.testing.assert_array_equal(table.unit_ids, expected.unit_ids)
    for name, value in vars(expected.only).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(getattr(table.only, name), value, rtol=1e-12, atol=1e-12)


def sums(table):
    """Sums over all rows of quadratic forms, from rows or from blocks of them."""
    s, mass = table.moments, np.ones(len(table.row_ids)) if table.mass is None else table.mass
    average = table.design.average(s.displacement)
    columns = {
        "pair_sq": s.pair_sq,
        "risk": ((s.y - s.base) ** 2).sum(axis=1),
        "risk of the average": ((s.y - s.base - average) ** 2).sum(axis=1),
        "cross": (s.displacement[:, 0] * s.displacement[:, 1]).sum(axis=1),
        "y.y": (s.y**2).sum(axis=1),
        "bins": s.bin_sq,
        "bin weights": s.bin_weight,
    }
    return {name: mass @ column for name, column in columns.items()}


def assert_same_sums(table, expected, rtol=1e-9):
    assert table.n_finite == expected.n_finite
    one, other = sums(table), sums(expected)
    for name in other:
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, err_msg=name)


@pytest.fixture(scope="module")
def whole():
    return evaluate()


# ---- where rows may come from ---------------------------------------------------------------


def memmap(path):
    for name, array in (("x", X), ("y", Y)):
        np.save(path / name, array)
    return (np.load(path / f"{name}.npy", mmap_mode="r") for name in "xy")


def zarrs(path):
    made = zarr.create_array(path / "x.zarr", shape=X.shape, chunks=(400, 2), dtype="f8")
    made[:] = X
    return made, Y


def hdf5(path):
    with h5py.File(path / "rows.h5", "w") as file:
        file["x"], file["y"] = X, Y
    file = h5py.File(path / "rows.h5")
    return file["x"], file["y"]


def datasets(path):
    xr.Dataset({"place": (("row", "axis"), X)}).to_netcdf(path / "x.nc", engine="h5netcdf")
    return xr.open_dataset(path / "x.nc", engine="h5netcdf"), Y


def data_arrays(path):
    return xr.DataArray(X, dims=("row", "axis")), xr.DataArray(Y, dims=("row", "axis"))


STORED = [memmap, zarrs, hdf5, data_arrays]


@pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.__name__)
def test_stored_rows_give_the_table_of_rows_in_memory(stored, tmp_path, whole):
    x, y = stored(tmp_path)
    table = evaluate(x, y, batch_size=128)
    assert_same_rows(table, whole)
    assert len(table) == N


class Counted:
    """An array that is not in memory, and counts the rows that are read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.n_read = values, values.shape, values.dtype, 0

    def __getitem__(self, rows):
        found = self.values[rows]
        self.n_read += len(found)
        return found


@pytest.mark.parametrize("stored", [memmap, zarrs, hdf5], ids=lambda stored: stored.__name__)
def test_rows_left_out_do_not_read_the_others(stored, tmp_path):
    """One row without a finite output: the table of the others had read the whole array."""
    counted = Counted(X)
    for x in (counted, next(iter(stored(tmp_path)))):
        bad = lambda rows: np.where((rows == X[7]).all(axis=1), np.nan, rows[:, 0])  # noqa: E731
        turn = ep.transforms.rotations2d(acts_on="vectors")
        table = ep.evaluate_orbits(bad, x, turn, n_transforms=2, keep="rows", backend="python")
        n_read = counted.n_read
        finite = table.finite
        assert (finite.x.shape, finite.x.ndim, len(finite.x)) == ((N - 1, 2), 2, N - 1)
        assert counted.n_read == n_read
        again = finite.rows(finite.row_ids[[5, 30, 3]])
        np.testing.assert_array_equal(again.x[1:], X[[31, 3]])
        np.testing.assert_array_equal(finite.x[5:9, 1], X[[5, 6, 8, 9], 1])
        np.testing.assert_array_equal(np.asarray(finite.x), np.delete(X, 7, axis=0))


def test_a_dataset_is_a_dict_of_its_variables(tmp_path, whole):
    x, y = datasets(tmp_path)
    turn = ep.transforms.rotations2d(acts_on={"place": "vectors"}, output_action="vectors")
    table = ep.evaluate_orbits(
        lambda x: model(x["place"]), x, turn, y=y, n_transforms=4, keep="rows"
    )
    assert_same_rows(table, whole)
    x.close()


@pytest.mark.parametrize("sizes", [(7, 500, 1), (1499,), ()])
def test_batches_of_any_size_give_the_table_of_rows_in_memory(sizes, whole):
    table = evaluate(in_batches(*sizes), None)
    assert_same_rows(table, whole)
    assert table.x is None


def test_a_stream_is_read_once_and_no_further_than_is_needed():
    produced, evaluated = [], []

    def batches():
        for start in range(0, N, 100):
            produced.append((start, max(evaluated, default=0)))
            yield X[start : start + 100]

    def slow(x):
        evaluated.append(evaluated[-1] + len(x) if evaluated else len(x))
        return np.asarray(x) @ W

    table = evaluate(batches(), None, predict=slow, batch_size=100)
    assert len(table) == N == len(produced) * 100
    # Each batch is asked for after the one before has been evaluated at every transformation.
    assert all(seen >= start for start, seen in produced)


def test_equal_rows_of_a_stream_are_told_apart(whole):
    twice = np.concatenate([X[:50], X[:50]])
    streamed = evaluate(iter([twice[:30], twice[30:]]), None)
    np.testing.assert_array_equal(streamed.row_ids, evaluate(twice, None).row_ids)
    assert len(np.unique(streamed.row_ids)) == 100


def test_labels_and_groups_of_a_stream(whole):
    labels, groups = np.arange(N), np.arange(N) // 5
    table = evaluate(in_batches(700), None, row_ids=labels, groups=groups)
    expected = evaluate(row_ids=labels, groups=groups)
    assert_same_rows(table, expected)
    assert table.grouped


def test_what_is_wrong_in_a_stream_is_named():
    bad = X.copy()
    bad[123, 0] = np.nan
    with refuses("not finite", "123"):
        evaluate(iter([bad[:100], bad[100:]]), None)
    with refuses("leave y out"):
        evaluate(in_batches(3))
    with refuses("must be the inputs or", "tuple of 3"):
        evaluate(iter([(X, Y, Y)]), None)
    with refuses("ended after 100", "1500"):
        evaluate(iter([X[:100]]))
    with refuses("ended after 0 row", "at least 2"):
        evaluate(iter([]), None)
    with refuses("y has rows of shape"):
        evaluate(iter([(X, np.zeros((N, 3)))]), None)
    with refuses("same length"):
        evaluate(X[:100].view(np.memmap), Y)


# ---- blocks ---------------------------------------------------------------------------------


def test_sums_over_blocks_are_sums_over_rows_to_rounding(whole):
    for x, y in ((X, Y), (in_batches(7, 500, 1), None)):
        assert_same_sums(evaluate(x, y, keep="blocks"), whole)


def test_the_test_of_sums_has_power(whole):
    short = evaluate(X[:-1], Y[:-1], keep="blocks")
    other = evaluate(keep="blocks", seed=1)
    float32 = Y.astype(np.float32).astype(np.float64)
    for wrong in (short, other, evaluate(y=float32, keep="blocks")):
        with pytest.raises(AssertionError):
            assert_same_sums(wrong, whole)


@pytest.mark.parametrize("n", [2000, 12_000])
def test_posteriors_of_blocks_are_those_of_rows(n):
    x = np.random.default_rng(n).normal(size=(n, 2))
    y = x + np.random.default_rng(0).standard_t(3, size=(n, 2))
    rows, blocks = (
        ep.ModelEquivarianceError().fit(evaluate(x, y, keep=keep, batch_size=2000))
        for keep in ("rows", "blocks")
    )
    assert rows.facts.tail_index == pytest.approx(blocks.facts.tail_index)
    assert rows.diagnostics == blocks.diagnostics
    for name in ("error", "risk"):
        one, other = rows.draws[name], blocks.draws[name]
        if n > 10_000 and name in ("error", "risk"):
            # Rows of a table this long are weighed in the same blocks, and have the same tails.
            np.testing.assert_allclose(one, other, rtol=1e-9)
        # Otherwise weights are others' (by block), or tails are not known: 4000 draws have Monte
        # Carlo errors of 0.016 and 0.011 standard deviations; 5 of the difference's.
        spread = one.std()
        assert abs(one.mean() - other.mean()) < 5 * 0.023 * spread
        assert abs(one.std() - other.std()) < 5 * 0.016 * spread


def test_tails_of_ratios_are_known_in_part_in_blocks(monkeypatch):
    sizes = np.exp(1.5 * np.random.default_rng(3).normal(size=(len(X), 1)))
    fit = ep.ModelEquivarianceError(n_draws=1000).fit
    rows, blocks = (
        evaluate(X * sizes, keep=keep, predict=lambda x: x @ W) for keep in ("rows", "blocks")
    )

    def width(table, low, high):
        start, end = np.quantile(fit(table).draws["relative_error"], [low, high])
        return end - start

    assert width(blocks, 0.05, 0.95) < width(rows, 0.05, 0.95)
    found = width(blocks, 0.5, 0.99)
    monkeypatch.setattr(RowMeans, "_tail_of_ratio", lambda *_: None)
    # The twin, without tails, which are in the upper half: .17 to .57 of it (5 of `other_draws`).
    assert width(blocks, 0.5, 0.99) < 0.8 * found


def test_blocks_keep_the_extreme_rows_whatever_their_order():
    table, turned = evaluate(keep="blocks"), evaluate(X[::-1], Y[::-1], keep="blocks")
    rows = evaluate()
    for stats in (table.moments, turned.moments):
        held = np.sort(stats.pair_sq[: len(table.positions)])
        np.testing.assert_allclose(held[-N_TOP:], np.sort(rows.only.pair_sq)[-N_TOP:], rtol=1e-6)
        np.testing.assert_allclose(held[:N_TOP], np.sort(rows.only.pair_sq)[:N_TOP], rtol=1e-6)
    np.testing.assert_array_equal(
        rows.row_ids[table.positions], table.row_ids[: len(table.positions)]
    )


def test_the_state_of_blocks_does_not_grow_with_the_rows():
    size = [len(pickle.dumps(evaluate(X[:n], Y[:n], keep="blocks").blocks)) for n in (1000, N)]
    assert size[1] < 1.1 * size[0]
    assert len(pickle.dumps(evaluate(X[:1000], Y[:1000]).only.base)) * 1.4 < len(
        pickle.dumps(evaluate().only.base)
    )


def test_blocks_count_and_name_rows_that_are_not_finite():
    def fails(x):
        return np.where(np.asarray(x)[:, :1] > 2, np.nan, model(np.asarray(x)))

    rows, blocks = (evaluate(predict=fails, keep=keep) for keep in ("rows", "blocks"))
    assert rows.n_finite < N
    assert (len(blocks), blocks.n_finite) == (N, rows.n_finite)
    np.testing.assert_array_equal(blocks.nonfinite_rows, rows.nonfinite_rows)
    assert_same_sums(blocks, rows.finite)
    assert str(blocks).endswith(f"{N - rows.n_finite} rows not finite")


def test_groups_are_units_in_blocks_too():
    groups = np.arange(N) // 10
    fits = [
        ep.ModelEquivarianceError().fit(evaluate(keep=keep, groups=groups))
        for keep in ("rows", "blocks")
    ]
    one, other = (fit.draws["error"] for fit in fits)
    assert abs(one.mean() - other.mean()) < 5 * 0.023 * one.std()
    assert 0.8 < other.std() / one.std() < 1.25  # 150 units, pooled by chance into fewer


def test_what_needs_rows_says_so():
    blocks = evaluate(keep="blocks")
    for needs in (
        lambda: blocks.only,
        lambda: blocks.rows(blocks.row_ids[:3]),
        lambda: ep.SymmetryLevel(path=ep.paths.Blend()).fit(blocks),
        lambda: ep.compare({"a": blocks, "b": blocks}),
    ):
        with refuses("keep='rows'"):
            needs()
    with refuses("keep='blocks' holds sums that a crossed design"):
        evaluate(keep="blocks", design="crossed")


# ---- merge ----------------------------------------------------------------------------------


def parts_of(keep, cuts, **arguments):
    edges = [0, *cuts, N]
    labels = {"row_ids": np.arange(N)} | arguments
    return [
        evaluate(X[a:b], Y[a:b], keep[i % len(keep)], **{k: v[a:b] for k, v in labels.items()})
        for i, (a, b) in enumerate(pairwise(edges))
    ]


def test_tables_of_rows_merge_into_the_table_of_the_union():
    union = evaluate(row_ids=np.arange(N))
    merged = reduce(ep.merge, parts_of(["rows"], [400, 403]))
    assert_same_rows(merged, union)
    np.testing.assert_array_equal(merged.x, X)
    np.testing.assert_array_equal(merged.count, union.count)
    for name, draws in ep.ModelEquivarianceError(n_draws=200).fit(union).draws.items():
        found = ep.ModelEquivarianceError(n_draws=200).fit(merged).draws[name]
        np.testing.assert_allclose(found, draws, rtol=1e-5)


@pytest.mark.parametrize("keep", [["blocks"], ["blocks", "rows"], ["rows", "blocks"]], ids=str)
def test_blocks_merge_into_the_blocks_of_the_union(keep):
    union = evaluate(keep="blocks", row_ids=np.arange(N))
    merged = reduce(ep.merge, parts_of(keep, [400, 900]))
    np.testing.assert_array_equal(
        merged.blocks.sums["output"].count, union.blocks.sums["output"].count
    )
    assert_same_sums(merged, union)
    np.testing.assert_array_equal(np.sort(merged.positions), np.sort(union.positions))
    for name, draws in ep.ModelEquivarianceError(n_draws=200).fit(union).draws.items():
        found = ep.ModelEquivarianceError(n_draws=200).fit(merged).draws[name]
        np.testing.assert_allclose(found, draws, rtol=1e-5, err_msg=name)


def test_what_is_left_of_a_block_to_within_rounding_is_nothing():
    """A remainder of -6e-17 would switch off what is known of sums of squares."""

    def sums(*scalars):
        nothing = np.zeros((1, 1, 1))
        return BlockSums(np.ones(1), nothing[0], nothing, nothing, np.array([scalars]))

    left = sums(0.3, 0.3) - sums(0.1 + 0.2, 0.3 - 1e-9)
    assert 0.3 - (0.1 + 0.2) < 0
    assert left.scalars[0, 0] == 0
    assert 0.9e-9 < left.scalars[0, 1] < 1.1e-9


def test_the_test_of_merging_has_power():
    union = evaluate(keep="blocks", row_ids=np.arange(N))
    first, second, _ = parts_of(["blocks"], [400, 1498])
    with pytest.raises(AssertionError):  # two rows short
        assert_same_sums(ep.merge(first, second), union)
    merged = ep.merge(*parts_of(["blocks"], [400]))
    sums = merged.blocks.sums["output"]
    # Sums of the second table added as they are, about another origin than those of the first.
    naive = replace(merged.blocks, sums={"output": replace(sums, origin=sums.origin + 1e-3)})
    entries, mass, *_ = naive.entries(merged.statistics, grouped=False)
    with pytest.raises(AssertionError):
        assert_same_sums(replace(merged, statistics=entries, mass=mass), union)


def test_groups_that_are_cut_in_two_are_whole_again():
    groups = np.arange(N) // 7
    union = evaluate(row_ids=np.arange(N), groups=groups)
    merged = ep.merge(*parts_of(["rows"], [703], groups=groups))
    assert merged.n_units == union.n_units == len(np.unique(groups))
    np.testing.assert_array_equal(merged.unit_ids, union.unit_ids)


def test_tables_that_do_not_belong_together_are_refused():
    first, second = parts_of(["rows"], [700])
    blocks, _ = parts_of(["blocks"], [700])
    with refuses("share 700 row", "row_ids"):
        ep.merge(first, first)
    with refuses("share", "row_ids"):
        ep.merge(blocks, blocks)
    for other in (
        {"seed": 1},
        {"n_transforms": 5},
        {"design": "random"},
        {"y": None},
    ):
        arguments = {"y": Y[:700]} | other
        with refuses("not evaluated in the same way", next(iter(other)).replace("y", "targets")):
            ep.merge(evaluate(X[:700], **arguments), second)
