"""Which transformations a row sees: identities to rounding, and averages without bias."""

import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refuses
from scipy import stats
from transform_variants import VARIANTS

import equiprob as ep
from equiprob.orbits.accumulate import MagnitudeBins
from equiprob.orbits.designs import make_design
from equiprob.transforms.lattices import lattice

rng = np.random.default_rng(0)


def bent(x):
    x = np.asarray(x)
    return np.tanh(x @ [[1.0, 0.4], [-0.7, 0.5]]) + x[:, :1] ** 2


def mean_sq(values):
    return (values**2).sum(axis=-1).mean()


# ---- identities (MATH.md, section 10) -------------------------------------------------------


def test_linear_map_under_rotations_has_the_closed_form():
    """For isotropic rows ``e^2 = |W_perp|^2 E|x|^2``, W_perp the part that does not commute."""
    angles = 2 * np.pi * np.arange(12) / 12
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.concatenate([ring, 2 * ring])
    w = rng.normal(size=(2, 2))
    a, b = (w[0, 0] + w[1, 1]) / 2, (w[1, 0] - w[0, 1]) / 2
    commuting = np.array([[a, -b], [b, a]])
    expected = ((w - commuting) ** 2).sum() * mean_sq(x)
    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    # Lattices of at least 5 angles integrate the square, of degree 4, exactly.
    table = ep.evaluate_orbits(lambda batch: np.asarray(batch) @ w.T, x, turn, n_transforms=12)
    assert min(table.design.replicates) >= 5
    np.testing.assert_allclose(table.only.pair_sq.mean(), expected, rtol=1e-12)
    np.testing.assert_allclose(2 * table.mean_displacement_sq.mean(), expected, rtol=1e-12)


QUARTER = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
SEEDS = rng.normal(size=(6, 2))
CLOSED = np.stack([QUARTER.apply(g, SEEDS) for g in QUARTER.enumeration().parameters], axis=1)
CLOSED = CLOSED.reshape(24, 2)
"""Rows closed under quarter turns: the empirical law of X is invariant."""


def looked_up(values):
    """Return the predictor with the given value at each row of `CLOSED`."""

    def predict(x):
        return values[np.abs(np.asarray(x)[:, None] - CLOSED).max(axis=2).argmin(axis=1)]

    return predict


def full_orbits(predict, x=CLOSED):
    table = ep.evaluate_orbits(predict, x, QUARTER)
    assert (table.design.kind, table.design.n_transforms) == ("full", 4)
    return table


def test_identities_of_exact_symmetry():
    """(1), (2), (3), (6), (6'), (7) and (13) to rounding, with y the conditional mean."""
    y = rng.normal(size=(24, 2))
    table, truth = full_orbits(bent), full_orbits(looked_up(y))
    f, f_sym = table.only.base, table.only.base + table.mean_displacement
    f_perp, y_perp = -table.mean_displacement, -truth.mean_displacement
    np.testing.assert_array_equal(truth.only.base, y)
    error, data_error = (np.sqrt(t.only.pair_sq.mean()) for t in (table, truth))
    same = {"rtol": 1e-12}

    np.testing.assert_allclose(error**2, 2 * mean_sq(f_perp), **same)  # (1)
    np.testing.assert_allclose(table.mean_displacement_sq.mean(), mean_sq(f_perp), **same)
    saved = mean_sq(y - f_sym) - mean_sq(y - f)  # (2)
    np.testing.assert_allclose(saved, mean_sq(y_perp) - mean_sq(f_perp - y_perp), **same)
    bound = np.sqrt(2) * (y * f_perp).sum(axis=1).mean() / np.sqrt(mean_sq(f_perp))  # (3)
    assert bound < data_error
    waste = mean_sq(f_perp - y_perp)  # (6'), (6)
    np.testing.assert_allclose(waste, -saved + data_error**2 / 2, **same)
    assert waste >= (data_error - error) ** 2 / 2
    level = 0.3 * data_error  # (7)
    closest = y - y_perp + 0.3 * y_perp
    at_level = np.sqrt(full_orbits(looked_up(closest)).only.pair_sq.mean())
    np.testing.assert_allclose(at_level, level, **same)
    np.testing.assert_allclose(mean_sq(closest - y), (data_error - level) ** 2 / 2, **same)
    cross = ((y - f_sym) * f_perp).sum(axis=1).mean()  # (13)
    for s in (0.0, 0.4, 1.0):
        direct = mean_sq(y - f_sym - s * f_perp)
        path = mean_sq(y - f_sym) - 2 * s * cross + s**2 * table.mean_displacement_sq.mean()
        np.testing.assert_allclose(direct, path, **same)


def test_identity_pairs_and_orbit_variance_differ_on_open_rows():
    table = full_orbits(bent, SEEDS)
    pairs = table.only.pair_sq.mean()
    variance = 2 * (pairs - mean_sq(table.mean_displacement))
    assert abs(pairs - variance) > 1e-3 * pairs


# ---- unbiased averages ----------------------------------------------------------------------
# Tolerance 5 Monte Carlo standard errors: each comparison fails by chance 6e-7 of the time.


