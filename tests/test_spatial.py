"""Rotations of space, rigid motions, boosts, and transformations in turn: actions and designs."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import equiprob as ep
from equiprob.transforms.rotation_group import alternating, spread_rotations

rng = np.random.default_rng(0)
CLOUDS = rng.normal(size=(40, 5, 3)).astype(np.float32)
T = ep.transforms


def matrices(transform, n=5):
    return transform.element(transform.sample_many(np.random.default_rng(0), n))["matrix"]


# ---- actions ------------------------------------------------------------------------------------


def test_parity_is_the_determinant():
    assert np.allclose(np.linalg.det(matrices(T.rotations3d())), 1)
    assert np.allclose(np.linalg.det(matrices(T.rotations3d(parity="improper"))), -1)
    both = np.linalg.det(matrices(T.rotations3d(parity="both"), 200))
    assert 70 < (both > 0).sum() < 130  # 4.2 standard deviations either way: 3e-5


def test_tensors_turn_on_both_sides():
    transform = T.rotations3d(acts_on="tensors2", output_action="tensors2")
    tensors, g = rng.normal(size=(3, 2, 3, 3)), np.array([0.3, -1.0, 0.7])
    r = transform.element(g)["matrix"]
    np.testing.assert_allclose(transform.apply(g, tensors), r @ tensors @ r.T, atol=1e-13)
    np.testing.assert_allclose(transform.undo_on_output(g, tensors), r.T @ tensors @ r, atol=1e-13)
    flips = T.sign_flips(3, acts_on="tensors2")
    d = np.diag([1.0, -1.0, 1.0])
    np.testing.assert_array_equal(flips.apply(np.diag(d), tensors), d @ tensors @ d)
    with pytest.raises(ValueError, match="vectors must have length 3 on its last but one axis"):
        transform.apply(g, np.zeros((2, 3)))


def test_rigid_motions_shift_points_and_not_vectors():
    motion = T.euclidean3d(1.0, acts_on={"p": "points", "v": "vectors", "t": "tensors2"})
    shift = np.array([0.5, -0.2, 0.1, 0, 0, np.pi / 2])
    x = {"p": np.eye(3)[:1], "v": np.eye(3)[:1], "t": np.diag([1.0, 2, 3])[None]}
    moved = motion.apply(shift, x)
    np.testing.assert_allclose(moved["p"], [[0.5, 0.8, 0.1]], atol=1e-15)
    np.testing.assert_allclose(moved["v"], [[0, 1, 0]], atol=1e-15)
    np.testing.assert_allclose(moved["t"], np.diag([2.0, 1, 3])[None], atol=1e-15)


def test_boosts_keep_the_invariant_mass():
    momenta = rng.normal(size=(4, 3, 4))
    metric = np.array([1.0, -1, -1, -1])
    transform = T.lorentz(1.5)
    for g in transform.sample_many(np.random.default_rng(1), 3):
        moved = transform.apply(g, momenta)
        np.testing.assert_allclose((moved**2) @ metric, (momenta**2) @ metric, atol=1e-12)
        assert not np.allclose(moved[..., 0], momenta[..., 0])
    with pytest.raises(ValueError, match="not orthogonal"):
        T.lorentz(output_action="vectors").on(output=momenta)


def test_the_last_of_several_acts_first():
    quarter = T.rotations2d(acts_on="points", output_action="points")
    shift = T.translations(1.0, output_action="points")
    both = T.product(shift, quarter)
    g, x = np.array([1.0, 0.0, np.pi / 2]), np.array([[1.0, 0.0]])
    np.testing.assert_allclose(both.apply(g, x), [[1, 1]], atol=1e-15)
    np.testing.assert_allclose(both.apply_to_output(g, x), [[1, 1]], atol=1e-15)
    np.testing.assert_allclose(both.undo_on_output(g, [[1.0, 1.0]] * x), [[0, 0]], atol=1e-15)
    undone = both.undo_on_output(g, both.apply_to_output(g, CLOUDS[:, 0, :2]))
    np.testing.assert_allclose(undone, CLOUDS[:, 0, :2], atol=1e-6)


def test_actions_that_jax_cannot_trace_may_act_in_turn():
    doubled = T.from_functions(
        lambda generator: 2.0, lambda p, row: np.asarray(row) * float(p[0]), identity=1.0
    )
    both = T.product(doubled, T.translations(1.0))
    np.testing.assert_allclose(both.apply(np.array([2.0, 1, 0]), np.ones((1, 2))), [[4, 2]])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.rotations3d(4.0), "max_angle must lie in"),
        (lambda: T.rotations3d(parity="odd"), "parity must be one of"),
        (lambda: T.euclidean3d(0.0), "max_shift must be positive"),
        (lambda: T.scalings(1.0), "max_factor must be larger than 1"),
        (lambda: T.scalings(dimensions=0), "dimensions must be an integer from 1"),
        (lambda: T.lorentz(0.0), "max_rapidity must be positive"),
        (lambda: T.product(T.cyclic(4)), "two or more transforms"),
        (lambda: T.mixture([T.cyclic(4), "flip"]), "transforms must be a list, each of them made"),
        (lambda: T.mixture([T.cyclic(4)] * 2, weights=[1]), "weights must be 2 positive numbers"),
        (
            lambda: T.scalings(law=dist.Normal(0.0, 1.0)).parameters(np.array([[0.1]])),
            "factors that are not positive",
        ),
    ],
)
def test_bad_arguments_are_refused(make, words):
    with pytest.raises((ValueError, TypeError), match=words):
        make()


# ---- parts of a law, reported apart -------------------------------------------------------------


def triple_product(x):
    """Invariant under proper rotations, and odd under improper ones."""
    return jnp.linalg.det(x[:, :3])


def test_proper_and_improper_rotations_are_reported_apart():
    table = ep.evaluate_orbits(triple_product, CLOUDS, T.rotations3d(parity="both"))
    result = ep.ModelEquivarianceError(n_draws=200).fit(table)
    assert list(result.coords["part"]) == ["proper", "improper"]
    proper, improper = np.median(result.draws["error_by_part"], axis=0)
    assert proper < 1e-5
    np.testing.assert_allclose(improper**2 / 2, np.median(result.draws["error"]) ** 2, rtol=1e-3)
    assert "error_by_part" in str(result.tree)
    assert any("improper" in str(name) for name in result.summary().index)


def test_the_transforms_of_a_mixture_are_reported_apart():
    moves = [T.translations(1.0, dimensions=3), T.rotations3d()]
    centred = lambda x: (x - x.mean(axis=1, keepdims=True))[:, 0, 0]  # noqa: E731
    table = ep.evaluate_orbits(centred, CLOUDS, T.mixture(moves), n_transforms=8)
    shift, turn = np.median(
        ep.ModelEquivarianceError(n_draws=200).fit(table).draws["error_by_part"], axis=0
    )
    assert shift < 1e-5 < 0.1 < turn


# ---- designs ------------------------------------------------------------------------------------


def test_designs_integrate_low_degrees_exactly():
    """12 rotations average all functions of degree 1 and 2 to nothing, 60 up to degree 5."""
    for n, degrees in ((12, 2), (60, 5)):
        g = T.rotations3d().element(spread_rotations(n))["matrix"]
        cos = (np.trace(np.swapaxes(g[:, None], -1, -2) @ g, axis1=-2, axis2=-1) - 1) / 2
        angle = np.arccos(np.clip(cos, -1, 1))
        for degree in range(1, degrees + 2):
            orders = np.arange(-degree, degree + 1)
            mean = np.cos(orders * angle[..., None]).sum(axis=-1).mean()
            assert (abs(mean) < 1e-6) == (degree <= degrees)


def test_reflected_rotations_of_a_design_cover_both_parities():
    signs = alternating(25)
    assert ((signs > 0).sum(), (signs < 0).sum()) == (13, 12)
    g = T.rotations3d().element(spread_rotations(24, signed=True))["matrix"]
    for part in (g[::2], g[1::2], g):
        assert np.abs(part.mean(axis=0)).max() < 1e-2


def cloud_network(seed=1, width=64):
    generator = np.random.default_rng(seed)
    first = generator.normal(size=(15, width)) / np.sqrt(15)
    second = 1.5 * generator.normal(size=(width, width)) / np.sqrt(width)
    last = generator.normal(size=(width, 1)) / np.sqrt(width)
    first, second, last = (w.astype(np.float32) for w in (first, second, last))
    bias = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    return lambda x: jnp.tanh(jnp.tanh(x.reshape(len(x), -1) @ first + bias) @ second) @ last


N_COPIES = 256


def replications(design, m, transform=None):
    """Return the estimate of a squared error at each of 4 rows, by copies with their own shifts."""
    x = np.repeat(CLOUDS[:4], N_COPIES, axis=0)
    table = ep.evaluate_orbits(
        cloud_network(),
        x,
        transform or T.rotations3d(),
        n_transforms=m,
        design=design,
        keep="rows",
        row_ids=np.arange(len(x)),
    )
    return table.only.pair_sq.reshape(4, N_COPIES), table.mean_displacement_sq.reshape(4, N_COPIES)


@pytest.mark.parametrize("m", [24, 32])
def test_designs_on_rotations_vary_five_times_less_than_independent_ones(m):
    """The ratio of variances over 1024 copies is known within a factor of 1.3 (5 deviations)."""
    quasi, random = (replications(design, m) for design in ("quasi", "random"))
    assert random[0].var(axis=1).mean() > 1.3 * 5 * quasi[0].var(axis=1).mean()
    # Squares of orbit averages take an independent design in each factor.
    assert quasi[1].var() < random[1].var()
    for one, other in zip(quasi, random, strict=True):
        assert agree(one, other)


def agree(one, other):
    """Whether means over copies agree within 5 standard errors: 8 comparisons, 5e-6 by chance."""
    error = np.sqrt((one.var(axis=1) + other.var(axis=1)) / N_COPIES)
    return bool((np.abs(one.mean(axis=1) - other.mean(axis=1)) < 5 * error).all())


def test_the_comparison_of_designs_has_power():
    limited, _ = replications("quasi", 24, T.rotations3d(0.85 * np.pi))
    assert not agree(limited, replications("random", 24)[0])
