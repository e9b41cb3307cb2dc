"""Rows as users have them reach the model in their own form."""

import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
KINDS = ["salt", "metal"]
MOLECULES = [
    {
        "r": rng.normal(size=(n, 3)).astype(np.float32),
        "z": np.array(["C", "H"])[rng.integers(0, 2, n)],
        "charge": int(rng.integers(-1, 2)),
        "kind": KINDS[n % 2],
    }
    for n in rng.integers(2, 6, 30)
]
WORDS = {"r": "vectors", "z": "invariant", "charge": "invariant", "kind": "invariant"}


def model(bug=0.0):
    def predict(rows):
        energies, forces = [], []
        for row in rows:
            assert set(row) == set(WORDS)
            assert isinstance(row["charge"], int)
            assert row["kind"] in KINDS
            assert row["z"].dtype.kind == "U"
            weight = np.where(row["z"] == "C", 2.0, 1.0)[:, None]
            d = row["r"] - row["r"].mean(0)
            assert len(d) == len(weight)
            energies.append((weight * d**2).sum() + row["charge"] + bug * row["r"][0, 0])
            forces.append(-2 * weight * d + bug)
        return {"energy": np.array(energies), "forces": forces}

    return predict


def error(table, name):
    seen = table[name].moments
    return float(np.sqrt((seen.bin_sq.sum(1) / seen.bin_weight.sum(1)).mean()))


def test_rows_reach_the_model_as_they_were_given():
    turn = T.rotations3d(acts_on=WORDS, output_action={"energy": "invariant", "forces": "vectors"})
    right, wrong = (
        ep.adapters.from_rows(model(bug), MOLECULES).orbits(turn, n_transforms=8)
        for bug in (0.0, 0.1)
    )
    assert all(error(right, name) < 1e-5 for name in ("energy", "forces"))
    first = np.array([(row["r"][0] ** 2).sum() for row in MOLECULES])
    # x of the first atom less that of the turned one, for rotations of all kinds: within 25 %, five
    # standard errors of 240 transformations.
    truth = 0.1 * np.sqrt((np.array([row["r"][0, 0] for row in MOLECULES]) ** 2 + first / 3).mean())
    assert error(wrong, "energy") == pytest.approx(truth, rel=0.25)
    # (.1, .1, .1) less a turned one, for each atom.
    assert error(wrong, "forces") == pytest.approx(0.1 * np.sqrt(6), rel=0.25)


def test_padding_moves_with_its_items():
    items = {"r": "items _", "z": "items", "charge": "invariant", "kind": "invariant"}
    order = T.permutations(
        5, acts_on=items, output_action={"energy": "invariant", "forces": "items _"}
    )
    right, wrong = (
        ep.adapters.from_rows(model(bug), MOLECULES).orbits(order, n_transforms=8)
        for bug in (0.0, 0.1)
    )
    assert all(error(right, name) < 1e-5 for name in ("energy", "forces"))
    assert error(wrong, "energy") > 0.02
    both = T.product(
        T.rotations3d(acts_on=WORDS),
        T.permutations(5, acts_on=items),
        output_action={"energy": "invariant", "forces": "items vectors"},
    )
    table = ep.adapters.from_rows(model(), MOLECULES).orbits(both, n_transforms=4)
    assert all(error(table, name) < 1e-5 for name in ("energy", "forces"))


class Dataset:
    def __len__(self):
        return len(MOLECULES)

    def __getitem__(self, place):
        if place >= len(MOLECULES):
            raise IndexError
        return MOLECULES[place]


def test_data_sets_are_read_row_by_row():
    made = ep.adapters.from_rows(model(), Dataset())
    listed = ep.adapters.from_rows(model(), MOLECULES)
    for name, values in listed.x.items():
        np.testing.assert_array_equal(made.x[name], values)
    back = made.form.restored(made.x)
    for one, other in zip(back, MOLECULES, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in other)


@pytest.mark.parametrize(
    ("predict", "rows", "words"),
    [
        (model(), [{"r": np.ones(3)}, {"q": np.ones(3)}], "has the keys"),
        (model(), [{"r": object()}], "holds object"),
        (model(), [np.ones(3)], "expected a dict"),
        (lambda rows: [np.ones(k) for k in range(30)], MOLECULES, "of no key of the rows"),
    ],
)
def test_what_is_no_row_is_refused(predict, rows, words):
    with pytest.raises(ValueError, match=words):
        ep.adapters.from_rows(predict, rows)