def is_unbiased(values, truth):
    standard_error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return bool((np.abs(values.mean(axis=0) - truth) <= 5 * standard_error + 1e-12).all())


M = 4
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
ROW = np.array([[0.8, -0.5]])


def bent_jax(x):
    return jnp.tanh(x @ jnp.array([[1.0, 0.4], [-0.7, 0.5]])) + x[:, :1] ** 2


@pytest.fixture(scope="module")
def truth():
    """Mean displacement and mean squared displacement at `ROW`, from 720 equispaced angles."""
    angles = 2 * np.pi * np.arange(720)[:, None] / 720
    moved = [TURN.undo_on_output(g, bent(TURN.apply(g, ROW))) for g in angles]
    displaced = np.concatenate(moved) - bent(ROW)
    return displaced.mean(axis=0), mean_sq(displaced)


@pytest.fixture(scope="module", params=["quasi", "random"])
def replications(request):
    """Independent replications of the design at one row: copies of it have ids of their own."""
    x = np.repeat(ROW, 1000, axis=0).astype(np.float32)
    return ep.evaluate_orbits(bent_jax, x, TURN, n_transforms=M, design=request.param, keep="rows")


def test_designs_are_unbiased(replications, truth):
    mean, square = truth
    assert is_unbiased(replications.mean_displacement, mean)
    assert is_unbiased(replications.only.pair_sq, square)
    assert is_unbiased(replications.mean_displacement_sq, (mean**2).sum())
    for r in range(2):
        assert is_unbiased(replications.only.displacement[:, r], mean)


SIZES = ep.transforms.scalings(1.5, acts_on="vectors")
BOTH = ep.transforms.product(SIZES, ep.transforms.rotations2d(acts_on="vectors"))


def test_a_lattice_in_two_dimensions_is_unbiased_and_gains():
    """A rotation and a change of size; the twin is the same lattice without its shift."""

    def squares(elements):
        size, (cos, sin) = np.exp(elements[:, 0]), (np.cos(elements[:, 1]), np.sin(elements[:, 1]))
        (a, b) = ROW[0]
        moved = size[:, None] * np.stack([cos * a - sin * b, sin * a + cos * b], axis=1)
        return ((bent(moved) - bent(ROW)) ** 2).sum(axis=1)

    place = (np.arange(120) + 0.5) / 120
    grid = np.stack(np.meshgrid(place, place), axis=-1).reshape(-1, 2)
    expected = squares(BOTH.parameters(grid)).mean()
    x = np.repeat(ROW, 1000, axis=0).astype(np.float32)
    spread = {}
    for design in ("quasi", "random"):
        table = ep.evaluate_orbits(bent_jax, x, BOTH, n_transforms=16, design=design, keep="rows")
        assert is_unbiased(table.only.pair_sq, expected)
        spread[design] = table.only.pair_sq.var()
    assert spread["quasi"] < spread["random"] / 4
    unshifted = squares(BOTH.spread(16, np.zeros(2))).mean()
    assert not is_unbiased(np.full(1000, unshifted), expected)


KINDS = [(False,), (True, False), (False, False, True), (False,) * 6]


@pytest.mark.parametrize("periodic", KINDS)
@pytest.mark.parametrize("n", [1, 2, 7, 9, 16, 100])
def test_each_coordinate_of_a_lattice_is_equispaced(n, periodic):
    points = np.sort(lattice(n, periodic), axis=0)
    np.testing.assert_allclose(points, np.repeat(np.arange(n)[:, None] / n, len(periodic), axis=1))


SHIFTS = ep.transforms.translations(2.0, acts_on="image")


def test_a_lattice_tells_turns_from_shifts():
    """A turn's first three harmonics with a shift's first; the twin takes all to be alike."""
    moves = ep.transforms.product(SHIFTS, ep.transforms.rotations2d())
    assert moves.periodic == (False, False, True)
    assert not any(ep.transforms.product(SHIFTS, ep.transforms.rotations2d(0.5)).periodic)
    along = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    together = np.array([(*shift, turn) for shift in along for turn in (1, 2, 3)])

    def largest(periodic):
        waves = [np.exp(2j * np.pi * lattice(n, periodic) @ together.T) for n in (15, 17)]
        return max(np.abs(each.mean(axis=0)).max() for each in waves)

    assert largest(moves.periodic) < 1e-12
    assert largest((False,) * 3) > 0.99


def test_biased_estimators_are_found(replications, truth):
    """The power twins: the wrong divisor, and a square that uses a transformation twice."""
    mean, square = truth
    assert not is_unbiased(replications.only.pair_sq * M / (M - 1), square)
    naive = (replications.mean_displacement**2).sum(axis=1)
    assert not is_unbiased(naive, (mean**2).sum())


