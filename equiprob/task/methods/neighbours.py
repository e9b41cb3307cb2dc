"""The price of exact symmetry from data alone: no model, no training, any law of the inputs.

The symmetry cost ``A = min |h - f*|^2`` over all equivariant h is how much targets vary along an
orbit, at the positions where the inputs are. So is the variance of targets between rows that are
near each other *modulo the group*, less that between rows that are near each other:

    A  =  E Var(Y | orbit of X)  -  E Var(Y | X)

with each target turned back with its row. Noise is in both and cancels, wherever it is large or
small. Each variance is of residuals to a weighted mean of neighbours; what neighbours at a distance
do to it is seen where only half of the rows are there, and taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final, override

import jax
import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.geometry.orbit_metric import OrbitMetric
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.paired_means import is_one_hot
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.weights import folds
from equiprob.task.local_means import (
    N_NEAREST,
    LocalSpread,
    dimension_of,
    spread_between_orbits,
    spread_between_rows,
)
from equiprob.task.methods.base import AbstractMethod, Case, Draws, Evidence
from equiprob.task.spectral_constants import eigenvalues
from equiprob.transforms.law import Parameters
from equiprob.transforms.rotations2d import Rotations2D
from equiprob.transforms.rotations3d import Rotations3D
from equiprob.transforms.transform import Transform

_FEWEST = 40
"""Independent rows: half of them must leave more than a row's neighbours."""

_ORDER = 4.0
"""Squared errors of weighted means of neighbours fall as distances to this power."""

_MOST_AMPLIFIED = 2.5
_TOO_MANY_DIMENSIONS = 6.0
"""Dimensions as read up to which halves show enough of the bias; a cube of eight reads as six."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours(AbstractMethod):
    """The symmetry cost from targets of neighbours, with and without the group.

    Fit to a table of any model, or of none: its outputs are not looked at.

    Args:
        group: The whole group that the transformations generate, acting on the same inputs, where
            the table's are another part of it than one of `ep.transforms.rotations2d` or
            `rotations3d`: a range of 30 degrees either way generates all rotations.
        most_rows: Rows used at most, chosen at random: time grows with their square.

    Assumptions:
        Rows (or groups of rows) are independent. The truth is smooth on the scale of the distance
        between neighbours: the result says where it may not be, which in more than about eight
        dimensions is to be expected. Where the group has a few fixed points only, or acts freely.

    References:
        docs/data_error.md; Wang et al., "A general theory of correct, incorrect, and extrinsic
        equivariance", NeurIPS 2023 (the lower bound on an invariant classifier's error); Cover &
        Hart, "Nearest neighbor pattern classification", IEEE Transactions on Information Theory
        1967.
    """

    group: Transform | None = None
    most_rows: int = 2000

    @override
    def __post_init__(self) -> None:
        """Check the group and the number of rows."""
        super().__post_init__()
        if self.most_rows < _FEWEST:
            raise ValueError(f"most_rows must be at least {_FEWEST}, got {self.most_rows}")
        if self.group is not None and not self.group.is_haar:
            raise ValueError(f"group must be a whole group, drawn uniformly, got {self.group}")

    @property
    @override
    def depends_on_law(self) -> bool:
        return False

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        whole = orbits.finite
        if whole.only.y is None:
            raise ValueError("neighbours are compared by their targets: pass y= to evaluate_orbits")
        used = _some(whole.unit_ids, self.most_rows)
        table = whole if len(used) == len(whole) else whole.rows(whole.row_ids[used])
        half = folds(table.unit_ids, 2)
        if len(np.unique(table.unit_ids)) < _FEWEST or np.bincount(half).min() <= N_NEAREST:
            raise ValueError(
                f"neighbours of other rows need at least {_FEWEST} independent rows, got "
                f"{len(np.unique(table.unit_ids))}"
            )
        sample = _Sample.of(table, _whole_group(whole) if self.group is None else self.group)
        (free, modulo), halves = sample.spreads([np.zeros_like(half), half])
        excess = modulo.variance - free.variance
        of_halves = halves[1].variance - halves[0].variance
        dimension = dimension_of(free.distance)
        amplified = 2 ** (_ORDER / max(dimension, 1.0)) - 1  # 0 where all distances are equal
        share = 1 / max(amplified, 1 / _MOST_AMPLIFIED)
        corrected = excess + share * (excess - of_halves)
        means = RowMeans(table.unit_ids, n_draws, seed)
        signed = means.mean(corrected)
        draws = {"symmetry_cost": np.maximum(signed, 0.0)}
        columns = {"the symmetry cost": corrected}
        if sample.turning.keeps_output and is_one_hot(sample.y):
            draws |= _brackets(means, sample.y, free, modulo)
        found: set[Diagnostic] = set()
        correction = share * float((excess - of_halves).mean())
        half_width = float(np.diff(np.quantile(signed, [0.05, 0.95]))[0]) / 2
        if dimension > _TOO_MANY_DIMENSIONS or abs(correction) > 2 * half_width:
            found.add(Diagnostic.NEIGHBOURS_FAR)
        size = float(free.distance[:, -1].mean())
        if any(_coincide(each.distance, size) for each in (free, modulo)):
            found.add(Diagnostic.NEIGHBOURS_COINCIDE)
        if case is Case.HAAR:
            draws["error"] = np.sqrt(2 * draws["symmetry_cost"])
        elif case is Case.INVARIANT:
            draws |= eigenvalues(whole.transform).errors(draws["symmetry_cost"])
        facts = {
            "n_used": len(table),
            "group": str(sample.metric.transform),
            "dimension": dimension,
            "distance_correction": correction,
            "variance_free": float(free.variance.mean()),
            "variance_modulo_group": float(modulo.variance.mean()),
        }
        return Evidence(draws=draws, facts=facts, found=found, columns=columns, used=used)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Rows whose neighbours are sought.

    Args:
        metric: Their distance modulo the group.
        y: Targets, ``(row, component)``.
        units: The unit of each row.
        output_shape: Of a target as transformations act on it.
        turning: The transform as it acts on this output.
    """

    metric: OrbitMetric
    y: Array
    units: Ids
    output_shape: tuple[int, ...]
    turning: Transform

    @classmethod
    def of(cls, table: OrbitTable, group: Transform) -> _Sample:
        assert table.only.y is not None, "checked by the caller"
        eps = max(
            (
                np.finfo(leaf.dtype).eps
                for leaf in map(np.asarray, jax.tree.leaves(table.x))
                if np.issubdtype(leaf.dtype, np.floating)
            ),
            default=np.finfo(float).eps,
        )
        return cls(
            OrbitMetric.of(table.x, group, float(eps)),
            table.only.y,
            table.unit_ids,
            table.only.output_shape,
            group.of_output(table.outputs[0]),
        )

    def spreads(self, among: Sequence[Index]) -> list[tuple[LocalSpread, LocalSpread]]:
        """Return how targets vary between rows, and between rows modulo the group.

        Args:
            among: Labels of rows, for each of which neighbours are of the same label.
        """
        free = spread_between_rows(self.metric.rows, self.y, self.units, among)
        modulo = spread_between_orbits(self.metric, self.y, self.moved, self.units, among)
        return list(zip(free, modulo, strict=True))

    def moved(self, rows: Index, parameters: Parameters) -> Array:
        """Return targets ``(row, component)``, each moved by its own transformation."""
        chosen = self.y[rows].reshape(-1, *self.output_shape)
        moves = self.turning.on(output=chosen).at(parameters, outputs="forth")
        return np.asarray(moves.forth(chosen)).reshape(len(rows), -1)


