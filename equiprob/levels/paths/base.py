"""What is a path from a model to a more symmetric one?

At each position of a path some transformations weigh more than others. The predictor there is the
model's average over the transformations, so weighted, of which a share may be left to the model
itself. A path of your own says which positions there are and how transformations weigh; everything
else follows.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import check_fields
from equiprob.levels.path_risk import EvaluatedPathRisk, SquaredPathRisk
from equiprob.levels.row_losses import Loss
from equiprob.orbits.designs import Design, make_design
from equiprob.orbits.keys import Ids
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.counts import MOST_QUASI
from equiprob.transforms.transform import Parameters, Transform

Positions = NDArray[np.float64]

_SIZE_SEED = 15
"""Of the transformations of averages of another size than the table's."""

SHARED_ROW = np.zeros(1, dtype=np.uint64)
"""A shipped predictor uses the same transformations for every row: those of this id."""


class Shipment(NamedTuple):
    """The predictor at one position: ``keep * f + (1 - keep) * average over parameters``."""

    keep: float
    parameters: Parameters
    weights: NDArray[np.float64]
    of: Transform | None = None

    def with_size(self, n: int) -> Shipment:
        """Return the average over so many transformations of `of`, whose plain average this is.

        Raises:
            ValueError: If `n` is no number of transformations, or transformations weigh unequally,
                so that others are not as good.
        """
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n_transforms must be a positive integer, got {n!r}")
        if self.keep == 1:
            return self
        if self.of is None:
            raise ValueError(
                "this path weighs the transformations that it ships: pass n_transforms along "
                "Blend and Range alone"
            )
        finite = self.of.enumeration()
        if finite is not None and n >= len(finite.weights):
            return self._replace(parameters=finite.parameters, weights=finite.weights)
        generator = np.random.default_rng([_SIZE_SEED, n])
        if finite is not None:
            chosen = generator.choice(len(finite.weights), n, replace=False, p=finite.weights)
            parameters = finite.parameters[chosen]
        elif 0 < self.of.n_uniforms <= MOST_QUASI:
            parameters = self.of.spread(n, generator.random(self.of.n_uniforms))
        else:
            parameters = self.of.sample_many(generator, n)
        return self._replace(parameters=parameters, weights=np.full(n, 1 / n))

    @classmethod
    def of_the_model(cls, transform: Transform) -> Shipment:
        """Return the model as it is."""
        return cls(1.0, transform.identity[None][:0], np.ones(0))


