"""The mean cost of moving rows onto others, as a function of the class and of how many rows.

It is solved at a few Lipschitz constants and defects, and is jointly concave in them: the planes
that touch it there lie above it everywhere, so that their minimum bounds it in every draw, and is
exact at the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.bounds.halves import AbstractDeal, GroundCost, Index, Value, mean_cost
from equiprob.geometry.all_pairs import PairDistance, Pairs, Targets
from equiprob.posterior.row_means import RowMeans

Node = tuple[float, float | None]

FEWEST_UNITS = 20
"""Units in the smallest sample from which the cost is extrapolated."""

_MOST_SIZES = 5
_MOST_NODES = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What it costs to move one row onto another.

    Args:
        x: The inputs.
        targets: Their targets.
        distance: Of inputs and of orbits.
        slope: Of the loss.
        cap: The largest cost.
        most_rows: Rows up to which the distances of all pairs are held at once.
    """

    x: Any
    targets: Targets
    distance: PairDistance
    slope: float
    cap: float
    most_rows: int

    @property
    def depends_on_lipschitz(self) -> bool:
        """Whether the closest element depends on how distances of targets are weighed."""
        return self.targets.moved is not None and not self.targets.are_labels

    def of_blocks(self, blocks: AbstractDeal, lipschitz: float) -> Callable[[int], GroundCost]:
        """Return the cost within each block."""
        weight = 1 / lipschitz if self.depends_on_lipschitz else 1.0
        whole = len(jax.tree.leaves(self.x)[0]) <= self.most_rows

        def within(block: int) -> GroundCost:
            rows = blocks.rows_of(block)
            if whole:
                plain, orbit, at = self._plain, self._orbit(weight), rows
            else:
                x, targets = _take(self.x, rows), self.targets.take(rows)
                plain = self.distance.plain(x, targets)
                orbit, at = self.distance.nearest(x, targets, weight), np.arange(len(rows))
            return GroundCost(plain, orbit, self.slope, self.cap, at)

        return within

    @cached_property
    def _plain(self) -> Pairs:
        return self.distance.plain(self.x, self.targets)

    @cached_property
    def _held(self) -> dict[float, Pairs]:
        return {}

    def _orbit(self, weight: float) -> Pairs:
        if weight not in self._held:
            self._held.clear()
            self._held[weight] = self.distance.nearest(self.x, self.targets, weight)
        return self._held[weight]


@dataclass(frozen=True, eq=False)
class CostSurface:
    """Mean costs at nodes.

    Args:
        nodes: Lipschitz constants and defects; a defect of None is no symmetry.
        sizes: Units of a block at each size, the whole sample first.
        values: The mean cost at each size and node.
    """

    nodes: Sequence[Node]
    sizes: Array
    values: Sequence[Sequence[Value]]

    @classmethod
    def solve(
        cls,
        ground: Ground,
        deal: Callable[[int, np.random.Generator], AbstractDeal],
        lipschitz: Array,
        defects: Array,
        *,
        n_units: int,
        n_splits: int,
        seed: int,
    ) -> CostSurface:
        """Solve the transport problems.

        Args:
            ground: The costs.
            deal: Makes that many blocks.
            lipschitz: Nodes, ``(node,)``.
            defects: Nodes beside zero, ``(node,)``.
            n_units: Units that blocks share among them.
            n_splits: Splits of the whole sample; smaller blocks, of which there are more, have
                fewer each.
            seed: Seed of blocks and splits.
        """
        whole = -(-len(jax.tree.leaves(ground.x)[0]) // ground.most_rows)
        counts = [whole]
        while len(counts) < _MOST_SIZES and n_units // (2 * counts[-1]) >= FEWEST_UNITS:
            counts.append(2 * counts[-1])
        sizes, values = [], []
        for k, n_blocks in enumerate(counts):
            defect_nodes = [None, 0.0, *defects] if k == 0 else [None, 0.0]
            blocks = deal(n_blocks, np.random.default_rng([seed, 17, k]))
            sizes.append(blocks.size)
            here: list[Value] = []
            for constant in lipschitz.tolist():
                here += mean_cost(
                    blocks,
                    ground.of_blocks(blocks, constant),
                    [(constant, defect) for defect in defect_nodes],
                    n_splits=-(-n_splits * whole // n_blocks),
                    seed=[seed, 18, k],
                )
            values.append(here)
        nodes = [(c, d) for c in lipschitz.tolist() for d in [None, 0.0, *defects]]
        return cls(nodes, np.array(sizes), values)

    def _nodes_at(self, size: int) -> Sequence[Node]:
        """Return the nodes solved at a size: smaller ones have no defects but zero."""
        return self.nodes if size == 0 else [node for node in self.nodes if not node[1]]

    def lowest(
        self, size: int, lipschitz: Array, defect: Array | None
    ) -> tuple[Array, NDArray[np.int64]]:
        """Return the lowest touching plane in each draw, and the node that it touches at.

        Args:
            size: Which of the sizes.
            lipschitz: Draws ``(draw,)``.
            defect: Draws ``(draw,)``; None without the symmetry.
        """
        nodes = self._nodes_at(size)
        planes = np.array([value.plane for value in self.values[size]])
        moves = np.zeros_like(lipschitz) if defect is None else defect
        heights = planes[:, [0]] + planes[:, [1]] * lipschitz + planes[:, [2]] * moves
        if defect is None:
            heights[[node[1] is not None for node in nodes]] = np.inf
        node = heights.argmin(axis=0)
        return heights[node, np.arange(len(lipschitz))], node

    def sampled(self, means: RowMeans) -> list[Array]:
        """Return draws of each size's expected costs over their sample values, ``(draw, node)``.

        To first order in the units' weights, whose derivatives are the potentials.
        """
        columns = np.column_stack([v.units for here in self.values for v in here])
        centres = columns.mean(axis=0)
        draws = np.ones((means.n_draws, len(centres)))
        positive = centres > 0
        draws[:, positive] = means.plain(columns[:, positive]) / centres[positive]
        ends = np.cumsum([len(here) for here in self.values])[:-1]
        return np.split(np.maximum(draws, 0.0), ends, axis=1)


def _take(x: Any, rows: Index) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], x)


def nodes(draws: Array) -> Array:
    """Return values ``(node,)`` that draws spread over: quantiles, the ends among them."""
    return np.unique(np.quantile(draws, np.linspace(0, 1, _MOST_NODES)))
