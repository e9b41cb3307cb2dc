"""Figures of the approximation gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.task.approximation_gap import ApproximationGapResult

_LABELS = {
    "waste": "waste of the asymmetric part",
    "waste_lower": "waste of the asymmetric part, at least",
    "waste_upper": "waste of the asymmetric part, at most",
    "gap": "cost of the two errors' sizes, at least",
    "gap_mixture": "the same, over inputs and moved inputs",
}


def plot_approximation_gap(result: ApproximationGapResult) -> Any:
    """Draw what the mismatch costs, in risk.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    names = [name for name in _LABELS if name in result.draws]
    figure, ax = new_figure(7.2, 1.7 + 0.45 * len(names))
    for place, name in enumerate(reversed(names)):
        interval_bar(ax, float(place), result.draws[name], BLUE if "gap" in name else GREY)
    ax.set_yticks(range(len(names)), [_LABELS[n] for n in reversed(names)])
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.set_xlim(left=-0.03 * ax.get_xlim()[1])  # a point at zero shows whole
    ax.set_xlabel("excess risk")
    figure.supxlabel(BAR_NOTE, fontsize=8)
    return figure
