"""Kernels of a symmetric and of an asymmetric random function, on the rows of a table.

With ``k`` squared-exponential and invariant under the joint action, ``k_sym(x, x') = E_g k(x, g x')
rho(g)`` and ``k_perp = k - k_sym``: functions drawn from the first are equivariant, averages of
those drawn from the second are zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import jax
import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.transform import Transform

_MOST_ELEMENTS = 24

_SHORTEST, _LONGEST = 1 / 8, 4.0
"""Length scales over the median distance between rows."""

_LEAST_SHARE = 1e-3
"""Of the kernel's variance, that the symmetric part counts for where it is but a constant."""

_CONSTANT = 1.0
"""Prior variance of the mean, over that of the symmetric part."""


@dataclass(frozen=True, eq=False)
class TwoPartKernels:
    """Squared distances between rows and moved rows, and how outputs move with them.

    Each part is of variance 1, averaged over the rows, the symmetric one about its constant: ratios
    of amplitudes are ratios of functions on these rows. As it stands a smooth kernel is many times
    larger than any function it is used for, and a prior on its amplitude many times wider than it
    says.

    Args:
        squared: ``(element, row, row)``, the first element the identity.
        actions: Output actions ``(element, k, k)``.
    """

    squared: Array
    actions: Array

    @classmethod
    def of(cls, table: OrbitTable) -> Self:
        """Return the kernels on the rows of a table with one array of inputs."""
        transform = table.transform
        x = np.asarray(jax.tree.leaves(table.x)[0], dtype=np.float64)
        flat, shape = x.reshape(len(x), -1), table.only.output_shape
        k = int(np.prod(shape))
        acting = transform.on(x)
        squared, outputs = [], []
        for parameter in _elements(transform):
            moved = acting.at(parameter).move(x).reshape(len(x), -1)
            sizes = (flat**2).sum(axis=1)[:, None] + (moved**2).sum(axis=1)
            squared.append(np.maximum(sizes - 2 * flat @ moved.T, 0.0))
            basis = np.eye(k).reshape(k, *shape)
            outputs.append(np.asarray(transform.apply_to_output(parameter, basis)).reshape(k, k).T)
        return cls(np.stack(squared), np.stack(outputs))

    @property
    def lengths(self) -> tuple[float, float]:
        """The shortest and the longest length scale worth a thought, in units of the inputs.

        What changes within the distance to the nearest row cannot be told from noise.
        """
        n = self.squared.shape[1]
        distances = np.sqrt(self.squared[0])
        median = float(np.median(distances[np.triu_indices(n, 1)])) or 1.0
        nearest = float(np.median(np.partition(distances, 1, axis=1)[:, 1]))
        return max(_SHORTEST * median, nearest), _LONGEST * median

    def symmetric(self, length: float) -> Array:
        """Return the kernel of the symmetric part, ``(row * k, row * k)``."""
        n, k = self.squared.shape[1], self.actions.shape[1]
        part, rest = self._parts(length)
        level = np.trace(self._fixed @ part.reshape(n, k, n, k).mean(axis=(0, 2)))
        size = np.trace(part) / n - level
        size = max(size, _LEAST_SHARE * (size + max(np.trace(rest) / n, 0.0)))
        return part / size + _CONSTANT * np.kron(np.ones((n, n)), self._fixed)

    def asymmetric(self, length: float) -> Array:
        """Return the kernel of the asymmetric part, ``(row * k, row * k)``."""
        rest = self._parts(length)[1]
        return rest / (max(np.trace(rest) / self.squared.shape[1], 0.0) or 1.0)

    @property
    def _fixed(self) -> Array:
        """The projection onto outputs that no element moves."""
        return self.actions.mean(axis=0)

    def _parts(self, length: float) -> tuple[Array, Array]:
        """Return the kernels of both parts as they come."""
        n, k = self.squared.shape[1], self.actions.shape[1]
        symmetric, whole = np.zeros((n, k, n, k)), np.zeros(())
        for squared, action in zip(self.squared[::-1], self.actions[::-1], strict=True):
            whole = np.exp(-0.5 * squared / length**2)  # at last, that of the identity
            symmetric += whole[:, None, :, None] * action[:, None, :] / len(self.squared)
        symmetric = symmetric.reshape(n * k, n * k)
        symmetric = (symmetric + symmetric.T) / 2
        return symmetric, np.kron(whole, np.eye(k)) - symmetric


def _elements(transform: Transform) -> Array:
    """Return elements whose average stands for the group's, the identity first.

    All of a small finite group; of a one-parameter group those of an equispaced subgroup, where the
    averaged kernel is exactly invariant.
    """
    finite = transform.enumeration()
    if finite is not None and len(finite.weights) <= _MOST_ELEMENTS:
        parameters = finite.parameters
    elif transform.n_uniforms:
        parameters = transform.parameters(hammersley(_MOST_ELEMENTS, transform.n_uniforms))
    else:
        parameters = transform.sample_many(np.random.default_rng(0), _MOST_ELEMENTS)
    unit = transform.identity
    others = parameters[~np.isclose(parameters, unit).all(axis=1)]
    return np.concatenate([unit[None], others])
