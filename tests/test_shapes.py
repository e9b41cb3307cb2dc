"""Transformations that change the shape of rows: supercells, and functions of all rows at once."""

import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
N, M = 6, 3
CRYSTALS = {
    "positions": rng.normal(size=(N, M, 3)),
    "cell": 4 * np.eye(3) + rng.normal(size=(N, 3, 3)) / 9,
    "species": rng.integers(0, 2, (N, M)),
}
NEAR = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), -1).reshape(-1, 3)
WORDS = {"positions": "positions", "cell": "cell", "species": "items"}
REPEATS = [[1, 1, 1], [2, 1, 1], [2, 2, 1]]


def crystal(x, bug=0.0):
    """A pair force over neighbouring cells, of range below a cell."""
    d = x["positions"][:, :, None, None] - x["positions"][:, None, :, None]
    fractions = d @ np.linalg.inv(x["cell"])[:, None, None]
    d = (fractions - np.round(fractions)) @ x["cell"][:, None, None]
    d = d - (NEAR @ x["cell"])[:, None, None]
    square = (d**2).sum(-1)
    charge = 1 - 2 * x["species"]
    u = np.exp(-3 * square) * (square > 1e-9) * (charge[:, :, None] * charge[:, None])[..., None]
    return {
        "energy": u.sum((1, 2, 3)) + bug * M * x["positions"].shape[1] ** 2,
        "per_atom": u.sum((1, 2, 3)) / x["positions"].shape[1] + bug * x["positions"].shape[1],
        "forces": (u[..., None] * d).sum((2, 3)),
    }


def errors(predict, transform, x=CRYSTALS):
    table = ep.evaluate_orbits(predict, x, transform, n_transforms=8)
    seen = {name: table[name].moments for name in table.outputs}
    return {
        k: float(np.sqrt((m.bin_sq.sum(1) / m.bin_weight.sum(1)).mean())) for k, m in seen.items()
    }


def cells(**words):
    usual = {"energy": "extensive", "per_atom": "invariant", "forces": "items"}
    return T.supercells(REPEATS, acts_on=WORDS, output_action=usual | words)


def test_supercells_find_an_energy_that_is_not_extensive():
    assert max(errors(crystal, cells()).values()) < 1e-6
    single = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in CRYSTALS.items()}
    assert max(errors(crystal, cells(), single).values()) < 1e-4
    found = errors(lambda x: crystal(x, bug=0.01), cells())
    # .01 times the atoms that were added: 0, 3 and 9.
    assert found["per_atom"] == pytest.approx(0.01 * np.sqrt((9 + 81) / 3), rel=1e-3)
    # n^2 over copies less n^2: 0, 9 and 27, times .01 * 3.
    assert found["energy"] == pytest.approx(0.03 * np.sqrt((81 + 729) / 3), rel=1e-3)
    table = ep.evaluate_orbits(lambda x: crystal(x, bug=0.01), CRYSTALS, cells(), n_transforms=8)
    summary = ep.ModelEquivarianceError(n_draws=20).fit(table["energy"]).summary()
    spread = np.asarray(crystal(CRYSTALS)["energy"]).std()
    relative = summary.loc["relative_error", "estimate"] * spread / found["energy"]
    assert 0.5 < relative < 2  # six rows: their spread is a rough one
    wrong = errors(crystal, cells(energy="invariant"))
    assert wrong["energy"] > 100 * errors(crystal, cells())["energy"]


def test_rows_in_a_supercell_are_the_copies_one_after_the_other():
    grown = cells().apply(np.array([1.0]), CRYSTALS)
    assert grown["positions"].shape == (N, 2 * M, 3)
    np.testing.assert_array_equal(grown["positions"][:, :M], CRYSTALS["positions"])
    np.testing.assert_allclose(
        grown["positions"][:, M:], CRYSTALS["positions"] + CRYSTALS["cell"][:, None, 0]
    )
    np.testing.assert_array_equal(grown["cell"][:, 0], 2 * CRYSTALS["cell"][:, 0])
    np.testing.assert_array_equal(grown["species"], np.tile(CRYSTALS["species"], 2))


def test_checks_say_that_shapes_change():
    found = ep.check_action(cells(), CRYSTALS)
    assert found.status == "ok"
    assert "changes the shape" in str(found)


