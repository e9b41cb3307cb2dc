"""Rigid motions of space: a rotation (or a reflection) and a shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import LARGEST, require_size
from equiprob.transforms.expression import Call
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.rotations3d import SPATIAL_GENERATORS, Parity, Rotations3D
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Euclidean3D(AbstractLaw):
    """Rotations followed by shifts; made by `euclidean3d`.

    The parameter is the shift, the rotation vector and, unless all motions are proper, the
    determinant.

    Args:
        rotation: The law of the rotation.
        max_shift: Largest shift along each axis.
        ranges: The angle (in degrees) and the shift that a magnitude of 1 stands for.
    """

    rotation: Rotations3D
    max_shift: float
    ranges: tuple[float, float]

    magnitude_label = "largest of angle and shift"
    magnitude_unit = "share of the range"

    def __post_init__(self) -> None:
        """Check the range of shifts."""
        require_size("max_shift", self.max_shift, LARGEST)

    def __str__(self) -> str:
        """Name the transform for people."""
        return str(self.rotation).replace(
            "rotations3d(", f"euclidean3d(shifts up to {self.max_shift:g}, rotations "
        )

    @override
    def call(self) -> Call:
        turn = {"max_angle": self.rotation.max_angle, "parity": self.rotation.parity}
        return Call("euclidean3d", (self.max_shift,), turn)

    @property
    @override
    def n_uniforms(self) -> int:
        return 3 + self.rotation.n_uniforms

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        shifts = (2 * uniforms[..., :3] - 1) * self.max_shift
        return np.concatenate([shifts, self.rotation.parameters(uniforms[..., 3:])], axis=-1)

    @override
    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        turns = self.rotation.spread(n, shifts[..., 3:])
        # The rotations lie along a spiral: in any order but that, shifts tell nothing of them.
        order = np.random.default_rng(n).permutation(n)
        box = (hammersley(n, 3)[order] + shifts[..., None, :3]) % 1.0
        return np.concatenate([(2 * box - 1) * self.max_shift, turns], axis=-1)

    @property
    @override
    def identity(self) -> Parameters:
        return np.concatenate([np.zeros(3), self.rotation.identity])

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {**self.rotation.element(parameters[..., 3:]), "shift": parameters[..., :3]}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        back = self.rotation.inverse(parameters[..., 3:])
        return np.concatenate([-self._turned(back, parameters[..., :3]), back], axis=-1)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        turn = self.rotation.compose(first[..., 3:], second[..., 3:])
        shift = first[..., :3] + self._turned(first[..., 3:], second[..., :3])
        return np.concatenate([shift, turn], axis=-1)

    def _turned(self, turns: Parameters, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        matrices = self.rotation.element(turns)["matrix"]
        return (matrices @ vectors[..., None])[..., 0]

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        angle, shift = self.ranges
        return np.maximum(
            self.rotation.magnitude(parameters[..., 3:]) / angle,
            np.abs(parameters[..., :3]).max(axis=-1) / shift,
        )

    @property
    @override
    def parts(self) -> tuple[str, ...]:
        return self.rotation.parts

    @override
    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        return self.rotation.part(parameters[..., 3:])

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        shifts = tuple((f"shift along {axis}", "input units") for axis in "xyz")
        return (*shifts, *SPATIAL_GENERATORS)

    @override
    def restricted(self, max_magnitude: float) -> Self:
        angle, shift = self.ranges
        rotation = self.rotation.restricted(max_magnitude * angle)
        largest = min(max_magnitude * shift, self.max_shift)
        return replace(self, rotation=rotation, max_shift=largest)

    @override
    def probability_within(self, max_magnitude: float) -> float:
        angle, shift = self.ranges
        inside = min(max_magnitude * shift / self.max_shift, 1.0) ** 3
        return inside * self.rotation.probability_within(max_magnitude * angle)


@checked
def euclidean3d(
    max_shift: float,
    max_angle: float = float(np.pi),
    *,
    parity: Parity = "proper",
    acts_on: Any = "points",
    output_action: Any = "invariant",
) -> Transform:
    """Rotate and shift points of space at random.

    Args:
        max_shift: Shifts along each axis are uniform in [-max_shift, max_shift], in the units of
            the points.
        max_angle: Largest angle of the rotation, in radians, as in `rotations3d`.
        parity: As in `rotations3d`.
        acts_on: How the input transforms: ``"points"`` turn and shift, ``"vectors"`` and
            ``"tensors2"`` only turn, ``"invariant"``, a function, or a dict of these by leaf.
        output_action: How the output transforms, in the same words.

    Returns:
        The transform. Its magnitude is the larger of the angle and the largest shift, each as a
        share of its range. Shifts are not compact: the law is never marked as a Haar measure.

    Raises:
        ValueError: If `max_shift` is not positive, or as in `rotations3d`.
    """
    rotation = Rotations3D(max_angle=float(max_angle), parity=parity)
    law = Euclidean3D(
        rotation=rotation,
        max_shift=float(max_shift),
        ranges=(float(np.rad2deg(max_angle)), float(max_shift)),
    )
    return Transform(law=law, acts_on=acts_on, output_action=output_action)
