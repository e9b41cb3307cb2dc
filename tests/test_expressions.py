"""What a transform prints as is read back to an equal one."""

from dataclasses import replace

import numpy as np
import pytest
from leaf_words import cases
from transform_variants import VARIANTS

import equiprob as ep
from equiprob.cli.expressions import parse_transform
from equiprob.transforms.fingerprint import difference

T = ep.transforms
WRITTEN = {
    **{name: variant.transform for name, variant in VARIANTS.items()},
    **{name: transform for name, (transform, _) in cases().items()},
    "restricted": T.cyclic(6).restricted(60.0),
    "by leaf": T.rotations3d(
        acts_on={"a b": ("_", "points"), "c": "invariant"}, output_action={"s": "voigt"}
    ),
    "keypoints": T.dihedral(4, output_action=(T.reflected([0, 2, 1]), T.pixels(48, 64))),
    "supercells": T.supercells(
        [[1, 1, 1], [2, 1, 2]],
        acts_on={"r": "positions", "c": "cell", "z": "items"},
        output_action={"energy": "extensive", "forces": "items"},
    ),
    "crops": T.crops(3, acts_on={"a": "mask_channels_first", "b": "invariant"}),
    "rescalings": T.rescalings([1, 0.5], output_action={"map": "image/4", "class": "invariant"}),
    "fill": T.rotations2d(fill=0.1 + 0.2),
    "wrong product": T.conjugated(T.product(T.cyclic(4, acts_on="points"), T.permutations(3))),
    "product of a wrong group and a mixture": T.product(
        T.conjugated(T.rotations2d(acts_on="points", output_action="vectors"), seed=2),
        T.mixture([T.cyclic(4, acts_on="image", fill=1.0), T.translations(2.0, wrap=True)]),
    ),
    "product declared once": T.product(
        T.cyclic(4, fill=1.0), T.translations(2.0, fill=1.0), acts_on="image", output_action="image"
    ),
}
FUNCTIONS = [name for name, transform in WRITTEN.items() if "from_functions" in repr(transform)]


@pytest.mark.parametrize("name", sorted(WRITTEN.keys() - set(FUNCTIONS)))
def test_an_expression_is_read_back_to_an_equal_transform(name):
    transform = WRITTEN[name]
    read = parse_transform(repr(transform))
    assert difference(transform.fingerprint, read.fingerprint) is None
    assert repr(read) == repr(transform)
    generators = [np.random.default_rng(0) for _ in range(2)]
    drawn = [t.sample_many(g, 3) for t, g in zip((transform, read), generators, strict=True)]
    np.testing.assert_array_equal(*drawn)


def test_the_round_trip_has_power():
    turn = T.rotations2d(0.5)
    for other in (
        replace(turn, law=replace(turn.law, max_angle=0.5000001)),
        replace(turn, acts_on="points"),
    ):
        assert difference(turn.fingerprint, parse_transform(repr(other)).fingerprint) is not None


def test_functions_are_told_apart_and_not_read():
    assert len(FUNCTIONS) == 4
    for name in FUNCTIONS:
        with pytest.raises(ValueError, match="cannot be read"):
            parse_transform(repr(WRITTEN[name]))
    one, other = (
        T.from_functions(lambda g: g.random(), lambda p, row, k=k: row + k * p[0]) for k in (1, 2)
    )
    assert repr(one) != repr(other)
