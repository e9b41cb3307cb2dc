"""What makes a transformation: group axioms, actions, laws, over the table of all variants."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from transform_variants import IMAGES, VARIANTS, VECTORS, mixture

import equiprob as ep

GROUPS = {name: v for name, v in VARIANTS.items() if v.is_group}
QUANTILES = {name: v for name, v in VARIANTS.items() if v.transform.n_uniforms}


def over(variants):
    return pytest.mark.parametrize("variant", variants.values(), ids=variants.keys())


def draws(transform, n, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([transform.sample(generator) for _ in range(n)])


def assert_same_elements(transform, one, other):
    one, other = transform.element(one), transform.element(other)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=0, atol=1e-13)


# ---- group axioms and actions ---------------------------------------------------------------


@over(GROUPS)
def test_products_are_associative_with_identity_and_inverses(variant):
    transform = variant.transform
    a, b, c = np.split(draws(transform, 15), 3)
    compose, identity = transform.compose, np.broadcast_to(transform.identity, a.shape)
    assert_same_elements(transform, compose(compose(a, b), c), compose(a, compose(b, c)))
    assert_same_elements(transform, compose(a, identity), a)
    assert_same_elements(transform, compose(identity, a), a)
    assert_same_elements(transform, compose(a, transform.inverse(a)), identity)
    assert_same_elements(transform, compose(transform.inverse(a), a), identity)


@over(GROUPS)
def test_product_acts_as_second_then_first(variant):
    transform, x = variant.transform, variant.x
    for g, h in draws(transform, 6).reshape(3, 2, -1):
        at_once = transform.apply(transform.compose(g, h), x)
        np.testing.assert_allclose(at_once, transform.apply(g, transform.apply(h, x)), atol=1e-12)


@over(VARIANTS)
def test_identity_changes_nothing_and_has_magnitude_zero(variant):
    transform = variant.transform
    assert transform.magnitude(transform.identity) == 0
    np.testing.assert_allclose(transform.apply(transform.identity, variant.x), variant.x, atol=1e-6)


@over(VARIANTS)
def test_inverse_undoes_or_is_refused(variant):
    transform, x = variant.transform, variant.x
    for g in draws(transform, 3):
        if "semigroup" in str(variant) or transform.inverse.__func__ is None:
            continue
        try:
            inverse = transform.inverse(g)
        except ValueError as error:
            assert not variant.is_group
            assert "has no inverse" in str(error)
        else:
            np.testing.assert_allclose(
                transform.apply(inverse, transform.apply(g, x)), x, atol=1e-6
            )
