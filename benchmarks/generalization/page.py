"""The page of the generalization bounds: tables and a figure from the records alone."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.generalization.many_gaps import SAMPLES
from benchmarks.generalization.observed_gaps import ASKED, RUNS_AHEAD, SEEN
from benchmarks.generalization.timings import DRAWS, FORECASTS, SPLITS
from benchmarks.generalization.trained_models import DELTA, LEVELS, LOSS, TEST_ROWS
from benchmarks.generalization.worst_of_class import HELD_OUT, LAWS
from benchmarks.pages import write

PAGE = Path("docs/generalization_measured.md")
FIGURE = PAGE.parent / "images" / "generalization-measured.svg"
BLUES = ("#0b2545", "#2a6fb0", "#6fa8d6", "#c8541a")


def write_page(found: dict[str, list[dict[str, Any]]]) -> None:
    """Write the page and its figure from records of every kind."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "POT", "numpy"))
    tables = {kind: pd.DataFrame.from_records(records) for kind, records in found.items()}
    models = tables["trained"]
    _draw(models)
    write(
        PAGE,
        "# Generalization bounds, measured\n\n"
        f"Written by `python -m benchmarks.generalization` ({versions}, Python "
        f"{platform.python_version()}). What the bounds say: [the gap](generalization.md).\n\n"
        "## The worst function of the class\n\n"
        "Samples from laws that are uniform on 2000 points (or two), so that the largest gap of "
        "any function of the class is a linear program (optimal transport between the law and the "
        f"sample). Confidence {100 * (1 - DELTA):g} %: a bound may be exceeded in "
        f"{100 * DELTA:g} % of samples. Bound (10) moves one half of the sample onto the other, "
        f"that of held-out rows all of it onto {HELD_OUT} times as many fresh ones. The last "
        "column is how often the 90 % credible interval of "
        "`expected_bound` holds its mean over all samples.\n\n"
        f"{_worst_table(tables['worst'])}\n\n"
        "## Trained models\n\n"
        "Kernel ridge regressors and small networks at four symmetry levels (0: exactly "
        "symmetric; 1: free), on three tasks with a symmetric truth and a small asymmetric part. "
        f"The loss is the absolute error, at most {LOSS.range:g}. Classes are fixed beforehand by "
        "construction (see `benchmarks/generalization/trained_models.py`); the gap is that to "
        f"{TEST_ROWS} fresh rows, 1000 of which are the held-out ones, at every n.\n\n"
        f"{_bounds_table(models)}\n\n{_useful(models)}\n\n"
        "Many samples of 100 rows, kernel ridge regression at level 0.3:\n\n"
        f"{_bounds_table(tables['many'])}\n\n"
        "The rank correlation (Spearman) between the mean true gap and the mean bound on the "
        "expected gap: over the four levels of a task (the mean of the three tasks) / over all "
        f"tasks and levels. True gaps are means over up to {SAMPLES} samples more.\n\n"
        f"{_rank_table(models, tables['gap'])}\n\n"
        f"![gaps and bounds against the number of rows](images/{FIGURE.name})\n\n"
        "## Predicted gaps\n\n"
        "`bounds.Calibrated`, fitted to gaps (of the squared error) at up to "
        f"{max(SEEN)} rows and asked for those at more, at symmetry levels "
        f"{' and '.join(f'{level:g}' for level in ASKED)}. Its priors were chosen on other tasks, "
        "kernels and networks. Width: the upper over the lower end of the 90 % interval of the "
        "mean gap. The true mean gap is that of "
        f"{RUNS_AHEAD} runs, whose own noise is allowed for. Noise: the standard deviation of gaps "
        "over runs, over their mean: a single gap cannot be predicted better.\n\n"
        f"{_observed_table(tables['observed'])}\n\n"
        "## What it takes\n\n"
        f"`bounds.Transport` with {SPLITS} splits, {DRAWS} draws, in five dimensions with 32 sign "
        f"flips: CPU seconds of one fit, of forecasts at {FORECASTS} numbers of rows, and the most "
        "memory that the fit adds.\n\n"
        f"{_timing_table(tables['timing'])}\n",
    )
    print(PAGE.read_text())


