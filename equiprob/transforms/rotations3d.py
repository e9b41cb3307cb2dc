"""Rotations of space, with reflections or without: by any angle, or up to a largest one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self, final, get_args, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.laws import quantile_function, sampler
from equiprob.transforms.rotation_group import (
    alternating,
    angles_below,
    probability_of_angle,
    rotation_matrices,
    rotation_product,
    spread_rotations,
    unit_vectors,
)
from equiprob.transforms.transform import Transform

Parity = Literal["proper", "improper", "both"]

SPATIAL_GENERATORS = tuple((f"rotation about {axis}", "rad") for axis in "xyz")


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Rotations3D(AbstractLaw):
    """Rotations of space; made by `rotations3d`.

    The parameter is the rotation vector, and, unless all are proper, the determinant: 1, or -1 for
    the rotation followed by the inversion ``x -> -x``.
    """

    max_angle: float = float(np.pi)
    parity: Parity = "proper"
    law: Any = None

    magnitude_label = "angle"
    magnitude_unit = "deg"

    def __post_init__(self) -> None:
        """Check the range of angles and the parity."""
        if not 0 < self.max_angle <= np.pi + 1e-12:
            raise ValueError(
                f"max_angle must lie in (0, pi] radians, got {self.max_angle}: for degrees pass "
                f"np.deg2rad(30), or write 30deg on a command line"
            )
        if self.parity not in get_args(Parity):
            raise ValueError(f"parity must be one of {get_args(Parity)}, got {self.parity!r}")
        if self.law is not None:
            object.__setattr__(self, "_quantile", quantile_function(self.law))
            object.__setattr__(self, "_draw", sampler(self.law))

    def __str__(self) -> str:
        """Name the transform for people."""
        kind = "" if self.parity == "proper" else f", {self.parity}"
        kind = kind.replace("both", "proper and improper")
        if self.law is not None:
            return f"rotations3d(law={type(self.law).__name__}{kind})"
        return f"rotations3d(up to {np.rad2deg(self.max_angle):.4g} degrees{kind})"

    @property
    @override
    def n_uniforms(self) -> int:
        if self.law is not None and self._quantile is None:  # pyright: ignore[reportAttributeAccessIssue]
            return 0
        return 4 if self.parity == "both" else 3

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        if self.law is not None:
            return self._about_axes(self._quantile(uniforms[..., :1]), uniforms[..., 1:])  # pyright: ignore[reportAttributeAccessIssue]
        return self._about_axes(angles_below(uniforms[..., :1], self.max_angle), uniforms[..., 1:])

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.n_uniforms:
            return super().sample_many(generator, n)
        angle = self._draw(generator, n)  # pyright: ignore[reportAttributeAccessIssue]
        return self._about_axes(angle, generator.random((n, 3)))

    def _about_axes(self, angle: NDArray[np.float64], uniforms: NDArray[np.float64]) -> Parameters:
        """Return rotations by angles ``(..., 1)`` about axes that uniform numbers choose."""
        vectors = angle * unit_vectors(uniforms[..., :2])
        if self.parity == "proper":
            return vectors
        proper = (uniforms[..., 2:] < 0.5) if self.parity == "both" else np.zeros_like(angle, bool)
        return np.concatenate([vectors, np.where(proper, 1.0, -1.0)], axis=-1)

    @override
    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        if not self._is_whole:
            return super().spread(n, shifts)
        both = self.parity == "both"
        points = spread_rotations(n, signed=both)
        if self.parity != "proper":
            points = np.column_stack([points, alternating(n) if both else np.ones(n)])
        return self.compose(self.parameters(shifts)[..., None, :], points)

    @property
    def _is_whole(self) -> bool:
        """Whether the angle has the law of a Haar rotation."""
        return self.law is None and self.max_angle >= np.pi - 1e-12

    @property
    @override
    def is_haar(self) -> bool:
        return self.parity != "improper" and self._is_whole

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(3) if self.parity == "proper" else np.array([0.0, 0.0, 0.0, 1.0])

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        matrix = rotation_matrices(parameters[..., :3])
        if self.parity != "proper":
            matrix = matrix * parameters[..., 3, None, None]
        return {"matrix": matrix}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return np.concatenate([-parameters[..., :3], parameters[..., 3:]], axis=-1)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        vectors = rotation_product(first[..., :3], second[..., :3])
        return np.concatenate([vectors, first[..., 3:] * second[..., 3:]], axis=-1)

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        length = np.linalg.norm(parameters[..., :3], axis=-1)
        turns = 2 * np.pi * np.round(length / (2 * np.pi))
        return np.rad2deg(np.abs(length - turns))

    @property
    @override
    def parts(self) -> tuple[str, ...]:
        return ("proper", "improper") if self.parity == "both" else ()

    @override
    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        return (parameters[..., 3:] < 0).any(axis=-1).astype(np.int64)

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        return SPATIAL_GENERATORS

    @override
    def restricted(self, max_magnitude: float) -> Self:
        if self.law is not None:
            return super().restricted(max_magnitude)
        return replace(self, max_angle=min(float(np.deg2rad(max_magnitude)), self.max_angle))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        if self.law is not None:
            return super().probability_within(max_magnitude)
        within = probability_of_angle(float(np.deg2rad(max_magnitude)))
        return min(within / probability_of_angle(self.max_angle), 1.0)


@checked
def rotations3d(
    max_angle: float = float(np.pi),
    *,
    parity: Parity = "proper",
    acts_on: Any = "points",
    output_action: Any = "invariant",
    law: Any = None,
) -> Transform:
    """Rotate points, vectors or tensors of space at random, with reflections or without.

    Args:
        max_angle: The law is the Haar measure of SO(3), given an angle of at most `max_angle`
            radians about any axis. The default, pi, is all of it.
        parity: ``"proper"`` rotations; ``"improper"`` ones, each followed by the inversion ``x ->
            -x``; or ``"both"``, with probability one half each, which results report apart
            (``error_by_part``).
        acts_on: How the input transforms: ``"points"``, ``"vectors"``, ``"tensors2"``,
            ``"invariant"``, an ``Irreps``, a function, or a dict of these by leaf.
        output_action: How the output transforms, in the same words.
        law: A scalar ``numpyro.distributions.Distribution`` for the angle in radians, about an axis
            of any direction, instead of that of the Haar measure.

    Returns:
        The transform. Its magnitude is the angle of the rotation, without the inversion. The law is
        the Haar measure of a group for ``"proper"`` (SO(3)) and ``"both"`` (O(3)) at the full
        angle; improper rotations alone are no group.

    Raises:
        ValueError: If `max_angle` is not in (0, pi], `parity` is not known, or `law` is not scalar.

    References:
        The quasi-random design is a minimum of an energy with a Haar rotation of its own for each
        row: `equiprob.transforms.rotation_group.spread_rotations`.

    Examples:
        >>> import equiprob as ep
        >>> molecules = {"positions": "points", "charges": "invariant"}
        >>> print(ep.transforms.rotations3d(acts_on=molecules, parity="both"))
        rotations3d(up to 180 degrees, proper and improper)
    """
    law = Rotations3D(max_angle=float(max_angle), parity=parity, law=law)
    return Transform(law=law, acts_on=acts_on, output_action=output_action)
