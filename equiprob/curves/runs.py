"""Which training runs is a learning curve fitted to?

A run is one training of one candidate on n rows with one seed, and the risk it came to. Checks are
made where the runs come in: what cannot be used is refused by row, or left out and named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.names import check_names
from equiprob.curves.tables import runs_frame
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.run_tables import numbers, refuse, refuse_unless_amounts

if TYPE_CHECKING:
    import pandas as pd


_MEASURED = ("risk_se", "error", "error_se")

_EXACTLY_SYMMETRIC = 1e-4
"""Error, over the largest one, below which a candidate counts as equivariant up to rounding."""

_SAME_ERROR = 0.01
_LARGEST = 1e100
_FEW_SEEDS = 3
_RISEN = 0.05
_NEAR_ONE = 0.5


@dataclass(frozen=True, eq=False)
class Runs:
    """Checked runs.

    Args:
        candidates: Names, in order of appearance.
        sizes: Distinct sample sizes, ascending, ``(size,)``.
        seeds: How many distinct seeds there are.
        candidate: Index of the candidate, ``(run,)``.
        size: Index of the sample size, ``(run,)``.
        seed: Index of the seed, ``(run,)``.
        risk: ``(run,)``, above 0.
        risk_se: Standard error of each risk, 0 where not given, ``(run,)``.
        error: Equivariance error of each trained model, NaN where not given, ``(run,)``.
        error_se: Its standard error, 0 where not given, ``(run,)``.
        left_out: Index labels of the runs that were left out.
        has_relative_error: Whether there is a column ``relative_error`` and none ``error``.
        failures: Where risks are rates of counts, ``(run,)``.
        trials: The same.
    """

    candidates: tuple[str, ...]
    sizes: Array
    seeds: int
    candidate: NDArray[np.int64]
    size: NDArray[np.int64]
    seed: NDArray[np.int64]
    risk: Array
    risk_se: Array
    error: Array
    error_se: Array
    left_out: tuple[str, ...]
    has_relative_error: bool
    failures: Array | None = None
    trials: Array | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Candidates, sizes, seeds."""
        return len(self.candidates), len(self.sizes), self.seeds

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which candidates are equivariant up to rounding, ``(candidate,)``; needs errors."""
        top = np.nanmax(self.error)
        return np.array(
            [
                bool(np.nanmax(self.error[self.candidate == k]) <= _EXACTLY_SYMMETRIC * top)
                for k in range(len(self.candidates))
            ]
        )

    @property
    def has_levels(self) -> bool:
        """Whether every candidate has an error, and they are not all the same."""
        cells = self.cell_values(self.error)
        if not np.isfinite(cells).any(axis=1).all():
            return False
        typical = np.nanmedian(cells, axis=1)
        return bool(typical.min() < (1 - _SAME_ERROR) * typical.max())

    def cell_values(self, values: Array) -> Array:
        """Return medians ``(candidate, size)`` of run values, NaN where there is no run."""
        found = np.full(self.shape[:2], np.nan)
        for k, j in {(int(k), int(j)) for k, j in zip(self.candidate, self.size, strict=True)}:
            here = values[(self.candidate == k) & (self.size == j)]
            here = here[np.isfinite(here)]
            if len(here):
                found[k, j] = np.median(here)
        return found

    @property
    def _rising(self) -> bool:
        """Whether most candidates' risks are larger at their largest size than at their least."""
        cells = self.cell_values(np.log(self.risk))
        seen = [row[np.isfinite(row)] for row in cells]
        return float(np.mean([row[-1] > row[0] + _RISEN for row in seen])) > 0.5

    @property
    def may_be_rates(self) -> bool:
        """Whether risks look like rates of errors that come near to 1."""
        return bool(_NEAR_ONE < self.risk.max() <= 1 and self.trials is None)

    def diagnostics(self) -> set[Diagnostic]:
        """Return what the runs alone cannot tell."""
        found: set[Diagnostic] = set()
        if self.left_out:
            found.add(Diagnostic.RUNS_LEFT_OUT)
        if len(self.candidates) == 1:
            found.add(Diagnostic.ONE_CANDIDATE)
        if len(self.sizes) == 2:
            found.add(Diagnostic.TWO_SIZES)
        cells = np.unique(np.stack([self.candidate, self.size]), axis=1).shape[1]
        if len(self.risk) < _FEW_SEEDS * cells:
            found.add(Diagnostic.FEW_SEEDS)
        if self._rising:
            found.add(Diagnostic.RISKS_RISE)
        if not self.has_levels:
            found.add(Diagnostic.NO_ERRORS)
        elif len(self.candidates) < 3:
            found.add(Diagnostic.FEW_LEVELS)
        return found


