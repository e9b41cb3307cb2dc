"""Actions that read other leaves, other parts of a transformation, or the whole row."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
N, M = 24, 4
CELLS = {
    "positions": rng.normal(size=(N, M, 3)).astype(np.float32),
    "cell": (2 * np.eye(3) + rng.normal(size=(N, 3, 3)) / 9).astype(np.float32),
}
IONS = {
    "positions": rng.normal(size=(N, M, 3)).astype(np.float32),
    "charges": rng.normal(size=(N, M)).astype(np.float32),
}
EXACT = 1e-5
"""Relative error of float32 that is rounding; what is wrong is above 0.05 in each of these."""


def change(predict, x, transform, backend="jax"):
    """Return the root mean square change of outputs under some transformations, over their size."""
    table = ep.evaluate_orbits(predict, x, transform, n_transforms=4, backend=backend)
    means = ep.ModelEquivarianceError(n_draws=20).fit(table).summary().loc["error", "estimate"]
    return float(means / np.sqrt((np.asarray(predict(x)) ** 2).mean()))


def periodic(x):
    lattice = jnp.swapaxes(x["cell"], 1, 2)[:, None]
    fractions = jnp.linalg.solve(lattice, x["positions"][..., None])[..., 0]
    return jnp.cos(2 * jnp.pi * fractions).sum((1, 2))


def unwrapping(action):
    return T.from_functions(
        lambda generator: generator.integers(-1, 2, size=3 * M).astype(float),
        {"positions": action, "cell": "invariant"},
        identity=np.zeros(3 * M),
        inverse=lambda n: -n,
    )


@pytest.mark.parametrize("backend", ["jax", "python"])
def test_unwrapped_atoms_read_their_cell(backend):
    by_word = T.lattice_shifts(M)
    by_hand = unwrapping(T.Action(lambda n, r, c: r + n.reshape(-1, 3) @ c, given="cell"))
    for right in (by_word, by_hand):
        assert change(periodic, CELLS, right, backend) < EXACT
    wrong = unwrapping(lambda n, r: r + 2 * n.reshape(-1, 3))
    assert change(periodic, CELLS, wrong, backend) > 0.05
    g = by_word.sample(np.random.default_rng(0))
    moved = by_word.apply(g, CELLS)
    np.testing.assert_allclose(
        moved["positions"], CELLS["positions"] + g.reshape(-1, 3) @ CELLS["cell"], atol=1e-5
    )
    assert ep.check_action(by_word, CELLS).status == "ok"


def test_a_function_in_numpy_reads_leaves_row_by_row():
    act = T.Action(
        lambda n, r, c: r + np.asarray(n).reshape(-1, 3).dot(np.array(c)), given=["cell"]
    )
    plain = lambda x: np.asarray(periodic(x))  # noqa: E731
    assert change(plain, CELLS, unwrapping(act), "python") < EXACT


def _dipole(x):
    return (x["charges"][..., None] * x["positions"]).sum(1)


DIPOLE = T.Action(
    lambda g, mu, q: g["matrix"] @ mu + q.sum() * g["shift"],
    lambda g, mu, q: g["matrix"].T @ (mu - q.sum() * g["shift"]),
    reads="element",
    given="charges",
)


@pytest.mark.parametrize("backend", ["jax", "python"])
def test_the_dipole_of_a_charged_molecule_reads_the_charges(backend):
    moves = lambda word: T.euclidean3d(  # noqa: E731
        2.0, acts_on={"positions": "points", "charges": "invariant"}, output_action=word
    )
    assert change(_dipole, IONS, moves(DIPOLE), backend) < EXACT
    assert change(_dipole, IONS, moves("vectors"), backend) > 0.5


def test_checks_move_leaves_with_those_that_they_read():
    moves = T.euclidean3d(
        2.0, acts_on={"positions": "points", "charges": "invariant"}, output_action=DIPOLE
    )
    found = ep.check_action(moves, IONS, _dipole(IONS), predict=_dipole)
    assert found.status == "ok"
    assert found.table.loc["predict", "model_error"] < EXACT
    assert found.table.loc["y", "composition_error"] < EXACT
    with pytest.raises(ValueError, match=r"reads the leaf \['charges'\] of the input"):
        moves.undo_on_output(moves.identity, _dipole(IONS))
    with pytest.raises(ValueError, match=r"reads the leaf \['charges'\].*only .*positions"):
        T.euclidean3d(2.0, acts_on={"positions": "points"}, output_action=DIPOLE).on(
            {"positions": IONS["positions"]}, _dipole(IONS)
        )


def test_a_function_of_the_whole_row_moves_leaves_together():
    def exchange(p, row):
        swapped = {"a": row["b"], "b": row["a"], "n": row["n"][::-1]}
        return {k: jnp.where(p[0] > 0, swapped[k], row[k]) for k in row}

    swaps = T.from_functions(
        lambda generator: generator.integers(0, 2), exchange, inverse=lambda p: p
    )
    x = {"a": IONS["charges"], "b": IONS["charges"] ** 2, "n": np.tile(np.arange(M), (N, 1))}
    moved = swaps.apply(np.array([1.0]), x)
    for key, expected in (("a", x["b"]), ("b", x["a"]), ("n", x["n"][:, ::-1])):
        np.testing.assert_array_equal(moved[key], expected)
        assert moved[key].dtype == x[key].dtype
    assert ep.check_action(swaps, x).status == "ok"
    assert change(lambda x: (x["a"] * x["b"]).sum(1), x, swaps) == 0
    assert change(lambda x: x["a"].sum(1), x, swaps) > 0.1
    both = lambda x: {"first": x["a"], "second": x["b"]}  # noqa: E731
    names = {"first": "second", "second": "first"}
    over = lambda p, y: {k: jnp.where(p[0] > 0, y[names[k]], y[k]) for k in y}  # noqa: E731
    outward = T.Action(over, over)
    twice = T.from_functions(lambda generator: 1.0, exchange, output_action=outward)
    table = ep.evaluate_orbits(both, x, twice, n_transforms=2)
    assert ep.ModelEquivarianceError(n_draws=20).fit(table["first"]).draws["error"].max() == 0


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ("index", lambda i, m: i),
        ("matrix", lambda i, m: m[0, 1]),
        (("index", "matrix"), lambda i, m: i + m[0, 1]),
    ],
)
def test_functions_may_read_what_a_transformation_is(reads, expected):
    def act(read, row):
        if reads == "index":
            return row + read
        return row + (read[0, 1] if reads == "matrix" else read[0] + read[1][0, 1])

    turns = T.cyclic(4, acts_on=T.Action(act, reads=reads))
    x = np.zeros((2, 3))
    moved = turns.apply(np.array([3.0]), x)
    np.testing.assert_allclose(moved, expected(3, turns.element(np.array([3.0]))["matrix"]))
    with pytest.raises(ValueError, match="no action of kind 'action'"):
        T.cyclic(4, acts_on=T.Action(act, reads="shift")).apply(np.array([3.0]), x)


def test_a_function_declared_of_several_transforms_acts_once_with_all_their_parameters():
    x = {"r": rng.normal(size=(5, 4, 2)), "q": rng.normal(size=(5, 4))}
    both = T.product(
        T.rotations2d(),
        T.permutations(4),
        acts_on={"r": "items points", "q": lambda p, row: row[p[1:].astype(int)] + p[0]},
    )
    g = both.sample(np.random.default_rng(0))
    moved = both.apply(g, x)
    np.testing.assert_allclose(moved["q"], x["q"][:, g[1:].astype(int)] + g[0])
    by_one = T.rotations2d(acts_on="points").apply(g[:1], T.permutations(4).apply(g[1:], x["r"]))
    np.testing.assert_allclose(moved["r"], by_one)
    reads = T.product(
        T.rotations2d(),
        T.permutations(4),
        acts_on={"r": "items points", "q": T.Action(abs, reads="matrix")},
    )
    with pytest.raises(ValueError, match="declare it of the one that it belongs to"):
        reads.on(x)


def test_several_frames_are_not_declared_as_one():
    turn, shift = T.rotations2d(acts_on="image", fill=1.0), T.translations(2.0, acts_on="image")
    white = np.ones((2, 5, 5))
    g = np.array([0.0, 2.0, 0.0])
    assert T.product(turn, shift).apply(g, white).min() == 0
    with pytest.raises(ValueError, match=r"\(1.0, False\), \(0.0, False\)"):
        T.product(turn, shift, acts_on="image")
    alike = T.product(turn, replace(shift, fill=1.0), acts_on="image")
    np.testing.assert_allclose(alike.apply(g, white), 1)
