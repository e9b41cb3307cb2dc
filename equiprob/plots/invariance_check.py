"""Figures of the check of the law of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAR_NOTE,
    BLUE,
    GREY,
    INK,
    interval_bar,
    legend_below,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.task.invariance_check import InvarianceCheckResult


def plot_invariance_check(result: InvarianceCheckResult) -> Any:
    """Draw the AUC against the size of the transformation, with the margin around chance.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    figure, ax = new_figure(6.4, 3.8)
    margin = result.margin
    ax.axhspan(0.5 - margin, 0.5 + margin, color=GREY, alpha=0.15, label="counts as invariant")
    ax.axhline(0.5, color=INK, linewidth=0.8)
    sizes = result.coords.get("magnitude", np.zeros(0))
    if "auc_profile" in result.draws:
        for size, draws in zip(sizes, result.draws["auc_profile"].T, strict=True):
            interval_bar(ax, float(size), draws, BLUE, vertical=True)
    else:
        interval_bar(ax, 0.0, result.draws["auc"], BLUE, vertical=True)
    label = result.facts.magnitude_label
    ax.set_xlabel(with_unit(label, result.facts.magnitude_unit))
    ax.set_ylabel("AUC (0.5: cannot be told apart)")
    low = min(0.5 - 2 * margin, float(result.draws["auc"].min()))
    ax.set_ylim(min(low, ax.get_ylim()[0]), 1.02)
    legend_below(figure, ax)
    figure.suptitle(BAR_NOTE, fontsize=8)
    return figure
