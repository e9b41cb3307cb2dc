"""Which numbers do the runs of candidates with errors come down to?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.curves.runs import Runs
from equiprob.curves.spread import Scatter, scatter_of

TYPICAL_EXPONENT = 0.8
"""In whose terms the prior of costs is stated."""

_LEAST_SCALE = 0.02


@dataclass(frozen=True, eq=False)
class TiedData:
    """Runs whose candidates all have errors, and the units that parameters are stated in.

    Args:
        runs: Checked runs.
        weight: ``a``: 1/2 in case H, 1/4 otherwise.
    """

    runs: Runs
    weight: float

    @cached_property
    def risks(self) -> Scatter:
        """Mean log risks of the cells, and how runs scatter about them."""
        r = self.runs
        return scatter_of(np.log(r.risk), r.risk_se / r.risk, r.candidate, r.size, r.seed)

    @cached_property
    def errors(self) -> Scatter:
        """The same of log errors, over the largest of a last size."""
        r = self.runs
        used = np.isfinite(r.error) & ~r.exact[r.candidate]
        error, who, size, seed = (v[used] for v in (r.error, r.candidate, r.size, r.seed))
        logs = np.log(error / self.top_error)
        return scatter_of(logs, r.error_se[used] / error, who, size, seed)

    @cached_property
    def top_error(self) -> float:
        """The largest of the candidates' median errors at their last size."""
        cells = self.runs.cell_values(self.runs.error)
        return float(max(row[np.isfinite(row)][-1] for row in cells))

    @cached_property
    def u(self) -> Array:
        """Logarithms of the sample sizes."""
        return np.log(self.runs.sizes)

    @cached_property
    def least(self) -> float:
        """The smallest risk."""
        return float(self.runs.risk.min())

    @cached_property
    def cost_unit(self) -> float:
        """What is left of the mean fall of risks at the typical exponent."""
        cells = self.runs.cell_values(self.runs.risk)
        fallen = np.mean([row[np.isfinite(row)][0] - row[np.isfinite(row)][-1] for row in cells])
        span = self.u[-1] - self.u[0]
        most = max(float(fallen), _LEAST_SCALE * self.least)
        return most / float(np.expm1(TYPICAL_EXPONENT * span))
