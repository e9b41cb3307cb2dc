"""One table of the words of leaves: what a leaf declared so looks like, for each law."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from transform_variants import VARIANTS

import equiprob as ep
from equiprob.transforms.item_axes import Antisymmetric
from equiprob.transforms.representations import GEOMETRIC, handedness
from equiprob.transforms.scalings import Scalings

T = ep.transforms
N_ROWS = 3


@dataclass(frozen=True)
class Leaf:
    """How a leaf is declared, and the shape of a row of it."""

    declared: Any
    shape: tuple[int, ...]
    kind: str = "f"
    """``"f"``: floats, ``"i"``: integers below 3 and -1 for padding."""
    twin: Any = None
    """The wrong neighbour."""
    told_by: str = ""
    """Which laws must see it: those that reflect, shift, turn or swap two, or (left empty) all."""

    def rows(self, dtype: Any = np.float64) -> np.ndarray:
        generator = np.random.default_rng(1)
        if self.kind == "i":
            return generator.integers(-1, 3, size=(N_ROWS, *self.shape)).astype(np.int32)
        return generator.normal(size=(N_ROWS, *self.shape)).astype(dtype)


def _of_dimension(d: int) -> Iterator[Leaf]:
    yield Leaf("vectors", (2, d), twin="invariant", told_by="turn")
    yield Leaf("points", (2, d), twin="vectors", told_by="shift")
    yield Leaf("vectors vectors", (d, d), twin="vectors", told_by="turn")
    yield Leaf("axial", (2, d), twin="vectors", told_by="reflect")
    yield Leaf("pseudoscalar", (), twin="invariant", told_by="reflect")
    yield Leaf("pseudoscalar", (5,), twin="invariant", told_by="reflect")
    yield Leaf("_ vectors _", (2, d, d), twin="vectors", told_by="turn")
    yield Leaf(("_", "points"), (2, d), twin="vectors", told_by="shift")
    if d == 2:
        yield Leaf("points[-xy]", (2,), twin="points", told_by="turn")
        yield Leaf(T.pixels(4, 7), (2, 2), twin="points")
    if d == 3:
        yield Leaf("vectors[yzx]", (3,), twin="vectors", told_by="turn")
        yield Leaf("axial[z-yx]", (3,), twin="axial", told_by="turn")
        yield Leaf("voigt", (6,), twin="invariant", told_by="turn")
        yield Leaf("voigt[xx,yy,zz,xy,yz,zx]", (6,), twin="voigt", told_by="turn")


def _of_the_plane() -> Iterator[Leaf]:
    yield Leaf("image", (5, 5), twin="invariant")
    yield Leaf("image_channels_first", (2, 6, 6), twin="invariant")
    yield Leaf("image_channels_first", (2, 3, 6, 6), twin="invariant")
    yield Leaf("mask", (5, 5), "i", twin="invariant")
    yield Leaf("image of vectors", (4, 4, 2), twin="image", told_by="turn")
    yield Leaf("image/2", (4, 4), twin="image", told_by="shift")


def _of_matrices(d: int) -> Iterator[Leaf]:
    yield Leaf(T.reflected([1, 0, 2]), (3,), twin="invariant", told_by="reflect")
    signed = T.reflected([1, 0, 2], signs=[-1, -1, 1])
    yield Leaf((signed, "_"), (3, 2), twin=(T.reflected([1, 0, 2]), "_"), told_by="reflect")
    yield Leaf(T.reflected([1, 0, 2]), (2, 3), "i", twin="invariant", told_by="reflect")
    if d == 3 and find_spec("e3nn_jax") is not None:
        yield Leaf("1x0e + 1x1o", (4,), twin="invariant", told_by="turn")


def _of_items(k: int) -> Iterator[Leaf]:
    yield Leaf("permuted", (k, 2), twin="invariant")
    yield Leaf("items", (k,), "i", twin="invariant")
    yield Leaf("items _", (k, k), twin="_ items")
    yield Leaf("items items", (k, k), "i", twin="items _")
    yield Leaf("indices", (5, 2), "i", twin="invariant")
    yield Leaf("antisymmetric", (), twin="invariant", told_by="swap")


def _of_a_group(products: np.ndarray) -> Iterator[Leaf]:
    n = len(products)
    yield Leaf("regular", (2, n), twin="invariant")
    yield Leaf("regular _", (n, n), "i", twin="_ regular")
    yield Leaf(T.by_element(products), (n,), twin="invariant")
    matrices = np.eye(n)[products].swapaxes(1, 2)
    yield Leaf(T.by_element(matrices), (n,), twin="invariant")


def tells_apart(transform: Any, leaf: Leaf) -> bool:
    """Whether a law must see that the neighbour of a word is wrong."""
    element = transform.element(transform.sample_many(np.random.default_rng(1), 8))
    if leaf.told_by == "reflect":
        return bool((handedness(element) < 0).any())
    if leaf.told_by == "swap":
        return bool((Antisymmetric().of(element, transform.law)["sign"] < 0).any())
    if leaf.told_by == "turn" and "matrix" in element:  # scalings commute with all
        stretched = element["matrix"][..., :1, :1] * np.eye(element["matrix"].shape[-1])
        return not np.allclose(element["matrix"], stretched)
    return leaf.told_by in ("", *element)


LAWS = (
    *("dihedral 4", "finite permutations", "translations of points", "sign flips", "permutations"),
    *("euclidean3d", "scalings", "lorentz"),
)
"""Laws of all kinds of elements."""


def leaves_of(transform: Any) -> Iterator[Leaf]:
    """Return the leaves that a law can move."""
    element = transform.element(transform.identity)
    size = next((element[key].shape[-1] for key in GEOMETRIC if key in element), None)
    if size is not None:
        yield from _of_dimension(size)
    if "matrix" in element:
        is_orthogonal = not isinstance(transform.law, Scalings)
        yield from _of_matrices(size if is_orthogonal else 0)
    if size == 2:
        yield from _of_the_plane()
    if "source" in element:
        yield from _of_items(element["source"].shape[-1])
    if transform.products is not None:
        yield from _of_a_group(transform.products)


def cases() -> dict[str, tuple[Any, Leaf]]:
    """Return every law with every leaf that it moves, by name."""
    found: dict[str, tuple[Any, Leaf]] = {}
    for name in LAWS:
        for leaf in leaves_of(transform := VARIANTS[name].transform):
            declared = replace(transform, acts_on=leaf.declared)
            words = declared.on(leaf.rows()).inward.actions[0]
            found[f"{name}: {words} {leaf.shape} {leaf.kind}"] = (declared, leaf)
    return found
