"""Which part of an output do all transformations leave in place?"""

from __future__ import annotations

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.transform import Transform

_MOST_AVERAGED = 64


def fixed_part(transform: Transform, output: Array) -> Array:
    """Project one output ``(...)`` onto the outputs that all transformations leave in place.

    High powers of the averaged action converge to the projection where the action is orthogonal.
    """
    finite = transform.enumeration()
    if finite is not None and len(finite.weights) <= _MOST_AVERAGED:
        parameters = finite.parameters
    elif transform.n_uniforms:
        points = hammersley(_MOST_AVERAGED, transform.n_uniforms, centred=True)
        parameters = transform.parameters(points)
    else:
        generator = np.random.default_rng(0)
        parameters = np.stack([transform.sample(generator) for _ in range(_MOST_AVERAGED)])
    acting = transform.on(output=output[None])

    def averaged(vectors: Array) -> Array:
        """Apply the averaged action to vectors ``(vector, ...)``."""
        n, m = len(vectors), len(parameters)
        moves = acting.at(np.repeat(parameters, n, axis=0), outputs="forth")
        moved = moves.forth(np.concatenate([vectors] * m))
        return moved.reshape(m, *vectors.shape).mean(axis=0)

    if output.size > _MOST_AVERAGED:
        fixed = output[None]
        for _ in range(_MOST_AVERAGED):
            fixed = averaged(fixed)
        return fixed[0]
    basis = np.eye(output.size).reshape(-1, *output.shape)
    power = averaged(basis).reshape(output.size, output.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(20):  # the 2^20-th power: a range of a degree converges, too
            power = power @ power
    if not np.isfinite(power).all():  # the action enlarges outputs: zero is what it leaves for sure
        return np.zeros_like(output)
    return (output.ravel() @ power).reshape(output.shape)


def fixed_part_of_mean(table: OrbitTable, values: Array) -> Array:
    """Return the mean of outputs ``(row, k)``, projected onto what all transformations leave.

    Weighted components (see `RowStatistics`) have the mean of the rows in which they are data, and
    it is returned with each row's weights.
    """
    weight, shape = table.moments.weight, table.moments.output_shape
    # What components a block has beyond those of an output are spread, which has no mean.
    k = int(np.prod(shape))
    centre = np.zeros(values.shape[1])
    if weight is None:
        centre[:k] = np.average(values[:, :k], axis=0, weights=table.mass)
    else:
        mass = (weight**2).sum(axis=0)
        centre = (weight * values).sum(axis=0) / np.where(mass > 0, mass, 1.0)
    alone = table.transform.of_output(table.outputs[0])
    if not alone.keeps_output:
        mean = centre[:k].reshape(shape)
        acting = alone.on(output=mean[None])
        # What stays under an action that reads more differs from row to row. Outputs of other
        # shapes are compared as they are brought back: their mean stays.
        if acting.reads_more:
            centre[:k] = 0.0
        elif not acting.changes_shape:
            centre[:k] = fixed_part(alone, mean).ravel()
    return centre if weight is None else weight * centre
