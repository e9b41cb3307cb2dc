"""Mistakes that people reported: each in a few lines, with its size, and none when mended.

Sizes are exact where the law is a finite group, all of which is drawn.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
N = 40


def normal(*shape):
    return rng.normal(size=(N, *shape)).astype(np.float32)


def error(predict, x, transform, n_transforms=8, output=None):
    """Return the root mean square error over rows and transformations, without its posterior."""
    table = ep.evaluate_orbits(predict, x, transform, n_transforms=n_transforms)
    seen = (table if output is None else table[output]).moments
    return float(np.sqrt((seen.bin_sq.sum(1) / seen.bin_weight.sum(1)).mean()))


def test_a_graph_with_an_adjacency_matrix_and_an_edge_list():
    """Pair outputs with a term that depends on the place in the list: .05 j."""
    k = 4
    x = {
        "nodes": normal(k, 3),
        "adjacency": rng.integers(0, 2, (N, k, k)).astype(np.int32),
        "edges": np.where(rng.random((N, 5, 1)) < 0.3, -1, rng.integers(0, k, (N, 5, 2))),
    }

    def graph_network(bug):
        def network(x):
            sends, receives = np.eye(k + 1, dtype=np.float32)[x["edges"]].transpose(2, 0, 1, 3)
            passed = (receives[..., :k].swapaxes(1, 2) @ sends[..., :k]) @ x["nodes"]
            h = np.tanh(x["nodes"] + passed + x["adjacency"] @ x["nodes"])
            return h @ h.swapaxes(1, 2) + np.float32(bug) * np.arange(k, dtype=np.float32)

        return network

    leaves = {"nodes": "items _", "adjacency": "items items", "edges": "indices"}
    order = T.permutations(k, acts_on=leaves, output_action="items items")
    assert error(graph_network(0.0), x, order, 24) < 1e-5
    # The root of k^2 times twice the variance of .05 j.
    truth = 0.05 * k * np.sqrt(2 * (k**2 - 1) / 12)
    assert error(graph_network(0.05), x, order, 24) == pytest.approx(truth, rel=1e-3)
    for leaf, wrong in (("adjacency", "items _"), ("edges", "invariant")):
        one_axis = T.permutations(k, acts_on={**leaves, leaf: wrong}, output_action="items items")
        assert error(graph_network(0.0), x, one_axis, 24) > 0.1


def test_spherical_harmonics_in_another_order_and_magnetic_moments():
    x = {"r": normal(3), "v": normal(3)}
    model = lambda x: {"yzx": x["r"][:, jnp.array([1, 2, 0])], "l": jnp.cross(x["r"], x["v"])}  # noqa: E731

    def turn(**words):
        both = {"r": "vectors", "v": "vectors"}
        return T.rotations3d(parity="both", acts_on=both, output_action=words)

    right = turn(yzx="vectors[yzx]", l="axial")
    assert all(error(model, x, right, 12, name) < 1e-5 for name in ("yzx", "l"))
    wrong = turn(yzx="vectors", l="vectors")
    assert error(model, x, wrong, 12, "yzx") > 1
    # Where a transformation reflects, 2 l is left: half of them do.
    size = np.sqrt(2 * (np.cross(x["r"], x["v"]) ** 2).sum(1).mean())
    assert error(model, x, wrong, 12, "l") == pytest.approx(size, rel=1e-3)


def test_a_mask_that_is_not_flipped_back():
    image = rng.random((N, 6, 6)).astype(np.float32)
    mended = lambda x: (x > 0.5).astype(jnp.float32)  # noqa: E731

    def left_flipped(x):
        """Flip so that the left half is the brighter one, and forget to flip back."""
        flip = x[:, :, :3].sum((1, 2)) < x[:, :, 3:].sum((1, 2))
        return mended(jnp.where(flip[:, None, None], x[:, :, ::-1], x))

    flips = T.mirror("x", dimensions=2, acts_on="image", output_action="mask")
    assert error(mended, image, flips) == 0
    found = (np.asarray(left_flipped(image)) != np.asarray(left_flipped(image))[:, :, ::-1]).sum()
    # The flipped image has the same mask, which is then flipped: by half of all transformations.
    assert error(left_flipped, image, flips) == pytest.approx(np.sqrt(found / N / 2), rel=1e-4)


def test_keypoints_off_by_one_pixel_and_left_and_right_exchanged():
    image = np.zeros((N, 6, 8), np.float32)
    places = rng.permutation(48)[None].repeat(N, 0)
    places = rng.permuted(places, axis=1)[:, :1]
    np.put_along_axis(image.reshape(N, 48), places, 1.0, axis=1)

    def brightest(x, first=0):
        at = x.reshape(len(x), -1).argmax(1)
        return jnp.stack([at % 8 + first, at // 8 + first], 1).astype(jnp.float32)

    half_turns = T.finite(
        [np.diag(d) for d in ([1.0, 1], [-1.0, 1], [1.0, -1], [-1.0, -1])],
        acts_on="image",
        output_action=T.pixels(6, 8),
    )
    assert error(brightest, image, half_turns) == 0
    # (1, 1) less a transformed (1, 1): squares 0, 4, 4 and 8.
    assert error(lambda x: brightest(x, 1), image, half_turns) == pytest.approx(2.0)

    people = normal(3, 2)  # left hand, right hand, head
    people[:, 2] = [0.0, 3.0]

    def named(x):
        """Left is what has the head to its right, looking up."""
        swap = x[:, 0, 0] > x[:, 1, 0]
        return jnp.where(swap[:, None, None], x[:, jnp.array([1, 0, 2])], x)

    exchange = T.reflected([1, 0, 2])
    sides = {"dimensions": 2, "acts_on": "points"}
    assert error(named, people, T.mirror("x", output_action=(exchange, "points"), **sides)) < 1e-6
    assert error(named, people, T.mirror("x", output_action="points", **sides)) > 1


def test_a_feature_map_at_half_the_resolution():
    """Shifts by whole pixels are shifts by halves of these: as an image they go twice as far."""
    angle = 2 * np.pi * np.arange(32) / 32
    phase = rng.uniform(0, 2 * np.pi, (N, 2, 1, 1))
    x = (np.cos(angle[:, None] + phase[:, 0]) + np.sin(angle + phase[:, 1])).astype(np.float32)
    pooled = lambda x: x.reshape(-1, 16, 2, 16, 2).mean((2, 4))  # noqa: E731
    shifts = lambda word: T.translations(  # noqa: E731
        4, whole=True, wrap=True, acts_on="image", output_action=word
    )
    assert error(pooled, x, shifts("image/2")) < 0.05 * error(pooled, x, shifts("image"))


def test_the_mirror_of_a_robot():
    left_right = T.reflected([1, 0, 2], signs=[1, 1, -1])  # left hip, right hip, yaw of the waist

    def policy(bias):
        def act(x):
            q, v = x["joints"], x["velocity"]
            each = [q[:, 0] * v[:, 0] + v[:, 1], q[:, 1] * v[:, 0] - v[:, 1], q[:, 2] + v[:, 1]]
            return jnp.stack([*each[:2], each[2] + bias], -1)

        return act

    mirror = T.mirror(
        "y", acts_on={"joints": left_right, "velocity": "vectors"}, output_action=left_right
    )
    x = {"joints": normal(3), "velocity": normal(3)}
    assert error(policy(0.0), x, mirror) < 1e-6
    assert error(policy(0.1), x, mirror) == pytest.approx(0.2 / np.sqrt(2), rel=1e-3)


def test_independent_motions_of_a_ligand_and_its_receptor():
    x = {"ligand": normal(3, 3), "receptor": normal(4, 3)}
    within = lambda r: ((r[:, :, None] - r[:, None]) ** 2).sum((1, 2, 3))  # noqa: E731
    apart = T.product(
        T.euclidean3d(1.0, acts_on={"ligand": "points", "receptor": "invariant"}),
        T.euclidean3d(1.0, acts_on={"ligand": "invariant", "receptor": "points"}),
        commute=True,
    )
    assert error(lambda x: within(x["ligand"]) - within(x["receptor"]), x, apart) < 1e-3
    together = lambda x: ((x["ligand"].mean(1) - x["receptor"].mean(1)) ** 2).sum(1)  # noqa: E731
    assert error(together, x, apart) > 0.5
    assert error(together, x, T.euclidean3d(1.0, acts_on=dict.fromkeys(x, "points"))) < 1e-3


def test_the_angle_of_a_text_in_two_classes():
    x = rng.random((N, 6, 4)).astype(np.float32)

    def upside_down(bias):
        def probabilities(x):
            score = x[:, :3].sum((1, 2)) - x[:, 3:].sum((1, 2)) + bias
            return jnp.stack([1 / (1 + jnp.exp(-score)), 1 / (1 + jnp.exp(score))], 1)

        return probabilities

    classes = T.by_element([[0, 1], [1, 0]])
    half_turn = T.cyclic(2, output_action=classes)
    assert error(upside_down(0.0), x, half_turn) < 1e-6
    assert error(upside_down(0.5), x, half_turn) > 0.05
    assert error(upside_down(0.0), x, T.cyclic(2)) > 0.05


def test_data_declared_once_for_a_product():
    k = 4
    both = T.product(
        T.rotations3d(),
        T.permutations(k),
        commute=True,
        acts_on={"r": "items points", "edges": "indices"},
        output_action={"forces": "items vectors", "bonds": "invariant"},
    )

    def model(x):
        d = x["r"][:, :, None] - x["r"][:, None]
        ends = jnp.take_along_axis(x["r"], x["edges"].reshape(len(x["r"]), -1, 1), 1)
        ends = ends.reshape(len(x["r"]), -1, 2, 3)
        forces = (jnp.exp(-(d**2).sum(-1))[..., None] * d).sum(2)
        return {"forces": forces, "bonds": ((ends[:, :, 0] - ends[:, :, 1]) ** 2).sum(-1)}

    x = {"r": normal(k, 3), "edges": rng.integers(0, k, (N, 5, 2))}
    assert all(error(model, x, both, 8, name) < 1e-4 for name in ("forces", "bonds"))
    assert both.is_haar
    assert repr(both).endswith("output_action={'forces': 'items vectors', 'bonds': 'invariant'})")
    for declared, words in (
        ({"r": "items image", "edges": "indices"}, "no word of an axis"),
        ({"r": "items regular", "edges": "indices"}, "moves 'regular'"),
        ({"r": "_ points", "edges": "invariant"}, r"nothing that permutations\(4\) moves"),
        ({"r": "items points"}, r"does not say how x\['edges'\] transforms"),
    ):
        with pytest.raises(ValueError, match=words):
            T.product(T.rotations3d(), T.permutations(k), acts_on=declared).on(x)


def test_a_stress_of_six_numbers_has_the_error_of_the_tensor():
    """An error along the axes of the lab, in both forms, under rotations and reflections."""
    r = normal(4, 3)

    def six(t):
        return t[:, jnp.array([0, 1, 2, 1, 0, 0]), jnp.array([0, 1, 2, 2, 2, 1])]

    def tensor(x, bug=0.2):
        return jnp.einsum("nai,naj->nij", x, x) + bug * jnp.array(
            [[0, 1.0, 0], [1, 2, 0], [0, 0, 0]]
        )

    turn = lambda word: T.rotations3d(parity="both", output_action=word)  # noqa: E731
    whole = error(tensor, r, turn("tensors2"), 12)
    assert error(lambda x: six(tensor(x)), r, turn("voigt"), 12) == pytest.approx(whole, rel=1e-4)
    assert error(lambda x: six(tensor(x, 0.0)), r, turn("voigt"), 12) < 1e-5
    table = ep.evaluate_orbits(lambda x: six(tensor(x)), r, turn("voigt"), n_transforms=12)
    assert table.moments.n_components == 9
    with pytest.raises(ValueError, match="size of"):
        ep.DataEquivarianceError(method=ep.methods.Symmetrization(), n_draws=20).fit(
            ep.evaluate_orbits(
                lambda x: six(tensor(x)),
                r,
                turn("voigt"),
                y=np.asarray(six(tensor(r))),
                n_transforms=12,
            ),
            law=ep.InvariantLaw(),
        )
