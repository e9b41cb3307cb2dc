"""Colours, axes and labels that all figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.results import credible_interval

INK = "#1b1f24"
BLUE = "#2a6fb0"
ORANGE = "#c8541a"
GREY = "#6b7280"

CANDIDATES = (BLUE, ORANGE, "#2f855a", "#7c3aed", "#b7791f", "#0f766e", "#9d174d", GREY)
"""One colour for each of several candidates."""

CI_PROBS = (0.5, 0.9)
"""The two credible intervals that bands and forests show."""


def new_figure(width: float = 7.0, height: float = 4.2, columns: int = 1) -> tuple[Any, Any]:
    """Return a Matplotlib figure and its axes, laid out so that no label is cut."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    for ax in np.atleast_1d(axes):
        tidy(ax)
    return figure, axes


def tidy(ax: Any) -> None:
    """Remove what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    ax.set_axisbelow(True)


def with_unit(label: str, unit: str) -> str:
    """Return an axis label with its unit: "angle (deg)"."""
    return f"{label} ({unit})" if unit else label


def legend_below(figure: Any, ax: Any, columns: int = 1) -> None:
    """Put the legend of `ax` below the figure, where it hides no curve."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8
    )


def narrow(figure: Any, width: float) -> None:
    """Make a figure `width` inches wide, its legends one entry a line."""
    wide, height = figure.get_size_inches()
    panels = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    columns = max((ax.get_subplotspec().get_gridspec().ncols for ax in panels), default=1)
    figure.set_size_inches(width, height * max(width / wide, 0.85))
    if columns > 1:
        _stack(figure, panels)
    for legend in list(figure.legends):
        handles, labels = legend.legend_handles, [text.get_text() for text in legend.texts]
        legend.remove()
        figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize=8)


def _stack(figure: Any, panels: Sequence[Any]) -> None:
    """Put panels that stand side by side one below the other."""
    grid = figure.add_gridspec(len(panels), 1)
    for place, ax in enumerate(panels):
        ax.set_subplotspec(grid[place])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height * (0.2 + 0.8 * len(panels)))


def plain_log_numbers(axis: Any) -> None:
    """Label a logarithmic axis that spans little more than a decade by plain numbers.

    Matplotlib writes "6 x 10^-1" there, and often labels a single number.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high > 50 * low:
        return
    few = MaxNLocator(5) if high < 4 * low else LogLocator(subs=(1.0, 2.0, 5.0))
    axis.set_major_locator(few)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def degree_ticks(ax: Any, largest: float) -> None:
    """Put the ticks of an axis in degrees on round angles."""
    for step in (5, 10, 15, 30, 45):
        if largest / step <= 6.5:
            ax.set_xticks(np.arange(0, largest + 1e-6, step))
            return


def band(
    ax: Any,
    positions: NDArray[np.float64],
    draws: NDArray[np.float64],
    color: str,
    label: str | None = None,
    ci_probs: Sequence[float] = CI_PROBS,
) -> None:
    """Draw the median and the credible bands of a curve ``(draw, position)``."""
    for prob in sorted(ci_probs, reverse=True):
        limits = credible_interval(draws, prob, "eti")
        ax.fill_between(
            positions, limits[..., 0], limits[..., 1], color=color, alpha=0.2, linewidth=0
        )
    ax.plot(positions, np.median(draws, axis=0), color=color, linewidth=1.8, label=label)


def interval_bar(
    ax: Any, place: float, draws: NDArray[np.float64], color: str, *, vertical: bool = False
) -> None:
    """Draw the median of scalar draws as a point on two bars, its credible intervals."""
    for prob, width in zip(CI_PROBS, (5.0, 1.8), strict=True):
        low, high = credible_interval(draws, prob, "eti")
        ends = ([place, place], [low, high]) if vertical else ([low, high], [place, place])
        ax.plot(*ends, color=color, linewidth=width, solid_capstyle="round", alpha=0.85)
    middle = float(np.median(draws))
    point = (place, middle) if vertical else (middle, place)
    ax.plot(*point, "o", color="white", markeredgecolor=color, markersize=6, zorder=3)


BAND_NOTE = "line: median; bands: 50 % and 90 % credible intervals"
BAR_NOTE = "point: median; bars: 50 % and 90 % credible intervals"
