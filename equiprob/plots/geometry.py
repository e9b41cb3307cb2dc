"""Figures of the shape of the inputs and of their orbits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    ORANGE,
    band,
    interval_bar,
    legend_below,
    new_figure,
)

if TYPE_CHECKING:
    from equiprob.geometry.geometry import GeometryResult

_SETS = (("", BLUE, "inputs"), ("orbit_", ORANGE, "orbits"))


def plot_geometry(result: GeometryResult) -> Any:
    """Draw covering numbers against the radius, and the dimension against the scale.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    figure, (left, right) = new_figure(9.6, 4.0, columns=2)
    for prefix, color, label in _SETS:
        numbers = np.exp(result.draws[f"{prefix}log_cover"])
        band(left, result.coords["radius"], numbers, color, label)
        scales = result.coords[f"{prefix}scale"]
        by_scale = result.draws[f"{prefix}scale_dimension"]
        place = scales.min() / 2
        interval_bar(right, float(place), result.draws[f"{prefix}dimension"], color, vertical=True)
        right.axvline(float(place), color=color, linewidth=0.6, linestyle=":")
        for k, scale in enumerate(scales):
            interval_bar(right, float(scale), by_scale[:, k], color, vertical=True)
    left.set(xscale="log", yscale="log", xlabel="radius (input units)", ylabel="covering number")
    left.set_title(BAND_NOTE, fontsize=8)
    right.set(xscale="log", xlabel="distance to the nearest row (input units)", ylabel="dimension")
    right.set_ylim(bottom=0)
    right.set_title("dotted: extrapolated to scale zero", fontsize=8)
    legend_below(figure, left, columns=2)
    return figure
