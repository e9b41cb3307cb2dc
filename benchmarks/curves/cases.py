"""Real learning curves cut off, and how they went on: what forecasts are tuned on and scored on.

A data set or table belongs to one of two halves, by a hash of its name: priors are set on the
``tune`` half, the page of evidence scores the ``score`` half.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

LEARNERS = 5
CUTS = (2, 4, 8, 16)
LEAST_SIZES = 3
_EMLP_CUTS = (300, 1000, 3000)


@dataclass(frozen=True, eq=False)
class Case:
    """A table cut off at some n.

    Args:
        name: The data set or table.
        kind: ``"lcdb"``, ``"tables"`` or ``"emlp"``.
        seen: Runs up to the cut.
        later: Cells beyond it: ``candidate, n, risk`` (mean of the runs), ``runs``.
        whole: All runs.
        bounded: Whether the risk is a rate of errors.
        growth: The largest n over the cut.
    """

    name: str
    kind: str
    seen: pd.DataFrame
    later: pd.DataFrame
    whole: pd.DataFrame
    bounded: bool
    growth: float


def half_of(name: str) -> str:
    """Return which half a data set or table belongs to."""
    return "tune" if hashlib.sha256(name.encode()).digest()[0] % 2 else "score"


def _cut(name: str, kind: str, table: pd.DataFrame, at: float, bounded: bool) -> Case | None:
    seen, later = table[table.n <= at], table[table.n > at]
    known = seen.groupby("candidate", sort=False).n.nunique()
    chosen = known.index[known >= 2]
    seen, later = (t[t.candidate.isin(chosen)] for t in (seen, later))
    if len(later) == 0 or seen.n.nunique() < 2:
        return None
    cells = later.groupby(["candidate", "n"], sort=False).risk.agg(["mean", "size"]).reset_index()
    cells.columns = ["candidate", "n", "risk", "runs"]
    growth = float(table.n.max() / at)
    return Case(name, kind, seen, cells, table, bounded, growth)


def lcdb_cases(data: Path, half: str, *, limit: int | None = None, seed: int = 7) -> Iterator[Case]:
    """Yield cases of error rates: five learners of a data set, four cuts."""
    runs = pd.read_csv(data / "lcdb_runs_dev.csv.gz")
    names = [n for n in sorted(runs.dataset.unique()) if half_of(f"lcdb {n}") == half]
    order = np.random.default_rng(seed).permutation(len(names))
    for i in order[:limit]:
        table = runs[runs.dataset == names[i]].rename(columns={"learner": "candidate"})
        generator = np.random.default_rng([seed, int(names[i])])
        top = table.n.max()
        reach = table.groupby("candidate").n.max()
        able = sorted(reach.index[reach >= 0.7 * top])
        if len(able) < LEARNERS:
            continue
        chosen = generator.permutation(able)[:LEARNERS]
        table = table[table.candidate.isin(chosen)]
        trials = table.n_test.to_numpy(dtype=float)
        rate = (table.error * trials + 0.5) / (trials + 1)
        table = table.assign(risk=rate, risk_se=np.sqrt(rate * (1 - rate) / trials))
        sizes = np.sort(table.n.unique())
        sizes = sizes[::-1][::2][::-1]  # factor 2, the largest kept
        sizes = sizes[int(generator.integers(0, max(1, min(4, len(sizes) - 4)))) :]
        table = table[table.n.isin(sizes)][["candidate", "n", "seed", "risk", "risk_se"]]
        for growth in CUTS:
            at = sizes[-1] / growth
            if (sizes <= at).sum() >= LEAST_SIZES:
                case = _cut(str(names[i]), "lcdb", table, at, bounded=True)
                if case is not None:
                    yield case


def table_cases(data: Path, half: str | None) -> Iterator[Case]:
    """Yield cases of published and self-trained tables, each cut at its second size and later."""
    for file in sorted((data / "curves").glob("*.csv")):
        group = file.stem.split("_")[0]
        if half is not None and half_of(file.stem) != half:
            continue
        table = pd.read_csv(file)
        bounded = group in ("equidiff", "ravens", "ravensjaw", "mnist") or "error" in file.stem
        sizes = np.sort(table.n.unique())
        for at in sizes[1:-1]:
            case = _cut(file.stem, "tables", table, at, bounded)
            if case is not None:
                yield case


def emlp_cases(data: Path) -> Iterator[Case]:
    """Yield cases of the public table of the inertia task."""
    table = pd.read_csv(data / "emlp_inertia.csv")[["candidate", "n", "seed", "risk"]]
    for at in _EMLP_CUTS:
        case = _cut("inertia", "emlp", table, at, bounded=False)
        if case is not None:
            yield case
