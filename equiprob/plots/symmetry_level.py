"""The risk along a path and the posterior of its optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    degree_ticks,
    interval_bar,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.levels.symmetry_level import SymmetryLevelResult


def plot_symmetry_level(result: SymmetryLevelResult, *, ax: Any = None) -> Any:
    """Draw how the risk changes along the path, and below it the posterior of its least position.

    Args:
        result: The fitted result.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    figure, ax = new_figure() if ax is None else (ax.figure, ax)
    positions, risk = result.coords["position_grid"], result.draws["risk"]
    # Against the model as it is the rows' own difficulty cancels, which would widen every band.
    change = risk - risk[:, [int(result.facts["unchanged_index"])]]
    band(ax, positions, change, BLUE, label=BAND_NOTE)
    ax.axhline(0, color=GREY, linewidth=1)
    low, high = ax.get_ylim()
    floor = low - 0.12 * (high - low)
    if "position" in result.draws:
        interval_bar(ax, floor, result.draws["position"], ORANGE)
        ax.plot([], [], color=ORANGE, linewidth=4, label="position of least risk")
        at = result.shipped_position
        ax.axvline(at, color=ORANGE, linestyle=":", linewidth=1.2, label="recommended position")
    ax.set_ylim(floor - 0.08 * (high - low), high)
    unit = result.units.get("position", "")
    margin = 0.02 * float(np.ptp(positions))
    ax.set_xlim(positions.min() - margin, positions.max() + margin)
    if unit == "deg":
        degree_ticks(ax, float(positions.max()))
    ax.set_xlabel(with_unit(str(result.facts["path_label"]), unit))
    ax.set_ylabel("change of the risk (expected squared error)")
    ax.legend(frameon=False, fontsize=8, loc="best")
    return figure
