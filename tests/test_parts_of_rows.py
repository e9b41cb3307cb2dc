"""Means of parts of what rows have seen: those of rows that are large in all parts share a tail."""

import numpy as np
import pytest
from scipy import stats

from equiprob.posterior.parts_of_rows import means_of_parts
from equiprob.posterior.row_means import RowMeans

N, DRAWS = 300, 500
EACH = np.array([0.1, 0.5, 1.0, 2.0])
SHARES = np.tile([0.1, 0.2, 0.3, 0.4], (N, 1))


def means(seed=0, n=N):
    return RowMeans(np.arange(n, dtype=np.uint64) + np.uint64(1000 * seed), DRAWS, 0)


def heavy(generator):
    """Squares of Student t with 2.5 degrees of freedom, of mean 5."""
    return generator.standard_t(2.5, N) ** 2


def test_parts_of_rows_of_one_shape_are_known_as_their_sizes_are():
    sizes = heavy(np.random.default_rng(0))
    found = means_of_parts(means(), SHARES * EACH * sizes[:, None], SHARES)
    # The same numbers up to rounding, which moves a sum of 300 by less than 1e-12 of itself.
    np.testing.assert_allclose(found / EACH, found[:, :1] / EACH[0] * np.ones(4), rtol=1e-9)
    np.testing.assert_allclose(found[:, 2], means().mean(sizes), rtol=1e-9)


def test_the_number_of_transformations_in_a_part_does_not_matter():
    """A row's size is that of its other parts: its own would be larger where it has more of one."""
    generator = np.random.default_rng(1)
    counts = generator.multinomial(4, np.ones(4) / 4, size=N)
    found = means_of_parts(means(), counts / 4 * EACH, counts / 4)
    np.testing.assert_allclose(found, EACH * np.ones((DRAWS, 1)), rtol=1e-9)


def test_parts_that_go_each_their_own_way_are_known_by_themselves():
    generator = np.random.default_rng(2)
    sums = SHARES * EACH * np.stack([heavy(generator) for _ in EACH], axis=1)
    # Sizes of all but one are no more like it than chance makes them: the largest row is another.
    np.testing.assert_array_equal(
        means_of_parts(means(), sums, SHARES), means().weighted_means(sums, SHARES)
    )


@pytest.mark.parametrize("why", ["one part", "labels", "below zero"])
def test_what_has_no_sizes_is_left_as_it_is(why):
    sums = SHARES * EACH * heavy(np.random.default_rng(3))[:, None]
    shares, reach = SHARES, 0.0
    if why == "one part":
        sums, shares = sums[:, :1], shares[:, :1]
    elif why == "labels":
        reach = 1.0
    else:
        sums = sums - 1e-6
    np.testing.assert_array_equal(
        means_of_parts(means(), sums, shares, reach), means().weighted_means(sums, shares, reach)
    )


@pytest.mark.simulation
def test_intervals_of_parts_cover_where_rows_share_a_heavy_size():
    """Nominal 0.9: .85 of the intervals, twelve a sample; .48 with a tail of each part by itself.

    If all of a sample miss together, of 40 samples of probability .8 at most 21 hold with
    probability 1e-4. Both in one sample differ by .37 with a standard deviation of .5 at most: in
    40 by less than 2 with probability 3e-5.
    """
    held = {"shared": [], "alone": []}
    each_size = 1 - np.cos((np.arange(12) + 0.5) * np.pi / 12)
    for seed in range(40):
        generator = np.random.default_rng(seed)
        counts = generator.multinomial(16, np.ones(12) / 12, size=N) / 16
        phase = generator.uniform(0, 2 * np.pi, (N, 1)) + np.arange(12) * np.pi / 24
        sums = counts * each_size * heavy(generator)[:, None] * 2 * np.cos(phase) ** 2
        rows = means(seed)
        each = {
            "shared": means_of_parts(rows, sums, counts),
            "alone": rows.weighted_means(sums, counts),
        }
        for name, draws in each.items():
            low, high = np.quantile(draws, [0.05, 0.95], axis=0)
            held[name].append((low <= 5 * each_size) & (high >= 5 * each_size))
    shared, alone = (int(np.sum(held[name])) / 12 for name in ("shared", "alone"))
    assert stats.binom.cdf(21, 40, 0.8) < 1.1e-4
    assert shared > 21
    assert shared > alone + 2
