"""Geometry: dimension, covering numbers, diameter and slopes, of inputs and of orbits."""

import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from refusals import refuses
from scipy import stats
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

import equiprob as ep
from equiprob.geometry.dimension import NEIGHBOURS, fit_dimension
from equiprob.geometry.extremes import end_point
from equiprob.geometry.nets import farthest_point_net, log_cover
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.geometry.row_metrics import RawMetric
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.testing import disc_task

mpl.use("Agg")
EPS = float(np.finfo(np.float64).eps)
TURNS = ep.transforms.rotations2d(acts_on="vectors")
EIGHTHS = ep.transforms.cyclic(8, acts_on="vectors")
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")


def turned(x, seed):
    angle = np.random.default_rng(seed).uniform(-np.pi, np.pi, (len(x), 1))
    return np.einsum("nij,nj->ni", TURNS.element(angle)["matrix"], x)


def curve(n, seed):
    """A closed curve in the plane whose radius varies."""
    t = 2 * np.pi * np.random.default_rng(seed).random(n)
    return np.stack([1 + 0.3 * np.cos(t), 0.3 * np.sin(t)], axis=1), np.sin(t)[:, None]


def fitted(x, boxsize=None, n_draws=1000, seed=0):
    """The dimension of rows in a cube, with opposite sides joined where a box is given."""
    k = min(NEIGHBOURS, len(x) - 1)
    near = cKDTree(x, boxsize=boxsize).query(x, k + 1)[0][:, 1:]
    size = float(np.sqrt(x.var(axis=0).sum()))
    return fit_dimension(near, len(x), size, n_draws, np.random.default_rng(seed))


# ---- dimension ------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "n"), [(2, 200), (2, 1000), (5, 200), (10, 200)])
def test_dimension_of_a_torus_is_covered(d, n):
    runs, covered, shifted = 40, 0, 0
    for seed in range(runs):
        draws = fitted(np.random.default_rng([seed, d, n]).random((n, d)), 1.0).draws
        low, high = np.quantile(draws, [0.05, 0.95])
        covered += low <= d <= high
        shifted += low <= d + 2 * draws.std() <= high
    # At a true coverage of 0.85 fewer than 24 of 40 happens with probability 5e-5.
    assert stats.binom.cdf(23, runs, 0.85) < 1e-4
    assert covered >= 24
    assert shifted < 24  # power


def test_the_boundary_of_a_cube_is_modelled():
    runs, covered, plain = 20, 0, 0
    for seed in range(runs):
        found = fitted(np.random.default_rng(seed).random((1000, 5)))
        low, high = np.quantile(found.draws, [0.05, 0.95])
        covered += low <= 5 <= high
        low, high = np.quantile(found.by_scale[:, 1], [0.05, 0.95])
        plain += low <= 5 <= high
    # At a true coverage of 0.85 fewer than 10 of 20 happens with probability 3e-5.
    assert stats.binom.cdf(9, runs, 0.85) < 1e-4
    assert covered >= 10
    assert plain < 10  # power: as it looks at the scale of half the rows


def test_the_plane_modulo_rotations_is_one_dimensional():
    x = disc_task(300, seed=1).x
    result = ep.Geometry(n_draws=1000).fit(x, TURNS)
    low, high = result.interval(0.9999).loc["orbit_dimension"]
    assert low < 1 < high < 1.2
    low, high = result.interval(0.9999).loc["dimension"]
    assert 1.5 < low < 2 < high
    design = OrbitMetric.of(x, EIGHTHS, EPS)  # power: eight angles, not refined
    near = design.nearest(NEIGHBOURS, np.arange(300))[0]
    coarse = fit_dimension(near, 300, 0.7, 1000, np.random.default_rng(0)).draws
    assert np.quantile(coarse, 1e-4) > 1.2


def test_turned_copies_of_a_curve_lose_one_dimension():
    flat, height = curve(300, 0)
    x = {"flat": turned(flat, 1), "height": height}
    turns = ep.transforms.rotations2d(acts_on={"flat": "vectors", "height": "invariant"})
    result = ep.Geometry(n_draws=1000).fit(x, turns)
    for name, truth in (("dimension", 2), ("orbit_dimension", 1)):
        low, high = result.interval(0.9999).loc[name]
        assert low < truth < high < truth + 0.6


