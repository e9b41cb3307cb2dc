"""The data error itself, from a Gaussian process with a symmetric and an asymmetric part.

Exact symmetry is the point where the second part has no size: it gets prior probability of its own,
since a continuous prior would never find it. Otherwise the second part has a length scale of its
own: with that of the first one, a task whose symmetric part is smooth could have no rough asymmetry
for the model, and intervals missed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final, override

import jax
import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.errors.fixed_outputs import fixed_part_of_mean
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.weights import exponential_weights
from equiprob.task.methods.base import AbstractMethod, Case, Draws, Evidence
from equiprob.task.methods.two_part_kernels import TwoPartKernels
from equiprob.task.methods.two_part_posterior import PartDraws, TwoPartPosterior

_CONSTANT = 1e-12
"""Targets that vary by no more than this share of their size do so by rounding."""

_MOST_ROWS = 2000
_MOST_COMPONENTS = 3


@final
@dataclass(frozen=True, eq=False)
class FittedProcess:
    """The posterior of the truth at the rows of a table.

    Args:
        table: The table.
        parts: Given exact symmetry, and given that there is none.
        p_symmetric: Posterior probability of exact symmetry.
        slab: Scale of the prior of the asymmetric part's size.
    """

    table: OrbitTable
    parts: TwoPartPosterior
    p_symmetric: float
    slab: float

    def draws(self, n_draws: int, generator: np.random.Generator) -> PartDraws:
        """Return draws of both parts and of the noise, exact symmetry among them."""
        free = self.parts.draws(n_draws, self.slab, generator, symmetric=False)
        symmetric = generator.random(n_draws) < self.p_symmetric
        exact = self.parts.draws(int(symmetric.sum()), self.slab, generator, symmetric=True)
        for drawn, given in zip(free, exact, strict=True):
            drawn[symmetric] = given
        return free

    def row_weights(self, n_draws: int, seed: int) -> Draws:
        """Return the rows' posterior weights ``(draw, row)``, those of every result on them."""
        return _row_weights(self.table, n_draws, seed)

    @property
    def likely_places(self) -> tuple[int, int]:
        """Places of both parts' most probable length scales among those of `parts`."""
        p = self.parts.probabilities(self.slab, symmetric=False).sum(axis=1)
        symmetric = np.bincount([node.symmetric for node in self.parts.free], p).argmax()
        asymmetric = np.bincount([node.asymmetric for node in self.parts.free], p).argmax()
        return int(symmetric), int(asymmetric)

    @property
    def likely_kernels(self) -> tuple[Array, Array]:
        """Kernels ``(row * k, row * k)`` of both parts, at their most probable length scales."""
        symmetric, asymmetric = self.likely_places
        return self.parts.kernels[0][symmetric], self.parts.kernels[1][asymmetric]


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
        The transformations have the Haar law of a group. Where the law of the inputs is invariant
        (case H) the error is found; elsewhere it is withheld, and the process serves
        `ep.StructuralLevel`. Noise is normal, of one variance. Inputs are one array whose moved
        rows keep their distances (vectors, points about the origin, permutations, images up to
        interpolation).

    References:
        Rasmussen & Williams, "Gaussian processes for machine learning", 2006; Mitchell & Beauchamp,
        JASA 1988 (spike and slab); Haasdonk & Burkhardt, "Invariant kernel functions", 2007.
    """

    p_symmetric: float = 0.5
    slab: float = 0.5

    def __post_init__(self) -> None:
        """Check the prior."""
        check_fields(self)
        if not 0 <= self.p_symmetric <= 1:
            raise ValueError(f"p_symmetric must be a probability, got {self.p_symmetric}")
        if not (np.isfinite(self.slab) and self.slab > 0):
            raise ValueError(f"slab must be a positive scale, got {self.slab}")

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        table = orbits.finite
        posterior = self.posterior(table)
        p = posterior.p_symmetric(self.p_symmetric, self.slab)
        generator = np.random.default_rng([seed, 11])
        free = posterior.draws(n_draws, self.slab, generator, symmetric=False)
        symmetric = generator.random(n_draws) < p
        exact = posterior.draws(int(symmetric.sum()), self.slab, generator, symmetric=True)
        noise = free.noise_variance.copy()
        noise[symmetric] = exact.noise_variance
        sizes = (free.asymmetric**2).sum(axis=2)
        squares = 2 * (_row_weights(table, n_draws, seed) * sizes).sum(axis=1)
        error = np.sqrt(np.where(symmetric, 0.0, squares))
        if case is Case.HAAR:
            draws = {
                "error": error,
                "error_if_asymmetric": np.sqrt(squares),
                "symmetry_cost": error**2 / 2,
            }
        else:  # the symmetric part of a draw is one symmetric function, and not the best one
            draws = {"symmetry_cost_upper": error**2 / 2}
        return Evidence(
            draws=draws,
            facts={
                "p_symmetric": p,
                "p_symmetric_prior": self.p_symmetric,
                "p_symmetric_by_slab": {
                    f"{slab:.3g}": posterior.p_symmetric(self.p_symmetric, slab)
                    for slab in (self.slab / 3, self.slab, 3 * self.slab)
                },
                "noise_sd": float(np.sqrt(np.median(noise))),
            },
            process=FittedProcess(table, posterior, p, self.slab),
        )

    def posterior(self, table: OrbitTable) -> TwoPartPosterior:
        """Return the posterior of both parts at the rows of a table.

        Args:
            table: The table of one output, with targets and finite rows alone.

        Raises:
            ValueError: If the table does not hold what the method needs, or its transformations
                have not the law of a group.
        """
        targets = _checked(table)  # before kernels of too many rows fill the memory
        return TwoPartPosterior.of(TwoPartKernels.of(table), targets)


def _row_weights(table: OrbitTable, n_draws: int, seed: int) -> Draws:
    """Return the rows' weights ``(draw, row)``, those of every result on these rows."""
    units, place = np.unique(table.unit_ids, return_inverse=True)
    weights = exponential_weights(units, n_draws, seed).astype(np.float64).T[:, place]
    return weights / weights.sum(axis=1, keepdims=True)


def _checked(table: OrbitTable) -> Array:
    """Return the targets ``(row, k)``, centred; raise where the method cannot be used."""
    stats = table.only
    if not table.transform.is_haar:
        raise ValueError(
            f"a Gaussian process averages its kernel over a whole group, and {table.transform} is "
            "not drawn uniformly from one: draw it so, or take methods.TrainedPair"
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
    centred = stats.y - fixed_part_of_mean(table, stats.y)
    if np.abs(centred).max() <= _CONSTANT * np.abs(stats.y).max():
        raise ValueError(
            "all targets are equal, up to rounding: a Gaussian process has nothing to learn from "
            "them; use methods.Symmetrization"
        )
    return centred
