"""The best symmetry level against the number of rows, and the risk over levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    interval_bar,
    legend_below,
    new_figure,
)
from equiprob.posterior.results import credible_interval

if TYPE_CHECKING:
    from equiprob.levels.structural_level import StructuralLevelResult

_CURVES = 4
_LEVEL = "equivariance error of the model\n(output units, rms)"


def plot_structural_level(result: StructuralLevelResult) -> Any:
    """Draw the best level against n, and the excess risk over levels at some numbers of rows.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    figure, (left, right) = new_figure(width=9.6, height=4.2, columns=2)
    if result.is_entangled:
        _draw_entangled(left, right, result)
        legend_below(figure, right, columns=4)
        return figure
    n, task = result.coords["n"], result.draws["data_error"]
    band(left, n, result.draws["level"], ORANGE, "best level")
    low, high = credible_interval(task, 0.9, "eti")
    for ax, span, line in ((left, left.axhspan, left.axhline), (right, right.axvspan, None)):
        span(float(low), float(high), color=BLUE, alpha=0.12, linewidth=0, zorder=0)
        if line is not None:
            line(float(np.median(task)), color=BLUE, linewidth=1.2, label="the task's own error")
        ax.margins(y=0.08)
    left.axvline(result.facts.n_rows, color=GREY, linewidth=0.9, linestyle=":")
    left.set(xscale="log", xlabel="training rows (dotted: the data's)", ylabel=_LEVEL)
    left.set_ylim(bottom=0)
    _ticks(left, n)
    left.set_title(BAND_NOTE, fontsize=8)
    _draw_risks(right, result)
    legend_below(figure, left, columns=2)
    return figure


def _draw_entangled(left: Any, right: Any, result: StructuralLevelResult) -> None:
    """Draw what exact symmetry harms, and the median excess risk over amplitudes."""
    import matplotlib.pyplot as plt

    n, amplitude = result.coords["n"], result.coords["amplitude"]
    band(left, n, result.draws["harm"], ORANGE, "harm of exact symmetry")
    left.axvline(result.facts.n_rows, color=GREY, linewidth=0.9, linestyle=":")
    left.set(
        xscale="log",
        xlabel="training rows (dotted: the data's)",
        ylabel="harm of exact symmetry (risk)",
    )
    left.set_ylim(bottom=0)
    _ticks(left, n)
    left.set_title(BAND_NOTE, fontsize=8)
    chosen = np.unique(np.linspace(0, len(n) - 1, _CURVES).round().astype(int))
    colors = plt.get_cmap("Oranges")(np.linspace(0.4, 0.95, len(chosen)))
    for color, place in zip(colors, chosen, strict=True):
        risk = np.median(result.draws["risk"][:, :, place], axis=0)
        exact = result.p_exact(float(n[place]))
        label = f"{n[place]:.0f} rows (exact best: {exact:.2f})"
        right.plot(np.maximum(amplitude, amplitude[1] / 3), risk, "o-", color=color, label=label)
    right.set(
        xscale="log",
        yscale="log",
        xlabel="amplitude of the asymmetric kernel (leftmost: 0)",
        ylabel="expected excess risk",
    )


def _draw_risks(ax: Any, result: StructuralLevelResult) -> None:
    """Draw the median excess risk over the median level; the best ones with their intervals."""
    import matplotlib.pyplot as plt

    n = result.coords["n"]
    chosen = np.unique(np.linspace(0, len(n) - 1, _CURVES).round().astype(int))
    colors = plt.get_cmap("Oranges")(np.linspace(0.4, 0.95, len(chosen)))
    for color, place in zip(colors, chosen, strict=True):
        risk = np.median(result.draws["risk"][:, :, place], axis=0)
        level = np.median(result.draws["level_at_ridge"][:, :, place], axis=0)
        shown = np.isfinite(risk)
        ax.plot(level[shown], risk[shown], color=color, linewidth=1.4)
        best = float(np.median(result.draws["excess_risk"][:, place]))
        interval_bar(ax, best, result.draws["level"][:, place], color)
        ax.annotate(
            f"{n[place]:.0f} rows",
            (float(np.quantile(result.draws["level"][:, place], 0.95)), best),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            color=color,
        )
    ax.set(yscale="log", xlabel=_LEVEL.replace("\n", " "), ylabel="expected excess risk")
    ax.set_xlim(left=0)
    ax.set_title("medians; bars: 50 % and 90 % intervals of the best level", fontsize=8)


def _ticks(ax: Any, n: Any) -> None:
    """Put ticks on the numbers of rows, as many as can be read."""
    shown = n[:: -(-len(n) // 6)]
    ax.set_xticks(shown, [f"{value:.0f}" for value in shown])
    ax.minorticks_off()
