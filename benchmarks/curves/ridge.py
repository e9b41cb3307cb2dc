"""Learning curves tied by the theory, on ridge tasks whose optimal level is known."""

from __future__ import annotations

from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import equiprob as ep
from equiprob.testing import ridge_task

Array = NDArray[np.float64]

SIZES = (100, 300, 1000)
FAR = 6
TIMED = 10


def ridge_rows(tasks: int, first: int) -> pd.DataFrame:
    """Fit ridge tasks; a row for each task and n."""
    rows = []
    for seed in range(first, first + tasks):
        task = ridge_task(seed)
        runs = task.runs(SIZES)
        curve = ep.LearningCurve().fit(runs)
        means = runs[runs.n == SIZES[-1]].groupby("candidate", sort=False).risk.mean()
        for n in (SIZES[-1], FAR * SIZES[-1]):
            level, truth, risk = curve.optimal_level(n), task.optimal_level(n), task.risk(n)
            low, high = np.quantile(level, [0.05, 0.95])
            drawn = curve.risk(n).to_numpy()
            least, most = np.quantile(drawn, [0.05, 0.95], axis=0)
            rows.append(
                {
                    "n": n,
                    "covered": low <= truth <= high,
                    "width": (high - low) / truth,
                    "risks": float(((least <= risk) & (risk <= most)).mean()),
                    "regret": risk[int(drawn.mean(axis=0).argmin())] - risk.min(),
                    "regret_of_least_mean": risk[int(means.to_numpy().argmin())] - risk.min(),
                    "pareto_k": curve.facts.pareto_k,
                    "doubted": ep.Diagnostic.THEORY_DOUBTED in curve.diagnostics,
                }
            )
    return pd.DataFrame(rows)


def ridge_section(rows: pd.DataFrame, first: int) -> list[str]:
    """Return the section on ridge tasks."""
    tasks = len(rows) // 2
    lines = [
        "## The optimal level of ridge tasks",
        "",
        f"{tasks} tasks of `equiprob.testing.ridge_task` (seeds from {first}), five levels, n = "
        f"{', '.join(map(str, SIZES))}, three seeds. The share of 90 % intervals of the optimal "
        "level that hold the truth, their median width over it, the share of 90 % intervals of "
        "expected risks that do, and the mean risk lost (times 1000) by choosing the candidate of "
        "least expected risk, and by choosing the one of least mean risk at the largest n.",
        "",
        "| n | coverage | width | of risks | risk lost | by least mean risk |",
        "|---|---|---|---|---|---|",
    ]
    for n, part in rows.groupby("n"):
        lines.append(
            f"| {n} | {part.covered.mean():.2f} | {part.width.median():.2f} | "
            f"{part.risks.mean():.2f} | {1000 * part.regret.mean():.3f} | "
            f"{1000 * part.regret_of_least_mean.mean():.3f} |"
        )
    uneven = int((rows.pareto_k > 0.7).sum() / 2)
    return [
        *lines,
        "",
        f"Pareto k of the importance weights is above 0.7 in {uneven} fits, at most "
        f"{rows.pareto_k.max():.2f}; the theory is doubted, though it holds, in "
        f"{int(rows.doubted.sum() / 2)}.",
        "",
    ]


def _wrong(runs: pd.DataFrame, risk: Array, kind: str) -> tuple[pd.DataFrame, Array]:
    """Return runs that the theory does not hold for, and their expected risks ``(candidate,)``."""
    names = list(dict.fromkeys(runs.candidate))
    place = runs.candidate.map(names.index).to_numpy()
    if kind == "errors of other candidates":
        moved = np.array([3, 0, 4, 1, 2])  # of five levels
        errors = runs.groupby("candidate", sort=False).error.mean().to_numpy()
        return runs.assign(error=errors[moved][place]), risk
    if kind == "rooted risks":
        return runs.assign(risk=np.sqrt(runs.risk)), np.sqrt(risk)
    floors = np.array([0.3, 0.0, 0.5, 0.1, 0.4]) * float(runs.risk.min())
    return runs.assign(risk=runs.risk + floors[place]), risk + floors


WRONG = ("errors of other candidates", "rooted risks", "floors of their own")


def wrong_section(tasks: int, first: int) -> list[str]:
    """Return the section on tables that the theory does not hold for."""
    lines = [
        "## Where the theory does not hold",
        "",
        f"The same tasks (the first {tasks}), spoiled: each candidate has the mean error of "
        "another; risks are roots of squared errors; each candidate has a floor of its own, 0 to "
        "half of the least risk. How often the result doubts the theory, the share of 90 % "
        f"intervals of expected risks at n = {FAR * SIZES[-1]} that hold, and their median width "
        "over the risk.",
        "",
        "| | doubted | of risks | width |",
        "|---|---|---|---|",
    ]
    for kind in WRONG:
        doubted, held, width = [], [], []
        for seed in range(first, first + tasks):
            task = ridge_task(seed)
            runs, truth = _wrong(task.runs(SIZES), task.risk(FAR * SIZES[-1]), kind)
            curve = ep.LearningCurve().fit(runs)
            drawn = curve.risk(FAR * SIZES[-1]).to_numpy()
            low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
            doubted.append(ep.Diagnostic.THEORY_DOUBTED in curve.diagnostics)
            held += ((low <= truth) & (truth <= high)).tolist()
            width += ((high - low) / truth).tolist()
        lines.append(
            f"| {kind} | {np.mean(doubted):.2f} | {np.mean(held):.2f} | {np.median(width):.3f} |"
        )
    return [*lines, ""]


def timing_section() -> list[str]:
    """Return the section on time."""
    spent: dict[str, list[float]] = {"with errors": [], "without": []}
    for seed in range(1 + TIMED):
        runs = ridge_task(seed).runs(SIZES, seeds=range(4))
        for name, table in (("with errors", runs), ("without", runs.drop(columns="error"))):
            start = process_time()
            ep.LearningCurve().fit(table)
            spent[name].append(process_time() - start)
    # The first imports.
    with_errors, without = (np.median(times[1:]) for times in spent.values())
    return [
        "## Time",
        "",
        f"60 runs of five candidates take {without:.2f} CPU seconds, {with_errors:.1f} with "
        f"errors (medians of {TIMED}).",
        "",
    ]
