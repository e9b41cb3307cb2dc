"""The same picture in another resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import checked
from equiprob.transforms.expression import Call
from equiprob.transforms.law import Parameters
from equiprob.transforms.listed import AbstractListed
from equiprob.transforms.resized import Resized, of_pictures, require_picture
from equiprob.transforms.transform import Transform
from equiprob.transforms.user_actions import Action

_MOST = 32
"""Sizes, for each of which a model is compiled."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Rescalings(AbstractListed):
    """Resolutions, all alike probable; made by `rescalings`. The parameter is the place of one."""

    factors_of_size: NDArray[np.float64]

    magnitude_label = "factor"
    magnitude_unit = "octaves"

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"rescalings({', '.join(f'{f:g}' for f in self.factors_of_size)})"

    @override
    def call(self) -> Call:
        return Call("rescalings", (self.factors_of_size,))

    @property
    @override
    def n_entries(self) -> int:
        return len(self.factors_of_size)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"factor": self.factors_of_size[parameters.astype(int)]}

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return np.abs(np.log2(self.element(parameters)["factor"][..., 0]))


def _output(word: Any, picture: tuple[str, str], where: str) -> Any:
    if isinstance(word, Mapping):
        return {name: _output(own, picture, f"{where}[{name!r}]") for name, own in word.items()}
    if not isinstance(word, str) or word == "invariant":
        return word
    require_picture(word, where)
    name, of = picture
    back = Resized(word, of)
    return Action(Resized(word), back, given=(name,), reads="factor", changes_shape=True)


@checked
def rescalings(
    factors: ArrayLike, *, acts_on: Any = "image", output_action: Any = "invariant"
) -> Transform:
    """Show pictures in other resolutions, by interpolation.

    Args:
        factors: How much larger height and width are, ``(factor,)``, 1 first: ``[1, 0.5, 2]``.
        acts_on: What inputs are: ``"image"``, ``"image_channels_first"``, ``"mask"``,
            ``"mask_channels_first"`` or ``"invariant"``, or a dict of these by leaf.
        output_action: The same for outputs, such as ``"image/4"`` for feature maps of a fourth of
            the resolution: they are brought back to the size of before.

    Returns:
        The transform, each resolution alike probable. Rows of other shapes: all rows of a chunk
        move alike, and the model is called from Python (it may be compiled).

    Raises:
        ValueError: If the first factor is not 1, or there are more than 32 or one that is not
            positive, or a word is not known.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.rescalings([1, 0.5, 2]))
        rescalings(1, 0.5, 2)
    """
    sizes = as_numbers("factors", factors)
    if (
        sizes.ndim != 1
        or not 2 <= len(sizes) <= _MOST
        or sizes[0] != 1
        or not (np.isfinite(sizes) & (sizes > 0)).all()
    ):
        raise ValueError(
            f"factors must be 2 to {_MOST} positive numbers, 1 first, got {np.asarray(factors)}"
        )
    each = acts_on if isinstance(acts_on, Mapping) else {"": acts_on}
    pictures = [(name, str(word)) for name, word in each.items() if word != "invariant"]
    if not pictures:
        raise ValueError("acts_on must say which leaf is a picture, such as acts_on='image'")
    return Transform(
        law=Rescalings(factors_of_size=sizes.astype(np.float64)),
        acts_on=of_pictures(acts_on, Resized, "factor", "acts_on"),
        output_action=_output(output_action, pictures[0], "output_action"),
    )