def _worst_table(records: pd.DataFrame) -> str:
    lines = [
        "| law and class | n | samples | (10) exceeded | held out exceeded | mean worst gap | mean "
        "(9) | mean (10) | mean held out | interval of (9) |",
        "|---" * 10 + "|",
    ]
    for law, rows in records.groupby("law", sort=False):
        exceeded, onto = ((rows["worst"] > rows[k]).mean() for k in ("bound", "held_out"))
        centre = rows["expected_bound"].mean()
        covers = ((rows["low"] <= centre) & (centre <= rows["high"])).mean()
        lines.append(
            f"| {law} | {LAWS[str(law)].n} | {len(rows)} | {100 * exceeded:.1f} % | "
            f"{100 * onto:.1f} % | {rows['worst'].mean():.3f} | {centre:.3f} | "
            f"{rows['bound'].mean():.3f} | {rows['held_out'].mean():.3f} | {100 * covers:.0f} % |"
        )
    return "\n".join(lines)


def _bounds_table(records: pd.DataFrame) -> str:
    largest = LOSS.range
    lines = [
        "| model, bound | n | runs | gap above the bound | bound below the largest loss | "
        "median gap | median (9) | median (10) |",
        "|---" * 8 + "|",
    ]
    for (model, kind, n), rows in records.groupby(["model", "kind", "n"], sort=False):
        lines.append(
            f"| {model}, {kind} | {n} | {len(rows)} | "
            f"{100 * (rows['gap'] > rows['bound']).mean():.1f} % | "
            f"{100 * (rows['bound'] < largest).mean():.0f} % | {rows['gap'].median():.3f} | "
            f"{rows['expected_bound'].median():.3f} | {rows['bound'].median():.3f} |"
        )
    return "\n".join(lines)


