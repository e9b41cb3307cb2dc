"""The data error itself, from a Gaussian process with a symmetric and an asymmetric part.

``f* = f_sym + f_perp``, with kernels ``k_sym(x, x') = E_g k(x, g x') rho(g)`` and ``k_perp = k -
k_sym`` of one squared-exponential ``k``. Exact symmetry is the point where the second part has no
amplitude: it gets prior probability of its own, since a continuous prior would never find it.
Length scale, relative amplitude and noise are integrated over on a grid; the overall scale in
closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.equivariance.methods.base import AbstractMethod, Case, Draws, Evidence
from equiprob.equivariance.model_error import fixed_part_of_mean
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.weights import exponential_weights
from equiprob.transforms.base import AbstractTransform, hammersley
from equiprob.transforms.rows import move_rows

Array = NDArray[np.float64]

_MOST_ROWS = 2000
_MOST_COMPONENTS = 3
_MOST_ELEMENTS = 24

_LENGTHS = np.geomspace(0.25, 4.0, 7)
"""Length scales over the median distance between rows."""

_RATIOS = np.geomspace(0.03, 3.0, 10)
"""Size of the asymmetric part over that of the symmetric one, root mean squares over the rows."""

_LEAST_SHARE = 1e-3
"""Of the kernel's variance, that the symmetric part counts for where it is but a constant."""

_NOISES = np.geomspace(1e-4, 10.0, 16)
"""Variance of the noise over that of the symmetric part."""

_CONSTANT = 1.0
"""Prior variance of the mean, over that of the symmetric part."""


