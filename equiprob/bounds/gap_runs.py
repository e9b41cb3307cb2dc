"""Which observed gaps is a calibrated gap fitted to?

A run is one training of one candidate on n rows with one seed, and its risk on new rows less that
on its training rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equiprob.arguments.array_types import Array, Index
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.run_tables import as_frame, numbers, refuse, refuse_unless_amounts

_FEW_SEEDS = 3


@dataclass(frozen=True, eq=False)
class GapRuns:
    """Checked runs.

    Args:
        candidates: Names, in order of appearance.
        levels: The symmetry level of each candidate, ``(candidate,)``, where levels are given.
        sizes: Distinct numbers of training rows, ascending, ``(size,)``.
        candidate: Index of the candidate, ``(run,)``.
        n: Training rows, ``(run,)``.
        sample: Index of the (n, seed), which candidates that were trained on the same rows share,
            ``(run,)``.
        gap: ``(run,)``; noise can make it negative.
        gap_se: Standard error of each gap, 0 where not given, ``(run,)``.
        left_out: Index labels of the runs that were left out.
    """

    candidates: tuple[str, ...]
    levels: Array | None
    sizes: Array
    candidate: Index
    n: Array
    sample: Index
    gap: Array
    gap_se: Array
    left_out: tuple[str, ...]

    @property
    def n_samples(self) -> int:
        """How many (n, seed) there are."""
        return int(self.sample.max()) + 1

    def cells(self) -> list[Array]:
        """Return the gaps of each candidate at each n."""
        _, cell = np.unique(np.stack([self.candidate, self.n]), axis=1, return_inverse=True)
        return [self.gap[cell == c] for c in range(cell.max() + 1)]

    def with_last(self, name: str, level: float | None) -> GapRuns:
        """Return the same runs with a candidate, which may have none, as the last."""
        others = tuple(c for c in self.candidates if c != name)
        kept = [self.candidates.index(c) for c in others]
        place = np.full(len(self.candidates), len(others))
        place[kept] = np.arange(len(others))
        levels = None
        if self.levels is not None and level is not None:
            levels = np.append(self.levels[kept], level)
        return replace(
            self,
            candidates=(*others, name),
            levels=levels,
            candidate=place[self.candidate],
        )

    def observed(self, candidate: str) -> dict[str, list[float]]:
        """Return the runs of one candidate: ``n`` and ``gap``."""
        mine = self.candidate == self.candidates.index(candidate)
        return {"n": self.n[mine].tolist(), "gap": self.gap[mine].tolist()}

    def diagnostics(self) -> set[Diagnostic]:
        """Return what the runs alone cannot tell."""
        found: set[Diagnostic] = set()
        if self.left_out:
            found.add(Diagnostic.RUNS_LEFT_OUT)
        if len(self.sizes) == 2:
            found.add(Diagnostic.TWO_SIZES)
        if len(self.gap) < _FEW_SEEDS * len(self.cells()):
            found.add(Diagnostic.FEW_SEEDS)
        return found


def read_gap_runs(table: Any) -> GapRuns:
    """Check a table of observed gaps.

    Args:
        table: A DataFrame, or anything that ``pandas.DataFrame`` takes, a row for each training
            run: ``candidate`` or ``level`` (a number) or both, ``n``, ``seed``, ``gap``, and
            optionally ``gap_se`` (NaN where it is not known). Other columns are ignored. Runs whose
            gap is not finite are left out, whatever else their row holds.

    Raises:
        ValueError: If columns are missing, a run is given twice, a size is not positive, a standard
            error or level is negative or infinite, a candidate has two levels, or fewer than two
            sizes are left.
    """
    frame = as_frame(table, ("n", "seed", "gap"))
    if not {"candidate", "level"} & set(frame.columns):
        raise ValueError(
            f"runs need a column 'candidate' (names) or 'level' (numbers), got "
            f"{list(frame.columns)}"
        )
    finite = np.isfinite(numbers(frame, "gap"))
    left_out = tuple(str(label) for label in frame.index[~finite])
    frame = frame[finite]
    n, gap = numbers(frame, "n"), numbers(frame, "gap")
    refuse(frame, ~(np.isfinite(n) & (n > 0)), "n", "must be a positive number of rows")
    gap_se = numbers(frame, "gap_se") if "gap_se" in frame.columns else np.zeros(len(frame))
    refuse_unless_amounts(frame, gap_se, "gap_se")
    who = "candidate" if "candidate" in frame.columns else "level"
    twice = frame.duplicated([who, "n", "seed"], keep=False).to_numpy()
    refuse(frame, twice, "seed", f"must differ between runs of one {who} at one n")
    levels = numbers(frame, "level") if "level" in frame.columns else None
    if levels is not None:
        refuse(frame, ~(np.isfinite(levels) & (levels >= 0)), "level", "must be at least 0")
    sizes = np.unique(n)
    if len(sizes) < 2:
        crashed = f" ({len(left_out)} runs have no finite gap)" if left_out else ""
        raise ValueError(
            f"how a gap falls is seen from runs at 2 numbers of rows or more, got n = "
            f"{sizes.tolist()}{crashed}"
        )
    given = frame[who].to_numpy()
    names = [str(v) for v in given] if who == "candidate" else [f"{float(v):g}" for v in given]
    candidates = tuple(dict.fromkeys(names))
    candidate = np.array([candidates.index(name) for name in names])
    seeds = frame["seed"].to_numpy().astype(str)
    _, sample = np.unique(np.stack([n.astype(str), seeds]), axis=1, return_inverse=True)
    return GapRuns(
        candidates=candidates,
        levels=None if levels is None else _one_each(levels, candidate, candidates),
        sizes=sizes,
        candidate=candidate,
        n=n,
        sample=sample,
        gap=gap,
        gap_se=np.nan_to_num(gap_se),
        left_out=left_out,
    )


def _one_each(levels: Array, candidate: Index, names: tuple[str, ...]) -> Array:
    """Return the level of each candidate."""
    each = [np.unique(levels[candidate == k]) for k in range(len(names))]
    for name, values in zip(names, each, strict=True):
        if len(values) > 1:
            raise ValueError(
                f"a candidate has one level, but {name!r} has {values.tolist()}; leave the column "
                f"'candidate' out, or give each level a name of its own"
            )
    return np.concatenate(each)
