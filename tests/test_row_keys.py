"""Randomness belongs to rows: ids from content, transformations from ids, whatever the order."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import equiprob as ep
from equiprob.orbits import keys
from equiprob.orbits.keys import (
    Purpose,
    content_ids,
    keyed_uniforms,
    keys_of,
    label_ids,
    root_key,
    split_ids,
)

rng = np.random.default_rng(0)
X = rng.normal(size=(24, 2)).astype(np.float32)
Y = rng.normal(size=(24, 2))
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


def bent(x):
    return jnp.tanh(x @ jnp.array([[1.0, 0.4], [-0.7, 0.5]]))


def evaluate(predict=bent, x=X, **arguments):
    return ep.evaluate_orbits(predict, x, TURN, n_transforms=5, **arguments)


# ---- ids ------------------------------------------------------------------------------------


def test_ids_are_a_function_of_values_not_of_containers():
    ids = content_ids([X])
    assert len(np.unique(ids)) == 24
    for same in (X.astype(np.float64), jnp.asarray(X), X[:, None, :], np.asfortranarray(X)):
        np.testing.assert_array_equal(content_ids([same]), ids)
    assert (content_ids([X * np.float32(1 + 1e-6)]) != ids).all()
    zero = np.zeros((1, 2))
    np.testing.assert_array_equal(content_ids([zero]), content_ids([-zero]))
    assert content_ids([np.array([[1, 2]])]) != content_ids([np.array([[2, 1]])])
    halves = np.array([[0.25], [0.5]])
    np.testing.assert_array_equal(
        content_ids([halves.astype(ml_dtypes.bfloat16)]), content_ids([halves])
    )


def test_ids_depend_on_every_leaf_and_on_the_targets():
    without = evaluate().row_ids
    with_y = evaluate(y=Y).row_ids
    changed = Y.copy()
    changed[3, 1] += 1e-9
    with_changed = evaluate(y=changed).row_ids
    assert not np.isin(with_y, without).any()
    np.testing.assert_array_equal(np.flatnonzero(with_y != with_changed), [3])
    two = [X, np.arange(24)]
    assert not np.isin(content_ids(two), content_ids([X])).any()
    np.testing.assert_array_equal(content_ids([X]), without)


def test_copies_of_a_row_have_ids_of_their_own():
    copies = np.concatenate([X[:3], X[:3], X[:1]])
    ids = content_ids([copies])
    assert len(np.unique(ids)) == 7
    np.testing.assert_array_equal(ids[:3], content_ids([X[:3]]))
    # Copies are interchangeable: moving one past other rows changes no id's place among them.
    assert set(content_ids([copies[::-1]])) == set(ids)
    table = evaluate(x=copies)
    assert len(np.unique(table.parameters()[:, 0])) == 7


def test_large_rows_are_hashed_few_at_a_time_and_chunk_by_chunk(monkeypatch):
    images = np.resize(np.random.default_rng(2).random((5, 3, 64, 64)), (13, 3, 64, 64))
    ids, made = content_ids([images, images[:, :1]]), []
    original = keys._bytes_of
    monkeypatch.setattr(keys, "_bytes_of", lambda leaf: made.append(len(leaf)) or original(leaf))
    monkeypatch.setattr(keys, "_BYTES_HASHED", 2**20)
    np.testing.assert_array_equal(content_ids([images, images[:, :1]]), ids)
    assert set(made) == {8, 5}  # of 2^17 bytes each
    flips = ep.transforms.dihedral(1, acts_on="image_channels_first")
    table = ep.evaluate_orbits(
        lambda rows: rows.mean((2, 3)), images, flips, n_transforms=2, batch_size=4
    )
    np.testing.assert_array_equal(table.row_ids, content_ids([images]))
    assert len(np.unique(table.row_ids)) == 13


def test_users_may_label_rows_and_groups():
    names = np.array([f"patient {i}" for i in range(24)])
    named, numbered = evaluate(row_ids=names), evaluate(row_ids=np.arange(24))
    assert len({*named.row_ids, *numbered.row_ids}) == 48
    np.testing.assert_array_equal(named.unit_ids, named.row_ids)
    assert not named.grouped
    # The same labels on other content see the same transformations.
    other = evaluate(x=X + 1, row_ids=names)
    np.testing.assert_array_equal(other.parameters(), named.parameters())

    groups = np.arange(24) // 3
    grouped = evaluate(groups=groups)
    assert grouped.grouped
    np.testing.assert_array_equal(grouped.unit_ids, label_ids(groups))
    assert len(np.unique(grouped.unit_ids)) == 8
    np.testing.assert_array_equal(grouped.row_ids, evaluate().row_ids)


# ---- transformations ------------------------------------------------------------------------


@pytest.mark.parametrize("design", ["quasi", "random"])
def test_a_rows_transformations_do_not_depend_on_its_neighbours(design):
    everything = evaluate(design=design)
    shuffled = rng.permutation(24)
    subset = np.array([20, 3, 7])
    for rows in (shuffled, subset):
        part = evaluate(x=X[rows], design=design)
        np.testing.assert_array_equal(part.row_ids, everything.row_ids[rows])
        np.testing.assert_array_equal(part.parameters(), everything.parameters()[rows])
        np.testing.assert_allclose(part.only.raw, everything.only.raw[rows], atol=1e-6)
    # Rows differ from each other, and seeds do.
    assert len(np.unique(everything.parameters()[:, 0])) == 24
    assert (evaluate(design=design, seed=1).parameters() != everything.parameters()).all()


def test_two_models_see_the_same_transformations_of_the_same_rows():
    def seen(x):
        return x @ jnp.array([[1.0, 0.0], [0.0, 1.0]])

    turn = ep.transforms.rotations2d(acts_on="vectors")  # outputs are compared where they are
    arguments = {"y": Y, "n_transforms": 5, "keep": "all"}
    first = ep.evaluate_orbits(seen, X, turn, **arguments)
    second = ep.evaluate_orbits(lambda x: 3 * seen(x), X, turn, batch_size=7, **arguments)
    np.testing.assert_array_equal(first.row_ids, second.row_ids)
    np.testing.assert_allclose(3 * first.only.raw, second.only.raw, atol=1e-5)
    angles = (
        np.arctan2(*np.moveaxis(first.only.raw + X[:, None], -1, 0)[::-1])
        - np.arctan2(X[:, 1], X[:, 0])[:, None]
    )
    difference = angles - first.parameters()[..., 0]
    np.testing.assert_allclose(np.sin(difference / 2), 0, atol=1e-5)


def test_uniforms_are_uniform_and_purposes_are_independent():
    """Moments at 5 standard errors: each fails by chance 6e-7 of the time."""
    ids = content_ids([np.arange(4000)])
    draws = {purpose: keyed_uniforms(0, purpose, ids, 1)[:, 0] for purpose in Purpose}
    n, columns = len(ids), list(draws.values())
    for u in columns:
        assert ((u >= 0) & (u < 1)).all()
        assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * n)
        assert abs(u.var() - 1 / 12) < 5 / np.sqrt(180 * n)
        assert np.mod(u * 2.0**53, 1).max() == 0
        assert (np.mod(u * 2.0**32, 1) > 0).mean() > 0.99  # more bits than a float32 has
    off_diagonal = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(n)
    # The power twin: a purpose that shared a tenth of its draws would be found.
    shared = np.where(np.arange(n) % 10 == 0, columns[0], columns[1])
    assert abs(np.corrcoef(columns[0], shared)[0, 1]) > 5 / np.sqrt(n)


def test_the_largest_seed_is_taken():
    assert evaluate(seed=2**32 - 1).design.seed == 2**32 - 1


def test_numbers_of_an_id_do_not_depend_on_the_tiles_that_it_stands_in():
    """They are those of ``jax.random`` with the key of the id, for any number of ids."""
    ids = np.random.default_rng(0).integers(0, 2**63, 2100, dtype=np.uint64)
    for n in (1, 2, 3, 40):
        whole = keyed_uniforms(7, Purpose.NOISE, ids, n)
        for some in (slice(0), slice(1), slice(600, 700), slice(1000, 2100)):
            np.testing.assert_array_equal(
                keyed_uniforms(7, Purpose.NOISE, ids[some], n), whole[some]
            )
    key = keys_of(root_key(7, Purpose.NOISE), *split_ids(ids[:1]))[0]
    words = np.asarray(jax.random.bits(key, (40, 2), np.uint32)).astype(np.uint64)
    expected = ((words[:, 0] >> 5) * 2**26 + (words[:, 1] >> 6)) / 2.0**53
    np.testing.assert_array_equal(whole[0], expected)
