"""How often learning curves' intervals hold: ridge tasks of known optimum, and held-out runs.

    python -m benchmarks.learning_curves --tasks 100

Writes docs/calibration_curves.md. A public table of runs (candidate, n, seed, risk) can be added:
``--table runs.csv --fit-up-to 1000``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

import equiprob as ep
from equiprob.testing import ridge_task

SIZES = (100, 300, 1000)
FAR = 6
TIMED = 10
PAGE = Path("docs/calibration_curves.md")


def held(draws: np.ndarray, truth: float) -> tuple[bool, float]:
    low, high = np.quantile(draws, [0.05, 0.95])
    return bool(low <= truth <= high), float((high - low) / truth)


def ridge_rows(tasks: int, first: int) -> pd.DataFrame:
    """Fit ridge tasks; a row for each task and n."""
    rows = []
    for seed in range(first, first + tasks):
        task = ridge_task(seed)
        runs = task.runs(SIZES)
        curve = ep.LearningCurve().fit(runs)
        means = runs[runs.n == SIZES[-1]].groupby("candidate", sort=False).risk.mean()
        for n in (SIZES[-1], FAR * SIZES[-1]):
            covered, width = held(curve.optimal_level(n), task.optimal_level(n))
            risk = task.risk(n)
            chosen = int(curve.risk(n).mean().to_numpy().argmin())
            rows.append(
                {
                    "n": n,
                    "covered": covered,
                    "width": width,
                    "regret": risk[chosen] - risk.min(),
                    "regret_of_least_mean": risk[int(means.to_numpy().argmin())] - risk.min(),
                    "pareto_k": curve.facts["pareto_k"],
                }
            )
        print(seed, rows[-2], rows[-1], flush=True)
    return pd.DataFrame(rows)


def ridge_section(rows: pd.DataFrame, first: int) -> list[str]:
    tasks = len(rows) // 2
    lines = [
        "## The optimal level of ridge tasks",
        "",
        f"{tasks} tasks of `equiprob.testing.ridge_task` (seeds from {first}), five levels, n = "
        f"{', '.join(map(str, SIZES))}, three seeds. The share of 90 % intervals of the optimal "
        "level that hold the truth, their median width over it, and the mean risk lost (times "
        "1000) by choosing the candidate of least expected risk, and by choosing the one of least "
        "mean risk at the largest n observed.",
        "",
        "| n | coverage | width | risk lost | by least mean risk |",
        "|---|---|---|---|---|",
    ]
    for n, part in rows.groupby("n"):
        lines.append(
            f"| {n} | {part.covered.mean():.2f} | {part.width.median():.2f} | "
            f"{1000 * part.regret.mean():.3f} | {1000 * part.regret_of_least_mean.mean():.3f} |"
        )
    lines += [
        "",
        f"Pareto k of the importance weights above 0.7 in {int((rows.pareto_k > 0.7).sum() / 2)} "
        f"fits, the largest {rows.pareto_k.max():.2f}.",
        "",
    ]
    return lines


def timing_section() -> list[str]:
    """Time fits, of which the first imports."""
    spent = []
    for seed in range(1 + TIMED):
        runs = ridge_task(seed).runs(SIZES, seeds=range(4))
        start = process_time()
        ep.LearningCurve().fit(runs)
        spent.append(process_time() - start)
    first, *again = spent
    return [
        "## Time",
        "",
        f"{len(runs)} runs of five candidates with errors: {first:.1f} CPU seconds the first time, "
        f"imports included; for {TIMED} more tables {np.median(again):.1f} in the median and "
        f"{max(again):.1f} at most.",
        "",
    ]


def table_section(table: pd.DataFrame, name: str, up_to: float) -> list[str]:
    curve = ep.LearningCurve().fit(table[table.n <= up_to])
    lines = [
        f"## Held-out runs: {name}",
        "",
        f"Fitted to n up to {up_to:g}. The 90 % predictive interval of a run, the mean of the runs "
        "made, and the probability of being best.",
        "",
        "| n | candidate | interval | runs | held | P(best) |",
        "|---|---|---|---|---|---|",
    ]
    for n, part in table[table.n > up_to].groupby("n"):
        drawn, best = curve.risk(n, predictive=True), curve.p_best(n)
        for candidate, runs in part.groupby("candidate", sort=False):
            low, high = drawn[candidate].quantile([0.05, 0.95])
            mean = runs.risk.mean()
            lines.append(
                f"| {n} | {candidate} | {low:.3g} to {high:.3g} | {mean:.3g} | "
                f"{'yes' if low <= mean <= high else 'no'} | {best[candidate]:.2f} |"
            )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning_curves", description=__doc__
    )
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--fit-up-to", type=float, default=1000)
    options = parser.parse_args()
    lines = [
        "# Calibration of learning curves",
        "",
        "Written by `python -m benchmarks.learning_curves`.",
        "",
        *timing_section(),
        *ridge_section(ridge_rows(options.tasks, options.first), options.first),
    ]
    if options.table is not None:
        table = pd.read_csv(options.table)
        lines += table_section(table, options.table.stem, options.fit_up_to)
    PAGE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
