"""The page on decisions: do stated probabilities and regrets come true?"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.page import PAGE

DECISION_PAGE = PAGE.with_name("calibration_decisions.md")
RELIABILITY = PAGE.parent / "images" / "calibration-p-best.svg"

_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def write_decision_page(records: list[dict[str, Any]]) -> None:
    """Write the page and its figure."""
    scores = pd.DataFrame.from_records(records)
    p_best = scores[scores["quantity"] == "p_best"]
    recommended = scores[scores["quantity"] == "p_best, recommended"]
    runs = int(recommended.groupby(["problem", "n"]).size().max())
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    _draw(p_best, recommended)
    DECISION_PAGE.write_text(
        "# Calibration of decisions\n\n"
        f"Written by `make calibrate` ({versions}, Python {platform.python_version()}; {runs} "
        f"decisions a problem and number of rows, 1000 draws each, {len(recommended)} in all).\n\n"
        "Two or five linear models at random distances from the truth, judged on the same 32 or "
        "128 rows of several laws; *alike* are models whose differences few test sets can show, "
        "*apart* such that most can. With three seeds an architecture's trainings scatter around "
        "its centre by a quarter of its distance, and the best architecture is that of the least "
        "expected risk.\n\n"
        "## Probability of being best\n\n"
        "Of the candidates whose stated probability of being best falls in a bin, the share that "
        f"is best.\n\n{_reliability(p_best)}\n\n"
        "Of the recommended candidates alone:\n\n"
        f"{_reliability(recommended)}\n\n"
        f"![stated probability against the share that is best](images/{RELIABILITY.name})\n\n"
        "By problem, for the recommended candidate: mean stated probability, and the share that is "
        f"best.\n\n{_by_problem(recommended, '{:.2f}, {:.2f}')}\n\n"
        "## Regret\n\n"
        "Mean stated expected regret of the recommended candidate, and its mean regret in truth, "
        f"with the standard error of the difference.\n\n{_regrets(scores)}\n\n"
        "Without costs the recommended candidate is the one of the lowest mean test risk: on rows "
        "that all candidates share there is no better estimate. Their regrets are the same "
        f"(largest difference {_apart(scores):.1g}).\n"
    )
    print(DECISION_PAGE.read_text())


def _binned(part: pd.DataFrame) -> pd.DataFrame:
    place = np.clip(np.searchsorted(_BINS, part["value"], side="right") - 1, 0, len(_BINS) - 2)
    table = part.groupby(place).agg(
        n=("value", "size"), value=("value", "mean"), truth=("truth", "mean")
    )
    table["error"] = np.sqrt(np.maximum(table["value"] * (1 - table["value"]), 1e-9) / table["n"])
    return table


def _reliability(part: pd.DataFrame) -> str:
    lines = [
        "| stated | candidates | mean stated | best | standard error |",
        "|---|---|---|---|---|",
    ]
    for k, row in _binned(part).iterrows():
        low, high = _BINS[int(k)], _BINS[int(k) + 1]  # pyright: ignore[reportArgumentType]
        lines.append(
            f"| {low:g} to {high:g} | {row['n']:.0f} | {row['value']:.3f} | {row['truth']:.3f} | "
            f"{row['error']:.3f} |"
        )
    return "\n".join(lines)


def _draw(p_best: pd.DataFrame, recommended: pd.DataFrame) -> None:
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "equiprob"
    figure, ax = plt.subplots(figsize=(5.0, 4.4), layout="constrained")
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    for part, label, color in (
        (p_best, "all candidates", "#2a6fb0"),
        (recommended, "recommended candidates", "#c8541a"),
    ):
        table = _binned(part)
        ax.errorbar(
            table["value"], table["truth"], 2 * table["error"], fmt="o", capsize=3, label=label,
            color=color, markersize=4,
        )  # fmt: skip
    ax.set(
        xlabel="stated probability of being best (mean in bin)",
        ylabel="share that is best\n(bars: two standard errors)",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
    )
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(RELIABILITY, metadata={"Date": None})
    plt.close(figure)


def _by_problem(part: pd.DataFrame, form: str) -> str:
    sizes = sorted(part["n"].unique())
    means = part.groupby(["problem", "n"], sort=False)[["value", "truth"]].mean()
    lines = [f"| | {' | '.join(f'n = {n}' for n in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for problem in part["problem"].unique():
        cells = [form.format(*means.loc[(problem, n)]) for n in sizes]
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _regrets(scores: pd.DataFrame) -> str:
    part = scores[scores["quantity"] == "expected_regret"]
    sizes = sorted(part["n"].unique())
    lines = [f"| | {' | '.join(f'n = {n}' for n in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for problem, rows in part.groupby("problem", sort=False):
        cells = []
        for n in sizes:
            here = rows[rows["n"] == n]
            error = (here["value"] - here["truth"]).std() / np.sqrt(len(here))
            cells.append(f"{here['value'].mean():.4f}, {here['truth'].mean():.4f} ({error:.4f})")
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _apart(scores: pd.DataFrame) -> float:
    """Return the largest difference between the regrets of the verdict and of the lowest mean."""
    by_rule = [
        scores.loc[scores["quantity"] == q, "truth"].to_numpy()
        for q in ("expected_regret", "regret of the lowest mean")
    ]
    return float(np.abs(by_rule[0] - by_rule[1]).max())
