"""Rounding, or a bug: the floor of a float64 pass, and where there is none."""

import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep
from equiprob.orbits.precision import rounding_of, rounding_of_output
from equiprob.orbits.probe import perturbed, response
from equiprob.posterior.diagnostics import Diagnostic

X = np.random.default_rng(0).normal(size=(150, 2)).astype(np.float32)
ROTATIONS = ep.transforms.rotations2d(acts_on="vectors")
FAST = ep.ModelEquivarianceError(n_draws=300)


def radius(batch):
    return jnp.tanh((batch**2).sum(axis=1, keepdims=True))


def test_a_float64_pass_measures_the_rounding_of_an_exact_model():
    table = ep.evaluate_orbits(radius, X, ROTATIONS)
    assert table.floor_method == "float64 pass"
    rms = np.sqrt(table.only.pair_sq.mean())
    # The whole error is rounding; 32 of 150 rows measure it: 10 % less, with a standard deviation
    # of 3 % (4 of `other_draws`).
    assert table.only.float_floor == pytest.approx(rms, rel=0.4)
    result = FAST.fit(table)
    assert result.is_exact
    assert "float64" in str(result)
    assert result.facts.floor_method == "float64 pass"


def test_an_error_of_a_few_roundings_is_not_hidden():
    table = ep.evaluate_orbits(lambda b: radius(b) + 1e-5 * b[:, :1], X, ROTATIONS)
    assert table.floor_method == "float64 pass"
    assert not FAST.fit(table).is_exact


@pytest.mark.parametrize(
    ("predict", "x", "kwargs"),
    [
        (radius, X, {"backend": "python"}),
        (lambda b: radius(b.astype(jnp.float32)), X, {}),
        (lambda b: np.tanh((b**2).sum(axis=1)), X.astype(np.float64), {}),
    ],
    ids=["black box", "casts inside", "float64 inputs"],
)
def test_elsewhere_the_input_is_perturbed(predict, x, kwargs):
    table = ep.evaluate_orbits(predict, x, ROTATIONS, **kwargs)
    assert table.floor_method == "perturbation"
    assert table.only.float_floor > 0
    result = FAST.fit(table)
    assert result.is_exact
    assert "One rounding of the input" in str(result)


def test_a_large_error_needs_no_second_pass():
    calls = []

    def model(batch):
        calls.append(batch.dtype)
        return batch[:, :1]

    table = ep.evaluate_orbits(model, X, ROTATIONS)
    assert table.floor_method == "perturbation"
    assert all(dtype == np.float32 for dtype in calls)


def test_the_float64_floor_does_not_depend_on_the_batch_size():
    floors = [
        ep.evaluate_orbits(radius, X, ROTATIONS, batch_size=size).only.float_floor
        for size in (16, 150)
    ]
    assert floors[0] == pytest.approx(floors[1], rel=1e-6)


def test_several_outputs_have_a_floor_each():
    table = ep.evaluate_orbits(lambda b: {"a": radius(b), "b": 100 * radius(b)}, X, ROTATIONS)
    assert table["b"].only.float_floor > 10 * table["a"].only.float_floor
    assert FAST.fit(table["a"]).is_exact
    assert FAST.fit(table["b"]).is_exact


def changed(transform, x, sizes, rounding=0.0):
    rows = np.arange(len(sizes)) % len(next(iter(x.values())))
    return perturbed(x, transform.on(x).moving, rows, np.array(sizes), rounding)


@pytest.mark.parametrize("leaf", ["a", "b"])
def test_the_signs_of_the_probe_are_balanced_and_without_order(leaf):
    other = {"a": "b", "b": "a"}[leaf]
    turns = ep.transforms.rotations2d(acts_on={"a": "vectors", "b": "vectors"})
    half = np.full((1800, 14, 2), 1.5, np.float32)
    moved = changed(turns, {"a": half, "b": half}, [1] * len(half))
    signs, others = (np.sign(moved[name] - 1.5) for name in (leaf, other))
    assert set(np.unique(signs)) == {-1, 1}
    shifted = [np.roll(signs, 1, axis) for axis in range(3)]
    for products in (signs, *(signs * each for each in (*shifted, others))):
        assert abs(products.mean()) < 5 / np.sqrt(signs.size)  # 6e-7 for each, were it chance
    assert abs((signs * signs).mean()) > 5 / np.sqrt(signs.size)  # order would be seen


