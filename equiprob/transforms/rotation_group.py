"""Rotations of space as rotation vectors: products, matrices, and designs that spread over them.

A rotation vector points along the axis and is as long as the angle, in radians. Products and
matrices are jaxlie's, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np

from equiprob.arguments.array_types import Array

_MOST_REFINED = 256
"""Rotations up to which a design is refined: beyond, the spiral it starts from is good enough."""

_REACH = 0.5
"""Weight of degree l + 1 relative to degree l in the energy of a design. Measured at 24 to 32
rotations on networks of clouds of points: 0.3 and 0.7 do as well."""

_PSI = 1.533751168755204
"""The root of ``psi^4 = psi + 4``, a constant of the super-Fibonacci spiral."""


def in_float64(function: Callable[..., Any]) -> Callable[..., Array]:
    """Compile a function of arrays ``(element, size)``; call it on any leading axes in float64."""
    compiled = jax.jit(function)

    def call(*arrays: Any) -> Array:
        leading = np.broadcast_shapes(*(a.shape[:-1] for a in arrays))
        n = int(np.prod(leading))
        padded = 1 << max(n - 1, 0).bit_length()  # few shapes, so that little is compiled
        flat = [np.zeros((padded, a.shape[-1])) for a in arrays]
        for rows, array in zip(flat, arrays, strict=True):
            rows[:n] = np.broadcast_to(array, (*leading, array.shape[-1])).reshape(n, -1)
        # These are numbers even where a function is being traced around them.
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            result = np.asarray(compiled(*flat))
        return result[:n].reshape(*leading, *result.shape[1:])

    return call


@cache
def _lie() -> dict[str, Callable[..., Array]]:
    """Return the functions below, made when first used: importing jaxlie takes half a second."""
    from jaxlie import SO3

    return {
        "matrix": in_float64(lambda v: SO3.exp(v).as_matrix()),
        "product": in_float64(lambda v, w: (SO3.exp(v) @ SO3.exp(w)).log()),
        "log": in_float64(lambda m: SO3.from_matrix(m.reshape(-1, 3, 3)).log()),
        "log_of_quaternion": in_float64(lambda q: SO3(q).log()),
    }


def rotation_matrices(vectors: Array) -> Array:
    """Return the matrices ``(..., 3, 3)`` of rotation vectors ``(..., 3)``."""
    return _lie()["matrix"](vectors)


def rotation_product(first: Array, second: Array) -> Array:
    """Return the rotation vectors of "`second`, then `first`"; leading axes are broadcast."""
    return _lie()["product"](first, second)


def rotation_vectors(matrices: Array) -> Array:
    """Return the rotation vectors ``(..., 3)`` of rotation matrices ``(..., 3, 3)``."""
    return _lie()["log"](matrices.reshape(*matrices.shape[:-2], 9))


def angles_below(share: Array, max_angle: float) -> Array:
    """Return the quantiles of the angle of a Haar rotation, given that it is at most `max_angle`.

    ``sin^2(angle / 2)`` has the law Beta(3/2, 1/2).
    """
    from scipy.special import betaincinv

    mass = probability_of_angle(max_angle)
    return 2 * np.arcsin(np.sqrt(betaincinv(1.5, 0.5, np.clip(share, 0.0, 1.0) * mass)))


def probability_of_angle(max_angle: float) -> float:
    """Return the probability that a Haar rotation turns by at most `max_angle` radians."""
    from scipy.special import betainc

    return float(betainc(1.5, 0.5, np.sin(min(max_angle, np.pi) / 2) ** 2))


def unit_vectors(uniforms: Array) -> Array:
    """Return uniform points on the sphere, ``(..., 3)``, from uniforms ``(..., 2)``."""
    height = np.clip(1 - 2 * uniforms[..., 0], -1.0, 1.0)
    around, radius = 2 * np.pi * uniforms[..., 1], np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(around), radius * np.sin(around), height], axis=-1)


@cache
def spread_rotations(n: int, signed: bool = False) -> Array:
    """Return `n` rotation vectors ``(n, 3)`` that cover all rotations as evenly as they can.

    A super-Fibonacci spiral, moved to a minimum of the energy ``sum_jk sum_l t^l chi_l(g_j^-1
    g_k)``, whose terms are the variances that the design, turned by a Haar rotation, leaves in each
    degree l. At 12 rotations that is the tetrahedral group, at 60 the icosahedral one; at 24 it is
    as good as the octahedral group.

    Args:
        n: How many.
        signed: Cover proper and improper rotations: those at odd places are to be reflected.

    References:
        Alexa, "Super-Fibonacci spirals", CVPR 2022. Energies and designs on SO(3): Gräf & Potts,
        "Sampling sets and quadrature formulae on the rotation group", 2009.
    """
    points = _spiral(n)
    if 1 < n <= _MOST_REFINED:
        points = _refined(points, alternating(n) if signed else np.ones(n))
    vectors = _lie()["log_of_quaternion"](points)
    vectors.setflags(write=False)
    return vectors


def alternating(n: int) -> Array:
    """Return the signs 1, -1, 1, ... of the rotations of a design that are to be reflected."""
    return np.where(np.arange(n) % 2 == 0, 1.0, -1.0)


def _spiral(n: int) -> Array:
    """Return the unit quaternions of a super-Fibonacci spiral, ``(n, 4)``."""
    place = np.arange(n) + 0.5
    inner, outer = np.sqrt(place / n), np.sqrt(1 - place / n)
    alpha, beta = 2 * np.pi * place / np.sqrt(2), 2 * np.pi * place / _PSI
    parts = [inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta)]
    return np.stack([*parts, outer * np.cos(beta)], axis=1)


def _refined(points: Array, signs: Array) -> Array:
    """Move unit quaternions to a local minimum of the energy."""
    from scipy.optimize import minimize

    n, t = len(points), _REACH
    # Both parities of a degree count, the even one more: most models tell reflections apart less.
    pairs = (1 + np.outer(signs, signs) / 2) / n**2

    def energy(flat: Array) -> tuple[float, Array]:
        raw = flat.reshape(n, 4)
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        unit = raw / length
        cos_half = unit @ unit.T
        # sum_l t^l chi_l(angle) in closed form, with cos(angle) = 2 cos_half^2 - 1.
        below = 1 - 2 * t * (2 * cos_half**2 - 1) + t**2
        slope = 2 * (pairs * (1 + t) / below**2 * 8 * t * cos_half) @ unit
        slope -= (slope * unit).sum(axis=1, keepdims=True) * unit
        return float((pairs * (1 + t) / below).sum()), (slope / length).ravel()

    options: Any = {"maxiter": 500, "gtol": 1e-9, "ftol": 1e-14}
    start = points.ravel()
    found = minimize(energy, start, jac=True, method="L-BFGS-B", options=options).x.reshape(n, 4)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
