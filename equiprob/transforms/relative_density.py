"""How likely is a transformation, compared with the uniform law of its whole group?

With the density of a law relative to the group's Haar measure, averages over the law become
averages over the group: transformations weigh with one over it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.finite import Finite
from equiprob.transforms.law import Parameters
from equiprob.transforms.rotations2d import Rotations2D, wrap_angle
from equiprob.transforms.rotations3d import Rotations3D
from equiprob.transforms.transform import Transform

Density = Callable[[Parameters], NDArray[np.float64]]

_TURNS = 2 * np.pi * np.arange(-4, 5)
"""An angle may be drawn as any of these more; laws that go further are not known here."""

_KEPT = 8
"""Laws whose compiled density is kept."""

_WHOLE = 1e-4
"""What the density of a law of angles may miss of 1."""


def relative_density(transform: Transform) -> Density | None:
    """Return the density ``parameters (..., n) -> (...)`` of a law relative to the group's own.

    Args:
        transform: The transform.

    Returns:
        The function; None where the group is none whose elements all have a density (a range of
        angles, a finite set that is no group) or the density is not known.
    """
    law = transform.law
    if isinstance(law, Finite) and law.products is not None:
        return _of_elements(law)
    if isinstance(law, Rotations2D) and law.law is not None:
        return _of_angles(law)
    if isinstance(law, Rotations3D) and law.law is not None and law.parity != "improper":
        return _of_rotations(law)
    return None


def _of_elements(law: Finite) -> Density:
    relative = law.weights * len(law.weights)
    return lambda parameters: relative[parameters[..., 0].astype(int)]


@lru_cache(maxsize=_KEPT)
def _of_angles(law: Rotations2D) -> Density | None:
    wrapped = _wrapped(law.law)
    if wrapped is None:
        return None

    def density(parameters: Parameters) -> NDArray[np.float64]:
        return 2 * np.pi * wrapped(wrap_angle(parameters[..., 0]))

    found = density(circle()[:, None])
    known = np.isfinite(found).all() and abs(found.mean() - 1) <= _WHOLE
    return density if known and found.min() > 0 else None


def _of_rotations(law: Rotations3D) -> Density | None:
    """Return the density of rotations whose axes are uniform; of the inversion, too, is known."""
    turned = angle_density(law)
    if turned is None:
        return None

    def density(parameters: Parameters) -> NDArray[np.float64]:
        length = np.linalg.norm(parameters[..., :3], axis=-1)
        angle = np.abs(wrap_angle(length))
        uniform = np.maximum(1 - np.cos(angle), np.finfo(float).tiny) / np.pi
        return turned(angle) / uniform

    return density if turned(half_circle()).min() > 0 else None


@lru_cache(maxsize=_KEPT)
def angle_density(law: Rotations3D) -> Density | None:
    """Return the density ``(...) -> (...)`` of the angle of rotations of space, in [0, pi].

    None where it is not known. Axes being uniform, a turn by more than pi is one by less about the
    opposite axis.
    """
    wrapped = _wrapped(law.law)
    if wrapped is None:
        return None

    def density(angle: NDArray[np.float64]) -> NDArray[np.float64]:
        return wrapped(angle) + wrapped(-angle)

    found = density(half_circle())
    known = np.isfinite(found).all() and abs(np.pi * found.mean() - 1) <= _WHOLE
    return density if known else None


def _wrapped(given: Any) -> Density | None:
    """Return the density of a law of angles, wrapped around the circle; None without one."""
    if not hasattr(given, "log_prob"):
        return None

    @jax.jit
    def wrapped(angles: jax.Array) -> jax.Array:
        values = angles[..., None] + jnp.asarray(_TURNS)
        inside = given.support(values)
        logs = given.log_prob(jnp.where(inside, values, 0.0))
        return jnp.where(inside, jnp.exp(logs), 0.0).sum(axis=-1)

    def density(angles: NDArray[np.float64]) -> NDArray[np.float64]:
        with jax.enable_x64(True):
            return np.asarray(wrapped(jnp.asarray(angles, dtype=jnp.float64)))

    return density


def circle() -> NDArray[np.float64]:
    """Return equispaced angles around the circle, ``(angle,)``."""
    return -np.pi + 2 * np.pi * (np.arange(4096) + 0.5) / 4096


def half_circle() -> NDArray[np.float64]:
    """Return equispaced angles between 0 and pi, ``(angle,)``."""
    return np.pi * (np.arange(4096) + 0.5) / 4096
