"""Pictures of another size: in another resolution, or without their margins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.user_actions import Action
from equiprob.transforms.words import WORDS, action_of

Array = NDArray[Any]


@final
@dataclass(frozen=True)
class Resized:
    """All rows of pictures in another resolution, or as they were.

    Args:
        word: What they are, in the words of pictures.
        of: What the pictures are of which these are feature maps; they then return to the
            resolution of before, and the pictures of before are passed, too.
    """

    word: str
    of: str | None = None

    @property
    def declared(self) -> str:
        """How it is declared."""
        return self.word

    def __call__(self, factor: Array, leaf: Array, picture: Array | None = None) -> Array:
        """Return the pictures.

        Args:
            factor: By how much the resolution is larger, ``(1,)``.
            leaf: The pictures, or feature maps, rows first.
            picture: The pictures of before.
        """
        grid, shape = _grid(self.word), list(leaf.shape)
        before = [leaf.shape[axis] for axis in _sides(self.word)]
        if picture is not None and self.of is not None:
            before = [picture.shape[axis] for axis in _sides(self.of)]
        for axis, whole in zip(_sides(self.word), before, strict=True):
            moved = max(round(float(factor[0]) * whole), 1)
            shape[axis] = moved
            if self.of is not None:
                # Networks round sizes up (padding) or down (pooling): as this one did.
                up = leaf.shape[axis] == -(-moved // grid.stride)
                shape[axis] = int(-(-whole // grid.stride) if up else whole // grid.stride)
        method = "nearest" if grid.nearest else "linear"
        with jax.enable_x64(leaf.dtype.itemsize >= 8):
            return np.asarray(jax.image.resize(leaf, tuple(shape), method)).astype(leaf.dtype)


@final
@dataclass(frozen=True)
class Cropped:
    """All rows of pictures without their margins.

    Args:
        word: What they are, in the words of pictures.
    """

    word: str

    @property
    def declared(self) -> str:
        """How it is declared."""
        return self.word

    def __call__(self, margins: Array, leaf: Array) -> Array:
        """Return the pictures.

        Args:
            margins: How many pixels to leave out: at the top, the bottom, the left and the right.
            leaf: The pictures, rows first.
        """
        height, width = (leaf.shape[axis] for axis in _sides(self.word))
        top, bottom, left, right = (int(each) for each in margins)
        if top + bottom >= height or left + right >= width:
            raise ValueError(
                f"margins of {top} + {bottom} and {left} + {right} pixels leave nothing of a "
                f"picture of {height} x {width}; pass fewer to crops"
            )
        parts = [slice(None)] * leaf.ndim
        for axis, part in zip(
            _sides(self.word),
            (slice(top, height - bottom), slice(left, width - right)),
            strict=True,
        ):
            parts[axis] = part
        return leaf[tuple(parts)]


def _grid(word: str) -> Any:
    return action_of(word, 3, where=word)


def _sides(word: str) -> tuple[int, int]:
    """Return the axes of height and width, rows being the first one."""
    return (2, 3) if _grid(word).channels_first else (1, 2)


def of_pictures(declared: Any, act: type[Resized] | type[Cropped], reads: str, where: str) -> Any:
    """Return declarations of pictures that change their size, by word or by leaf.

    Raises:
        ValueError: If a word is none of pictures, nor ``"invariant"``.
    """
    if isinstance(declared, Mapping):
        return {n: of_pictures(w, act, reads, f"{where}[{n!r}]") for n, w in declared.items()}
    if not isinstance(declared, str) or declared == "invariant":
        return declared
    require_picture(declared, where)
    return Action(act(declared), reads=reads, changes_shape=True)


def require_picture(word: str, where: str) -> None:
    """Raise for a word that is none of pictures."""
    known = [name for name in WORDS if name.startswith(("image", "mask"))]
    if word.partition("/")[0] not in known or " of " in word:
        raise ValueError(f"{where} is {word!r}; expected one of {known} or 'invariant'")
