"""Features that transform by irreducible representations of O(3), as e3nn's do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
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
        ImportError: Without e3nn-jax, and without e3nn.
        ValueError: If `irreps` cannot be read.
    """
    by_torch = not find_spec("e3nn_jax") and find_spec("e3nn")
    package = importlib.import_module("e3nn.o3") if by_torch else require("e3nn_jax", extra="e3nn")
    try:
        parsed = package.Irreps(irreps)
    except Exception as error:
        raise ValueError(f"irreps must read like '2x0e + 1x1o', got {irreps!r}: {error}") from error
    if by_torch:
        return parsed.dim, partial(_matrices_of_torch, parsed)

    def one(vector: jax.Array, parity: Any) -> jax.Array:
        return parsed.D_from_log_coordinates(vector, parity[0])

    return parsed.dim, in_float64(jax.vmap(one))


def _matrices_of_torch(
    irreps: Any, vectors: NDArray[np.float64], parity: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the same matrices ``(..., dim, dim)`` by e3nn, which has the same bases."""
    torch = importlib.import_module("torch")
    half = np.linalg.norm(vectors, axis=-1, keepdims=True) / 2
    quaternions = np.concatenate([np.cos(half), vectors * np.sinc(half / np.pi) / 2], axis=-1)
    signs = np.broadcast_to(parity[..., 0], vectors.shape[:-1])
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # e3nn's generators have it, whatever they act on
    try:
        return irreps.D_from_quaternion(torch.tensor(quaternions), torch.tensor(signs)).numpy()
    finally:
        torch.set_default_dtype(before)


@final
@dataclass(frozen=True)
class Irreps(AbstractRepresentation):
    """The axis holds features of irreducible representations of O(3).

    Args:
        irreps: What they are, as e3nn writes it: ``"2x0e + 1x1o"``. Needs e3nn-jax (the extra
            ``e3nn``), or e3nn.
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
        direct sum, in e3nn's basis (a ``1o`` is a vector ``(x, y, z)``). Needs e3nn-jax (the extra
        ``e3nn``), or e3nn.
    """
    return Irreps(re.sub(r"\s*\+\s*", " + ", str(declaration).strip()))
