"""`check_action` finds which declaration of a leaf is wrong, in the words of the table."""

import jax.numpy as jnp
import numpy as np

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
N, M = 12, 4


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


def found(transform, x, predict):
    """Return what is suggested, by leaf."""
    table = ep.check_action(transform, x, predict=predict).table
    wrong = table.loc[~table["ok"].astype(bool)]
    return {leaf: set(row["fits"].split(" or ")) for leaf, row in wrong.iterrows()}


def forces(r):
    d = r[:, :, None] - r[:, None]
    return (np.exp(-(d**2).sum(-1))[..., None] * d).sum(2)


def test_a_mask_left_in_place():
    x = {"image": normal(N, 6, 6), "mask": rng.integers(0, 2, (N, 6, 6)).astype(np.int32)}
    still = T.dihedral(4, acts_on={"image": "image", "mask": "invariant"})
    assert found(still, x, lambda x: (x["image"] * x["mask"]).sum((1, 2))) == {
        "x['mask']": {"'mask'"}
    }


def test_another_order_and_an_axial_vector_at_once():
    turn = T.rotations3d(
        parity="both",
        acts_on={"r": "vectors", "v": "vectors"},
        output_action={"forces": "vectors", "moment": "vectors"},
    )
    model = lambda x: {  # noqa: E731
        "forces": forces(x["r"])[..., [1, 2, 0]],
        "moment": np.cross(x["r"], x["v"]).sum(1),
    }
    names = found(turn, {"r": normal(N, M, 3), "v": normal(N, M, 3)}, model)
    assert "'vectors[yzx]'" in names["predict['forces']"]
    # Of L = r x v, one of r and v may be the axial one, too.
    assert any("'axial'" in words for leaf, words in names.items() if "forces" not in leaf)
    assert len(names) == 2


def test_adjacency_on_one_axis_and_edges_that_stay():
    def model(x):
        h = np.tanh(x["nodes"] + x["adjacency"] @ x["nodes"])
        ends = np.take_along_axis(h, x["edges"].reshape(N, -1, 1), 1).reshape(N, -1, 2, 3)
        return {"nodes": h, "edges": (ends[:, :, 0] * ends[:, :, 1]).sum(-1)}

    x = {
        "nodes": normal(N, M, 3),
        "adjacency": rng.integers(0, 2, (N, M, M)).astype(np.float32),
        "edges": rng.integers(0, M, (N, 5, 2)),
    }
    order = T.permutations(
        M,
        acts_on={"nodes": "items _", "adjacency": "items _", "edges": "invariant"},
        output_action={"nodes": "items _", "edges": "invariant"},
    )
    names = found(order, x, model)
    assert names == {"x['adjacency']": {"'items items'"}, "x['edges']": {"'indices'"}}


def test_classes_that_change_places():
    """Upright or upside down, and which side is bright: the classes are those of the group."""
    half = lambda x: np.stack([x[:, :3].sum((1, 2)), x[:, 3:].sum((1, 2))], 1)  # noqa: E731
    names = found(T.cyclic(2), normal(N, 6, 6), half)
    assert names == {"predict": {"'regular'", "by_element([[0, 1], [1, 0]])"}}
    top_left_bottom_right = lambda x: np.stack(  # noqa: E731
        [x[:, 0].sum(1), x[:, :, 0].sum(1), x[:, -1].sum(1), x[:, :, -1].sum(1)], 1
    )
    names = found(T.cyclic(4), normal(N, 6, 6), top_left_bottom_right)
    assert "'regular'" in names["predict"]
    third = lambda x: np.concatenate([half(x), x.sum((1, 2))[:, None]], 1)  # noqa: E731
    names = found(T.mirror("y", dimensions=2, acts_on="image"), normal(N, 6, 6), third)
    assert names == {"predict": {"by_element([[0, 1, 2], [1, 0, 2]])"}}


def test_one_factor_of_a_product():
    both = T.product(
        T.rotations3d(acts_on="vectors", output_action="vectors"),
        T.permutations(M, acts_on="items _"),
        commute=True,
    )
    names = found(both, normal(N, M, 3), lambda r: forces(r))
    assert list(names) == ["predict"]
    assert "'permuted'" in names["predict"] or "'permuted'" in str(names["predict"])
    assert f"of permutations({M})" in str(names)


def test_what_is_right_is_left_alone():
    turn = T.rotations3d(parity="both", output_action="vectors")
    assert found(turn, normal(N, M, 3), lambda r: forces(r)) == {}
    assert found(turn, normal(N, M, 3), lambda r: jnp.tanh(forces(r))) == {}
