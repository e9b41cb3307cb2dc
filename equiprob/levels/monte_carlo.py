"""How much of a saving's uncertainty would more transformations remove?"""

from __future__ import annotations

import numpy as np

from equiprob.levels.path_risk import AbstractPathRisk
from equiprob.levels.paths.base import AbstractPath, targets
from equiprob.orbits.table import OrbitTable


def monte_carlo_share(
    table: OrbitTable, path: AbstractPath, position: float, risk: AbstractPathRisk, index: int
) -> float | None:
    """Return the share of the saving's variance that more transformations would remove.

    The saving moves with the average displacement d by ``2 <Y - f - d, change of d>``; how much d
    itself would change is seen between the design's two replicates.
    """
    if table.design.kind == "full":
        return 0.0
    if table.noise_repeats > 1:  # noise sets replicates apart, too
        return None
    replicates = path.replicates(table, position)
    if replicates is None:
        return None
    residual = targets(table) - table.only.base - table.design.average(replicates)
    first, second = table.design.replicates
    apart = 2 * (residual * (replicates[:, 0] - replicates[:, 1])).sum(axis=1)
    noise = float((apart**2).sum()) * first * second / table.design.n_transforms**2
    _, unit = np.unique(table.unit_ids, return_inverse=True)
    saved = risk.saved(index)
    total = float((np.bincount(unit, saved - saved.mean()) ** 2).sum())
    return min(noise / total, 1.0) if total > 0 else 0.0