def _useful(records: pd.DataFrame) -> str:
    """Tell from how many rows on bounds are below a third of the largest loss, by task."""
    tasks, sizes = list(records["task"].unique()), sorted(records["n"].unique())
    lines = [f"| model, bound | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for (model, kind), rows in records.groupby(["model", "kind"], sort=False):
        cells = []
        for task in tasks:
            medians = rows[rows["task"] == task].groupby("n")["bound"].median()
            below = medians.index[medians < LOSS.range / 3]
            cells.append(f"n = {below.min()}" if len(below) else f"not at {medians.index.max()}")
        lines.append(f"| {model}, {kind} | {' | '.join(cells)} |")
    return (
        "From how many rows on the median bound (10), over symmetry levels and samples, is below a "
        f"third of the largest loss, of n = {', '.join(map(str, sizes))}:\n\n" + "\n".join(lines)
    )


def _observed_table(records: pd.DataFrame) -> str:
    lines = [
        "| model | n | intervals | hold the mean gap | hold a run's gap | median gap | median "
        "prediction | width, median | width, largest | noise |",
        "|---" * 10 + "|",
    ]
    groups = [*records.groupby(["model", "n"], sort=False)]
    groups += [(("all", n), rows) for n, rows in records.groupby("n")]
    for (model, n), rows in groups:
        holds = [_holds_mean(row) for _, row in rows.iterrows()]
        runs = [
            row["gap"][0] <= gap <= row["gap"][2]
            for _, row in rows.iterrows()
            for gap in row["gaps"]
        ]
        width = rows["expected_gap"].map(lambda ends: ends[2] / ends[0])
        noise = rows["gaps"].map(lambda gaps: pd.Series(gaps).std()) / rows["mean"]
        middle = rows["expected_gap"].map(lambda ends: ends[1])
        lines.append(
            f"| {model} | {n} | {len(rows)} | {100 * sum(holds) / len(holds):.0f} % | "
            f"{100 * sum(runs) / len(runs):.0f} % of {len(runs)} | {rows['mean'].median():.5f} | "
            f"{middle.median():.5f} | {width.median():.2f} | {width.max():.2f} | "
            f"{noise.median():.2f} |"
        )
    return "\n".join(lines)


def _holds_mean(row: pd.Series) -> bool:
    """Return whether an interval of the mean gap holds it, the noise of the truth allowed for."""
    low, middle, high = row["expected_gap"]
    below, above = (math.hypot(end - middle, 1.645 * row["se"]) for end in (low, high))
    return middle - below <= row["mean"] <= middle + above


def _timing_table(records: pd.DataFrame) -> str:
    lines = ["| rows | fit, CPU s | forecasts, CPU s | memory, MB |", "|---|---|---|---|"]
    for _, row in records.iterrows():
        lines.append(
            f"| {row['n']:.0f} | {row['fit']:.1f} | {row['forecast']:.3f} | "
            f"{row['megabytes']:.0f} |"
        )
    return "\n".join(lines)


def _rank_table(records: pd.DataFrame, gaps: pd.DataFrame) -> str:
    sizes = sorted(records["n"].unique())
    lines = [
        f"| model, bound | {' | '.join(f'n = {n}' for n in sizes)} |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    place = ["model", "n", "task", "level"]
    true = gaps.groupby(place)["gap"].mean()
    records = records.drop(columns="gap").join(true, on=place)
    for (model, kind), rows in records.groupby(["model", "kind"], sort=False):
        cells = []
        for n in sizes:
            here = rows[(rows["n"] == n) & rows["gap"].notna()]
            if here.empty:
                cells.append("")
                continue
            means = here.groupby(["task", "level"])[["gap", "expected_bound"]].mean()
            within = [_rank(part) for _, part in means.groupby("task")]
            cells.append(f"{sum(within) / len(within):.2f} / {_rank(means):.2f}")
        lines.append(f"| {model}, {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _rank(means: pd.DataFrame) -> float:
    """Return Spearman's correlation between gaps and bounds."""
    from scipy.stats import spearmanr

    return float(spearmanr(means["gap"], means["expected_bound"]).statistic)


def _draw(records: pd.DataFrame) -> None:
    """Draw mean gaps (points) and bounds (lines) of each level, a panel a model."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "equiprob"
    models = list(records["model"].unique())
    figure, axes = plt.subplots(
        1, len(models), figsize=(9, 4.4), layout="constrained", sharey=True, squeeze=False
    )
    for ax, model in zip(axes[0], models, strict=True):
        part = records[records["model"] == model]
        for level, color in zip(LEVELS, BLUES, strict=True):
            here = part[part["level"] == level]
            means = here[here["kind"] == "transport"].groupby("n")
            bound, gap = means["bound"].mean(), means["gap"].mean()
            average = here[here["kind"] == "transport, average defect"].groupby("n")["bound"].mean()
            ax.plot(bound.index, bound, color=color, label=f"level {level:g}")
            ax.plot(average.index, average, color=color, linestyle="--", linewidth=1)
            shown = gap[gap > 0]
            ax.plot(shown.index, shown, "o", color=color, markersize=4)
        ax.axhline(LOSS.range, color="0.2", linewidth=0.8)
        ax.set(xscale="log", yscale="log", title=model, xlabel="rows")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("generalization gap (absolute error)")
    axes[0, 0].plot([], [], "k-", label="bound (10)")
    axes[0, 0].plot([], [], "k--", linewidth=1, label="with the average defect (10')")
    axes[0, 0].plot([], [], "ko", markersize=4, label="true gap")
    axes[0, 0].plot([], [], color="0.2", linewidth=0.8, label="largest loss")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    figure.savefig(FIGURE, metadata={"Date": None})
    plt.close(figure)
