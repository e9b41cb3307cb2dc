"""Which transformations could act on these arrays at all?

Every law of `ep.transforms` whose words some leaf can take, as far as shapes and dtypes say; what
the arrays *mean* nobody looks at. Sizes of steps are fractions of what the arrays show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from equiprob.transforms.candidates import declarations
from equiprob.transforms.finite import cyclic, mirror
from equiprob.transforms.lorentz import lorentz
from equiprob.transforms.permutations import permutations
from equiprob.transforms.rotations2d import rotations2d
from equiprob.transforms.rotations3d import rotations3d
from equiprob.transforms.scalings import scalings
from equiprob.transforms.sign_flips import sign_flips
from equiprob.transforms.transform import Transform
from equiprob.transforms.translations import translations

Make = Callable[[Any, Any], Transform]
"""``make(acts_on, output_action)``"""

_OF_VECTORS = ("vectors", "points", "tensors2")
_OF_IMAGES = ("image", "image_channels_first")
_OF_OUTPUTS = (
    *("invariant", "vectors", "points", "axial", "pseudoscalar", "tensors2", "voigt"),
    *("permuted", "regular", "image", "image_channels_first"),
)

_SMALLEST_IMAGE = 8
"""Pixels along an axis, below which a table of numbers is no image."""

_MOST_FLIPPED = 16
_MOST_PERMUTED = 1024

_TURN = float(np.deg2rad(30))
_SHIFT = 0.1
"""Of an image's side."""

_FACTOR = 1.25


class Candidate(NamedTuple):
    """One way in which transformations could act.

    Args:
        name: Of the transformations, and of how inputs move.
        acts_on: How the inputs are declared.
        outputs: How each output may be declared, by its name.
        make: The transform, given both.
    """

    name: str
    acts_on: Any
    outputs: Mapping[str, list[str]]
    make: Make


def catalogue(x: Any, outputs: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield every candidate of the catalogue that can act on some leaf of the inputs.

    Args:
        x: The inputs: an array or a dict of arrays, rows first.
        outputs: The outputs, or what has their shapes and dtypes, by name.
    """
    leaves = x if isinstance(x, Mapping) else {"": x}
    for label, phrases, make in _laws(leaves.values()):
        probe = make("invariant", "invariant")
        known = {
            n: declarations(probe.law, phrases, leaf, "inputs", probe.fill)
            for n, leaf in leaves.items()
        }
        for phrase in phrases:
            moved = [n for n in leaves if phrase in known[n] and _is_image(leaves[n], phrase)]
            if not moved:
                continue
            acts_on = phrase
            if isinstance(x, Mapping):
                acts_on = {n: phrase if n in moved else "invariant" for n in leaves}
            ways = {
                n: [
                    p
                    for p in declarations(probe.law, _OF_OUTPUTS, leaf, "outputs", probe.fill)
                    if _is_image(leaf, p)
                ]
                for n, leaf in outputs.items()
            }
            where = f" of {', '.join(moved)}" if isinstance(x, Mapping) else ""
            yield Candidate(f"{label}, {phrase}{where}", acts_on, ways, make)


def _laws(leaves: Any) -> Iterator[tuple[str, tuple[str, ...], Make]]:
    """Yield laws for leaves of these shapes: a name, words for inputs, and what makes them."""
    leaves = [leaf for leaf in map(_as_shaped, leaves) if leaf.ndim > 1]
    moving = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    lengths = sorted({leaf.shape[-1] for leaf in moving})
    grids = sorted({side for leaf in moving for side in _sides(leaf)})
    if 2 in lengths or grids:
        words = (_OF_VECTORS if 2 in lengths else ()) + (_OF_IMAGES if grids else ())
        yield "rotations of the plane", words, _maker(rotations2d)
        yield (
            "rotations of the plane up to 30 degrees",
            words,
            _maker(rotations2d, _TURN),
        )
        yield "quarter turns", words, _maker(cyclic, 4)
        for axis in "xy":
            yield f"mirror in {axis}", words, _maker(mirror, axis, dimensions=2)
    if 3 in lengths:
        yield "rotations of space", _OF_VECTORS, _maker(rotations3d)
        yield (
            "rotations of space up to 30 degrees",
            _OF_VECTORS,
            _maker(rotations3d, _TURN),
        )
        for axis in "xyz":
            yield f"mirror in {axis}", _OF_VECTORS, _maker(mirror, axis)
    if 4 in lengths:
        yield "Lorentz transformations", ("vectors",), _maker(lorentz, 0.5)
    for d in lengths:
        if d <= _MOST_FLIPPED:
            yield f"sign flips of {d} coordinates", ("vectors",), _maker(sign_flips, d)
            yield (
                f"scalings of {d} coordinates",
                ("vectors",),
                _maker(scalings, _FACTOR, dimensions=d),
            )
            size = _spread([leaf for leaf in moving if leaf.shape[-1] == d])
            yield (
                f"shifts of {d} coordinates up to {size:g}",
                ("points",),
                _maker(translations, size, dimensions=d),
            )
    for side in grids[:1]:
        step = max(int(_SHIFT * side), 1)
        yield (
            f"shifts of an image up to {step} pixels",
            _OF_IMAGES,
            _maker(translations, step, whole=True),
        )
        yield "scalings of an image", _OF_IMAGES, _maker(scalings, _FACTOR)
    for items in sorted({leaf.shape[1] for leaf in leaves}):
        if 2 <= items <= _MOST_PERMUTED:
            yield f"orders of {items} items", ("permuted",), _maker(permutations, items)


def _maker(function: Callable[..., Transform], *args: Any, **options: Any) -> Make:
    def make(acts_on: Any, output_action: Any) -> Transform:
        return function(*args, **options, acts_on=acts_on, output_action=output_action)

    return make


def _as_shaped(leaf: Any) -> Any:
    return leaf if hasattr(leaf, "dtype") and hasattr(leaf, "shape") else np.asarray(leaf)


def _sides(leaf: Any) -> list[int]:
    """Return the shorter side of what may be an image; nothing for what is none."""
    if leaf.ndim == 3:
        sides = leaf.shape[1:]
    elif leaf.ndim == 4:
        sides = leaf.shape[1:3] if leaf.shape[-1] <= leaf.shape[1] else leaf.shape[2:]
    else:
        return []
    return [min(sides)] if min(sides) >= _SMALLEST_IMAGE else []


def _is_image(leaf: Any, phrase: str) -> bool:
    """Whether a leaf may be what a word for images says; true of other words."""
    if phrase not in _OF_IMAGES:
        return True
    leaf = _as_shaped(leaf)
    if not _sides(leaf):
        return False
    first = leaf.ndim == 4 and leaf.shape[-1] > leaf.shape[1]
    return (phrase == "image_channels_first") == first


def _spread(leaves: list[Any]) -> float:
    """Return the spread of coordinates, two digits of it."""
    size = np.sqrt(np.mean([np.var(np.asarray(leaf, np.float64)) for leaf in leaves]))
    return float(f"{size:.2g}") or 1.0


def shapes_of(outputs: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
    """Return shapes and dtypes of outputs, rows first."""
    return {
        name: jax.ShapeDtypeStruct(np.shape(leaf), np.asarray(leaf).dtype)
        for name, leaf in outputs.items()
    }
