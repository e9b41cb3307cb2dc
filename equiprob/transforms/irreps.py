"""Features that transform by irreducible representations of O(3), as e3nn's do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.actions import AbstractLeafAction, Element, Needs
from equiprob.transforms.extras import require
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
class Irreps(AbstractLeafAction):
    """The last axis holds features of irreducible representations of O(3).

    Args:
        irreps: What they are, as e3nn writes it: ``"2x0e + 1x1o"``. Needs the extra ``e3nn``.
    """

    irreps: str

    needs: ClassVar[Needs] = (("matrix",),)

    @override
    def prepare(self, element: Element) -> Element:
        matrix = element["matrix"]
        sign = np.sign(np.linalg.det(matrix))
        vectors = rotation_vectors(matrix * sign[..., None, None])
        _, matrices = _representation(self.irreps)
        return {"representation": matrices(vectors, (1 - sign[..., None]) / 2)}

    @override
    def apply(self, element: Element, leaf: jax.Array) -> jax.Array:
        return leaf @ element["representation"].T

    @override
    def misfit(self, shape: tuple[int, ...], element: Element) -> str | None:
        dimension, _ = _representation(self.irreps)
        if not shape or shape[-1] != dimension:
            return f"features {self.irreps!r} must end in an axis of length {dimension}"
        if element["matrix"].shape[-1] != 3:
            return f"features {self.irreps!r} are of space: the matrices must be 3 x 3"
        return None


def irreps(declaration: Any) -> Irreps:
    """Declare features that transform by irreducible representations of O(3).

    Args:
        declaration: As e3nn writes it, ``"2x0e + 1x1o"``, or an ``e3nn_jax.Irreps``.

    Returns:
        What ``acts_on`` and ``output_action`` take for such a leaf: the last axis transforms by the
        direct sum, in e3nn's basis (a ``1o`` is a vector ``(x, y, z)``). Needs the extra ``e3nn``.
    """
    return Irreps(str(declaration))
