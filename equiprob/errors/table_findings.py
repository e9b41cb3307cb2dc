"""What do a table's design, rows and rounding say of every result that is fitted to it?"""

from __future__ import annotations

import numpy as np

from equiprob.orbits.precision import root_mean_square
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import FEW_UNITS, Diagnostic

ROUNDING_FACTOR = 16.0
"""An error whose credible upper end is within this factor of the float floor is rounding.

The floor is one rounding of the input, seen through the model; an exactly equivariant network adds
its own roundings, layer by layer. Set by measurement on exactly invariant networks: see
`benchmarks/float_floor.py`.
"""

FLOAT64_FACTOR = 4.0
"""The same where the floor is the difference to a pass in float64, which holds all roundings."""


def rounding_limit(table: OrbitTable) -> float:
    """Return the error up to which a model counts as equivariant up to rounding.

    Whatever the floor: a model whose output keeps less than half of its digits when inputs are
    rounded has steps or cancels, and an error as large is one.
    """
    stats = table.moments
    factor = FLOAT64_FACTOR if table.floor_method == "float64 pass" else ROUNDING_FACTOR
    half = np.sqrt(stats.rounding) * root_mean_square(stats.base, table.mass)
    return float(min(factor * stats.float_floor, half))


_QUIET = 16.0
"""Roundings of the outputs' size up to which the noise of a stochastic model is rounding."""


def is_quiet(table: OrbitTable) -> bool:
    """Whether a model is deterministic, or random in its last digits alone."""
    stats = table.moments
    noise = np.sqrt(np.average(stats.noise_sq, weights=table.mass))
    limit = _QUIET * stats.rounding * root_mean_square(stats.base, table.mass)
    return bool(table.noise_repeats == 1 or noise <= limit)


def require_deterministic(table: OrbitTable, what: str) -> None:
    """Refuse tables of stochastic models where what noise does has not been worked out.

    Raises:
        ValueError: If the table was evaluated with `noise_repeats`.
    """
    if table.noise_repeats > 1:
        raise ValueError(
            f"{what} is not available for a stochastic model: pass the mean of many calls as "
            f"predict, without noise_repeats"
        )


def orbit_average_available(table: OrbitTable, found: set[Diagnostic]) -> bool:
    """Whether products of orbit averages are unbiased in this design; says why not in `found`."""
    if table.design.kind == "crossed":
        found.add(Diagnostic.SHARED_TRANSFORMS)
        return False
    if table.mean_displacement_sq is None:
        found.add(Diagnostic.ONE_TRANSFORM)
        return False
    return True


def design_diagnostics(orbits: OrbitTable) -> set[Diagnostic]:
    """Return what a table's design says of every result fitted to it.

    What its rows say: `equiprob.posterior.row_findings`.
    """
    found: set[Diagnostic] = set()
    design = orbits.design
    if orbits.n_finite < len(orbits):
        found.add(Diagnostic.NONFINITE_OUTPUTS)
    if design.kind == "full":
        found.add(Diagnostic.FULL_ORBIT)
    if orbits.noise_repeats > 1:
        found.add(Diagnostic.NOISE_REMOVED)
    if any(s.apart > 0 for s in orbits.statistics.values()):
        found.add(Diagnostic.CALLS_DIFFER)
    if orbits.batch_dependent:
        found.add(Diagnostic.BATCH_DEPENDENT)
    if design.kind == "random" and design.asked == "quasi":
        found.add(Diagnostic.RANDOM_DESIGN)
    if design.kind == "crossed" and design.n_transforms < FEW_UNITS:
        found.add(Diagnostic.FEW_TRANSFORMS)
    if any(_is_partly_the_grid(orbits, name) for name in orbits.outputs):
        found.add(Diagnostic.PARTLY_THE_GRID)
    return found


_MUCH = 0.5
"""Of the error: what the grid alone makes, beyond which that is said."""

_LOOKED_AT = 32


def _is_partly_the_grid(orbits: OrbitTable, name: str) -> bool:
    """Whether the error of an output map is largely made by moving it over its grid."""
    grid = grid_error(orbits, name)
    stats = orbits.statistics[name]
    valid = stats.pair_sq[stats.n_nonfinite == 0]
    return len(valid) > 0 and grid > _MUCH * float(np.sqrt(max(valid.mean(), 0.0)))


def grid_error(orbits: OrbitTable, name: str) -> float:
    """Return how much moving an output map forth and back changes it, without the model.

    A model that commutes with the transformations exactly has about this error: places between
    pixels are interpolated, and what leaves the frame is lost.

    Args:
        orbits: The table.
        name: The output.

    Returns:
        The root mean square over a few rows, each under one of its transformations; 0 of outputs
        that are no maps, and where rows are pooled, of which no maps are left.
    """
    stats, transform = orbits.statistics[name], orbits.transform.of_output(name)
    finite = np.flatnonzero(stats.n_nonfinite == 0)
    if orbits.blocks is not None or stats.weight is not None or not len(finite):
        return 0.0
    rows = finite[np.unique(np.linspace(0, len(finite) - 1, _LOOKED_AT).astype(int))]
    maps = stats.base[rows].reshape(-1, *stats.output_shape)
    acting = transform.on(output=maps)
    if not acting.interpolates or acting.changes_shape or acting.reads_more:
        return 0.0
    parameters = orbits.parameters()[rows]
    own = parameters[np.arange(len(rows)), np.arange(len(rows)) % parameters.shape[1]]
    returned = acting.at(own).back(acting.at(own, outputs="forth").forth(maps))
    change = np.asarray(returned, np.float64) - maps
    return float(np.sqrt((change.reshape(len(rows), -1) ** 2).sum(axis=1).mean()))