def test_equal_rows_and_transformed_copies_count_once():
    x = disc_task(150, seed=2).x
    twice = np.concatenate([x, x[:50], turned(x, 3)])
    result = ep.Geometry(n_draws=500).fit(twice, TURNS)
    assert result.facts.n_distinct == 300
    assert result.facts.n_distinct_orbits == 150
    assert Diagnostic.EQUAL_ROWS in result.diagnostics
    alone = ep.Geometry(n_draws=500).fit(x, TURNS)
    assert Diagnostic.EQUAL_ROWS not in alone.diagnostics
    # Arithmetic of the seed: other draws of the weights (8 of `other_draws`) change nothing.
    both = (np.median(r.draws["orbit_dimension"]) for r in (result, alone))
    assert next(both) == pytest.approx(next(both), rel=0.02)


def test_outliers_noise_and_grids_are_named():
    generator = np.random.default_rng(0)
    t = generator.uniform(0, 2 * np.pi, 600)
    circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    clean = ep.Geometry(n_draws=300).fit(circle, QUARTERS)
    assert [d for d in clean.diagnostics if d.is_caution] == []
    far = ep.Geometry(n_draws=300).fit(np.vstack([circle, [[1e4, 0.0]]]), QUARTERS)
    assert far.facts.outlier_rows == [600]
    assert far.status == Diagnostic.OUTLYING_ROWS.value
    # The rows are given, and draws of their weights change nothing here (2 of `other_draws`).
    assert np.median(far.draws["dimension"]) == pytest.approx(1, abs=0.1)
    normal = ep.Geometry(n_draws=300).fit(generator.normal(size=(600, 1)), _mirror(1))
    assert normal.facts.outlier_rows == []
    noisy = ep.Geometry(n_draws=300).fit(circle + 0.003 * generator.normal(size=(600, 2)), QUARTERS)
    assert Diagnostic.SCALES_DISAGREE in noisy.diagnostics
    grid = np.stack(np.meshgrid(np.arange(25.0), np.arange(25.0)), axis=-1).reshape(-1, 2)
    lattice = ep.Geometry(n_draws=300).fit(grid, QUARTERS)
    assert Diagnostic.ON_A_GRID in lattice.diagnostics
    assert np.median(lattice.draws["dimension"]) == pytest.approx(2, abs=0.8)


def _mirror(d):
    return ep.transforms.sign_flips(d)


# ---- distances ------------------------------------------------------------------------------


def test_orbit_distances_of_a_finite_set_are_exact():
    x = disc_task(60, seed=0).x
    images = np.stack([x @ m.T for m in EIGHTHS.law.elements])
    truth = np.min([cdist(image, x) for image in images], axis=0)
    distance = OrbitMetric.of(x, EIGHTHS, EPS)
    everywhere = np.full(60, np.inf)
    found = np.stack([distance.lowered(i, everywhere) for i in range(60)])
    assert np.allclose(found, truth, atol=1e-12)
    np.fill_diagonal(truth, np.inf)
    near, rows = distance.nearest(5, np.arange(60))
    assert np.allclose(near, np.sort(truth, axis=1)[:, :5], atol=1e-7)
    assert np.allclose(np.take_along_axis(truth, rows, axis=1), near, atol=1e-7)


def test_orbit_distances_of_rotations_are_differences_of_radii():
    x = disc_task(500, seed=0).x
    radius = np.linalg.norm(x, axis=1)
    distance = OrbitMetric.of(x, TURNS, EPS)
    assert distance.kind == "refined"
    queries = np.arange(40)
    truth = np.abs(radius[queries, None] - radius)
    found = np.stack([distance.lowered(i, np.full(500, np.inf)) for i in queries])
    assert np.abs(found - truth).max() < 3e-3
    truth[queries, queries] = np.inf
    near = distance.nearest(20, queries)[0]
    assert np.abs(near - np.sort(truth, axis=1)[:, :20]).max() < 1e-3


def test_ranges_are_no_groups():
    x = np.array([[1.0, 0.0], [np.cos(0.4), np.sin(0.4)], [0.0, 1.0]])
    distance = OrbitMetric.of(x, ep.transforms.rotations2d(0.5, acts_on="vectors"), EPS)
    found = distance.lowered(0, np.full(3, np.inf))
    assert found[1] == pytest.approx(0, abs=1e-6)
    assert found[2] == pytest.approx(2 * np.sin((np.pi / 2 - 0.5) / 2), abs=1e-3)


def test_transformations_that_jump_are_sampled_and_it_is_said():
    flips = ep.transforms.sign_flips(12)
    x = np.random.default_rng(0).normal(size=(80, 12))
    assert OrbitMetric.of(x, flips, EPS).kind == "sampled"
    assert Diagnostic.ORBITS_SAMPLED in ep.Geometry(n_draws=100).fit(x, flips).diagnostics


