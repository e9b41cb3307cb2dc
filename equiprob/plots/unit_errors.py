"""The heatmap of the errors of units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BLUE, INK, new_figure, plain_log_numbers
from equiprob.posterior.results import credible_interval

if TYPE_CHECKING:
    from equiprob.errors.unit_errors import UnitErrorsResult

_DECADES = 3.0
"""Below the largest error, at which the colours and the axis begin at the latest."""


def plot_unit_errors(result: UnitErrorsResult) -> Any:
    """Draw a row for each layer: the median error of each unit as a colour, and the intervals.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    layers = [name for name, n in result.facts.layers.items() if n]
    every = np.median(result.draws["relative_error"], axis=0)
    most = float(every.max()) or 1.0
    least = min(max(float(every.min()), most * 10**-_DECADES), most / 2)
    colors = ScalarMappable(LogNorm(least, most), "viridis")
    figure, (left, right) = new_figure(9.6, 1.6 + 0.5 * len(layers), columns=2)
    for place, layer in enumerate(layers):
        draws = result.of_layer(layer)
        edges = np.linspace(0, 1, draws.shape[1] + 1)
        median = np.clip(np.median(draws, axis=0), least, None)[None]
        rows = [place - 0.42, place + 0.42]
        left.pcolormesh(edges, rows, median, cmap=colors.cmap, norm=colors.norm)
        # From the top of the row to its bottom: the units, the largest error first.
        order = np.argsort(-median[0], kind="stable")
        ends = credible_interval(draws[:, order], 0.9, "eti")
        y = place + 0.42 * np.linspace(-1, 1, draws.shape[1] + 2)[1:-1]
        right.hlines(y, ends[..., 0], ends[..., 1], color=BLUE, linewidth=1.0, alpha=0.6)
        right.plot(median[0][order], y, ".", color=INK, markersize=3)
    names = [f"{name} ({result.facts.layers[name]})" for name in layers]
    for ax, ticks in ((left, names), (right, [""] * len(layers))):
        ax.set_yticks(range(len(layers)), ticks)
        ax.set_ylim(len(layers) - 0.5, -0.5)
        ax.grid(visible=False)
    left.set_ylabel("layer (units)")
    left.set_xticks([])
    left.set_xlabel("units, the first at the left")
    bar = figure.colorbar(colors, ax=left, location="right", pad=0.02, aspect=25)
    plain_log_numbers(bar.ax.yaxis)
    right.set_xscale("log")
    right.set_xlim(left=least / 2)
    plain_log_numbers(right.xaxis)
    right.set_xlabel("change over the unit's own variation")
    darkest = f"; darkest: {least:.1g} or less" if every.min() < least else ""
    left.set_title(f"median of each unit's relative error{darkest}", fontsize=8)
    right.set_title("point: median; line: 90 % credible interval, of each unit alone", fontsize=8)
    return figure