class _Node(NamedTuple):
    """One pair of length scale and amplitude ratio, and what the targets say of it.

    Args:
        length: Over the median distance.
        ratio: Amplitude of the asymmetric part over that of the symmetric one.
        log_evidence: By noise.
        rate: Sum of squares over signal and noise, by noise.
    """

    length: float
    ratio: float
    log_evidence: Array
    rate: Array


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianProcess(AbstractMethod):
    """Posterior of the data error, exact symmetry included, from targets alone.

    Args:
        p_symmetric: Prior probability of exact symmetry.
        slab: Scale of the half-normal prior of the asymmetric part's size over the symmetric one's
            (root mean squares over the rows), otherwise. The posterior probability of exact
            symmetry depends on it: the facts tell it at a third and at three times this scale, too.

    Assumptions:
        Case H: the law of the inputs is invariant and the transformations have the Haar law of a
        group. Noise is normal, of one variance. Inputs are one array whose moved rows keep their
        distances (vectors, points about the origin, permutations, images up to interpolation).

    References:
        Rasmussen & Williams, "Gaussian processes for machine learning", 2006; Mitchell & Beauchamp,
        JASA 1988 (spike and slab); Haasdonk & Burkhardt, "Invariant kernel functions", 2007.
    """

    p_symmetric: float = 0.5
    slab: float = 1.0

    def __post_init__(self) -> None:
        """Check the prior."""
        if not 0 <= self.p_symmetric <= 1:
            raise ValueError(f"p_symmetric must be a probability, got {self.p_symmetric}")
        if not (np.isfinite(self.slab) and self.slab > 0):
            raise ValueError(f"slab must be a positive scale, got {self.slab}")

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        table = orbits.finite
        y = _checked(table, case)
        n, k = y.shape
        kernels = _Kernels.of(table)
        nodes = [node for length in _LENGTHS for node in kernels.nodes(float(length), y.ravel())]
        posterior = self._posterior(nodes, self.slab)
        symmetric = np.array([node.ratio == 0 for node in nodes])
        by_slab = {
            f"{slab:.3g}": float(self._posterior(nodes, slab)[symmetric].sum())
            for slab in (self.slab / 3, self.slab, 3 * self.slab)
        }
        generator = np.random.default_rng([seed, 11])
        counts = generator.multinomial(n_draws, posterior.ravel()).reshape(posterior.shape)
        weights = _row_weights(table, n_draws, seed)
        squares, noises, place = np.zeros(n_draws), np.zeros(n_draws), 0
        order = generator.permutation(n_draws)  # nodes must not always meet the same weights
        for node, row in zip(nodes, counts, strict=True):
            for j in np.flatnonzero(row):
                here = order[place : place + row[j]]
                place += row[j]
                scale = node.rate[j] / generator.chisquare(n * k, len(here))
                noises[here] = np.sqrt(scale * _NOISES[j])
                if node.ratio > 0:
                    drawn = kernels.asymmetric(node, float(_NOISES[j]), y.ravel(), scale, generator)
                    sizes = (drawn.reshape(len(here), n, k) ** 2).sum(axis=2)
                    squares[here] = 2 * (weights[here] * sizes).sum(axis=1)
        lengths = np.array([node.length for node in nodes]) * kernels.distance
        return Evidence(
            draws={"error": np.sqrt(squares), "symmetry_cost": squares / 2},
            facts={
                "p_symmetric": float(posterior[symmetric].sum()),
                "p_symmetric_prior": self.p_symmetric,
                "p_symmetric_by_slab": by_slab,
                "noise_sd": float(np.median(noises)),
                "length_scale": float(posterior.sum(axis=1) @ lengths),
            },
        )

    def _posterior(self, nodes: list[_Node], slab: float) -> Array:
        """Return posterior probabilities ``(node, noise)`` under a slab of the given scale."""
        density = np.exp(-((_RATIOS / slab) ** 2) / 2) * _RATIOS  # the grid is even in logarithms
        density = density / density.sum() * (1 - self.p_symmetric)
        prior = {0.0: self.p_symmetric} | dict(zip(_RATIOS.tolist(), density, strict=True))
        with np.errstate(divide="ignore"):
            logs = np.stack([node.log_evidence + np.log(prior[node.ratio]) for node in nodes])
        values = np.exp(logs - logs.max())
        return values / values.sum()


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Squared distances between rows and moved rows, and how outputs move with them.

    Args:
        squared: ``(element, row, row)``, the first element the identity.
        actions: Output actions ``(element, k, k)``.
        distance: Median distance between rows.
    """

    squared: Array
    actions: Array
    distance: float

    @classmethod
    def of(cls, table: OrbitTable) -> _Kernels:
        transform = table.transform
        x = np.asarray(jax.tree.leaves(table.x)[0], dtype=np.float64)
        flat, shape = x.reshape(len(x), -1), table.only.output_shape
        k = int(np.prod(shape))
        actions = transform.input_actions(x)
        squared, outputs = [], []
        for parameter in _elements(transform):
            each = np.broadcast_to(parameter, (len(x), len(parameter)))
            elements = transform.leaf_elements(actions, each, [x.dtype])
            moved = np.asarray(move_rows(actions, elements, x)).reshape(len(x), -1)
            sizes = (flat**2).sum(axis=1)[:, None] + (moved**2).sum(axis=1)
            squared.append(np.maximum(sizes - 2 * flat @ moved.T, 0.0))
            basis = np.eye(k).reshape(k, *shape)
            outputs.append(np.asarray(transform.apply_to_output(parameter, basis)).reshape(k, k).T)
        between = np.sqrt(squared[0][np.triu_indices(len(x), 1)])
        return cls(np.stack(squared), np.stack(outputs), float(np.median(between)) or 1.0)

    def pair(self, length: float) -> tuple[Array, Array]:
        """Return the kernels of the symmetric and the asymmetric part, ``(row * k, row * k)``.

        Each is of variance 1, averaged over the rows, the first about its constant: their ratio is
        one of functions on these rows. As it stands a smooth kernel is many times larger than any
        function it is used for, and a slab on amplitudes many times wider than it says.
        """
        n, k = self.squared.shape[1], self.actions.shape[1]
        kernels = np.exp(-0.5 * self.squared / (length * self.distance) ** 2)
        symmetric = np.einsum("gij,gab->iajb", kernels, self.actions) / len(kernels)
        symmetric = symmetric.reshape(n * k, n * k)
        symmetric = (symmetric + symmetric.T) / 2
        whole = np.kron(kernels[0], np.eye(k))
        fixed = self.actions.mean(axis=0)
        rest = whole - symmetric
        level = np.trace(fixed @ symmetric.reshape(n, k, n, k).mean(axis=(0, 2)))
        sizes = np.trace(symmetric) / n - level, max(np.trace(rest) / n, 0.0)
        size = max(sizes[0], _LEAST_SHARE * (sizes[0] + sizes[1]))
        constant = np.kron(np.ones((n, n)), fixed)
        return symmetric / size + _CONSTANT * constant, rest / (sizes[1] or 1.0)

    def nodes(self, length: float, y: Array) -> list[_Node]:
        """Return the evidence at each amplitude ratio, the overall scale integrated out."""
        symmetric, rest = self.pair(length)
        found = []
        for ratio in (0.0, *_RATIOS.tolist()):
            values, vectors = np.linalg.eigh(symmetric + ratio**2 * rest)
            variances = np.maximum(values, 0.0)[:, None] + _NOISES
            rate = ((vectors.T @ y)[:, None] ** 2 / variances).sum(axis=0)
            logs = -0.5 * np.log(variances).sum(axis=0) - len(y) / 2 * np.log(rate)
            found.append(_Node(length, ratio, logs, rate))
        return found

    def asymmetric(
        self, node: _Node, noise: float, y: Array, scale: Array, generator: np.random.Generator
    ) -> Array:
        """Return draws ``(draw, row * k)`` of the asymmetric part, given the targets."""
        from scipy.linalg import cho_factor, cho_solve

        symmetric, rest = self.pair(node.length)
        rest = node.ratio**2 * rest
        whole = symmetric + rest + noise * np.eye(len(y))
        solved = cho_solve(cho_factor(whole), np.column_stack([y, rest]))
        mean, covariance = rest @ solved[:, 0], rest - rest @ solved[:, 1:]
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = generator.standard_normal((len(scale), len(y)))
        return mean + np.sqrt(scale)[:, None] * (normal @ root.T)


def _elements(transform: AbstractTransform) -> Array:
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


def _row_weights(table: OrbitTable, n_draws: int, seed: int) -> Draws:
    """Return the rows' weights ``(draw, row)``, those of every result on these rows."""
    units, place = np.unique(table.unit_ids, return_inverse=True)
    weights = exponential_weights(units, n_draws, seed).astype(np.float64).T[:, place]
    return weights / weights.sum(axis=1, keepdims=True)


def _checked(table: OrbitTable, case: Case) -> Array:
    """Return the targets ``(row, k)``, centred; raise where the method cannot be used."""
    stats = table.only
    if case is not Case.HAAR:
        raise ValueError(
            f"a Gaussian process finds the data error in case H only, and this is case "
            f"{case.value}: promise law=ep.InvariantLaw() and use the group's own law, or take "
            f"methods.TrainedPair"
        )
    if stats.y is None:
        raise ValueError("the data error is about targets: pass y= to evaluate_orbits")
    leaves = jax.tree.leaves(table.x)
    if len(leaves) != 1:
        raise ValueError(
            f"a Gaussian process takes one array of inputs, got {len(leaves)}; use "
            f"methods.Symmetrization"
        )
    if len(table) > _MOST_ROWS or stats.y.shape[1] > _MOST_COMPONENTS:
        raise ValueError(
            f"a Gaussian process takes up to {_MOST_ROWS} rows and {_MOST_COMPONENTS} output "
            f"components, got {len(table)} and {stats.y.shape[1]}; use methods.Symmetrization"
        )
    return stats.y - fixed_part_of_mean(table, stats.y)
