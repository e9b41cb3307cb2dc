"""The average of a model over a whole group, from transformations that are not its uniform law.

Of a law with a density relative to the group's own, transformations weigh with one over it: the
orbit of a model under unequal weights holds its average under equal ones, which is equivariant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.law import Parameters
from equiprob.transforms.relative_density import relative_density
from equiprob.transforms.transform import Transform

_MOST_UNLIKELY = 100.0
"""One over a density from which a few transformations would be all of the average."""


class GroupAverage(NamedTuple):
    """How far a model's average over the group is from the model.

    Args:
        moved: The mean displacement of each row, ``(row, k)``.
        squared: Its squared norm, unbiased, ``(row,)``.
    """

    moved: Rows
    squared: Rows


def law_average(table: OrbitTable) -> GroupAverage | None:
    """Return the average over the table's own law; None where it is not available."""
    squared = table.mean_displacement_sq
    if squared is None or table.design.kind == "crossed":
        return None
    return GroupAverage(table.mean_displacement, squared)


def haar_average(table: OrbitTable) -> GroupAverage | None:
    """Return the average over the whole group, which is equivariant.

    None where the law has no density relative to the group's own, or the table does not hold what
    it takes (every displacement, of at least two transformations that rows do not share).
    """
    if table.transform.is_haar:
        return law_average(table)
    relative = _density_of(table)
    if relative is None:
        return None
    replicates, mean_sq = table.weighted(1 / relative)
    design = table.design
    return GroupAverage(design.average(replicates), design.squared_average(replicates, mean_sq))


class TwoWayAverage(NamedTuple):
    """How far a model's average over a law and its inverses is from the model.

    Args:
        moved: The mean displacement of each row, ``(row, k)``.
        product: With the displacement to the average over the group, unbiased, ``(row,)``.
    """

    moved: Rows
    product: Rows


def two_way_average(table: OrbitTable) -> TwoWayAverage | None:
    """Return the average over a law in which transformations are as likely as their inverses.

    That of the table's law and of its inverses' law, in equal parts. None as for `haar_average`.
    """
    relative = _density_of(table)
    if relative is None:
        return None
    density, parameters = relative_density(table.transform), table.parameters()
    assert density is not None, "the table's transformations have one"
    inverses = density(_inverse(table.transform, parameters))
    whole, both, design = 1 / relative, (1 + inverses / relative) / 2, table.design
    squares = [design.squared_average(*table.weighted(w)) for w in (whole + both, whole - both)]
    moved = design.average(table.weighted(both)[0])
    return TwoWayAverage(moved, (squares[0] - squares[1]) / 4)


def _density_of(table: OrbitTable) -> Rows | None:
    """Return the relative density of a table's transformations, ``(row, transformation)``.

    None where there is none, a transformation is so unlikely that it would be all of an average, or
    the table does not hold what averages take.
    """
    density = relative_density(table.transform)
    if density is None or law_average(table) is None or table.only.raw is None:
        return None
    relative = density(table.parameters())
    return relative if relative.min() * _MOST_UNLIKELY >= 1 else None


def _inverse(transform: Transform, parameters: Parameters) -> Parameters:
    flat = parameters.reshape(-1, parameters.shape[-1])
    return np.asarray(transform.inverse(flat)).reshape(parameters.shape)
