"""The page on the data error: tables from the records alone."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.page import PAGE, tabulate
from benchmarks.pages import write

TASK_PAGE = PAGE.with_name("calibration_task.md")
RELIABILITY = PAGE.parent / "images" / "calibration-p-symmetric.svg"

_P_BINS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 1.0)


def write_task_page(records: list[dict[str, Any]]) -> None:
    """Write the page and its figure."""
    intervals = tabulate([r for r in records if "covered" in r])
    scores = pd.DataFrame.from_records([r for r in records if "value" in r])
    sided = intervals["quantity"].str.startswith(("lower", "upper"))
    bounds = intervals[intervals["problem"].str.startswith("Symmetrization")]
    runs = int(bounds.groupby(["problem", "n"])["runs"].sum().max() / 2)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    write(
        TASK_PAGE,
        "# Calibration of the data error\n\n"
        f"Written by `make calibrate` ({versions}, Python {platform.python_version()}; up to "
        f"{runs} replications a problem and number of rows, 1000 draws each).\n\n"
        "Tasks on the unit disc of known asymmetry, a third of the runs at each of three truths: "
        "exact symmetry, a little asymmetry, much. Noise of standard deviation 0.3, normal or "
        "Student's t with 3 degrees of freedom; asymmetry in the first or in the third angular "
        "mode; outputs that are numbers, vectors that turn with the inputs, or labels (Brier "
        "score). Predictors are ten nearest neighbours, cross-fitted, and for the trained pair "
        "neighbours by radius beside them.\n\n"
        "## Bounds\n\n"
        "The share of runs in which a bound of nominal 90 % holds; in brackets the median bound "
        "over the truth (the bound itself where the truth is 0). A bound may hold more often than "
        "nominal: the lower one says what this predictor shows, the upper one what it leaves "
        f"open.\n\n{_table(intervals[sided])}\n\n"
        "## Intervals\n\n"
        "The share of 90 % credible intervals that hold the truth; in brackets their median width "
        "over the truth (the width itself where it is 0). The trained pair compares two predictors "
        "that exist; what the free one lacks is taken off the cost, and its interval misses the "
        "truth by that: the result says so where it is much, and as statements from below and from "
        "above, in the first table, the two draws hold. Neighbours have tasks of their own, with "
        "noise of standard deviation 0.2 and inputs whose directions lean to one side, so that "
        "their law is not invariant; the further dimensions of the orbits are where neighbours get "
        "far from each other. The Gaussian process has two intervals: "
        "`error` averages over exact symmetry, which has half of the prior, and leaves out truths "
        "too small to be told from it; `error if asymmetric` is the one given that it is not zero."
        f"\n\n{_table(intervals[~sided])}\n\n"
        "## Probability of exact symmetry\n\n"
        "Half of the tasks are exactly symmetric, the others have an amplitude with a half-normal "
        "law of scale 1/2, so that some are symmetric for all that 100 noisy rows can tell. Of the "
        "tasks with a stated probability in a bin, the share that is symmetric:\n\n"
        f"{_reliability(scores)}\n\n"
        f"![stated probability against the share of symmetric tasks](images/{RELIABILITY.name})\n\n"
        "## The check of the law\n\n"
        "Angles with density `1 + lean cos(angle)`. The share of runs in which the check sees that "
        "the law is not invariant (the 90 % interval of the AUC lies above one half), and in which "
        "it takes the law for invariant (its 95 % interval lies within 0.05 of one half). Of an "
        "invariant law the first are false alarms, nominal at most 5 %.\n\n"
        f"{_checks(scores)}\n",
    )
    print(TASK_PAGE.read_text())


def _table(table: pd.DataFrame) -> str:
    sizes = sorted(table["n"].unique())
    lines = [
        f"| method, task | quantity | {' | '.join(f'n = {n}' for n in sizes)} | runs |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for (problem, quantity), rows in table.groupby(["problem", "quantity"], sort=False):
        by_n = rows.set_index("n")
        cells = [
            f"{by_n.loc[n, 0.9]:.2f} ({by_n.loc[n, 'width']:.2f})" if n in by_n.index else ""
            for n in sizes
        ]
        runs = int(rows["runs"].max())
        lines.append(f"| {problem} | {quantity} | {' | '.join(cells)} | {runs} |")
    return "\n".join(lines)


def _reliability(scores: pd.DataFrame) -> str:
    """Return a table of stated probabilities against frequencies, and draw it."""
    import matplotlib.pyplot as plt

    part = scores[scores["quantity"] == "p_symmetric"]
    stated, true = part["value"].to_numpy(), part["truth"].to_numpy()
    place = np.clip(np.searchsorted(_P_BINS, stated, side="right") - 1, 0, len(_P_BINS) - 2)
    lines = ["| stated | tasks | mean stated | symmetric |", "|---|---|---|---|"]
    points = []
    for b in range(len(_P_BINS) - 1):
        here = place == b
        if not here.any():
            continue
        n, mean, share = here.sum(), stated[here].mean(), true[here].mean()
        points.append((mean, share, np.sqrt(max(mean * (1 - mean), 1 / n) / n)))
        lines.append(f"| {_P_BINS[b]:g} to {_P_BINS[b + 1]:g} | {n} | {mean:.3f} | {share:.3f} |")
    plt.rcParams["svg.hashsalt"] = "equiprob"
    figure, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    mean, share, error = np.array(points).T
    ax.errorbar(mean, share, 2 * error, fmt="o", color="#2a6fb0", capsize=3)
    ax.set(
        xlabel="stated probability of exact symmetry (mean in bin)",
        ylabel="share of symmetric tasks\n(bars: two standard errors)",
        xlim=(-0.03, 1.03),
        ylim=(
            min(-0.03, float((share - 2 * error).min())),
            max(1.03, float((share + 2 * error).max())),
        ),
    )
    figure.savefig(RELIABILITY, metadata={"Date": None})
    plt.close(figure)
    brier = float(np.mean((stated - true) ** 2))
    return "\n".join(lines) + (
        f"\n\nIts Brier score is {brier:.3f} (0.25 is a coin's), over {len(part)} tasks."
    )


def _checks(scores: pd.DataFrame) -> str:
    part = scores[scores["problem"].str.startswith("InvarianceCheck")]
    wide = part.groupby(["problem", "quantity", "n"], sort=False)["value"].mean().unstack("n")
    runs = part.groupby(["problem", "quantity", "n"]).size().max()
    lines = [
        f"| law | verdict | {' | '.join(f'n = {n}' for n in wide.columns)} |",
        "|---" * (len(wide.columns) + 2) + "|",
    ]
    for (problem, quantity), row in wide.iterrows():  # pyright: ignore[reportGeneralTypeIssues]
        law = str(problem).removeprefix("InvarianceCheck, ")
        lines.append(f"| {law} | {quantity} | {' | '.join(f'{v:.2f}' for v in row)} |")
    return "\n".join(lines) + f"\n\n{runs} runs a cell."
