"""Which part of a model's space do the transformations leave as it is?

A kernel that is invariant under a group splits into ``E_g k(x, g.x') rho(g)`` and the rest;
features split into their averages and the rest, under any law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.base import AbstractTransform, Parameters

Array = NDArray[np.float64]

_BLOCK = 64
_CHECKED_ROWS = 16
_CHECKED_ELEMENTS = 4
_SAME = 1e-6
_ROUNDING = 1e-12
_MOST_COLUMNS = 2000


class Traces(NamedTuple):
    """Each row's share of the traces: of the whole kernel, and of its two parts, ``(row,)``."""

    whole: Array
    sym: Array
    perp: Array


class Radii(NamedTuple):
    """The norms of a model's symmetric part and of the rest."""

    sym: float
    perp: float


def output_matrices(table: OrbitTable, parameters: Parameters) -> Array:
    """Return the matrices ``(element, k, k)`` of rho."""
    k, shape = table.only.base.shape[1], table.only.output_shape
    transform = table.transform.of_output(table.outputs[0])
    if transform.keeps_output:
        return np.broadcast_to(np.eye(k), (len(parameters), k, k))
    basis = np.eye(k).reshape(k, *shape)
    moved = [np.asarray(transform.apply_to_output(p, basis)).reshape(k, k).T for p in parameters]
    return np.stack(moved)


