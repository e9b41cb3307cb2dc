"""Features that transform by irreducible representations of O(3), as e3nn's do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.extras import require
from equiprob.transforms.representations import (
    AbstractRepresentation,
    Axis,
    Element,
    Law,
    require_space,
)
from equiprob.transforms.rotation_group import in_float64, rotation_vectors


@cache
def _representation(irreps: str) -> tuple[int, Callable[..., NDArray[np.float64]]]:
    """Return the dimension of a representation, and its matrices as a function of float64 arrays.

    The function takes rotation vectors ``(..., 3)`` and how often the parity acts ``(..., 1)``.

    Raises:
        ImportError: Without e3nn-jax.
        ValueError: If `irreps` cannot be read.
    """
    e3nn_jax = require("e3nn_jax", extra="e3nn")
    try:
        parsed = e3nn_jax.Irreps(irreps)
    except Exception as error:
        raise ValueError(f"irreps must read like '2x0e + 1x1o', got {irreps!r}: {error}") from error

    def one(vector: jax.Array, parity: Any) -> jax.Array:
        return parsed.D_from_log_coordinates(vector, parity[0])

    return parsed.dim, in_float64(jax.vmap(one))


@final
@dataclass(frozen=True)
class Irreps(AbstractRepresentation):
    """The axis holds features of irreducible representations of O(3).

    Args:
        irreps: What they are, as e3nn writes it: ``"2x0e + 1x1o"``. Needs the extra ``e3nn``.
    """

    irreps: str

    reads: ClassVar[tuple[str, ...]] = ("matrix",)

    @override
    def of(self, element: Element, law: Law) -> Axis:
        _, representation = _representation(self.irreps)
        matrix = element["matrix"]
        require_space(matrix, self.irreps)
        if not np.allclose(matrix @ np.swapaxes(matrix, -1, -2), np.eye(3), atol=1e-6):
            raise ValueError(f"{self.irreps!r} is of rotations: the matrices must be orthogonal")
        sign = np.sign(np.linalg.det(matrix))
        vectors = rotation_vectors(matrix * sign[..., None, None])
        return {"matrix": representation(vectors, (1 - sign[..., None]) / 2)}

    @override
    def length(self, element: Element, law: Law) -> int:
        dimension, _ = _representation(self.irreps)
        require_space(element["matrix"], self.irreps)
        return dimension

    @override
    def keeps_size(self, element: Element, law: Law) -> bool:
        return True  # of orthogonal matrices, and none else are taken

    @override
    def __str__(self) -> str:
        return self.irreps


def irreps(declaration: Any) -> Irreps:
    """Declare features that transform by irreducible representations of O(3).

    Args:
        declaration: As e3nn writes it, ``"2x0e + 1x1o"``, or an ``e3nn_jax.Irreps``.

    Returns:
        What ``acts_on`` and ``output_action`` take for such a leaf: the last axis transforms by the
        direct sum, in e3nn's basis (a ``1o`` is a vector ``(x, y, z)``). Needs the extra ``e3nn``.
    """
    return Irreps(re.sub(r"\s*\+\s*", " + ", str(declaration).strip()))