# ---- whole numbers mean what they are ------------------------------------------------------------

GENERATOR = np.random.default_rng(5)
ATOMS = {
    "z": GENERATOR.choice([1.0, 3.0, 5.0, 7.0], size=(100, 6)).astype(np.float32),
    "r": GENERATOR.normal(size=(100, 6, 3)).astype(np.float32),
}
TABLE = GENERATOR.normal(size=9)
SHIFTS = ep.transforms.translations(1.0, dimensions=3, acts_on={"z": "invariant", "r": "points"})
DRIFT = 0.5 / np.sqrt(3)  # of half the mean of one coordinate, uniform over [-1, 1]


def molecule(batch, *, moves):
    """Energies by element, and a part that does or does not move with the molecule."""
    r = np.asarray(batch["r"])
    rest = (
        r[:, :, 0].mean(axis=1) if moves else (r - r.mean(axis=1, keepdims=True)).std(axis=(1, 2))
    )
    return (TABLE[np.asarray(batch["z"]).astype(int)].sum(axis=1) + 0.5 * rest).astype(np.float32)


def traced_molecule(batch, *, moves):
    r = batch["r"]
    rest = (
        r[:, :, 0].mean(axis=1) if moves else (r - r.mean(axis=1, keepdims=True)).std(axis=(1, 2))
    )
    return jnp.asarray(TABLE, jnp.float32)[batch["z"].astype(int)].sum(axis=1) + 0.5 * rest


@pytest.mark.parametrize("model", [molecule, traced_molecule])
def test_floats_that_are_whole_numbers_are_no_all_clear(model):
    broken, kept = (
        ep.evaluate_orbits(
            lambda batch, moves=moves: model(batch, moves=moves), ATOMS, SHIFTS, n_transforms=8
        )
        for moves in (True, False)
    )
    result = FAST.fit(broken)
    low, high = result.interval(0.999).loc["error"]  # two lattices of the law: nearly no noise
    assert low < DRIFT < high
    assert not result.is_exact
    assert result.float_floor < 1e-5
    assert FAST.fit(kept).is_exact


def test_level_and_audit_do_not_repeat_it():
    x, y = ATOMS, molecule(ATOMS, moves=False) + GENERATOR.normal(size=100)
    found = {}
    for moves in (True, False):
        model = lambda batch, moves=moves: molecule(batch, moves=moves)  # noqa: E731
        table = ep.evaluate_orbits(model, x, SHIFTS, y=y, n_transforms=8)
        found[moves] = (
            Diagnostic.UP_TO_ROUNDING in ep.SymmetryLevel(n_draws=300).fit(table).diagnostics
        )
    assert found == {True: False, False: True}
    audit = ep.audit(lambda batch: molecule(batch, moves=True), x, y, SHIFTS, n_draws=300)
    assert "up to rounding" not in str(audit)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_probe_leaves_alone_what_means_something(dtype):
    # One array holds an element and a position; the element stays.
    rows = GENERATOR.normal(size=(90, 4)).astype(dtype)
    rows[:, 0] = GENERATOR.choice([1, 6, 8], size=90)
    x = {"rows": rows, "time": np.linspace(0, 1, 90, dtype=dtype)[:, None]}

    shifts = ep.transforms.translations(
        1.0, dimensions=4, acts_on={"rows": "points", "time": "invariant"}
    )
    moved = changed(shifts, x, [4] * 90)
    assert np.array_equal(moved["rows"][:, 0], rows[:, 0])
    assert np.array_equal(moved["time"], x["time"])
    assert (moved["rows"][:, 1:] != rows[:, 1:]).all()
    assert np.abs(moved["rows"] / rows - 1).max() < 6 * rounding_of(dtype)


# ---- steps ---------------------------------------------------------------------------------------