@dataclass(frozen=True, kw_only=True)
class AbstractPath(abc.ABC):
    """A one-parameter family of predictors made from one model.

    A path of your own is a frozen dataclass with two methods, `grid` and `weight`; `kept`, `unit`
    and `full` have defaults.
    """

    label = "position"
    """What positions are called in words and figures."""

    full: ClassVar[int | None] = None
    """Index of the most symmetric position, where there is one."""

    def __post_init__(self) -> None:
        """Check the kinds of the settings."""
        check_fields(self)

    @abc.abstractmethod
    def grid(self, transform: Transform) -> Positions:
        """Return the positions ``(position,)``; at one of them the model is as it is."""

    @abc.abstractmethod
    def weight(
        self, transform: Transform, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        """Return how much transformations weigh in the average at a position.

        Args:
            transform: The transform, for instance for ``transform.magnitude(parameters)``.
            parameters: Of transformations, ``(..., n_parameters)``.
            position: One of the grid.

        Returns:
            Weights ``(...)`` of at least 0, relative to the probability of the transformations and
            on any scale: 1 everywhere is the plain average; 0 everywhere leaves the model as it is.
        """

    def kept(self, position: float) -> float:
        """Return the share that is left to the model itself."""
        return 0.0

    def unit(self, transform: Transform) -> str:
        """Return the unit of positions."""
        return ""

    def names(self, transform: Transform) -> tuple[str, ...] | None:
        """Return what positions are called where they are not numbers."""
        return None

    # ---- what follows ---------------------------------------------------------------------------

    def risk(self, table: OrbitTable) -> SquaredPathRisk:
        """Return the squared error along the path.

        Raises:
            ValueError: If the table does not hold what the path needs.
        """
        positions, residual = self.grid(table.transform), residuals(table)
        parameters, design = table.parameters(), table.design
        limits, shipped = [], []
        for position, moved in zip(positions, self.displacements(table, positions), strict=True):
            shipped.append((moved**2).sum(axis=1) - 2 * (residual * moved).sum(axis=1))
            if design.kind != "full":  # a full orbit's average is the limit itself
                replicates, mean_sq = table.weighted(self._density(table, parameters, position))
                squared = design.squared_average(replicates, mean_sq)
                limits.append(squared - 2 * (residual * design.average(replicates)).sum(axis=1))
        select = np.eye(len(positions))
        return SquaredPathRisk(
            positions=positions,
            loss=(residual**2).sum(axis=1),
            unchanged=self._unchanged(table.transform, positions),
            full=self.full,
            names=self.names(table.transform),
            columns=np.column_stack(shipped + limits),
            limit=np.concatenate([0 * select, select]) if limits else select,
            shipped=np.concatenate([select, 0 * select]) if limits else select,
        )

    def evaluated(self, table: OrbitTable, loss: Loss) -> EvaluatedPathRisk:
        """Return any loss along the path, of averages over the table's transformations.

        Raises:
            ValueError: If the table does not hold what the path needs, or the loss is not finite.
        """
        stats, positions = table.only, self.grid(table.transform)
        y = targets(table)

        def losses(indices: NDArray[np.int64]) -> Iterator[Rows]:
            for moved in self.displacements(table, positions[indices]):
                yield loss(y, stats.base + moved)

        return EvaluatedPathRisk(
            positions=positions,
            loss=loss(y, stats.base),
            unchanged=self._unchanged(table.transform, positions),
            full=self.full,
            names=self.names(table.transform),
            losses=losses,
        )

    def displacements(self, table: OrbitTable, positions: Positions) -> Iterator[Rows]:
        """Yield ``(row, k)``: how far the prediction at each position is from the model's.

        Averages are over the table's transformations; a row none of which weighs anything keeps the
        model's prediction.
        """
        parameters = table.parameters()
        for position in positions:
            weights = self._checked(table.transform, parameters, position) * table.design.weights
            total = weights.sum(axis=1, keepdims=True)
            shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
            moved = np.einsum("ij,ijk->ik", shares, table.kept_displacements)
            yield (1 - self.kept(position)) * moved

    def replicates(self, table: OrbitTable, position: float) -> Rows | None:
        """Return unbiased mean displacements at a position by replicate, ``(row, replicate, k)``.

        None where displacements were not kept.
        """
        if table.only.raw is None:
            return None
        return table.weighted(self._density(table, table.parameters(), position))[0]

    def shipment(self, table: OrbitTable, position: float) -> Shipment:
        """Return the predictor at a position, with as many transformations as the table has."""
        transform, design = table.transform, table.design
        if design.is_independent:  # a lattice of as many, where there is one, does no worse
            design = make_design(transform, "quasi", design.n_transforms, design.seed)
        return self.shipment_of(transform, design, position, SHARED_ROW)

    def shipment_of(
        self, transform: Transform, design: Design, position: float, row: Ids
    ) -> Shipment:
        """Return the predictor at a position with the transformations that a design gives a row.

        Args:
            transform: The transform.
            design: The design.
            position: One of the grid.
            row: Id of the row, ``(1,)``.
        """
        parameters = design.parameters(transform, row)[0]
        weights = self._checked(transform, parameters, position) * design.weights
        if self.kept(position) == 1 or _leaves_in_place(transform, parameters, weights):
            return Shipment.of_the_model(transform)
        used = weights > 0
        return Shipment(self.kept(position), parameters[used], weights[used] / weights.sum())

    def orbit_variance(self, table: OrbitTable, position: float) -> Rows | None:
        """Return the variance over the transformations that are averaged at a position, ``(row,)``.

        None where it is not known.
        """
        return None

    def n_elements(self, table: OrbitTable, position: float) -> int | None:
        """Return how many equally likely transformations are averaged; None for infinitely many."""
        return None

    def shipment_as_evaluated(self, table: OrbitTable, position: float) -> Shipment:
        """Return the predictor that `evaluated` judges at a position."""
        return self.shipment(table, position)

    def _checked(
        self, transform: Transform, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        weights = np.asarray(self.weight(transform, parameters, position), dtype=np.float64)
        if weights.shape != parameters.shape[:-1]:
            raise ValueError(
                f"{type(self).__name__}.weight returned shape {weights.shape} for transformations "
                f"of shape {parameters.shape[:-1]}; return one weight for each"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(
                f"{type(self).__name__}.weight is negative or not finite at position {position:g}"
            )
        return weights

    def _density(
        self, table: OrbitTable, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        """Return weights whose mean over the law is the share that moves.

        Scaling by the mean over the law, not over a row's few transformations, keeps averages
        unbiased in every row, and products of replicates with them.
        """
        weights = self._checked(table.transform, parameters, position)
        typical, probability = table.transform.typical()
        mean = self._checked(table.transform, typical, position) @ probability
        return weights * ((1 - self.kept(position)) / mean if mean > 0 else 0.0)

    def _unchanged(self, transform: Transform, positions: Positions) -> int:
        """Return the index of the position at which the model is as it is."""
        typical, _ = transform.typical()
        for index, position in enumerate(positions):
            weights = self._checked(transform, typical, position)
            if self.kept(position) == 1 or _leaves_in_place(transform, typical, weights):
                return index
        raise ValueError(
            f"at no position of {type(self).__name__} is the model as it is: its grid must hold "
            f"one at which kept is 1 or all weights are 0"
        )


def _leaves_in_place(
    transform: Transform, parameters: Parameters, weights: NDArray[np.float64]
) -> bool:
    """Whether nothing but the identity has weight."""
    return not weights[transform.magnitude(parameters) > 0].any()


def targets(table: OrbitTable) -> Rows:
    """Return the targets ``(row, k)``; raise where there are none."""
    if table.only.y is None:
        raise ValueError(
            "the optimal level compares predictions with targets: pass y= to evaluate_orbits"
        )
    return table.only.y


def residuals(table: OrbitTable) -> Rows:
    """Return targets less predictions, ``(row, k)``."""
    return targets(table) - table.only.base
