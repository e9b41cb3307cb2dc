"""A forest of candidates' risks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAR_NOTE, BLUE, INK, ORANGE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.decisions.compare import Comparison

_MOST = 40
"""How many candidates a figure has room for."""


def plot_comparison(comparison: Comparison, *, quantity: str = "risk", ax: Any = None) -> Any:
    """Draw every candidate's risk (or a metric) with its credible intervals, best first.

    A diamond is the risk of the first on rows that did not choose it. Of many candidates the best
    40 are drawn.

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
    names = comparison.candidates[:_MOST]
    if ax is None:
        figure, ax = new_figure(height=1.3 + 0.6 * len(names))
    else:
        figure = ax.figure
    draws = comparison.draws[quantity]
    for i, name in enumerate(names):
        interval_bar(ax, i, draws[:, i], ORANGE if i == 0 else BLUE)
        # Names above the bars leave the width to the bars, whatever the names' length.
        best = comparison.table.loc[name, "p_best"]
        ax.annotate(
            f"{name}   P(best) = {best:.2f}",
            (0.0, i),
            xycoords=("axes fraction", "data"),
            xytext=(4, 9),
            textcoords="offset points",
            fontsize=9,
            color=INK,
        )
    ax.axvline(np.median(draws[:, 0]), color=ORANGE, linestyle=":", linewidth=1)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(names) - 0.6, -0.8)
    ax.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    label, note = quantity, ""
    if others := len(comparison.candidates) - len(names):
        note = f"\n{others} more candidates are in the table"
    if quantity == "risk":
        label = "risk (expected squared error)"
        note = f"\ndiamond: on rows that did not choose it{note}"
        ax.plot(
            comparison.winner.expected, 0, "D", color=INK, markersize=6, markerfacecolor="white"
        )
    ax.set_xlabel(f"{label}\n{BAR_NOTE}{note}")
    return figure
