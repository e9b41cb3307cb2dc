"""Rotations of the plane: by any angle, or up to a largest one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.laws import quantile_function, sampler
from equiprob.transforms.transform import Transform


def wrap_angle(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same angles in [-pi, pi], small ones unchanged to the last digit."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def rotation_matrix(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counter-clockwise rotation matrices ``(..., 2, 2)``, exact at quarter turns."""
    matrix = np.empty((*np.shape(angle), 2, 2))
    matrix[..., 0, 0], matrix[..., 1, 0] = np.cos(angle), np.sin(angle)
    # cos(pi/2) is 6e-17 in floating point: enough to move a pixel's floor.
    matrix[..., 0][np.abs(matrix[..., 0]) < 1e-15] = 0.0
    matrix[..., 0, 1], matrix[..., 1, 1] = -matrix[..., 1, 0], matrix[..., 0, 0]
    return matrix


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Rotations2D(AbstractLaw):
    """Counter-clockwise rotations of the plane; made by `rotations2d`."""

    max_angle: float = float(np.pi)
    law: Any = None

    magnitude_label = "angle"
    magnitude_unit = "deg"

    def __post_init__(self) -> None:
        """Check the range of angles."""
        if not 0 < self.max_angle <= np.pi + 1e-12:
            raise ValueError(
                f"max_angle must lie in (0, pi] radians, got {self.max_angle}: for degrees pass "
                f"np.deg2rad(30), or write 30deg on a command line"
            )
        if self.law is not None:
            object.__setattr__(self, "_quantile", quantile_function(self.law))
            object.__setattr__(self, "_draw", sampler(self.law))

    def __str__(self) -> str:
        """Name the transform for people."""
        if self.law is not None:
            return f"rotations2d(law={type(self.law).__name__})"
        return f"rotations2d(up to {np.rad2deg(self.max_angle):.4g} degrees)"

    @property
    @override
    def n_uniforms(self) -> int:
        return 0 if self.law is not None and self._quantile is None else 1  # pyright: ignore[reportAttributeAccessIssue]

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        if self.law is not None:
            return self._quantile(uniforms)  # pyright: ignore[reportAttributeAccessIssue]
        return (2 * uniforms - 1) * self.max_angle

    @property
    @override
    def periodic(self) -> tuple[bool, ...]:
        return (self.is_haar,) * self.n_uniforms

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.n_uniforms:
            return super().sample_many(generator, n)
        return self._draw(generator, n)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    @override
    def is_haar(self) -> bool:
        return self.law is None and self.max_angle >= np.pi - 1e-12

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(1)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"matrix": rotation_matrix(parameters[..., 0])}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return -parameters

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        return wrap_angle(first + second)

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return np.rad2deg(np.abs(wrap_angle(parameters[..., 0])))

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        return (("angle", "rad"),)

    @property
    @override
    def grid_symmetry(self) -> int:
        # Equispaced angles over a full turn hit the pixel grid's quarter turns together.
        return 4 if self.is_haar else 1

    @override
    def restricted(self, max_magnitude: float) -> Self:
        if self.law is not None:
            return super().restricted(max_magnitude)
        return replace(self, max_angle=min(float(np.deg2rad(max_magnitude)), self.max_angle))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        if self.law is not None:
            return super().probability_within(max_magnitude)
        return min(max_magnitude / float(np.rad2deg(self.max_angle)), 1.0)


@checked
def rotations2d(
    max_angle: float = float(np.pi),
    *,
    acts_on: Any = "image",
    output_action: Any = "invariant",
    law: Any = None,
    fill: float = 0.0,
) -> Transform:
    """Rotate images, points or vectors of the plane by a random angle.

    Args:
        max_angle: Angles are uniform in [-max_angle, max_angle], in radians. The default, pi, is
            the Haar measure of SO(2).
        acts_on: How the input transforms: ``"image"`` (bilinear interpolation about the centre),
            ``"points"``, ``"vectors"``, ``"invariant"``, a function, or a dict of these by leaf.
        output_action: How the output transforms, in the same words.
        law: A scalar ``numpyro.distributions.Distribution`` for the angle in radians, instead of
            the uniform law.
        fill: What an image reads outside its frame, where the corners of a turned square come from.

    Returns:
        The transform.

    Raises:
        ValueError: If `max_angle` is not in (0, pi], or `law` is not scalar.

    Assumptions:
        Rotations of a pixel grid by other than quarter turns interpolate: they are not exactly a
        group action. `check_action` measures by how much on your images.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> turns = ep.transforms.rotations2d(max_angle=np.deg2rad(30), acts_on="image")
        >>> print(turns)
        rotations2d(up to 30 degrees)
    """
    law = Rotations2D(max_angle=float(max_angle), law=law)
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill)
