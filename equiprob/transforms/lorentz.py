"""Lorentz transformations of four-vectors: a rotation of space and a boost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.transforms.counts import require_size
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.rotation_group import rotation_matrices, rotation_vectors, unit_vectors
from equiprob.transforms.rotations3d import SPATIAL_GENERATORS, Rotations3D
from equiprob.transforms.transform import Transform

_MOST_RAPIDITY = 80.0
"""The energy of a boost grows as its exponential, which float32 does not hold beyond."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Lorentz(AbstractLaw):
    """Rotations followed by boosts; made by `lorentz`.

    The parameter is the rapidity vector of the boost and the rotation vector.
    """

    max_rapidity: float
    rotation: Rotations3D

    magnitude_label = "rapidity"

    def __post_init__(self) -> None:
        """Check the range of rapidities."""
        require_size("max_rapidity", self.max_rapidity, _MOST_RAPIDITY)

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"lorentz(rapidity up to {self.max_rapidity:g})"

    @override
    def call(self) -> Call:
        return Call("lorentz", (self.max_rapidity,))

    @property
    @override
    def n_uniforms(self) -> int:
        return 6

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        rapidity = self.max_rapidity * uniforms[..., :1] * unit_vectors(uniforms[..., 1:3])
        return np.concatenate([rapidity, self.rotation.parameters(uniforms[..., 3:])], axis=-1)

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(6)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        turn = np.zeros((*parameters.shape[:-1], 4, 4))
        turn[..., 0, 0] = 1.0
        turn[..., 1:, 1:] = rotation_matrices(parameters[..., 3:])
        return {"matrix": _boosts(parameters[..., :3]) @ turn}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        # The inverse of a boost after a rotation R is a boost by -R^-1 rapidity after R^-1.
        back = -parameters[..., 3:]
        rapidity = (rotation_matrices(back) @ parameters[..., :3, None])[..., 0]
        return np.concatenate([-rapidity, back], axis=-1)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        product = self.element(first)["matrix"] @ self.element(second)["matrix"]
        # Its first column is that of the boost: (cosh, sinh * direction).
        momentum = product[..., 1:, 0]
        size = np.linalg.norm(momentum, axis=-1, keepdims=True)
        rapidity = momentum * (np.arcsinh(size) / np.where(size > 0, size, 1.0))
        turn = (_boosts(-rapidity) @ product)[..., 1:, 1:]
        return np.concatenate([rapidity, rotation_vectors(turn)], axis=-1)

    @override
    def magnitude(self, parameters: Parameters) -> Array:
        return np.linalg.norm(parameters[..., :3], axis=-1)

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        boosts = tuple((f"boost along {axis}", "rapidity") for axis in "xyz")
        return (*boosts, *SPATIAL_GENERATORS)

    @override
    def restricted(self, max_magnitude: float) -> Self:
        return replace(self, max_rapidity=min(float(max_magnitude), self.max_rapidity))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        return min(max_magnitude / self.max_rapidity, 1.0)


def _boosts(rapidity: Array) -> Array:
    """Return the matrices ``(..., 4, 4)`` of boosts by rapidity vectors ``(..., 3)``."""
    size = np.linalg.norm(rapidity, axis=-1)[..., None]
    direction = rapidity / np.where(size > 0, size, 1.0)
    boosts = np.zeros((*rapidity.shape[:-1], 4, 4))
    boosts[..., :1, 0] = np.cosh(size)
    boosts[..., 0, 1:] = boosts[..., 1:, 0] = np.sinh(size) * direction
    # cosh - 1 without cancellation.
    along = direction[..., :, None] * direction[..., None, :]
    boosts[..., 1:, 1:] = np.eye(3) + 2 * np.sinh(size / 2)[..., None] ** 2 * along
    return boosts


@checked
def lorentz(
    max_rapidity: float = 1.0, *, acts_on: Any = "vectors", output_action: Any = "invariant"
) -> Transform:
    """Rotate and boost four-vectors ``(t, x, y, z)`` at random.

    Args:
        max_rapidity: The rapidity of the boost is uniform in [0, max_rapidity], along a uniform
            direction, after a Haar rotation of space.
        acts_on: How the input transforms: ``"vectors"`` (the last axis holds energy and momentum,
            or time and place), ``"tensors2"``, ``"invariant"``, a function, or a dict of these by
            leaf.
        output_action: How the output transforms. Boosts change the Euclidean size of a four-vector,
            and so of its error: ``"invariant"``, or ``Action(function, inverse)`` at your risk.

    Returns:
        The transform. Boosts are not compact: the law is never marked as a Haar measure.

    Raises:
        ValueError: If `max_rapidity` is not positive.
    """
    law = Lorentz(max_rapidity=float(max_rapidity), rotation=Rotations3D())
    return Transform(law=law, acts_on=acts_on, output_action=output_action)