def test_functions_of_all_rows_may_change_their_shape():
    """Every second pixel: a mean stays about the same, a sum does not."""
    coarser = T.from_functions(
        lambda generator: float(generator.integers(1, 3)),
        T.Action(lambda p, x: x[:, :: int(p[0]), :: int(p[0])], changes_shape=True),
        identity=1.0,
    )
    smooth = np.ones((N, 8, 8)) * rng.random((N, 1, 1))
    run = lambda predict, design: ep.evaluate_orbits(  # noqa: E731
        predict, smooth, coarser, n_transforms=4, design=design
    )
    mean, total = (
        run(f, "crossed").moments for f in (lambda x: x.mean((1, 2)), lambda x: x.sum((1, 2)))
    )
    assert mean.bin_sq.max() < 1e-20 < 1 < total.bin_sq.max()
    with pytest.raises((ValueError, RuntimeError), match="design='crossed'"):
        run(lambda x: x.mean((1, 2)), "random")
    with pytest.raises((ValueError, RuntimeError), match="taken back has rows of shape"):
        run(lambda x: x[:, 0], "crossed")
    with pytest.raises(ValueError, match="leave backend out"):
        ep.evaluate_orbits(lambda x: x.mean((1, 2)), smooth, coarser, backend="jax")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: T.supercells([[2, 1, 1], [1, 1, 1]]), r"\[1, 1, 1\] first"),
        (lambda: T.supercells([[1, 1, 1]]), "at least two"),
        (lambda: T.supercells(REPEATS, acts_on={"r": "points", "c": "cell"}), "one of"),
        (lambda: T.supercells(REPEATS, acts_on={"r": "positions"}), "one of them 'cell'"),
        (lambda: T.supercells(REPEATS, output_action="vectors"), "supercells know"),
        (lambda: T.rescalings([0.5, 1]), "1 first"),
        (lambda: T.rescalings([1, 2], acts_on="points"), "expected one of"),
        (lambda: T.rescalings([1, 2], acts_on="invariant"), "which leaf is a picture"),
        (lambda: T.crops(0), "most must be"),
        (lambda: T.crops(2, acts_on="vectors"), "expected one of"),
    ],
)
def test_what_is_no_supercell_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


RAMPS = np.ones((N, 16, 1)) * np.linspace(-1, 1, 12) * rng.random((N, 1, 1)) + rng.random((N, 1, 1))


def test_pictures_in_other_resolutions():
    """A mean stays the same, up to what interpolation makes of a border; a sum does not."""
    model = lambda x: {"mean": x.mean((1, 2)), "sum": x.sum((1, 2))}  # noqa: E731
    found = errors(model, T.rescalings([1, 0.5, 2]), RAMPS)
    assert found["mean"] < 1e-6
    total = RAMPS.sum((1, 2))  # a fourth of it, and four times
    assert found["sum"] == pytest.approx(np.sqrt(((0.75**2 + 9) * total**2).mean() / 3), rel=1e-4)
    x = {"picture": RAMPS[:, None], "id": np.arange(N)}
    words = {"picture": "image_channels_first", "id": "invariant"}

    def halves(x, shift=0.0):
        p = x["picture"][:, 0]
        n, h, w = p.shape
        return p.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4)) + shift * w

    change = lambda predict, word: next(  # noqa: E731
        iter(errors(predict, T.rescalings([1, 2], acts_on=words, output_action=word), x).values())
    )
    # Of a ramp all but its ends, where interpolation stops, comes back.
    assert change(halves, "image/2") < 0.1
    assert change(lambda x: halves(x, 0.1), "image/2") > 1


def test_margins_that_are_left_out():
    run = lambda predict, **more: ep.evaluate_orbits(  # noqa: E731
        predict, RAMPS, T.crops(2), n_transforms=6, design="crossed", **more
    )
    flat = run(lambda x: 0 * x[:, 0, 0]).moments
    assert flat.bin_sq.max() == 0
    sizes = run(lambda x: np.full(len(x), float(x.shape[1] * x.shape[2]))).moments
    assert sizes.bin_sq.max() > 100
    moved = T.crops(3, acts_on="image_channels_first").apply(
        np.array([1.0, 2, 0, 3]), RAMPS[:, None]
    )
    np.testing.assert_array_equal(moved, RAMPS[:, None, 1:-2, :-3])
    with pytest.raises(RuntimeError, match="leave nothing"):
        T.crops(30).apply(np.array([8.0, 8, 0, 0]), RAMPS)
    with pytest.raises(ValueError, match="more than 32 shapes"):
        ep.evaluate_orbits(
            lambda x: x.mean((1, 2)), RAMPS, T.crops(5), n_transforms=60, design="crossed"
        )