def read_runs(table: pd.DataFrame | Any, size: str = "n", n_total: float | None = None) -> Runs:
    """Check a table of runs.

    Args:
        table: A DataFrame, or anything that ``pandas.DataFrame`` takes; see
            `equiprob.LearningCurve.fit`. Runs whose risk is not finite (a crashed training) are
            left out.
        size: The column that curves run over.
        n_total: What sizes in percent are of.

    Raises:
        ValueError: If columns are missing, a run is given twice or has no candidate, a risk is not
            above 0 or beyond all units, a size not a positive number, an error or standard error
            negative or infinite, or fewer than two sizes are left.
    """
    frame = runs_frame(table, size, n_total)
    given = {
        name: numbers(frame, name) for name in ("n", "risk", *_MEASURED) if name in frame.columns
    }
    n = given["n"]
    refuse(frame, ~(np.isfinite(n) & (n > 0)), "n", "must be a positive number of rows")
    crashed = ~np.isfinite(given["risk"])
    refuse(
        frame,
        ~crashed & (given["risk"] <= 0),
        "risk",
        "must be above 0 (curves are fitted to logarithms; give the mean loss, not the log "
        "likelihood or a score; where none of some trials failed, give columns 'failures' and "
        "'trials')",
    )
    refuse(
        frame,
        ~crashed & ~((given["risk"] >= 1 / _LARGEST) & (given["risk"] <= _LARGEST)),
        "risk",
        f"must lie between {1 / _LARGEST:g} and {_LARGEST:g} (state all in another unit)",
    )
    refuse(
        frame, frame["candidate"].isna().to_numpy(), "candidate", "must be the name of a candidate"
    )
    for name in _MEASURED:
        if name in given:
            refuse_unless_amounts(frame, np.where(crashed, np.nan, given[name]), name)
    twice = frame.duplicated(["candidate", "n", "seed"], keep=False).to_numpy() & ~crashed
    refuse(frame, twice, "seed", "must differ between runs of one candidate at one n")
    kept = np.flatnonzero(~crashed)
    sizes, place = np.unique(n[kept], return_inverse=True)
    if len(sizes) < 2:
        raise ValueError(
            f"a learning curve needs runs at 2 sample sizes or more, got n = {sizes.tolist()}"
            + (f" ({int(crashed.sum())} runs have no finite risk)" if crashed.any() else "")
        )
    names = [str(c) for c in frame["candidate"].to_numpy()[kept]]
    candidates = tuple(dict.fromkeys(names))
    check_names("a candidate's name", candidates)
    _, seed = np.unique(frame["seed"].to_numpy()[kept].astype(str), return_inverse=True)
    nothing = np.full(len(frame), np.nan)
    error = given.get("error", nothing)[kept]
    counts = {c: numbers(frame, c)[kept] for c in ("failures", "trials") if "failures" in frame}
    return Runs(
        candidates=candidates,
        sizes=sizes,
        seeds=int(seed.max()) + 1,
        candidate=np.array([candidates.index(name) for name in names]),
        size=place,
        seed=seed,
        risk=given["risk"][kept],
        risk_se=np.nan_to_num(given.get("risk_se", nothing)[kept]),
        error=error,
        error_se=np.nan_to_num(given.get("error_se", nothing)[kept]),
        left_out=tuple(str(label) for label in frame.index[crashed]),
        has_relative_error="relative_error" in frame.columns and "error" not in frame.columns,
        **counts,
    )
