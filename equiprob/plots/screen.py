"""Figures of a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, ORANGE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.errors.screen import ScreenResult

_MOST = 24


def plot_screen(result: ScreenResult) -> Any:
    """Draw relative errors, the least at the top, with intervals and bounds that hold together.

    Args:
        result: The result.

    Returns:
        The Matplotlib figure.
    """
    errors, upper = result.draws["relative_error"][:, :_MOST], result.upper
    n, tolerance = errors.shape[1], result.facts.tolerance
    figure, ax = new_figure(8.4, 1.6 + 0.24 * n)
    for k in range(n):
        color = BLUE if upper[k] <= tolerance else GREY
        interval_bar(ax, float(n - 1 - k), errors[:, k], color)
        ax.plot(upper[k], n - 1 - k, "|", color=color, markersize=9)
    ax.axvline(tolerance, color=ORANGE, linewidth=1.2)
    ax.set_yticks(range(n), result.names[:n][::-1], fontsize=7)
    ax.set_xlim(left=-0.02)
    ax.set_xlabel("change of the output, relative to its spread over rows")
    note = f"{BAR_NOTE}\norange: the tolerance; strokes: bounds that hold together"
    figure.supxlabel(note, fontsize=8)
    return figure
