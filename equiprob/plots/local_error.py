"""Figures of the local equivariance error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAR_NOTE, BLUE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.errors.local_error import LocalEquivarianceErrorResult


def plot_local_error(result: LocalEquivarianceErrorResult) -> Any:
    """Draw the error of every output (layer) with its interval, a panel for each generator.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    outputs, generators = result.outputs, [str(g) for g in result.coords["generator"]]
    figure, axes = new_figure(
        3.6 * len(generators) + 1.5, 1.6 + 0.4 * len(outputs), columns=len(generators)
    )
    places = np.arange(len(outputs))[::-1]
    for j, (ax, generator) in enumerate(zip(np.atleast_1d(axes), generators, strict=True)):
        for i, place in enumerate(places):
            interval_bar(ax, float(place), result.draws["local_error"][:, i, j], BLUE)
        ax.set_yticks(places, outputs if j == 0 else [""] * len(outputs))
        ax.set_ylim(-0.6, len(outputs) - 0.4)
        ax.set_xlim(left=0)
        ax.set_title(f"along {generator}", fontsize=9)
        ax.set_xlabel("output units per unit, rms")
    figure.supxlabel(BAR_NOTE, fontsize=8)
    return figure
