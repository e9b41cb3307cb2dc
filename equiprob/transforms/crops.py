"""Pictures without some of their margins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import require_count
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.resized import Cropped, of_pictures
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Crops(AbstractLaw):
    """Margins of up to some pixels; made by `crops`. The parameter lists those of four sides."""

    most: int

    magnitude_label = "widest margin"
    magnitude_unit = "pixels"

    def __post_init__(self) -> None:
        """Check the width."""
        require_count("most", self.most, 1)

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"crops(up to {self.most} pixels)"

    @property
    @override
    def n_uniforms(self) -> int:
        return 4

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return np.floor(uniforms * (self.most + 1))

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(4)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"margins": parameters.astype(np.int32)}

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return parameters.max(axis=-1)


@checked
def crops(most: int, *, acts_on: Any = "image", output_action: Any = "invariant") -> Transform:
    """Leave out margins of pictures, each of the four uniformly from 0 to some pixels wide.

    Args:
        most: Of the widest margin, in pixels.
        acts_on: What inputs are: ``"image"``, ``"image_channels_first"``, ``"mask"``,
            ``"mask_channels_first"`` or ``"invariant"``, or a dict of these by leaf.
        output_action: ``"invariant"``, or ``Action(function, inverse, changes_shape=True)``.

    Returns:
        The transform. Rows of other shapes: pass ``design="crossed"``, in which all rows move
        alike; the model is called from Python (it may be compiled). Crops of one size are a
        pipeline: `from_augmentation` with a `reference`.

    Raises:
        ValueError: If `most` is not positive, or a word is not known.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.crops(4))
        crops(up to 4 pixels)
    """
    return Transform(
        law=Crops(most=most),
        acts_on=of_pictures(acts_on, Cropped, "margins", "acts_on"),
        output_action=output_action,
    )