# ---- nets -----------------------------------------------------------------------------------


def test_nets_cover_and_pack():
    x = disc_task(200, seed=0).x
    apart = cdist(x, x)
    net = farthest_point_net(RawMetric(x, EPS), 0, 200)
    centres, least = [0], apart[0]
    for radius in net.radii[:60]:
        assert least.max() == pytest.approx(radius)
        assert (apart[np.ix_(centres, centres)] + 9 * np.eye(len(centres))).min() >= radius - 1e-12
        centres.append(int(least.argmax()))
        least = np.minimum(least, apart[centres[-1]])


def test_covering_numbers_are_of_as_many_fresh_rows():
    runs, inside, narrow = 20, [], []
    radius = np.geomspace(0.06, 0.6, 8)
    for seed in range(runs):
        generator = np.random.default_rng([seed, 3])
        rows, fresh = (disc_task(200, seed=1000 * seed + k).x for k in (1, 2))
        slope = np.full(1000, 2.0)
        logs, _ = log_cover(RawMetric(rows, EPS), 0, radius, slope, generator)
        truth = farthest_point_net(RawMetric(fresh, EPS), 0, 200).log_number(radius, slope[:1])[0]
        for prob, where in ((0.9, inside), (0.3, narrow)):
            low, high = np.quantile(logs, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
            where.append(((low - 1e-9 <= truth) & (truth <= high + 1e-9)).mean())
    # Radii of one run are dependent; at worst a run counts once: sd of the mean 0.07.
    assert np.mean(inside) > 0.7
    assert np.mean(narrow) < 0.7  # power


def test_covering_numbers_fall_with_the_radius_and_are_fewer_for_orbits():
    result = ep.Geometry(n_draws=200, radii=[0.5, 0.1, 0.2]).fit(disc_task(200).x, EIGHTHS)
    assert list(result.coords["radius"]) == [0.1, 0.2, 0.5]
    for name in ("log_cover", "orbit_log_cover"):
        assert (np.diff(result.draws[name], axis=1) <= 0).all()
    raw, orbit = (np.median(result.draws[k], axis=0) for k in ("log_cover", "orbit_log_cover"))
    assert np.all(raw[:2] - orbit[:2] > np.log(3))


def test_beyond_the_last_centre_the_dimension_is_the_slope():
    x = disc_task(200, seed=0).x
    net = farthest_point_net(RawMetric(x, EPS), 0, 20)
    slope = np.array([1.0, 2.0])
    last = net.radii[-1]
    logs = net.log_number(np.array([last / 4, last / 2, last]), slope)
    assert logs[0] == pytest.approx(np.log([80, 40, 20]))
    assert logs[1] == pytest.approx(np.log([200, 80, 20]))  # no more balls than rows


# ---- diameter and slopes --------------------------------------------------------------------


def test_end_points_of_smooth_laws_are_covered():
    runs, covered, without = 200, 0, 0
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        values = 1 - generator.random(300) ** 0.5  # two dimensions around a smooth maximum
        draws = end_point(values, 500, generator)
        low, high = np.quantile(draws, [0.05, 0.95])
        covered += low <= 1 <= high
        without += values.max() >= 1
    # At a true coverage of 0.8 fewer than 132 of 200 happens with probability 1e-6.
    assert stats.binom.cdf(131, runs, 0.8) < 2e-6
    assert covered >= 132
    assert without == 0  # power: the largest seen


def test_diameter_of_the_disc():
    result = ep.Geometry(n_draws=500).fit(disc_task(400, seed=3).x, QUARTERS)
    low, high = result.interval(0.9).loc["diameter"]
    assert 1.95 < low < 2.0 < high < 2.6
    assert Diagnostic.LARGEST_SEEN in result.diagnostics


@pytest.mark.parametrize("as_numpy", [False, True])
def test_slopes_of_a_linear_model_are_its_spectral_norm(as_numpy):
    x = disc_task(150, seed=0).x
    matrix = np.array([[2.0, 1.0, 0.0], [0.5, -1.0, 3.0]])
    norm = np.linalg.norm(matrix, 2)

    def predict(batch):
        return np.asarray(batch) @ matrix if as_numpy else batch @ jnp.asarray(matrix)

    result = ep.Geometry(n_draws=200).fit(x, QUARTERS, predict=predict)
    draws = result.draws["lipschitz"]
    if as_numpy:
        assert result.facts.slopes == "pair slopes"
        assert norm * 0.99 < draws.min() < norm * 1.0001
    else:
        assert result.facts.slopes == "Jacobian norms"
        assert np.allclose(draws, norm, rtol=1e-4)


def test_slopes_of_pytrees_and_rows_that_are_not_finite():
    x = {"a": disc_task(100, seed=0).x, "b": np.linspace(0.1, 1, 100)[:, None]}
    turns = ep.transforms.cyclic(4, acts_on={"a": "vectors", "b": "invariant"})

    def predict(batch):
        b = batch["b"][:, 0]
        return jnp.where(b < 0.105, jnp.nan, 3 * batch["a"][:, 0] + 4 * b)

    result = ep.Geometry(n_draws=200).fit(x, turns, predict=predict)
    assert np.allclose(result.draws["lipschitz"], 5, rtol=1e-4)
    assert result.nonfinite_rows == (0,)
    with pytest.raises(ValueError, match="pass one"):
        ep.Geometry().fit(x, turns, predict=lambda b: {"one": b["a"], "two": b["b"]})


# ---- the result -----------------------------------------------------------------------------


def test_what_has_no_geometry_is_refused():
    x = disc_task(50).x
    with pytest.raises(TypeError, match="made by a function"):
        ep.Geometry().fit(x, 4)  # pyright: ignore[reportArgumentType]
    kinds = ep.transforms.cyclic(4, acts_on={"x": "vectors", "kind": "invariant"})
    with pytest.raises(ValueError, match="one-hot"):
        ep.Geometry().fit({"x": x, "kind": np.arange(50)}, kinds)
    with pytest.raises(ValueError, match="at least 10"):
        ep.Geometry().fit(np.repeat(x[:5], 10, axis=0), QUARTERS)
    with pytest.raises(ValueError, match="positive lengths"):
        ep.Geometry(radii=[0.1, -1.0])


def test_results_repeat_and_are_saved_and_drawn(tmp_path):
    import matplotlib.pyplot as plt

    x = disc_task(60, seed=0).x
    one, other = (ep.Geometry(n_draws=200).fit(x, TURNS, predict=lambda b: b[:, 0]) for _ in "ab")
    for name, draws in one.draws.items():
        assert np.array_equal(draws, other.draws[name])
    assert one.tree["posterior"]["log_cover"].dims == ("chain", "draw", "radius")
    one.save(tmp_path / "r.nc")
    assert str(ep.load(tmp_path / "r.nc")) == str(one)
    assert "fill" in str(one)
    figure = one.plot()
    assert [(a.get_xlabel(), a.get_ylabel()) for a in figure.axes] == [
        ("radius (input units)", "covering number"),
        ("distance to the nearest row (input units)", "dimension"),
    ]
    plt.close(figure)


# ---- groups ---------------------------------------------------------------------------------


def test_frames_of_trajectories_count_once():
    """Three hundred places in a cube of 4 dimensions, each with ten frames along a short line."""
    generator = np.random.default_rng(3)
    place, along = generator.random((300, 4)), generator.normal(size=(300, 4))
    steps = 1e-3 * generator.random((300, 10, 1))
    x = (place[:, None] + steps * along[:, None]).reshape(3000, 4)
    groups = np.repeat(np.arange(300), 10)
    shuffled = generator.permutation(3000)
    turns = ep.transforms.finite(np.stack([np.eye(4), -np.eye(4)]), acts_on="vectors")
    geometry = ep.Geometry(n_draws=300)
    found = geometry.fit(x[shuffled], turns, groups=groups[shuffled])
    # 300 rows: a standard error of the dimension of 7 %, and 4 % of what a boundary does.
    assert 3 < np.median(found.draws["dimension"]) < 5
    assert found.facts.n_rows == 300
    every = geometry.fit(x, turns)
    assert np.median(every.draws["dimension"]) < 2  # power: as lines they look
    with refuses("groups must hold one label for each"):
        geometry.fit(x, turns, groups=groups[:-1])


def test_numbers_of_rows_are_those_of_all_rows():
    generator = np.random.default_rng(4)
    x = generator.normal(size=(200, 2))
    x[[120, 121]] = 1e6, 1e6
    found = ep.Geometry(n_draws=100).fit(x, TURNS, groups=np.arange(200) // 2)
    assert set(found.facts.outlier_rows) <= {120, 121}
    assert found.facts.outlier_rows
