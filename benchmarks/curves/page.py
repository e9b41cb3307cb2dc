"""How often forecasts of learning curves hold, and what choosing by them costs.

    python -m benchmarks.curves.page --data DATA

Writes docs/calibration_curves.md: real curves that were cut off (the half of the data sets and
tables that priors were not set on, and the inertia table, which they were), against rivals; and
ridge tasks of known optimum.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.curves.cases import emlp_cases, lcdb_cases, table_cases
from benchmarks.curves.forecasts import Forecaster, Prepared, prepared, scores
from benchmarks.curves.ridge import ridge_rows, ridge_section, timing_section, wrong_section
from benchmarks.curves.rivals import RIVALS, rival
from benchmarks.pages import write
from equiprob.curves.priors import DEFAULT_PRIORS

Array = NDArray[np.float64]

PAGE = Path("docs/calibration_curves.md")
DRAWS = 1000
_BINS = (0.0, 0.35, 0.5, 0.7, 0.9, 1.0)
_RESAMPLES = 2000
_FAR = 4
_LESS = 3
_KINDS = {"lcdb": "LCDB", "tables": "public tables", "emlp": "inertia (EMLP)"}


def ours(each: Prepared) -> Array:
    """Return draws of the means of fresh runs."""
    return each.runs(DEFAULT_PRIORS, DRAWS)[1]


def _row(name: str, part: pd.DataFrame) -> str:
    held = " | ".join(f"{part[f'held_{p}'].mean():.2f}" for p in (50, 80, 90))
    return (
        f"| {name} | {len(part)} | {held} | x{np.exp(part.width_90.median()):.2f} | "
        f"{part.interval_80.mean():.2f} | {part.error.median():.3f} | "
        f"{part.below_90.mean():.2f} / {part.above_90.mean():.2f} |"
    )


_HEAD = [
    "| | cells | 50 % | 80 % | 90 % | width | score | error | below / above |",
    "|---|---|---|---|---|---|---|---|---|",
]


def coverage_section(ready: list[Prepared], forecasters: dict[str, Forecaster]) -> list[str]:
    """Return tables of coverage by kind, forecaster, growth and cut."""
    tables = {name: scores(ready, f) for name, f in forecasters.items()}
    mine = tables["equiprob"]
    lines = [
        "## Real curves that were cut off",
        "",
        "Held-out cells are means of runs on the same test rows. Columns: the share of intervals "
        "of 50, 80 and 90 % that hold them, the median ratio of the ends of a 90 % interval, the "
        "mean score of 80 % intervals of log risks (width, and ten times what is missed: less is "
        "better), the median absolute error of log risks, and the shares below and above the 90 % "
        "intervals. Cells of one table are dependent: there are far fewer independent ones.",
        "",
    ]
    for kind, title in _KINDS.items():
        lines += [f"### {title}", "", *_HEAD]
        for name, table in tables.items():
            lines.append(_row(name, table[table.kind == kind]))
        part = mine[mine.kind == kind]
        by = part.cut if kind == "emlp" else 2 ** np.ceil(np.log2(part.growth))
        for value, cells in part.groupby(by):
            words = f"n up to {value:g}" if kind == "emlp" else f"n grows up to {value:g} times"
            lines.append(_row(f"equiprob, {words}", cells))
        if kind == "tables":
            for value, cells in part.groupby(part.name.str.split("_").str[0]):
                lines.append(_row(f"equiprob, {value}", cells))
        lines.append("")
    return lines


def choices(ready: list[Prepared]) -> pd.DataFrame:
    """Return what each way of choosing loses at each held-out size, a row for each."""
    rows: list[dict[str, Any]] = []
    points = {name: rival(name) for name in RIVALS}
    for each in ready:
        risk, _ = each.runs(DEFAULT_PRIORS, DRAWS)
        middles = {name: np.median(f(each), axis=0) for name, f in points.items()}
        names = list(dict.fromkeys(each.case.seen.candidate.astype(str)))
        later = each.case.later.assign(candidate=each.case.later.candidate.astype(str))
        table = later.pivot(index="candidate", columns="n", values="risk").reindex(names)
        for j, n in enumerate(each.sizes):
            truth = table[n].to_numpy()
            here = np.flatnonzero(np.isfinite(truth))
            if len(here) < 2:
                continue
            best = np.eye(len(here))[risk[:, here, j].argmin(axis=1)].mean(axis=0)
            picks = {"equiprob": int(risk[:, here, j].mean(axis=0).argmin())}
            picks |= {
                name: int(np.nan_to_num(m[here, j], nan=np.inf).argmin())
                for name, m in middles.items()
            }
            lost = truth[here] - truth[here].min()
            rows.append(
                {
                    "name": each.case.name,
                    "kind": each.case.kind,
                    "growth": n / each.case.seen.n.max(),
                    "stated": best.max(),
                    "right": lost[best.argmax()] == 0,
                    **{f"lost {k}": lost[v] / truth[here].min() for k, v in picks.items()},
                }
            )
    return pd.DataFrame(rows)


def choice_section(table: pd.DataFrame) -> list[str]:
    """Return what probabilities of being best are worth, and what choices lose."""
    lines = [
        "## Which to train at n",
        "",
        "How often the likeliest best candidate was the best, by its probability.",
        "",
        "| stated | LCDB: mean, right, of | tables and inertia: mean, right, of |",
        "|---|---|---|",
    ]
    lcdb = table.kind == "lcdb"
    for low, high in pairwise(_BINS):
        inside = (table.stated > low) & (table.stated <= high)
        cells = []
        for part in (table[lcdb & inside], table[~lcdb & inside]):
            told = f"{part.stated.mean():.2f}, {part.right.mean():.2f}, {len(part)}"
            cells.append(told if len(part) else "none")
        lines.append(f"| {low:g} to {high:g} | {cells[0]} | {cells[1]} |")
    ways = [c for c in table.columns if str(c).startswith("lost ")]
    lines += [
        "",
        f"What a choice loses, over the least risk, where n grows by {_FAR} or more: means, each "
        "data set counting once. *last*: today's best stays.",
        "",
        "| | " + " | ".join(str(w).removeprefix("lost ") for w in ways) + " |",
        "|---|" + "---|" * len(ways),
    ]
    far = table[table.growth >= _FAR]
    for title, part in (("LCDB", far[far.kind == "lcdb"]), ("tables", far[far.kind != "lcdb"])):
        each = part.groupby("name")[ways].mean()
        lines.append(
            f"| {title} | " + " | ".join(f"{100 * each[w].mean():.1f} %" for w in ways) + " |"
        )
    lines.append("")
    each = far[far.kind == "lcdb"].groupby("name")[ways].mean().to_numpy()
    generator = np.random.default_rng(0)
    chosen = each[generator.integers(0, len(each), (_RESAMPLES, len(each)))].mean(axis=1)
    told = []
    for j, way in enumerate(ways[1:], start=1):
        low, high = np.quantile(chosen[:, 0] - chosen[:, j], [0.05, 0.95])
        told.append(f"{str(way).removeprefix('lost ')} {100 * low:+.1f} to {100 * high:+.1f}")
    return [
        *lines,
        f"On LCDB, percent lost by equiprob less those by others, 90 % over {len(each)} data sets "
        f"resampled: {'; '.join(told)}.",
        "",
    ]


def intro(sets: int | None, tasks: int) -> list[str]:
    """Return how the page came about."""
    limited = f" --data-sets {sets}" if sets else ""
    return [
        "# Calibration of learning curves",
        "",
        f"Written by `python -m benchmarks.curves.page{limited} --tasks {tasks}`. Priors are set "
        "on other data sets and tables than those scored here, but for the inertia table, which is "
        "in both: by hand at first, then by `python -m benchmarks.curves.priors`, which says what "
        "it leaves as it is.",
        "",
        "Data: LCDB (Mohr, Viering, Loog & van Rijn, ECML PKDD 2022; 20 learners of scikit-learn "
        "on OpenML), published and self-made tables of models with different amounts of symmetry, "
        "and the runs of Finzi, Welling & Wilson (ICML 2021) on the moment of inertia. Rivals are "
        "fitted from ten starts; LC-PFN is not among them: its package (lcpfn 0.1.3) holds no "
        "weights, and wants torch 1.11 and Python 3.11 at most.",
        "",
    ]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves.page", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--data-sets", type=int)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--first", type=int, default=5000)
    options = parser.parse_args()
    ready = prepared(
        [
            *lcdb_cases(options.data, "score", limit=options.data_sets),
            *table_cases(options.data, "score"),
            *emlp_cases(options.data),
        ]
    )
    forecasters: dict[str, Forecaster] = {"equiprob": ours} | {name: rival(name) for name in RIVALS}
    lines = [
        *intro(options.data_sets, options.tasks),
        *coverage_section(ready, forecasters),
        *choice_section(choices(ready)),
        *ridge_section(ridge_rows(options.tasks, options.first), options.first),
        *wrong_section(max(1, options.tasks // _LESS), options.first),
        *timing_section(),
    ]
    write(PAGE, "\n".join(lines))


if __name__ == "__main__":
    main()