def stepping(batch):
    """A model that is nearly all step: the integer part of many times a coordinate."""
    scaled = np.asarray(batch, dtype=np.float64) * 1e6
    return np.floor(scaled[:, :1]) % 7.0


def nearest(batch):
    """Class by the nearest of many prototypes."""
    seeds = np.random.default_rng(1).normal(size=(50, 2))
    apart = ((np.asarray(batch)[:, None] - seeds) ** 2).sum(axis=2)
    return np.eye(50)[apart.argmin(axis=1)]


@pytest.mark.parametrize("model", [stepping, nearest])
def test_steps_are_no_rounding(model):
    result = FAST.fit(ep.evaluate_orbits(model, X, ROTATIONS, backend="python"))
    assert not result.is_exact
    assert result.float_floor < 1e-5


def test_only_what_grows_in_proportion_counts():
    base = np.ones((40, 1))
    smooth = base + 1e-4 * np.array([1.0, 2.0, 4.0])[:, None, None]
    step = np.broadcast_to(base + 1e-4, (3, 40, 1))
    assert response(base, smooth, 1e-7) == pytest.approx(1e-4, rel=1e-3)
    assert response(base, step, 1e-7) < 1e-6
    one_steps = smooth.copy()
    one_steps[:, 0] += 1.0
    assert response(base, one_steps, 1e-7) == pytest.approx(1e-4, rel=0.02)


def test_no_error_is_exact_that_no_rounding_explains():
    def cancelling(batch):  # proportional to the input, but with hardly a digit left
        first = np.asarray(batch)[:, :1]
        return np.float32(3e4) * (first + np.float32(1000)) - np.float32(3e7)

    result = FAST.fit(ep.evaluate_orbits(cancelling, X, ROTATIONS, backend="python"))
    assert not result.is_exact


# ---- the precision a model computes in -----------------------------------------------------------


def lennard_jones(batch, dtype=np.float32):
    """Energy of each row of points, in a precision of its own behind float64 arrays."""
    points = np.asarray(batch, dtype=dtype)
    apart = ((points[:, :, None] - points[:, None]) ** 2).sum(axis=-1)
    i, j = np.triu_indices(points.shape[1], 1)
    inverse = 1 / (dtype(0.7) + apart[:, i, j]) ** 3
    return (4 * (inverse**2 - inverse)).sum(axis=1).astype(np.float64)


CLUSTERS = np.random.default_rng(2).normal(size=(120, 5, 3)) * 1.5
TURNS = ep.transforms.rotations3d(acts_on="points")


@pytest.mark.parametrize("batch_size", [1, 2, 50, None])
def test_float32_behind_float64_arrays_is_seen(batch_size):
    evaluate = ep.evaluate_orbits(
        lennard_jones, CLUSTERS, TURNS, n_transforms=4, batch_size=batch_size
    )
    result = FAST.fit(evaluate)
    assert evaluate.only.rounding == rounding_of(np.float32)
    assert 1e-9 < result.float_floor < 1e-4
    assert result.is_exact
    wide = ep.evaluate_orbits(
        lambda b: lennard_jones(b, np.float64) + 1e-6 * b[:, 0, 0], CLUSTERS, TURNS, n_transforms=4
    )
    assert wide.only.rounding == rounding_of(np.float64)
    assert not FAST.fit(wide).is_exact


WIDTH = 40
SPREADS = np.random.default_rng(3).normal(size=(2, 15, WIDTH)).astype(np.float32)
GATHERS = np.stack([k * np.linalg.pinv(s) for k, s in zip((501, 500), SPREADS, strict=True)])


def cancelling(batch, field=0.0):
    """Points themselves, as the difference of two large sums in float32; and a field along z."""
    rows = np.asarray(batch, np.float32).reshape(len(batch), -1)
    one, other = (
        np.stack([row @ s @ g.astype(np.float32) for row in rows])
        for s, g in zip(SPREADS, GATHERS, strict=True)
    )
    points = (one - other).astype(np.float64).reshape(batch.shape)
    return points + np.float32(field) * np.float64([0, 0, 1])


