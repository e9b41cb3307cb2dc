"""Random pipelines: each draw is known by its seed, and all leaves of a row move together."""

import random

import numpy as np
import pytest

import equiprob as ep

T = ep.transforms
rng = np.random.default_rng(0)
ROWS = {
    "image": rng.random((12, 6, 6)).astype(np.float32),
    "mask": rng.integers(0, 3, (12, 6, 6)).astype(np.int32),
}
ROWS["image"] += ROWS["mask"]


def flip(row):
    """Draw from the global generators, as many pipelines do."""
    if random.random() < 0.5:
        row = {k: v[:, ::-1] for k, v in row.items()}
    return {**row, "image": row["image"] * np.random.uniform(0.8, 1.2)}  # noqa: NPY002


def crop(row, generator):
    at = generator.integers(0, 3)
    return {k: np.roll(v, -at, axis=1) for k, v in row.items()}


@pytest.mark.parametrize("augment", [flip, crop])
def test_a_seed_makes_the_draw_and_nothing_else_does(augment):
    transform = T.from_augmentation(augment)
    draws = transform.sample_many(np.random.default_rng(0), 4)
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = ([transform.apply(g, ROWS) for g in draws] for _ in range(2))
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    for one, other in zip(first, again, strict=True):
        for key in ROWS:
            np.testing.assert_array_equal(one[key], other[key])
            assert one[key].dtype == ROWS[key].dtype
    assert any((one["mask"] != ROWS["mask"]).any() for one in first)
    assert ep.check_action(transform, ROWS).status == "ok"


def test_leaves_of_a_row_move_together():
    """A model that compares image and mask sees no change under a crop, and does if one stays."""
    apart = lambda x: (np.abs(x["image"] - x["mask"])).sum((1, 2))  # noqa: E731
    error = lambda t: ep.ModelEquivarianceError(n_draws=20).fit(  # noqa: E731
        ep.evaluate_orbits(apart, ROWS, t, n_transforms=4)
    )
    together = T.from_augmentation(crop)
    alone = T.from_augmentation(lambda row, g: {**crop(row, g), "mask": row["mask"]})
    assert error(together).summary().loc["error", "estimate"] < 1e-5
    assert error(alone).summary().loc["error", "estimate"] > 1


def test_the_reference_is_what_is_evaluated_without_augmentation():
    halved = T.from_augmentation(crop, reference=lambda row: {**row, "image": row["image"] / 2})
    moved = halved.apply(halved.identity, ROWS)
    np.testing.assert_array_equal(moved["image"], ROWS["image"] / 2)


class Albumentations:
    """The part of the interface that is read."""

    def set_random_seed(self, seed):
        self.generator = np.random.default_rng(seed)

    def __call__(self, image, mask):
        assert image.shape == (6, 5, 3)
        if self.generator.random() < 0.5:
            return {"image": image[:, ::-1], "mask": mask[:, ::-1]}
        return {"image": image, "mask": mask}


def test_pipelines_of_albumentations_get_their_targets():
    x = {"im": rng.random((8, 3, 6, 5)), "m": rng.integers(0, 2, (8, 6, 5)), "id": np.arange(8)}
    words = {"im": "image_channels_first", "m": "mask", "id": "invariant"}
    transform = T.from_augmentation(Albumentations(), acts_on=words)
    moved = [transform.apply(g, x) for g in transform.sample_many(np.random.default_rng(0), 6)]
    flipped = [bool((one["m"] != x["m"]).any()) for one in moved]
    assert set(flipped) == {True, False}
    for one, was in zip(moved, flipped, strict=True):
        step = -1 if was else 1
        np.testing.assert_array_equal(one["im"], x["im"][..., ::step])
        np.testing.assert_array_equal(one["m"], x["m"][..., ::step])
        np.testing.assert_array_equal(one["id"], x["id"])
    bare = T.from_augmentation(Albumentations())
    with pytest.raises(RuntimeError, match="acts_on must say what each leaf holds"):
        bare.apply(np.array([5.0]), x)


def test_a_magnitude_is_what_the_draw_of_a_seed_drew():
    brighter = lambda row: row * np.random.uniform(1.0, 1.5)  # noqa: E731, NPY002
    transform = T.from_augmentation(
        brighter,
        magnitude=lambda seed: np.random.uniform(1.0, 1.5) - 1,  # noqa: NPY002
    )
    row, before = ROWS["image"][:1] + 1, np.random.get_state()[1].copy()  # noqa: NPY002
    for parameters in transform.sample_many(np.random.default_rng(0), 3):
        seen = (transform.apply(parameters, row) / row).mean() - 1
        assert transform.magnitude(parameters) == pytest.approx(seen, abs=1e-6)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    table = ep.evaluate_orbits(lambda x: x.mean(axis=(1, 2)), ROWS["image"], transform)
    profile = np.median(ep.ModelEquivarianceError(n_draws=100).fit(table).draws["profile"], axis=0)
    assert profile[0] < profile[-1] / 3  # the change is in proportion to the draw
    wrong = T.from_augmentation(brighter, magnitude=lambda seed: -1.0)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        ep.evaluate_orbits(lambda x: x.mean(axis=(1, 2)), ROWS["image"], wrong)
