"""Transformations out of generators that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import expm

from equiprob.arguments.array_types import Array
from equiprob.transforms.from_functions import from_functions
from equiprob.transforms.transform import Transform
from equiprob.transforms.user_actions import Action


def transform_of(
    matrices: Array,
    output_matrices: Array,
    max_magnitude: float,
    *,
    leaf: str | None,
    other_leaves: Sequence[str],
) -> Transform:
    """Return random members of what generators generate.

    Args:
        matrices: ``(generator, d, e)``.
        output_matrices: What moves the output's last axis along, ``(generator, c, c)``; c is 0
            where outputs stay as they are.
        max_magnitude: Largest length of the coefficients.
        leaf: Which leaf moves, of several.
        other_leaves: Those that do not.

    Raises:
        ValueError: If the magnitude is not positive.
    """
    if not (np.isfinite(max_magnitude) and max_magnitude > 0):
        raise ValueError(f"max_magnitude must be a positive number, got {max_magnitude!r}")
    r, d, e = matrices.shape
    # Of length sqrt(2), which a rotation by one radian has, and at right angles.
    coefficients = np.linalg.qr(matrices.reshape(r, -1).T)[1].T
    turn = np.sqrt(2) * np.linalg.inv(coefficients)
    inward = np.zeros((r, e, e))
    inward[:, :d] = np.tensordot(turn, matrices, axes=1)
    outward = np.tensordot(turn, output_matrices, axes=1)

    def law(generator: np.random.Generator) -> Array:
        direction = generator.normal(size=r)
        length = max_magnitude * generator.random() ** (1 / r)
        return length * direction / np.linalg.norm(direction)

    def act(parameter: Any, row: Any) -> Any:
        element = expm(jnp.tensordot(jnp.asarray(parameter), jnp.asarray(inward), axes=1))
        moved = row @ element[:d, :d].T
        return (moved + element[:d, d] if e > d else moved).astype(row.dtype)

    def along(sign: float) -> Any:
        def move(parameter: Any, output: Any) -> Any:
            element = expm(sign * jnp.tensordot(jnp.asarray(parameter), outward, axes=1))
            if not output.ndim:
                return (output * element[0, 0]).astype(output.dtype)
            return (output @ element.T).astype(output.dtype)

        return move

    return from_functions(
        law,
        act if leaf is None else {leaf: act, **dict.fromkeys(other_leaves, "invariant")},
        identity=np.zeros(r),
        inverse=lambda parameter: -parameter,
        output_action=Action(along(1.0), along(-1.0)) if outward.shape[1] else "invariant",
        name=f"found({r} generators up to {max_magnitude:.3g})",
    )