def test_what_a_model_rounds_itself_is_rounding():
    """Of a model that amplifies its own roundings, not those of its input.

    Its error is 0.7 to 0.9 thousandths, in another dozen of rows too, and the floor 0.6 to 0.8 of
    it; sixteen floors are allowed. Where only proportional answers count, the floor is a hundredth.
    """
    turns = ep.transforms.rotations3d(acts_on="points", output_action="vectors")

    def is_exact(field):
        model = lambda batch: cancelling(batch, field)  # noqa: E731
        table = ep.evaluate_orbits(
            model, CLUSTERS[:12], turns, n_transforms=4, outputs=ep.Output(dtype="float32")
        )
        return FAST.fit(table).is_exact

    assert is_exact(0.0)
    assert not is_exact(0.02)  # two hundredths of a point's size


def test_a_float32_model_with_an_offset_in_float64_says_so():
    def model(batch):
        return lennard_jones(batch) * 1.1 - 0.123456789

    alone = ep.evaluate_orbits(model, CLUSTERS, TURNS, n_transforms=4)
    said = ep.evaluate_orbits(
        model, CLUSTERS, TURNS, n_transforms=4, outputs=ep.Output(dtype="float32")
    )
    assert not FAST.fit(alone).is_exact
    assert FAST.fit(said).is_exact
    with pytest.raises(ValueError, match="dtype must be"):
        ep.Output(dtype="int8")
    with pytest.raises(ValueError, match="dtype must be"):
        ep.Output(dtype="single precision")


NUMBERS = np.random.default_rng(3).normal(size=(300, 2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (NUMBERS, "float64"),
        (NUMBERS.astype(np.float32).astype(np.float64), "float32"),
        (NUMBERS.astype(np.float16).astype(np.float64), "float16"),
        (np.asarray(jnp.asarray(NUMBERS, jnp.bfloat16)).astype(np.float64), "bfloat16"),
        (np.asarray(jnp.asarray(NUMBERS, jnp.bfloat16)).astype(np.float32), "bfloat16"),
        (NUMBERS[:1, :1].astype(np.float32).astype(np.float64), "float32"),
        (np.rint(100 * NUMBERS), "float64"),
        (np.rint(1e5 * NUMBERS), "float64"),
        (np.rint(64 * np.abs(NUMBERS)) / 64, "float64"),
        (np.rint(256 * (NUMBERS % 1)) / 256, "float64"),
        (np.round(NUMBERS, 2), "float64"),
        (np.eye(4)[np.arange(40) % 4], "float64"),
        (np.zeros((5, 1)), "float64"),
        (np.ones((5, 1), np.float32), "float32"),
        (np.full((5, 1), np.nan), "float64"),
        (1e300 * NUMBERS, "float64"),
        (1e-300 * NUMBERS, "float64"),
    ],
)
def test_the_precision_of_numbers_is_that_of_their_last_digits(values, expected):
    assert rounding_of_output(values, None) == rounding_of(jnp.dtype(expected))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e55])
def test_floors_hold_at_every_scale(scale):
    base = scale * NUMBERS
    moved = base + scale * 1e-4 * np.array([1.0, 2.0, 4.0])[:, None, None]
    assert response(base, moved, 1e-7) == pytest.approx(np.sqrt(2) * 1e-4 * scale, rel=1e-3)


# ---- what is exact still is ----------------------------------------------------------------------


def test_models_that_cast_inside_have_no_float64_pass():
    def model(batch):
        narrow = radius(batch.astype(jnp.float32))
        return narrow.astype(batch.dtype) * 1.5

    table = ep.evaluate_orbits(model, X, ROTATIONS)
    assert table.floor_method == "perturbation"
    assert FAST.fit(table).is_exact


def test_a_float64_pass_judges_what_it_sees_whatever_the_probe_says():
    def model(batch):  # no step of an exact model is in doubt, and a small term is
        return jnp.tanh(jnp.sort(batch, axis=1)) + 3e-6 * batch[:, :1]

    swaps = ep.transforms.permutations(2, acts_on="permuted")
    table = ep.evaluate_orbits(model, X, swaps)
    assert table.floor_method == "float64 pass"
    assert not FAST.fit(table).is_exact
