"""The risk along a path and the posterior of its optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equiprob.plots.style import (
    BAND_NOTE,
    BAR_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    degree_ticks,
    interval_bar,
    legend_below,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.levels.level_result import SymmetryLevelResult


def plot_symmetry_level(result: SymmetryLevelResult, *, ax: Any = None) -> Any:
    """Draw how the risk changes along the path, and below it the posterior of its least position.

    Args:
        result: The fitted result.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    positions, risk = result.coords["position_grid"], result.draws["risk"]
    if positions.dtype.kind in "US":
        return _plot_named(result, ax)
    # Against the model as it is the rows' own difficulty cancels, which would widen every band.
    change = risk - result.unchanged_risk[:, None]
    if ax is not None:
        _draw(ax, result, positions, change)
        ax.legend(frameon=False, fontsize=8, loc="best")
        return ax.figure
    around = _around_the_optimum(change)
    if around.all():
        figure, whole = new_figure()
    else:
        figure, (whole, close) = new_figure(width=9.0, columns=2)
        _draw(close, result, positions[around], change[:, around])
        whole.set_title("the whole path", fontsize=9, loc="left")
        close.set_title("around the optimum", fontsize=9, loc="left")
        close.set_ylabel("")
    _draw(whole, result, positions, change)
    legend_below(figure, whole, columns=3)
    return figure


def _plot_named(result: SymmetryLevelResult, ax: Any) -> Any:
    """Draw a bar for each position that has a name."""
    names, risk = result.coords["position_grid"], result.draws["risk"]
    change = risk - result.unchanged_risk[:, None]
    figure = None
    if ax is None:
        figure, ax = new_figure(height=1.4 + 0.35 * len(names))
    p_best = result.draws["is_best"].mean(axis=0) if "is_best" in result.draws else None
    shipped = int(result.shipped_position)
    for k in range(len(names)):
        chosen = k == shipped and result.recommended
        interval_bar(ax, -float(k), change[:, k], ORANGE if chosen else BLUE)
    ax.axvline(0, color=GREY, linewidth=1)
    labels = [
        str(name) if p_best is None else f"{name}   (best: {p_best[k]:.2f})"
        for k, name in enumerate(names)
    ]
    ax.set_yticks([-float(k) for k in range(len(names))], labels)
    ax.set_ylim(-len(names) + 0.4, 0.6)
    ax.set_ylabel(result.facts.path_label)
    advice = "orange: recommended" if result.recommended else "no averaging is recommended"
    ax.set_xlabel(f"change of the risk ({advice})")
    if figure is not None:
        figure.supxlabel(BAR_NOTE, fontsize=8)
    return ax.figure


def _around_the_optimum(change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which positions to look at closely: all, unless most of the path is far worse."""
    middle = np.median(change, axis=0)
    depth = max(
        -middle.min(), float(np.ptp(np.quantile(change, [0.05, 0.95], axis=0), axis=0).max())
    )
    near = middle <= middle.min() + 1.5 * depth
    if near.mean() > 0.6 or near.sum() < 3:
        return np.ones(len(middle), dtype=bool)
    first, last = np.flatnonzero(near)[[0, -1]]
    index = np.arange(len(middle))
    return (index >= first) & (index <= last)


def _draw(
    ax: Any,
    result: SymmetryLevelResult,
    positions: NDArray[np.float64],
    change: NDArray[np.float64],
) -> None:
    band(ax, positions, change, BLUE, label=BAND_NOTE)
    ax.axhline(0, color=GREY, linewidth=1)
    low, high = ax.get_ylim()
    floor = low - 0.12 * (high - low)
    if "position" in result.draws:
        interval_bar(ax, floor, result.draws["position"], ORANGE)
        ax.plot([], [], color=ORANGE, linewidth=4, label="position of least risk")
        ax.axvline(
            result.shipped_position,
            color=ORANGE,
            linestyle=":",
            linewidth=1.2,
            label="recommended position" if result.recommended else "no averaging is recommended",
        )
    ax.set_ylim(floor - 0.08 * (high - low), high)
    unit = result.units.get("position", "")
    margin = 0.02 * float(np.ptp(positions))
    ax.set_xlim(positions.min() - margin, positions.max() + margin)
    if unit == "deg":
        degree_ticks(ax, float(positions.max()))
    ax.set_xlabel(with_unit(result.facts.path_label, unit))
    ax.set_ylabel(f"change of the risk ({result.facts.loss})")
