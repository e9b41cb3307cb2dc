"""A forest of candidates' risks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, ORANGE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.decisions.compare import Comparison


def plot_comparison(comparison: Comparison, *, quantity: str = "risk", ax: Any = None) -> Any:
    """Draw every candidate's risk (or a metric) with its credible intervals, best first.

    Args:
        comparison: The comparison.
        quantity: ``"risk"`` or the name of a metric.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If `quantity` was not computed.
    """
    if quantity not in comparison.draws:
        raise ValueError(f"quantity must be one of {list(comparison.draws)}, got {quantity!r}")
    names = comparison.candidates
    if ax is None:
        figure, ax = new_figure(height=1.3 + 0.55 * len(names))
    else:
        figure = ax.figure
    draws = comparison.draws[quantity]
    for i, name in enumerate(names):
        interval_bar(ax, i, draws[:, i], ORANGE if i == 0 else BLUE)
        best = comparison.table.loc[name, "p_best"]
        ax.annotate(
            f"P(best) = {best:.2f}",
            (1.0, i),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=GREY,
        )
    ax.axvline(np.median(draws[:, 0]), color=ORANGE, linestyle=":", linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    ax.grid(axis="y", visible=False)
    label = "risk (expected squared error)" if quantity == "risk" else quantity
    ax.set_xlabel(label)
    ax.set_title(BAR_NOTE, fontsize=8, color=GREY, loc="left")
    return figure
