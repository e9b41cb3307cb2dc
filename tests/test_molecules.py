"""Molecules of unequal sizes: padding is no data, and each output is in its own unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep

rng = np.random.default_rng(0)
SIZES = rng.integers(3, 7, size=24)
MOLECULES = [
    {
        "at": rng.normal(size=(n, 3)).astype(np.float32),
        "kind": rng.integers(1, 4, size=n),
        "pairs": np.array([(i, j) for i in range(n) for j in range(n) if i != j], dtype=np.int32),
        "cell": 6 * np.eye(3, dtype=np.float32) + rng.normal(size=(3, 3)).astype(np.float32) / 9,
    }
    for n in SIZES
]
X, MASKS = ep.padded(MOLECULES)
X["mask"], X["edge"] = MASKS["at"], MASKS["pairs"]
ACTS_ON = {
    "at": "points",
    "cell": "vectors",
    **dict.fromkeys(("kind", "pairs", "mask", "edge"), "invariant"),
}
OUTPUTS = {
    "energy": "invariant",
    "forces": "vectors",
    "stress": "tensors2",
    "dipole": "vectors",
    "charges": "invariant",
}
FIELD = np.array([0.0, 0.0, 0.3], dtype=np.float32)


def potential(field=FIELD):
    """Pairs on springs in a periodic cell, and a field along z that breaks the symmetry."""

    def energy(at, row):
        i, j = row["pairs"].T
        apart = at[j] - at[i]
        fractional = apart @ jnp.linalg.inv(row["cell"])
        apart = apart - jnp.round(fractional) @ row["cell"]
        squared = jnp.where(row["edge"], (apart**2).sum(-1), 1.0)
        springs = jnp.where(row["edge"], jnp.exp(-squared / 2), 0.0).sum()
        charge = jnp.where(row["mask"], row["kind"] - 2.0, 0.0)
        return springs + charge @ (at @ field), (apart, charge)

    def one(row):
        (value, (apart, charge)), slope = jax.value_and_grad(energy, has_aux=True)(row["at"], row)
        garbage = jnp.where(row["mask"], 0.0, jnp.nan)  # what a model returns for padding
        weight = jnp.where(row["edge"], 1.0, 0.0)
        return {
            "energy": value,
            "forces": -slope + garbage[:, None],
            "stress": jnp.einsum("e,ei,ej->ij", weight, apart, apart),
            "dipole": charge @ row["at"],
            "charges": charge + garbage,
        }

    return jax.vmap(one)


ROTATIONS = ep.transforms.rotations3d(acts_on=ACTS_ON, output_action=OUTPUTS)
DECLARED = {
    "energy": ep.Output(unit="meV/atom", scale=1000, per=SIZES),
    "forces": ep.Output(unit="meV/Å", scale=1000, mask=MASKS["at"], per="item"),
    "charges": ep.Output(mask=MASKS["at"]),
}


@pytest.fixture(scope="module")
def table():
    return ep.evaluate_orbits(
        potential(), X, ROTATIONS, n_transforms=6, outputs=DECLARED, keep="all"
    )


def test_rows_of_unequal_sizes_are_padded():
    n, longest = len(SIZES), SIZES.max()
    assert X["at"].shape == (n, longest, 3)
    assert X["at"].dtype == np.float32
    assert X["pairs"].shape == (n, longest * (longest - 1), 2)
    assert X["cell"].shape == (n, 3, 3)
    assert list(MASKS) == ["at", "kind", "pairs"]
    np.testing.assert_array_equal(MASKS["at"].sum(axis=1), SIZES)
    np.testing.assert_array_equal(X["at"][3, : SIZES[3]], MOLECULES[3]["at"])
    filled, _ = ep.padded([{"a": [1]}, {"a": [2, 3]}], fill={"a": -1})
    np.testing.assert_array_equal(filled["a"], [[1, -1], [2, 3]])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "rows is empty"),
        ([{"a": [1]}, {"b": [1]}], r"row 1 has the keys \['b'\]"),
        ([{"a": np.zeros((2, 3))}, {"a": np.zeros((2, 4))}], "more than its first axis"),
        ([{"a": np.zeros(2)}, {"a": np.zeros(())}], "more than its first axis"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, words):
    with pytest.raises(ValueError, match=words):
        ep.padded(rows)


def test_every_output_has_its_own_error_and_unit(table):
    assert table.outputs == ("charges", "dipole", "energy", "forces", "stress")
    results = {
        name: ep.ModelEquivarianceError(n_draws=300).fit(table[name]) for name in table.outputs
    }
    units = {name: result.units["error"] for name, result in results.items()}
    assert units["energy"] == units["forces"].replace("Å", "atom") == "meV/atom"
    assert units["dipole"] == "output units"
    assert "meV/Å" in str(results["forces"])
    # Charges, dipole and stress transform as declared; the field breaks energy and forces. Charges
    # are whole numbers, of which none changed here and some might elsewhere.
    assert {name for name, result in results.items() if result.is_exact} == {"dipole", "stress"}
    steps = {name for name, r in results.items() if ep.Diagnostic.NO_STEP_SEEN in r.diagnostics}
    assert steps == {"charges"}
    assert table["forces"].valid.all()  # the NaN of the padding is not an output


def test_padding_enters_nothing_and_items_count_alike(table):
    """The error of the forces, molecule by molecule, without any padding."""
    expected = []
    for i in range(6):
        n = SIZES[i]
        row = {k: v[i : i + 1] for k, v in X.items()}
        charge = row["kind"][0, :n] - 2.0
        turn = ROTATIONS.element(table.parameters()[i])["matrix"]
        moved = 1000 * charge[None, :, None] * (turn.swapaxes(1, 2) @ FIELD - FIELD)[:, None]
        expected.append((moved**2).sum(axis=2).mean())
    np.testing.assert_allclose(table["forces"].only.pair_sq[:6], expected, rtol=1e-3)
    assert (table["forces"].only.base[~np.repeat(MASKS["at"], 3, axis=1)] == 0).all()
    assert (table["charges"].only.base[~MASKS["at"]] == 0).all()
    assert table["forces"].only.n_components == pytest.approx(3)
    assert table["charges"].only.n_components == pytest.approx(SIZES.mean())


def test_energies_are_divided_by_the_number_of_atoms(table):
    summed = ep.evaluate_orbits(
        potential(), X, ROTATIONS, n_transforms=6, outputs={"forces": ep.Output(mask=MASKS["at"])}
    )
    scaled = 1000 * np.sqrt(summed["forces"].only.pair_sq / SIZES)
    np.testing.assert_allclose(scaled, np.sqrt(table["forces"].only.pair_sq), rtol=1e-5)
    plain = summed["energy"].only
    np.testing.assert_allclose(table["energy"].only.base[:, 0], 1000 * plain.base[:, 0] / SIZES)
    np.testing.assert_allclose(
        table["energy"].only.pair_sq, 1e6 * plain.pair_sq / SIZES**2, rtol=1e-12
    )


def test_padding_of_targets_need_not_be_finite():
    predict = lambda x: x["at"] * 0.9  # noqa: E731
    y = np.where(MASKS["at"][..., None], X["at"], np.nan)
    turn = ep.transforms.rotations3d(acts_on=ACTS_ON, output_action="vectors")
    table = ep.evaluate_orbits(
        predict, X, turn, y=y, n_transforms=4, outputs=ep.Output(mask=MASKS["at"], per="item")
    )
    result = ep.ModelEquivarianceError(n_draws=200).fit(table)
    risk = np.mean([((0.1 * m["at"]) ** 2).sum(axis=1).mean() for m in MOLECULES])
    # The median is within .7 %, one standard deviation (4 of `other_draws`).
    assert np.median(result.draws["risk"]) == pytest.approx(risk, rel=0.2)
    assert result.is_exact


def test_the_relative_error_leaves_padding_out():
    """Charges that are all equal have no variation but that between data and padding."""
    predict = lambda x: jnp.where(x["mask"], 2.0, 7.0) + 0 * x["at"][..., 0]  # noqa: E731
    still = ep.transforms.rotations3d(acts_on=ACTS_ON)
    table = ep.evaluate_orbits(
        predict, X, still, n_transforms=2, outputs=ep.Output(mask=MASKS["at"], per="item")
    )
    result = ep.ModelEquivarianceError(n_draws=100).fit(table)
    assert "relative_error" not in result.draws
    bare = ep.evaluate_orbits(predict, X, still, n_transforms=2)
    assert "relative_error" in ep.ModelEquivarianceError(n_draws=100).fit(bare).draws


def test_the_python_backend_leaves_padding_out_too(table):
    predict = potential()
    other = ep.evaluate_orbits(
        predict, X, ROTATIONS, n_transforms=6, outputs=DECLARED, backend="python"
    )
    for name in table.outputs:
        np.testing.assert_allclose(
            other[name].only.pair_sq, table[name].only.pair_sq, rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize(
    ("declared", "error", "words"),
    [
        ({"energies": ep.Output()}, ValueError, r"outputs names \['energies'\]"),
        (ep.Output(), ValueError, "pass outputs as a dict"),
        ({"energy": "eV"}, TypeError, "must be ep.Output.*or a dict"),
        ({"energy": ep.Output(mask=MASKS["at"])}, ValueError, "mask of 'energy' has shape"),
        ({"energy": ep.Output(per="item")}, ValueError, "'energy' has no items"),
        ({"energy": ep.Output(per=[1, 2])}, ValueError, "must hold 24 counts"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(declared, error, words):
    with pytest.raises(error, match=words):
        ep.evaluate_orbits(potential(), X, ROTATIONS, n_transforms=2, outputs=declared)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale": 0.0}, "scale must be a positive number"),
        ({"mask": np.ones((2, 3))}, "mask must be booleans"),
        ({"mask": np.zeros((2, 3), dtype=bool)}, "row 0 of mask has no item"),
        ({"per": "atom"}, "per must be 'item' or counts"),
        ({"per": [1.0, 0.0]}, "per must be positive counts"),
    ],
)
def test_wrong_declarations_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ep.Output(**arguments)


# ---- irreducible representations ------------------------------------------------------------


def test_irreps_transform_as_e3nn_says():
    pytest.importorskip("e3nn_jax")
    declared = ep.transforms.irreps("2x0e + 1x1o + 1x1e + 1x2e")
    turn = ep.transforms.rotations3d(parity="both", acts_on="vectors", output_action=declared)
    vectors = rng.normal(size=(4, 2, 3))

    def features(x):
        """Scalars, the vectors' mean, their cross product, and their traceless product."""
        a, b = x[:, 0], x[:, 1]
        p, q, r = a.T
        quadratic = [p * r, p * q, q**2 - (r**2 + p**2) / 2, q * r, (r**2 - p**2) / 2]
        scale = np.sqrt([3, 3, 1, 3, 3])[:, None]
        parts = [(a * b).sum(1), (b**2).sum(1), *(a + b).T, *np.cross(a, b).T]
        return np.stack([*parts, *(scale * np.stack(quadratic))], axis=1)

    for g in turn.sample_many(np.random.default_rng(0), 4):
        there = features(np.asarray(turn.apply(g, vectors)))
        np.testing.assert_allclose(turn.apply_to_output(g, features(vectors)), there, atol=1e-12)
        np.testing.assert_allclose(turn.undo_on_output(g, there), features(vectors), atol=1e-12)
    check = ep.check_action(turn, vectors, features(vectors))
    assert check.status == "ok"
    for wrong, words in (("2x0e", "axis of length 2"), ("2y0e", "irreps must read like")):
        with pytest.raises(ValueError, match=words):
            ep.transforms.rotations3d(output_action=ep.transforms.irreps(wrong)).on(
                output=features(vectors)
            )


def test_irreps_without_e3nn_say_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "e3nn_jax", None)
    turn = ep.transforms.rotations3d(acts_on=ep.transforms.irreps("1x3o"))
    with pytest.raises(ImportError, match=r"pip install 'equiprob\[e3nn\]'"):
        turn.on(np.zeros((2, 7)))