@dataclass(frozen=True, eq=False)
class KernelSpace:
    """The space of an invariant kernel.

    Args:
        kernel: ``(x, other) -> (row, row of other)``.
        x: The rows.
        transform: How they move.
        parameters: Elements of the group.
        weights: Their probabilities.
        outputs: Matrices of rho, ``(element, k, k)``.
    """

    kernel: Callable[[Any, Any], Any]
    x: Any
    transform: AbstractTransform
    parameters: Parameters
    weights: Array
    outputs: Array

    def check(self) -> None:
        """Raise a ValueError unless the law is Haar and the kernel invariant on a few rows."""
        if not self.transform.is_haar:
            raise ValueError(
                f"{self.transform} is not the Haar law of a group, which splitting a kernel needs; "
                f"pass features= in its place"
            )
        few = jax.tree.map(lambda leaf: leaf[:_CHECKED_ROWS], self.x)
        still = self._gram(few, few)
        for parameter in self.parameters[:: max(1, len(self.parameters) // _CHECKED_ELEMENTS)]:
            moved = self.transform.apply(parameter, few)
            if np.abs(self._gram(moved, moved) - still).max() > _SAME * np.abs(still).max():
                raise ValueError(
                    f"the kernel changes when both arguments are moved by {self.transform}; pass "
                    f"an invariant kernel, or features="
                )

    def traces(self) -> Traces:
        """Return each row's share of the traces."""
        k = self.outputs.shape[1]
        whole = k * self._diagonal(self.x)
        sym = np.zeros_like(whole)
        for parameter, weight, matrix in zip(
            self.parameters, self.weights, self.outputs, strict=True
        ):
            sym += (
                weight * np.trace(matrix) * self._diagonal(self.transform.apply(parameter, self.x))
            )
        return Traces(whole, sym, whole - sym)

    def radii(self, coefficients: Any) -> Radii:
        """Return the norms of the two parts of ``f(x) = sum_j k(x, x_j) a_j``."""
        a = _checked(coefficients, len(jax.tree.leaves(self.x)[0]), self.outputs.shape[1], "row")
        whole = float((a * (self._gram(self.x, self.x) @ a)).sum())
        sym = 0.0
        for parameter, weight, matrix in zip(
            self.parameters, self.weights, self.outputs, strict=True
        ):
            moved = self._gram(self.x, self.transform.apply(parameter, self.x))
            sym += float(weight * (a * (moved @ a @ matrix.T)).sum())
        perp = whole - sym
        if perp <= _ROUNDING * whole:
            perp = 0.0
        return Radii(float(np.sqrt(max(sym, 0.0))), float(np.sqrt(perp)))

    def _gram(self, x: Any, other: Any) -> Array:
        with calling("kernel"):
            found = self.kernel(x, other)
        gram = as_numbers("what kernel returns", found)
        shape = (len(jax.tree.leaves(x)[0]), len(jax.tree.leaves(other)[0]))
        if gram.shape != shape or not np.isfinite(gram).all():
            raise ValueError(
                f"kernel must return finite numbers of shape {shape}, got shape {gram.shape}"
            )
        return gram

    def _diagonal(self, moved: Any) -> Array:
        """Return ``k(x_i, moved_i)``, by small blocks of the kernel."""
        n = len(jax.tree.leaves(self.x)[0])
        parts = []
        for start in range(0, n, _BLOCK):
            part = slice(start, start + _BLOCK)
            one, other = (jax.tree.map(lambda v: np.asarray(v)[part], t) for t in (self.x, moved))  # noqa: B023
            parts.append(np.diagonal(self._gram(one, other)))
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The space of features, with any law of transformations; arguments as in `KernelSpace`."""

    features: Callable[[Any], Any]
    x: Any
    transform: AbstractTransform
    parameters: Parameters
    weights: Array
    outputs: Array

    def traces(self) -> Traces:
        """Return each row's share of the traces."""
        averaged, rest = self._parts()
        k = self.outputs.shape[1]
        whole = k * (self._features(self.x) ** 2).sum(axis=1)
        return Traces(whole, *((part**2).sum(axis=(1, 2, 3)) for part in (averaged, rest)))

    def radii(self, coefficients: Any) -> Radii:
        """Return the norms of what acts on the averaged features, and on what is left of them."""
        averaged, rest = self._parts()
        w = _checked(coefficients, averaged.shape[3], self.outputs.shape[1], "feature")
        vector = w.T.ravel()  # (k, p), as the last two axes of the parts
        flat = [part.reshape(-1, len(vector)) for part in (averaged, rest)]
        return Radii(_acting(vector, flat[0]), _acting(vector, flat[1]))

    def _parts(self) -> tuple[Array, Array]:
        """Return ``E_g rho(g)^-1 phi(g.x)`` and what it leaves of phi, ``(row, k, k, p)``."""
        still = self._features(self.x)
        k = self.outputs.shape[1]
        averaged = np.zeros((len(still), k, k, still.shape[1]))
        for parameter, weight, matrix in zip(
            self.parameters, self.weights, self.outputs, strict=True
        ):
            phi = self._features(self.transform.apply(parameter, self.x))
            averaged += weight * np.einsum("cd,ip->icdp", np.linalg.inv(matrix), phi)
        return averaged, np.einsum("cd,ip->icdp", np.eye(k), still) - averaged

    def _features(self, x: Any) -> Array:
        phi = np.asarray(self.features(x), dtype=np.float64)
        if phi.ndim != 2 or len(phi) != len(jax.tree.leaves(x)[0]) or not np.isfinite(phi).all():
            raise ValueError(f"features must return finite numbers (row, p), got shape {phi.shape}")
        return phi


def _acting(vector: Array, rows: Array) -> float:
    """Return the norm of the part of a vector that acts on rows: its projection on their span.

    That of the whole vector where there are too few rows to know the span.
    """
    if rows.shape[1] > _MOST_COLUMNS or len(rows) < 2 * rows.shape[1]:
        return float(np.linalg.norm(vector)) if np.abs(rows).max() > 0 else 0.0
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    spanned = directions[sizes > 1e-10 * max(sizes[0], np.finfo(float).tiny)]
    norm = float(np.linalg.norm(spanned @ vector))
    return norm if norm > np.sqrt(_ROUNDING) * np.linalg.norm(vector) else 0.0


def _checked(coefficients: Any, rows: int, k: int, what: str) -> Array:
    array = np.asarray(coefficients, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape != (rows, k):
        raise ValueError(
            f"coefficients must have shape ({rows}, {k}), one row for each {what} and a column for "
            f"each output, got {array.shape}"
        )
    return array
