"""`check_action` with a model: the classic mistakes of declaring an action are named."""

import numpy as np
import pytest

import equiprob as ep

rng = np.random.default_rng(0)
N, ATOMS = 40, 4
X = {
    "at": rng.uniform(0, 6, size=(N, ATOMS, 3)).astype(np.float32),
    "velocity": rng.normal(size=(N, ATOMS, 3)).astype(np.float32),
    "edge": rng.normal(size=(N, 5, 3)).astype(np.float32),
    "cell": (6 * np.eye(3) + 0.3 * rng.normal(size=(N, 3, 3))).astype(np.float32),
    "kind": rng.integers(0, 3, size=(N, ATOMS)),
    "mass": rng.uniform(1, 2, size=(N, ATOMS)).astype(np.float32),
}
RIGHT = {
    "acts_on": {
        "at": "points",
        "velocity": "vectors",
        "edge": "vectors",
        "cell": "vectors",
        "kind": "invariant",
        "mass": "invariant",
    },
    "output_action": {"energy": "invariant", "forces": "vectors", "stress": "tensors2"},
}


def model(x, field=0.0):
    """Energy, forces and stress of a periodic system, which reads every leaf."""
    apart = x["at"][:, None] - x["at"][:, :, None]
    inverse = np.linalg.inv(x["cell"])
    images = np.round(np.einsum("nabi,nij->nabj", apart, inverse))
    apart = apart - np.einsum("nabi,nij->nabj", images, x["cell"])
    squared = (apart**2).sum(-1)
    pull = np.exp(-squared)[..., None] * apart
    kinetic = (x["mass"][..., None] * x["velocity"] ** 2).sum((1, 2))
    edges = (x["edge"] ** 2).sum((1, 2)) + np.einsum("nei,nai->n", x["edge"], x["velocity"])
    return {
        "energy": np.exp(-squared).sum((1, 2)) + kinetic + edges,
        "forces": pull.sum(2) + x["edge"].sum(1, keepdims=True) + field * np.ones(3, np.float32),
        "stress": np.einsum("nabi,nabj->nij", pull, apart),
    }


def transposed(parameter, row):
    """The classic: rows times R, where rows times R.T turns them."""
    return row @ MOTIONS.element(parameter)["matrix"].astype(np.float32)


MOTIONS = ep.transforms.euclidean3d(2.0)


def check(wrong=None, wrong_output=None, predict=model):
    declared = {
        "acts_on": RIGHT["acts_on"] | (wrong or {}),
        "output_action": RIGHT["output_action"] | (wrong_output or {}),
    }
    motions = ep.transforms.euclidean3d(2.0, **declared)
    return ep.check_action(motions, X, predict=predict)


def test_right_declarations_are_ok():
    found = check()
    assert found.status == "ok"
    names = ["predict['energy']", "predict['forces']", "predict['stress']"]
    assert list(found.table.index[-3:]) == names
    assert (found.table.loc[names, "model_error"] < 1e-4).all()
    assert "equivariant up to rounding" in str(found)


@pytest.mark.parametrize(
    ("leaf", "declared", "fits"),
    [
        ("cell", "invariant", "'vectors'"),
        ("cell", "columns", "'vectors'"),
        ("velocity", "points", "'vectors'"),
        ("edge", "invariant", "'vectors'"),
        ("edge", transposed, "'vectors' or acted on by the inverse (a matrix for its transpose)"),
    ],
    ids=["cell not turned", "cell in columns", "velocity shifted", "edges forgotten", "R.T for R"],
)
def test_the_input_leaf_that_is_declared_wrongly_is_named(leaf, declared, fits):
    found = check(wrong={leaf: declared})
    row = found.table.loc[f"x['{leaf}']"]
    assert row["fits"] == fits
    assert not row["ok"]
    assert found.table["ok"].drop(f"x['{leaf}']").all()
    assert f"declared {fits}" in found.status
    assert "due to another leaf" in found.table.loc["predict['energy']", "finding"]


@pytest.mark.parametrize(
    ("output", "declared", "fits"),
    [
        ("forces", "invariant", "'vectors'"),
        ("stress", "vectors", "'tensors2'"),
        (
            "forces",
            ep.transforms.Action(
                transposed, lambda p, row: row @ MOTIONS.element(p)["matrix"].T.astype(np.float32)
            ),
            "'vectors' or an Action with function and inverse exchanged",
        ),
    ],
    ids=["forces not turned", "stress on one side", "R.T for R"],
)
def test_the_output_that_is_declared_wrongly_is_named(output, declared, fits):
    found = check(wrong_output={output: declared})
    row = found.table.loc[f"predict['{output}']"]
    assert row["fits"] == fits
    assert row["model_error"] > 0.1
    assert found.table["ok"].drop(f"predict['{output}']").all()


def test_several_mistakes_are_found_together():
    found = check(wrong={"cell": "invariant"}, wrong_output={"stress": "invariant"})
    assert list(found.table.index[~found.table["ok"].astype(bool)]) == [
        "x['cell']",
        "predict['stress']",
    ]


def test_that_nothing_moves_is_no_explanation():
    turn = ep.transforms.rotations3d(acts_on="points", output_action="invariant")
    found = ep.check_action(turn, X["at"], predict=lambda x: np.asarray(x).sum(axis=1))
    assert found.table.loc["x", "ok"]
    assert found.table.loc["predict", "fits"] == "'vectors' or 'points'"


def test_a_model_that_is_not_equivariant_is_not_blamed_on_a_declaration():
    found = check(predict=lambda x: model(x, field=1.0))
    assert found.status == "ok"
    assert "no other declaration explains it" in found.table.loc["predict['forces']", "finding"]
    assert found.table.loc["predict['forces']", "model_error"] > 0.1


def test_models_of_one_output_and_transforms_in_turn():
    clouds = X["at"]
    both = ep.transforms.product(
        ep.transforms.permutations(ATOMS, acts_on="permuted"),
        ep.transforms.rotations3d(acts_on="points"),
        commute=True,
    )
    found = ep.check_action(both, clouds, predict=lambda x: (np.asarray(x) ** 2).sum((1, 2)))
    assert list(found.table.index) == ["x", "predict"]
    assert "equivariant up to rounding" in found.table.loc["predict", "finding"]
