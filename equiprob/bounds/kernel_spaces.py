"""Which part of a model's space do the transformations leave as it is?

A kernel that is invariant under a group splits into ``E_g k(x, g.x') rho(g)`` and the rest, whose
spaces are orthogonal. Features split into their averages and the rest, under any law; the vectors
that average and rest span need not be orthogonal: those of ``|x|^2 + x_0`` are one line. A model
``phi W`` is then in both, with ``b`` the norm of the projection of W on each span, and all that the
two norms say of W itself is

    |W|^2  <=  (b_sym^2 + b_perp^2 + 2 c b_sym b_perp) / (1 - c^2)

with c the largest cosine between the spans (their common vectors aside), and ``|W| <= min(b)`` if
they are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_BLOCK = 64
_CHECKED_ROWS = 16
_CHECKED_ELEMENTS = 4
_SAME = 1e-6
_ROUNDING = 1e-12
_MOST_COLUMNS = 2000

_ROUNDINGS = 64
"""Features of size 1 average to zero up to so many roundings of their precision."""


class Traces(NamedTuple):
    """Each row's share of the traces of the kernel's two parts and of the whole, ``(row,)``."""

    sym: Array
    perp: Array
    whole: Array


class Radii(NamedTuple):
    """The norms of a model's symmetric part, of the rest, and of the whole."""

    sym: float
    perp: float
    whole: float


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
    transform: Transform
    parameters: Parameters
    weights: Array
    outputs: Array

    is_orthogonal: ClassVar[bool] = True
    """Whether the two parts are known to be orthogonal."""

    def check(self) -> None:
        """Raise a ValueError unless the law is Haar and the kernel invariant on a few rows."""
        if not self.transform.is_haar:
            raise ValueError(
                f"{self.transform} is not drawn uniformly from a group, which splitting a kernel "
                "needs; pass features= in its place"
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
        return Traces(sym, whole - sym, whole)

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
        parts = (part if part > _ROUNDING * whole else 0.0 for part in (sym, whole - sym, whole))
        return Radii(*(float(np.sqrt(part)) for part in parts))

    def one_radius(self, sym: float, perp: float) -> float:
        """Return the largest norm of a model whose parts have these norms."""
        return float(np.hypot(sym, perp))

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
    transform: Transform
    parameters: Parameters
    weights: Array
    outputs: Array

    def traces(self) -> Traces:
        """Return each row's share of the traces."""
        averaged, rest = self._parts
        k = self.outputs.shape[1]
        whole = k * (self._still**2).sum(axis=1)
        sym, perp = ((part**2).sum(axis=(1, 2, 3)) for part in (averaged, rest))
        return Traces(sym, perp, whole)

    def radii(self, coefficients: Any) -> Radii:
        """Return the norms of what acts on the averaged features, and on what is left of them.

        What acts on features that are zero in all of these rows may act on both elsewhere.
        """
        w = _checked(coefficients, self._still.shape[1], self.outputs.shape[1], "feature")
        vector = w.T.ravel()  # (k, p), as the last two axes of the parts
        size = float(np.linalg.norm(vector))
        spans = self._spans
        if spans is None:
            sym, perp = (size if kept else 0.0 for kept in self._kept)
        else:
            squares = [float(((span @ vector) ** 2).sum()) for span in spans]
            unseen = max(size**2 - squares[2], 0.0)
            sym, perp = (float(np.sqrt(square + unseen)) for square in squares[:2])
        least = np.sqrt(_ROUNDING) * size
        return Radii(sym if sym > least else 0.0, perp if perp > least else 0.0, size)

    @cached_property
    def is_orthogonal(self) -> bool:
        """Whether the spans of the two parts are known to be orthogonal."""
        return self._cosines is not None and bool((self._cosines < _SAME).all())

    def one_radius(self, sym: float, perp: float) -> float:
        """Return the largest norm of coefficients whose projections on the spans have these norms.

        Infinite where too few rows are known to tell how the spans lie.
        """
        if self._spans is None or self._cosines is None:
            return float(np.inf)
        empty = [not len(span) for span in self._spans[:2]]
        if any(empty):
            return perp if empty[0] else sym
        apart = self._cosines[self._cosines < 1 - _SAME]
        dimensions = [len(span) for span in self._spans[:2]]
        if not len(apart) and dimensions[0] == dimensions[1]:
            return min(sym, perp)
        c = float(apart.max()) if len(apart) else 0.0
        return float(np.sqrt((sym**2 + perp**2 + 2 * c * sym * perp) / (1 - c**2)))

    @cached_property
    def _cosines(self) -> Array | None:
        """Cosines of the angles between the spans of the two parts, where these are known."""
        if self._spans is None:
            return None
        return np.linalg.svd(self._spans[0] @ self._spans[1].T, compute_uv=False)

    @cached_property
    def _spans(self) -> tuple[Array, Array, Array] | None:
        """Orthonormal bases of what the two parts and the whole span, one vector a row.

        None where there are too few rows to know.
        """
        averaged, rest = self._parts
        columns = averaged.shape[2] * averaged.shape[3]
        flat = [part.reshape(-1, columns) for part in (averaged, rest, averaged + rest)]
        if columns > _MOST_COLUMNS or len(flat[0]) < 2 * columns:
            return None
        found = [np.linalg.svd(rows, full_matrices=False)[1:] for rows in flat]
        least = self._rounding * max(found[2][0][0], np.finfo(float).tiny)
        sym, perp, whole = (directions[sizes > least] for sizes, directions in found)
        return sym, perp, whole

    @property
    def _kept(self) -> tuple[bool, bool]:
        """Whether anything is left of each part, beside the rounding of the whole."""
        largest = self._rounding * np.abs(self._still).max()
        sym, perp = (bool(np.abs(part).max() > largest) for part in self._parts)
        return sym, perp

    @property
    def _rounding(self) -> float:
        """What is zero up to rounding, beside the features as they are."""
        return max(1e-10, _ROUNDINGS * float(np.finfo(self._dtype).eps))

    @cached_property
    def _still(self) -> Array:
        """The features of the rows as they are, ``(row, p)``."""
        return self._features(self.x).astype(np.float64)

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        """The precision that features are computed in."""
        few = jax.tree.map(lambda leaf: leaf[:1], self.x)
        found = self._features(few).dtype
        return found if np.issubdtype(found, np.floating) else np.dtype(np.float64)

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """``E_g rho(g)^-1 phi(g.x)`` and what it leaves of phi, ``(row, k, k, p)``."""
        still = self._still
        k = self.outputs.shape[1]
        averaged = np.zeros((len(still), k, k, still.shape[1]))
        for parameter, weight, matrix in zip(
            self.parameters, self.weights, self.outputs, strict=True
        ):
            phi = self._features(self.transform.apply(parameter, self.x))
            averaged += weight * np.einsum("cd,ip->icdp", np.linalg.inv(matrix), phi)
        return averaged, np.einsum("cd,ip->icdp", np.eye(k), still) - averaged

    def _features(self, x: Any) -> Array:
        with calling("features"):
            phi = np.asarray(self.features(x))
        if phi.dtype == object:
            phi = as_numbers("what features returns", phi)
        if phi.ndim != 2 or len(phi) != len(jax.tree.leaves(x)[0]) or not np.isfinite(phi).all():
            raise ValueError(f"features must return finite numbers (row, p), got shape {phi.shape}")
        return phi


def _checked(coefficients: Any, rows: int, k: int, what: str) -> Array:
    array = np.asarray(coefficients, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape != (rows, k):
        raise ValueError(
            f"coefficients must have shape ({rows}, {k}), one row for each {what} and a column for "
            f"each output, got {array.shape}"
        )
    return array
