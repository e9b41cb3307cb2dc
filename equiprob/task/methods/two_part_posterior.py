"""Posterior of a symmetric and an asymmetric random function on the rows, given noisy targets.

Length scales of both parts, the ratio of their sizes and the noise lie on a grid, the overall scale
is integrated out in closed form. One eigendecomposition serves all levels of the noise; only where
there is posterior probability is the grid visited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, Self

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.task.methods.two_part_kernels import TwoPartKernels

Place = tuple[int, ...]

_N_LENGTHS = 7, 6
"""Length scales of the symmetric and of the asymmetric part."""

_RATIOS = np.geomspace(0.03, 3.0, 10)
"""Size of the asymmetric part over that of the symmetric one, root mean squares over the rows."""

_NOISES = np.geomspace(1e-4, 10.0, 16)
"""Variance of the noise over that of the symmetric part."""

_STRIDE = 3
"""Steps between the nodes that are visited to begin with."""

_ONE_THREAD = 1500
"""Matrices up to this size are decomposed by one thread: where other programs keep the cores busy,
two threads wait for each other (100 rows: 0.26 s instead of 0.0015 s, 1000 rows: 3.5 s instead of
0.47 s)."""

_NEGLIGIBLE = 12.0
"""Log evidence below the best from which the neighbours of a node are not visited."""


class Node(NamedTuple):
    """A point of the grid, at all levels of the noise.

    Args:
        symmetric: Place of the symmetric part's length scale.
        asymmetric: Place of the asymmetric part's.
        ratio: Size of the asymmetric part over that of the symmetric one; 0 for exact symmetry.
        log_evidence: By noise.
        rate: Sum of squares over signal and noise, by noise.
    """

    symmetric: int
    asymmetric: int
    ratio: float
    log_evidence: Array
    rate: Array


class PartDraws(NamedTuple):
    """Draws of both parts at the rows and of the noise.

    Args:
        noise_variance: Of each output component, ``(draw,)``.
        symmetric: About the mean that was taken off the targets, ``(draw, row, k)``.
        asymmetric: ``(draw, row, k)``.
    """

    noise_variance: Array
    symmetric: Array
    asymmetric: Array


@dataclass(frozen=True, eq=False)
class TwoPartPosterior:
    """What the targets say of both parts; made by `of`.

    Args:
        y: Centred targets, ``(row, k)``.
        lengths: Length scales of the symmetric and of the asymmetric part, in input units.
        kernels: The kernel of the symmetric part at each of its length scales, and that of the
            asymmetric part, ``(row * k, row * k)``.
        symmetric: Nodes of exact symmetry.
        free: Nodes with an asymmetric part; those not visited have no probability.
    """

    y: Array
    lengths: tuple[Array, Array]
    kernels: tuple[list[Array], list[Array]]
    symmetric: list[Node]
    free: list[Node]

    @classmethod
    def of(cls, kernels: TwoPartKernels, y: Array) -> Self:
        """Visit the grid.

        Args:
            kernels: On the rows.
            y: Centred targets, ``(row, k)``.
        """
        lengths = (
            np.geomspace(*kernels.lengths, _N_LENGTHS[0]),
            np.geomspace(*kernels.lengths, _N_LENGTHS[1]),
        )
        one = [kernels.symmetric(float(length)) for length in lengths[0]]
        other = [kernels.asymmetric(float(length)) for length in lengths[1]]

        def free(place: Place) -> Node:
            i, j, r = place
            ratio = float(_RATIOS[r])
            return Node(i, j, ratio, *_evidence(one[i] + ratio**2 * other[j], y.ravel()))

        with threads_for(y.size):
            symmetric = [Node(i, -1, 0.0, *_evidence(k, y.ravel())) for i, k in enumerate(one)]
            visited = _visited(free, (len(one), len(other), len(_RATIOS)))
        return cls(y, lengths, (one, other), symmetric, visited)

    def p_symmetric(self, prior: float, slab: float) -> float:
        """Return the posterior probability of exact symmetry.

        Args:
            prior: The prior one.
            slab: Scale of the half-normal prior of the ratio of the parts' sizes, otherwise.
        """
        with np.errstate(divide="ignore"):
            logs = [
                np.logaddexp.reduce(self._logs(slab, symmetric=part), axis=None) + np.log(weight)
                for part, weight in ((True, prior), (False, 1 - prior))
            ]
        return float(np.exp(logs[0] - np.logaddexp(*logs)))

    def probabilities(self, slab: float, *, symmetric: bool) -> Array:
        """Return probabilities ``(node, noise)``, given exact symmetry or given that there is none.

        Args:
            slab: As in `p_symmetric`.
            symmetric: Whether there is exact symmetry.
        """
        logs = self._logs(slab, symmetric=symmetric)
        return np.exp(logs - np.logaddexp.reduce(logs, axis=None))

    def draws(
        self, n_draws: int, slab: float, generator: np.random.Generator, *, symmetric: bool
    ) -> PartDraws:
        """Return draws given exact symmetry, or given that there is none.

        Args:
            n_draws: How many.
            slab: As in `p_symmetric`.
            generator: Random numbers.
            symmetric: Whether there is exact symmetry.
        """
        nodes = self.symmetric if symmetric else self.free
        p = self.probabilities(slab, symmetric=symmetric).ravel()
        place = generator.choice(len(p), n_draws, p=p / p.sum())
        noise, parts = np.empty(n_draws), np.zeros((2, n_draws, self.y.size))
        root = lru_cache(maxsize=4)(lambda part, i: _root(self.kernels[part][i]))
        with threads_for(self.y.size):
            for chosen in np.unique(place):
                here = np.flatnonzero(place == chosen)
                node, j = nodes[chosen // len(_NOISES)], chosen % len(_NOISES)
                scale = node.rate[j] / generator.chisquare(self.y.size, len(here))
                noise[here] = scale * _NOISES[j]
                used = [(0, node.symmetric, 1.0)]
                if node.ratio > 0:
                    used.append((1, node.asymmetric, node.ratio))
                kernels = [size**2 * self.kernels[part][i] for part, i, size in used]
                roots = [size * root(part, i) for part, i, size in used]
                found = _conditioned(
                    kernels, roots, float(_NOISES[j]), self.y.ravel(), scale, generator
                )
                parts[: len(used), here] = found
        return PartDraws(noise, *parts.reshape(2, n_draws, *self.y.shape))

    def _logs(self, slab: float, *, symmetric: bool) -> Array:
        """Return log evidence and log prior of each node, ``(node, noise)``."""
        if symmetric:
            return np.stack([node.log_evidence for node in self.symmetric]) - np.log(_N_LENGTHS[0])
        density = np.exp(-((_RATIOS / slab) ** 2) / 2) * _RATIOS  # the grid is even in logarithms
        prior = dict(zip(_RATIOS.tolist(), np.log(density / density.sum()), strict=True))
        logs = np.stack([node.log_evidence + prior[node.ratio] for node in self.free])
        return logs - np.log(_N_LENGTHS[0] * _N_LENGTHS[1])


def _evidence(kernel: Array, y: Array) -> tuple[Array, Array]:
    """Return the log evidence, the overall scale integrated out, and the rate, by noise."""
    values, vectors = np.linalg.eigh(kernel)
    variances = np.maximum(values, 0.0)[:, None] + _NOISES
    rate = ((vectors.T @ y)[:, None] ** 2 / variances).sum(axis=0)
    return -0.5 * np.log(variances).sum(axis=0) - len(y) / 2 * np.log(rate), rate


def _visited(node: Callable[[Place], Node], shape: Place) -> list[Node]:
    """Return the nodes of a coarse grid, and the neighbours of all that are not negligible."""
    found: dict[Place, Node] = {}
    waiting = set(product(*(range(0, n, _STRIDE) for n in shape)))
    while waiting:
        found |= {place: node(place) for place in waiting}
        tops = {place: float(found[place].log_evidence.max()) for place in found}
        least = max(tops.values()) - _NEGLIGIBLE
        waiting = {
            near
            for place, top in tops.items()
            if top >= least
            for near in _neighbours(place, shape)
            if near not in found
        }
    return [found[place] for place in sorted(found)]


def _neighbours(place: Place, shape: Place) -> list[Place]:
    """Return the next places along each axis."""
    steps = [(axis, step) for axis in range(3) for step in (-1, 1)]
    moved = [(*place[:axis], place[axis] + step, *place[axis + 1 :]) for axis, step in steps]
    return [p for p in moved if all(0 <= i < n for i, n in zip(p, shape, strict=True))]


def threads_for(size: int) -> Any:
    """Return a context in which matrices of a size keep to one thread, unless they are large."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if size <= _ONE_THREAD else None, user_api="blas")


def _root(kernel: Array) -> Array:
    """Return a matrix whose product with its transpose is the kernel."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > values[-1] * len(values) * np.finfo(float).eps
    return vectors[:, kept] * np.sqrt(values[kept])


def _conditioned(
    kernels: list[Array],
    roots: list[Array],
    noise: float,
    y: Array,
    scale: Array,
    generator: np.random.Generator,
) -> list[Array]:
    """Return draws ``(draw, row * k)`` of each part, given the targets.

    Draws of the prior, moved by what the targets say of their sum (Matheron's rule).
    """
    from scipy.linalg import cho_factor, cho_solve

    n_draws, deviation = len(scale), np.sqrt(scale)[:, None]
    prior = [
        deviation * (generator.standard_normal((n_draws, root.shape[1])) @ root.T) for root in roots
    ]
    noises = deviation * np.sqrt(noise) * generator.standard_normal((n_draws, len(y)))
    factor = cho_factor(sum(kernels) + noise * np.eye(len(y)))
    solved = np.asarray(cho_solve(factor, (y - sum(prior) - noises).T))
    return [drawn + (kernel @ solved).T for drawn, kernel in zip(prior, kernels, strict=True)]
