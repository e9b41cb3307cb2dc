"""Independent sign changes of the coordinates of a vector."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import require_count
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters
from equiprob.transforms.transform import Transform

_MOST_ENUMERATED = 10


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SignFlips(AbstractLaw):
    """The group {-1, 1}^dimensions; made by `sign_flips`."""

    dimensions: int

    magnitude_label = "coordinates flipped"

    def __post_init__(self) -> None:
        """Check the dimension."""
        require_count("dimensions", self.dimensions, 1)

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"sign_flips({self.dimensions})"

    @property
    @override
    def n_uniforms(self) -> int:
        return self.dimensions

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return np.where(uniforms < 0.5, 1.0, -1.0)

    @override
    def enumeration(self) -> Enumeration | None:
        if self.dimensions > _MOST_ENUMERATED:
            return None
        signs = np.array(list(product([1.0, -1.0], repeat=self.dimensions)))
        return Enumeration(signs, np.full(len(signs), 1 / len(signs)))

    @property
    @override
    def is_haar(self) -> bool:
        return True

    @property
    @override
    def identity(self) -> Parameters:
        return np.ones(self.dimensions)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"scale": parameters}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return parameters

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        return first * second

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return (parameters < 0).sum(axis=-1).astype(np.float64)


@checked
def sign_flips(
    dimensions: int, *, acts_on: Any = "vectors", output_action: Any = "invariant"
) -> Transform:
    """Flip the sign of each coordinate with probability one half (the Haar measure of {-1, 1}^d).

    Args:
        dimensions: The length of the last axis of the leaves that flip.
        acts_on: How the input transforms: ``"vectors"``, ``"points"``, ``"invariant"``, a function,
            or a dict of these by leaf.
        output_action: How the output transforms, in the same words.

    Raises:
        ValueError: If `dimensions` is not an integer from 1 to 1,048,576.
    """
    law = SignFlips(dimensions=dimensions)
    return Transform(law=law, acts_on=acts_on, output_action=output_action)
