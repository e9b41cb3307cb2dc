"""The page of the generalization bounds: tables and a figure from the records alone."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.generalization.observed_gaps import SEEN
from benchmarks.generalization.trained_models import DELTA, LEVELS, LOSS
from benchmarks.generalization.worst_of_class import LAWS

PAGE = Path("docs/generalization_measured.md")
FIGURE = PAGE.parent / "images" / "generalization-measured.svg"
BLUES = ("#0b2545", "#2a6fb0", "#6fa8d6", "#c8541a")


def write_page(
    worst: list[dict[str, Any]], trained: list[dict[str, Any]], observed: list[dict[str, Any]]
) -> None:
    """Write the page and its figure."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "POT", "numpy"))
    models = pd.DataFrame.from_records(trained)
    _draw(models)
    PAGE.write_text(
        "# Generalization bounds, measured\n\n"
        f"Written by `python -m benchmarks.generalization` ({versions}, Python "
        f"{platform.python_version()}).\n\n"
        "## The worst function of the class\n\n"
        "Samples from laws that are uniform on 2000 points, so that the largest gap of any "
        "function of the class is a linear program (optimal transport between the law and the "
        f"sample). Confidence {100 * (1 - DELTA):g} %: a bound may be exceeded in "
        f"{100 * DELTA:g} % of samples. The last column is how often the 90 % credible interval of "
        "`expected_bound` holds its mean over all samples.\n\n"
        f"{_worst_table(pd.DataFrame.from_records(worst))}\n\n"
        "## Trained models\n\n"
        "Kernel ridge regressors and small networks at four symmetry levels (0: exactly "
        "symmetric; 1: free), on three tasks with a symmetric truth and a small asymmetric part. "
        "The loss is the absolute error, at most 2. Classes are fixed beforehand by construction "
        "(see `benchmarks/generalization/trained_models.py`); the gap is that to 6000 fresh "
        "rows.\n\n"
        f"{_bounds_table(models)}\n\n"
        "The rank correlation (Spearman) between the mean true gap and the mean bound on the "
        "expected gap: over the four levels of a task (the mean of the three tasks) / over all "
        "tasks and levels. With few runs at a size the true gaps themselves are hardly in order."
        "\n\n"
        f"{_rank_table(models)}\n\n"
        f"![gaps and bounds against the number of rows](images/{FIGURE.name})\n\n"
        "## Predicted gaps\n\n"
        "`bounds.Calibrated`, fitted to gaps (of the squared error) at up to "
        f"{max(SEEN)} rows and asked for those at more, of ridge regression on random cosines. "
        "Width: the upper over the lower end of the 90 % interval of the mean gap. Noise: the "
        "standard deviation of gaps over runs at this n, over their mean: a single gap cannot be "
        "predicted better.\n\n"
        f"{_observed_table(pd.DataFrame.from_records(observed))}\n"
    )
    print(PAGE.read_text())


def _worst_table(records: pd.DataFrame) -> str:
    lines = [
        "| law and class | n | samples | (10) exceeded | mean worst gap | mean (9) | mean (10) | "
        "interval of (9) |",
        "|---" * 8 + "|",
    ]
    for law, rows in records.groupby("law", sort=False):
        exceeded = (rows["worst"] > rows["bound"]).mean()
        centre = rows["expected_bound"].mean()
        covers = ((rows["low"] <= centre) & (centre <= rows["high"])).mean()
        lines.append(
            f"| {law} | {LAWS[str(law)].n} | {len(rows)} | {100 * exceeded:.1f} % | "
            f"{rows['worst'].mean():.3f} | {centre:.3f} | {rows['bound'].mean():.3f} | "
            f"{100 * covers:.0f} % |"
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


def _observed_table(records: pd.DataFrame) -> str:
    lines = [
        "| n | gaps | in the 90 % interval | median gap | median prediction | width, median | "
        "width, largest | noise |",
        "|---" * 8 + "|",
    ]
    for n, rows in records.groupby("n"):
        inside = (rows["low"] <= rows["gap"]) & (rows["gap"] <= rows["high"])
        width = rows["most"] / rows["least"]
        pairs = rows.groupby(["task", "level"])["gap"]
        noise = float((pairs.std() / pairs.mean()).median())
        lines.append(
            f"| {n} | {len(rows)} | {100 * inside.mean():.0f} % | {rows['gap'].median():.4f} | "
            f"{rows['middle'].median():.4f} | {width.median():.2f} | {width.max():.2f} | "
            f"{noise:.2f} |"
        )
    return "\n".join(lines)


def _rank_table(records: pd.DataFrame) -> str:
    sizes = sorted(records["n"].unique())
    lines = [
        f"| model, bound | {' | '.join(f'n = {n}' for n in sizes)} |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for (model, kind), rows in records.groupby(["model", "kind"], sort=False):
        cells = []
        for n in sizes:
            here = rows[rows["n"] == n]
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
