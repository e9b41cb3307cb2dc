"""What makes a transformation: group axioms, actions and laws, over the table of all variants."""

import jax
import numpy as np
import pytest
from scipy import stats
from transform_variants import IMAGES, POINTS, VARIANTS, VECTORS, haar_angle_cdf, mixture_cdf

import equiprob as ep

# The level of every Kolmogorov-Smirnov and chi-square test: its false-failure probability.
CHANCE = 1e-6


def over(**fields):
    """Run a test over the variants with the given properties."""
    chosen = {
        name: variant
        for name, variant in VARIANTS.items()
        if all(getattr(variant, field) == value for field, value in fields.items())
    }
    return pytest.mark.parametrize("variant", chosen.values(), ids=chosen.keys())


def draws(transform, n, seed=0):
    return transform.sample_many(np.random.default_rng(seed), n)


def assert_same_elements(transform, one, other):
    one, other = transform.element(one), transform.element(other)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=0, atol=1e-13)


def relative_error(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


# ---- group axioms and actions ---------------------------------------------------------------


@over(has_product=True)
def test_products_are_associative_with_identity_and_inverses(variant):
    transform = variant.transform
    a, b, c = np.split(draws(transform, 15), 3)
    compose, identity = transform.compose, np.broadcast_to(transform.identity, a.shape)
    assert_same_elements(transform, compose(compose(a, b), c), compose(a, compose(b, c)))
    assert_same_elements(transform, compose(a, identity), a)
    assert_same_elements(transform, compose(identity, a), a)
    assert_same_elements(transform, compose(a, transform.inverse(a)), identity)
    assert_same_elements(transform, compose(transform.inverse(a), a), identity)


@over(has_product=True)
def test_a_product_acts_as_the_second_and_then_the_first(variant):
    transform, x = variant.transform, variant.x
    for g, h in draws(transform, 6).reshape(3, 2, -1):
        at_once = transform.apply(transform.compose(g, h), x)
        assert relative_error(transform.apply(g, transform.apply(h, x)), at_once) < 1e-13


@over(has_inverse=True)
def test_the_inverse_undoes_an_element(variant):
    transform, x = variant.transform, variant.x
    for g in draws(transform, 3):
        back = transform.apply(transform.inverse(g), transform.apply(g, x))
        assert relative_error(back, x) < 1e-13


@pytest.mark.parametrize(
    ("transform", "output"),
    [
        (ep.transforms.rotations2d(output_action="vectors"), VECTORS),
        (ep.transforms.dihedral(5, output_action="vectors"), VECTORS),
        (ep.transforms.permutations(4, output_action="permuted"), POINTS),
        (ep.transforms.translations(1.0, output_action={"at": "points"}), {"at": POINTS}),
    ],
    ids=["rotations2d", "dihedral", "permutations", "translations of a dict"],
)
def test_outputs_are_undone_by_the_inverse_element(transform, output):
    for g in draws(transform, 4)[1:]:
        moved = transform.apply_to_output(g, output)
        undone = transform.undo_on_output(g, output)
        back = transform.undo_on_output(g, moved)
        inverse = transform.apply_to_output(transform.inverse(g), output)
        for result, expected in ((back, output), (undone, inverse)):
            for one, other in zip(*map(jax.tree.leaves, (result, expected)), strict=True):
                assert relative_error(one, other) < 1e-13


def test_the_functions_of_an_output_action_see_the_parameter():
    """A user's inverse gets the parameter itself, not that of the inverse element."""
    shift = ep.transforms.Action(lambda p, row: row + 2 * p[0], lambda p, row: row - 2 * p[0])
    turn = ep.transforms.rotations2d(output_action={"a": shift, "b": "vectors"})
    output = {"a": np.arange(6.0), "b": VECTORS}
    g = np.array([np.pi / 2])
    quarter = np.stack([-VECTORS[:, 1], VECTORS[:, 0]], -1)
    for move, sign in ((turn.apply_to_output, 1), (turn.undo_on_output, -1)):
        moved = move(g, output)
        np.testing.assert_allclose(moved["a"], output["a"] + sign * np.pi)
        np.testing.assert_array_equal(moved["b"], sign * quarter)


@over(has_inverse=False)
def test_a_missing_inverse_is_refused_with_a_hint(variant):
    with pytest.raises(ValueError, match=r"has no inverse; .*pass inverse="):
        variant.transform.inverse(variant.transform.identity)
    assert variant.transform.compose(*draws(variant.transform, 2)) is None


@over()
def test_the_identity_changes_nothing_and_has_no_magnitude(variant):
    transform = variant.transform
    assert transform.magnitude(transform.identity) == 0
    assert relative_error(transform.apply(transform.identity, variant.x), variant.x) < 1e-14


@pytest.mark.parametrize("size", [1e-3, 1e-9, 1e-15])
def test_elements_near_the_identity_keep_their_digits(size):
    turn, shift = ep.transforms.rotations2d(), ep.transforms.translations(1.0, acts_on="image")
    small = np.array([size])
    np.testing.assert_allclose(turn.magnitude(small), np.rad2deg(size), rtol=1e-12)
    np.testing.assert_allclose(turn.compose(small, small), 2 * small, rtol=1e-12)
    np.testing.assert_allclose(turn.element(small)["matrix"][1, 0], np.sin(size), rtol=1e-12)
    # What a pixel reads moves by at most 3 size in each of two directions (the corner of a 7 x 7
    # image), and neighbours differ by at most 1.
    inside = np.pad(IMAGES, ((0, 0), (1, 1), (1, 1)))
    for moved in (turn.apply(small, inside), shift.apply(np.array([size, size]), inside)):
        assert np.abs(moved - inside).max() <= 6.01 * size + 1e-14


# ---- laws -----------------------------------------------------------------------------------


@over()
def test_whether_a_law_is_haar_is_known(variant):
    assert variant.transform.is_haar == variant.is_haar


@over(is_haar=True)
def test_a_haar_measure_is_invariant(variant):
    transform = variant.transform
    finite = transform.enumeration()
    if finite is None:
        fixed, g = draws(transform, 1), draws(transform, 2000, seed=1)
        for product in (transform.compose(fixed, g), transform.compose(g, fixed)):
            if variant.angle_cdf is not None:
                assert _angle_pvalue(product, variant.angle_cdf) > CHANCE
            else:
                uniform = stats.uniform(-np.pi, 2 * np.pi).cdf
                assert stats.kstest(product[:, 0], uniform).pvalue > CHANCE
        return
    everything = _sorted_rows(transform, finite.parameters)
    for fixed in draws(transform, 3):
        for product in (
            transform.compose(fixed[None], finite.parameters),
            transform.compose(finite.parameters, fixed[None]),
        ):
            np.testing.assert_array_equal(_sorted_rows(transform, product), everything)
    np.testing.assert_allclose(finite.weights, 1 / len(finite.weights))


def test_the_haar_test_has_power():
    limited = ep.transforms.rotations2d(0.85 * np.pi)
    angles = limited.compose(draws(limited, 1), draws(limited, 2000, seed=1))[:, 0]
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue < CHANCE

    space = ep.transforms.rotations3d(0.8 * np.pi)
    moved = space.compose(draws(space, 1), draws(space, 2000, seed=1))
    assert _angle_pvalue(moved, haar_angle_cdf) < CHANCE


def _angle_pvalue(rotation_vectors, cdf):
    """Return the p-value of the law of the angles, that of their axes being uniform."""
    angle = np.linalg.norm(rotation_vectors[:, :3], axis=1)
    height = rotation_vectors[:, 2] / angle
    both = stats.kstest(angle, cdf), stats.kstest(height, stats.uniform(-1, 2).cdf)
    return min(test.pvalue for test in both)


def _sorted_rows(transform, parameters):
    """Return a finite set in an order that depends on its elements alone."""
    arrays = [a.reshape(len(parameters), -1) for a in transform.element(parameters).values()]
    flat = np.round(np.concatenate(arrays, axis=1), 9) + 0.0
    return flat[np.lexsort(flat.T)]


@over()
def test_parameters_have_the_law(variant):
    """Quantiles are those of the law; a law that can only be sampled is tested on samples."""
    transform, cdf = variant.transform, variant.cdf
    if transform.n_uniforms == 0:
        assert stats.kstest(draws(transform, 400)[:, 0], cdf).pvalue > CHANCE
        return
    n = 4096
    u = np.stack([(np.arange(n) + 0.5) / n] * transform.n_uniforms, axis=-1)
    parameters = transform.parameters(u)
    assert parameters.shape == (n, len(transform.identity))
    finite = transform.enumeration()
    if variant.angle_cdf is not None:
        assert _angle_pvalue(draws(transform, 4000), variant.angle_cdf) > CHANCE
    elif cdf is not None:
        np.testing.assert_allclose(cdf(parameters), u, atol=1e-6)
    elif transform.n_uniforms == 1:
        counts = [(parameters == p).all(axis=1).mean() for p in finite.parameters]
        np.testing.assert_allclose(counts, finite.weights, atol=1 / n)


def test_the_sampled_law_test_has_power():
    sampled = VARIANTS["rotations2d mixture law"].transform
    shifted = draws(sampled, 400)[:, 0] + 0.2
    assert stats.kstest(shifted, mixture_cdf).pvalue < CHANCE


@pytest.mark.parametrize("name", ["permutations", "sign flips", "translations of images"])
def test_several_uniforms_give_each_element_its_probability(name):
    transform = VARIANTS[name].transform
    parameters = draws(transform, 5000)
    counts = np.unique(parameters, axis=0, return_counts=True)[1]
    assert len(counts) == {"permutations": 24, "sign flips": 8, "translations of images": 25}[name]
    assert stats.chisquare(counts).pvalue > CHANCE
    # The power twin: half of the draws of one element are given to another.
    moved = counts[0] // 2
    wrong = counts + np.array([-moved, moved] + [0] * (len(counts) - 2))
    assert stats.chisquare(wrong).pvalue < CHANCE


@over()
def test_magnitudes_within_a_bound_have_the_stated_probability(variant):
    transform = variant.transform
    magnitudes, weights = transform.magnitude_law()
    assert (magnitudes >= 0).all()
    np.testing.assert_allclose(weights.sum(), 1)
    for bound in np.quantile(magnitudes, [0.2, 0.6, 1.0]) + 1e-6:
        represented = weights[magnitudes <= bound].sum()
        # Two-dimensional laws are represented by 4096 quasi-random points.
        assert transform.probability_within(bound) == pytest.approx(represented, abs=5e-3)


def _standard_scores(transform, simulated, bounds):
    """Compare stated probabilities with shares of simulated magnitudes, in standard errors.

    Laws without a closed form state a probability found from 4096 points, which the error includes.
    """
    stated = np.array([transform.probability_within(bound) for bound in bounds])
    shares = np.array([(simulated <= bound).mean() for bound in bounds])
    return np.abs(shares - stated) / np.sqrt(
        stated * (1 - stated) * (1 / len(simulated) + 1 / 4096)
    )


@over()
def test_simulated_magnitudes_have_the_stated_probability(variant):
    # Six standard errors, 38 comparisons with probabilities of 0.1 or more either way: a binomial
    # share this large goes beyond in fewer than 1e-7 of runs.
    transform = variant.transform
    simulated = transform.magnitude(draws(transform, 4000, seed=5))
    bounds = np.quantile(transform.magnitude_law()[0], [0.3, 0.6]) + 1e-6
    bounds = [b for b in bounds if 0.1 < transform.probability_within(b) < 0.9]
    assert bounds
    assert (_standard_scores(transform, simulated, bounds) < 6).all()


def test_the_simulation_of_magnitudes_has_power():
    limited = ep.transforms.rotations2d(0.5)
    wider = ep.transforms.rotations2d(0.6)
    simulated = wider.magnitude(draws(wider, 4000, seed=5))
    assert (_standard_scores(limited, simulated, np.rad2deg([0.15, 0.3])) > 6).any()


@over(restricted=True)
def test_a_restricted_law_is_the_conditional_law(variant):
    transform = variant.transform
    magnitudes, _ = transform.magnitude_law()
    bound = np.quantile(magnitudes, 0.6) + 1e-6
    part = transform.restricted(bound)
    assert part.magnitude(draws(part, 50)).max() <= bound * (1 + 1e-9)
    for smaller in (bound / 3, bound / 1.5, bound):
        expected = transform.probability_within(smaller) / transform.probability_within(bound)
        assert part.probability_within(smaller) == pytest.approx(expected)


@over(restricted=False)
def test_what_cannot_be_restricted_says_so(variant):
    with pytest.raises(ValueError, match="cannot be restricted to a range of magnitudes; use"):
        variant.transform.restricted(1.0)