def test_replicates_are_shifted_independently():
    """Kolmogorov-Smirnov at a false-failure probability of 1e-6."""
    ids = np.arange(1, 1001, dtype=np.uint64)
    design = make_design(TURN, "quasi", 5, 0)
    turns = design.parameters(TURN, ids)[..., 0] / (2 * np.pi)
    first, second = turns[:, 0], turns[:, design.replicates[0]]
    for shift in (first, second, first - second):
        assert stats.kstest(shift % 1.0, "uniform").pvalue > 1e-6
    # The power twin: two places of one lattice differ by a constant.
    assert stats.kstest((first - turns[:, 1]) % 1.0, "uniform").pvalue < 1e-6


def test_a_crossed_list_is_unbiased(truth):
    """Its transformations are the replications; squares off by two fifths are found."""
    mean, square = truth
    x = np.repeat(ROW, 2, axis=0).astype(np.float32)
    table = ep.evaluate_orbits(
        bent_jax, x, TURN, n_transforms=600, design="crossed", keep="all", batch_size=2
    )
    np.testing.assert_array_equal(table.only.raw[0], table.only.raw[1])
    assert is_unbiased(table.only.raw[0], mean)
    assert is_unbiased(table.only.pair_sq_each[0], square)
    assert not is_unbiased(1.4 * table.only.pair_sq_each[0], square)


def test_the_quasi_design_varies_less_than_the_random_one():
    x = np.repeat(ROW, 125, axis=0).astype(np.float32)
    spread = {
        design: ep.evaluate_orbits(
            bent_jax, x, TURN, n_transforms=16, design=design, keep="rows"
        ).only.pair_sq.var()
        for design in ("quasi", "random")
    }
    assert spread["quasi"] < spread["random"] / 10


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("kind", ["quasi", "random"])
def test_each_place_of_a_design_has_the_law(variant, kind):
    """The mean magnitude at each of three places; a standard deviation off is found."""
    transform = variant.transform
    ids = np.arange(1, 301, dtype=np.uint64)
    design = make_design(transform, kind, 3, 5)
    values = transform.magnitude(design.parameters(transform, ids))
    magnitudes, weights = transform.magnitude_law()
    mean = (magnitudes * weights).sum()
    if design.kind == "full":
        np.testing.assert_allclose(values @ design.weights, mean)
        return
    deviation = np.sqrt(((magnitudes - mean) ** 2 * weights).sum())
    # Where there is no enumeration the law itself is represented by 4096 points.
    error = deviation * np.sqrt(1 / len(values) + (transform.enumeration() is None) / 4096)
    assert (np.abs(values.mean(axis=0) - mean) <= 5 * error).all()
    assert (np.abs(values.mean(axis=0) + deviation - mean) > 5 * error).all()


# ---- what a design records ------------------------------------------------------------------


def kind_and_replicates(transform, kind, m):
    design = make_design(transform, kind, m, 0)
    assert design.asked == kind
    return design.kind, design.replicates


def test_quasi_gives_way_to_the_full_orbit_and_to_random_draws():
    assert kind_and_replicates(QUARTER, "quasi", 4) == ("full", (4,))
    assert kind_and_replicates(QUARTER, "quasi", 3) == ("quasi", (2, 1))
    assert kind_and_replicates(QUARTER, "random", 16) == ("random", (8, 8))
    sampled = VARIANTS["rotations2d mixture law"].transform
    assert kind_and_replicates(sampled, "quasi", 5) == ("random", (3, 2))
    weighted = VARIANTS["finite weighted"].transform
    np.testing.assert_allclose(make_design(weighted, "full", 1, 0).weights, weighted.law.weights)


def test_lattices_do_not_alias_with_the_pixel_grid():
    for m in range(2, 40):
        sizes = make_design(TURN, "quasi", m, 0).replicates
        assert sum(sizes) == m
        best = 2 if m % 2 == 0 else 3  # one of two numbers with an odd sum is even
        assert sum(np.gcd(size, 4) for size in sizes) == best


def test_magnitude_bins_hold_probability_and_keep_atoms_apart():
    heavy = MagnitudeBins.of(np.arange(20.0), np.array([0.9] + [0.1 / 19] * 19))
    assert np.isfinite(heavy.magnitude).all()
    assert heavy.magnitude[0] == 0
    few = MagnitudeBins.of(np.array([0.0, 90, 180, 90]), np.full(4, 0.25))
    np.testing.assert_array_equal(few.magnitude, [0, 90, 180])
    even = MagnitudeBins.of(*TURN.magnitude_law())
    np.testing.assert_allclose(even.magnitude, 180 * (np.arange(12) + 0.5) / 12, rtol=5e-3)


def test_more_numbers_than_memory_holds_are_refused_before_they_are_drawn():
    design = make_design(ep.transforms.sign_flips(2**20), "quasi", 16, 0)
    assert (design.kind, design.asked) == ("random", "quasi")
    with refuses("128 rows x 16 transformations", "GiB", "smaller batch_size"):
        design.parameters(ep.transforms.sign_flips(2**20), np.arange(128, dtype=np.uint64))
    flips = ep.transforms.sign_flips(2**20)
    assert flips.typical()[0].shape == (16, 2**20)
    assert len(ep.transforms.sign_flips(12).typical()[0]) == 4096
