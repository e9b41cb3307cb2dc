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
    if design.kind == "random" and design.asked == "quasi":
        found.add(Diagnostic.RANDOM_DESIGN)
    if design.kind == "crossed" and design.n_transforms < FEW_UNITS:
        found.add(Diagnostic.FEW_TRANSFORMS)
    return found
