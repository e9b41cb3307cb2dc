"""The risk over symmetry level and number of rows, and the posterior of the best level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    INK,
    ORANGE,
    band,
    legend_below,
    new_figure,
    tidy,
)
from equiprob.posterior.results import credible_interval

if TYPE_CHECKING:
    from equiprob.levels.structural_level import StructuralLevelResult

Array = NDArray[np.float64]

_LEVELS = 60


def plot_structural_level(result: StructuralLevelResult, *, ax: Any = None) -> Any:
    """Draw the excess risk over level and n, and on it the optimal level with its band.

    Args:
        result: The fitted result.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    figure = None
    if ax is None:
        figure, ax = new_figure(width=7.5, height=4.6)
    else:
        tidy(ax)
    n = result.coords["n"]
    top = float(max(np.quantile(result.draws[k], 0.95) for k in ("level", "data_error"))) or 1.0
    levels = np.linspace(0, 1.15 * top, _LEVELS)
    shade = ax.pcolormesh(
        n, levels, _risk_map(result, levels), cmap="Greys", shading="gouraud", vmin=0, vmax=1.5
    )
    band(ax, n, result.draws["level"], ORANGE, "best level")
    low, high = credible_interval(result.draws["data_error"], 0.9, "eti")
    ax.axhspan(float(low), float(high), color=BLUE, alpha=0.15, linewidth=0)
    middle = float(np.median(result.draws["data_error"]))
    ax.axhline(middle, color=BLUE, linewidth=1.2, label="the task's own error (90 %)")
    ax.axvline(float(result.facts["n_rows"]), color=GREY, linewidth=0.9, linestyle=":")
    ax.set(xscale="log", xlabel="training rows (dotted: the data's)", ylim=(0, levels[-1]))
    ax.set_xlim(float(n[0]), float(n[-1]))
    ax.set_ylabel("equivariance error of the model\n(output units, rms)", color=INK)
    ax.grid(visible=False)
    bar = ax.figure.colorbar(shade, ax=ax, extend="max")
    bar.set_label("excess risk over the least at this n")
    bar.set_ticks([0, 0.5, 1, 1.5], labels=["x 1", "x 1.5", "x 2", "x 2.5"])
    if figure is None:
        ax.legend(frameon=False, fontsize=8)
        return ax.figure
    ax.set_title(BAND_NOTE, fontsize=8)
    legend_below(figure, ax, columns=2)
    return figure


def _risk_map(result: StructuralLevelResult, levels: Array) -> Array:
    """Return by how much the median excess risk exceeds its least, ``(level, n)``."""
    risk = np.median(result.draws["risk"], axis=0)
    reached = np.median(result.draws["level_at_tau"], axis=0)
    columns = []
    for r, at in zip(risk.T, reached.T, strict=True):
        order = np.argsort(at)
        columns.append(np.interp(levels, at[order], r[order], right=np.inf) / r.min() - 1)
    return np.minimum(np.stack(columns, axis=1), 1e3)
