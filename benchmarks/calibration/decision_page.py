"""The page on decisions: do stated probabilities and regrets come true?"""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.page import PAGE
from benchmarks.pages import write

DECISION_PAGE = PAGE.with_name("calibration_decisions.md")
RELIABILITY = PAGE.parent / "images" / "calibration-p-best.svg"

_CURVES = "learning curves"

_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


def write_decision_page(records: list[dict[str, Any]]) -> None:
    """Write the page and its figure."""
    scores = pd.DataFrame.from_records(records)
    p_best = scores[scores["quantity"] == "p_best"]
    recommended = scores[scores["quantity"] == "p_best, recommended"]
    runs = int(recommended.groupby(["problem", "n"]).size().max())
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    _draw(p_best, recommended)
    write(
        DECISION_PAGE,
        "# Calibration of decisions\n\n"
        f"Written by `make calibrate` ({versions}, Python {platform.python_version()}; {runs} "
        f"decisions a problem and number of rows, 1000 draws each, {len(recommended)} in all).\n\n"
        "Two or five linear models at random distances from the truth, judged on the same 32 or "
        "128 rows of several laws; *alike* are models whose differences few test sets can show, "
        "*apart* such that most can. With three seeds an architecture's trainings scatter around "
        "its centre by a quarter of its distance, and the best architecture is that of the least "
        "expected risk.\n\n"
        "Learning curves fall as the root of the number of rows to limits of their own; two runs "
        "each at 100, 200 and 400 rows, the decision at 4000, with the exact posterior, so that "
        "what is tested is the decision and not the curve.\n\n"
        "## Probability of being best\n\n"
        "Of the candidates whose stated probability of being best falls in a bin, the share that "
        f"is best.\n\n{_reliability(p_best)}\n\n"
        "Of the recommended candidates alone:\n\n"
        f"{_reliability(recommended)}\n\n"
        f"![stated probability against the share that is best](images/{RELIABILITY.name})\n\n"
        "By problem, for the recommended candidate: mean stated probability, and the share that is "
        f"best (standard error in brackets).\n\n{_pairs(recommended, 2)}\n\n"
        f"{_overconfident(recommended)}\n\n"
        "## Regret\n\n"
        "Mean stated expected regret of the recommended candidate, and its mean regret in truth, "
        "with the standard error of the difference.\n\n"
        f"{_pairs(scores[scores['quantity'] == 'expected_regret'], 4)}\n\n"
        f"{_rules(scores)}\n\n"
        "## The winner's risk\n\n"
        "Two to twelve candidates of known risks on 60 or 300 rows: alike; spread by as much as "
        "the noise of their differences; one ahead of all by five times that; or skewed. Mean risk "
        "as stated of the winner, on rows that did not choose it, and its risk in truth:\n\n"
        f"{_pairs(scores[scores['quantity'] == 'risk of the winner'], 3)}\n\n"
        "On the rows that chose it:\n\n"
        f"{_pairs(scores[scores['quantity'] == 'risk on the rows that chose it'], 3)}\n\n"
        "Nominal 90 % intervals of the winner's risk, and the share that holds it:\n\n"
        f"{_pairs(scores[scores['quantity'] == 'interval of the winner'], 2)}\n\n"
        "The same of the plain interval, which is that of a candidate named before:\n\n"
        f"{_pairs(scores[scores['quantity'] == 'plain'], 2)}\n\n"
        "## Value of information\n\n"
        "Mean stated value, and the mean fall of the regret when the information was had in truth "
        "and the decision made again: as many rows again as there are, or, for learning curves, "
        "one more run of each candidate at 400 or 1600 rows.\n\n"
        f"{_pairs(scores[scores['quantity'].str.startswith('value of')], 4)}\n",
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


def _pairs(part: pd.DataFrame, digits: int) -> str:
    """Return tables of mean stated values and mean truths, by problem and number of rows."""
    curves = part["problem"].str.startswith(_CURVES)
    return "\n\n".join(_pair_table(p, digits) for p in (part[~curves], part[curves]) if len(p))


def _pair_table(part: pd.DataFrame, digits: int) -> str:
    sizes = sorted(part["n"].unique())
    lines = [f"| | {' | '.join(f'n = {n}' for n in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for problem, rows in part.groupby("problem", sort=False):
        cells = []
        for n in sizes:
            here = rows[rows["n"] == n]
            stated, truth = here["value"], here["truth"]
            error = (stated - truth).std() / np.sqrt(len(here))
            numbers = (f"{v:.{digits}f}" for v in (stated.mean(), truth.mean(), error))
            cells.append("{}, {} ({})".format(*numbers))
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _overconfident(recommended: pd.DataFrame) -> str:
    """Name the problems where the recommended candidate is best less often than stated."""
    found = []
    for (problem, n), here in recommended.groupby(["problem", "n"], sort=False):
        apart = here["value"] - here["truth"]
        if apart.mean() > 2 * apart.std() / np.sqrt(len(here)):
            stated, share = here["value"].mean(), here["truth"].mean()
            found.append(f"{problem} at n = {n} ({stated:.2f} stated, {share:.2f} best)")
    if not found:
        return "Nowhere is it best less often than stated, beyond two standard errors."
    return "Best less often than stated, beyond two standard errors: " + "; ".join(found) + "."


def _rules(scores: pd.DataFrame) -> str:
    """Compare the regret of the verdict with that of the lowest mean of the data."""
    verdict = scores[scores["quantity"] == "expected_regret"]
    lowest = scores[scores["quantity"] == "regret of the lowest mean"]
    curves = verdict["problem"].str.startswith(_CURVES).to_numpy()
    ours, theirs = verdict["truth"].to_numpy(), lowest["truth"].to_numpy()
    apart = np.mean(ours[~curves] != theirs[~curves])
    return (
        "Compared on the same rows and without costs, the recommended candidate is nearly always "
        "that of the lowest mean test risk (the regret of the two is "
        f"{ours[~curves].mean():.4f} and {theirs[~curves].mean():.4f}; they differ in "
        f"{100 * apart:.2g} % of the decisions). Of learning curves the lowest mean at the largest "
        "number of rows is "
        f"another rule: its mean regret at the horizon is {theirs[curves].mean():.4f}, that of the "
        f"verdict {ours[curves].mean():.4f}."
    )