def _coincide(distance: Array, size: float) -> bool:
    """Whether many rows have another far nearer than the rest, as copies and grids have.

    In one dimension a fifth of independent rows have their nearest within .02 of the distance of
    the last, in more dimensions fewer. Rows that have all of their neighbours in one place, as
    where the orbits are all the same, know the variance there.

    Args:
        distance: Of the neighbours of each row ``(row, neighbour)``, ascending.
        size: Of distances between neighbours, of which a millionth is rounding.
    """
    first, last = distance[:, 0], distance[:, -1]
    equal = (first <= 1e-6 * size) & (last > 1e-6 * size)
    near = (first < 0.02 * last) & (last > 1e-6 * size)
    return bool(equal.mean() > 0.05 or near.mean() > 0.5)


def _some(units: Ids, most: int) -> Index:
    """Return rows ``(used,)``, about so many at most: whole units, chosen by their ids."""
    if len(units) <= most:
        return np.arange(len(units))
    return np.flatnonzero(folds(units, -(-len(units) // most)) == 0)


def _whole_group(table: OrbitTable) -> Transform:
    """Return the group that a table's transformations generate, with its uniform law.

    Raises:
        ValueError: If it is not known.
    """
    transform = table.transform
    if transform.is_haar:
        return transform
    law = transform.law
    if isinstance(law, Rotations2D):
        return replace(transform, law=replace(law, max_angle=float(np.pi), law=None))
    if isinstance(law, Rotations3D):
        parity = "proper" if law.parity == "proper" else "both"
        whole = replace(law, max_angle=float(np.pi), parity=parity, law=None)
        return replace(transform, law=whole)
    raise ValueError(
        f"the cost is that of symmetry under a whole group, drawn uniformly, which {transform} is "
        "not; pass ep.methods.Neighbours(group=...), the group that they generate"
    )


def _brackets(
    means: RowMeans,
    y: Array,
    free: LocalSpread,
    modulo: LocalSpread,
) -> dict[str, Draws]:
    """Return draws of bounds on the errors of the best classifiers, as the number of rows grows.

    With k classes and e the error of the nearest neighbour, the best one's error B has ``B <= e <=
    B (2 - k B / (k - 1))`` (Cover & Hart).
    """
    labels, draws = y.argmax(axis=1), {}
    k = len(np.unique(labels))
    share = (k - 1) / k if k > 1 else 0.0
    for name, spread in (("free_error", free), ("invariant_error", modulo)):
        wrong = (labels != labels[spread.nearest]).astype(np.float64)
        upper = means.mean(wrong, (0.0, 1.0))
        draws[f"{name}_upper"] = upper
        inside = 1 - np.minimum(upper / share, 1.0) if share else np.ones_like(upper)
        draws[f"{name}_lower"] = share * (1 - np.sqrt(inside))
    return draws
