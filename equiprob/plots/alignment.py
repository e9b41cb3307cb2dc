"""Figures of a model's symmetry beside its task's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BAR_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    interval_bar,
    legend_below,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.task.alignment import Alignment

_BARS = {
    "model_error": ("model", BLUE),
    "data_error": ("task", ORANGE),
    "data_lower": ("task, at least", ORANGE),
    "data_upper": ("task, at most", GREY),
}


def plot_alignment(result: Alignment) -> Any:
    """Draw both errors and, where there are any, both profiles on one axis.

    Args:
        result: The comparison.

    Returns:
        The Matplotlib figure.
    """
    profiles = [n for n in ("model_profile", "data_profile") if n in result.draws]
    figure, axes = new_figure(5.0 + 4.2 * bool(profiles), 3.4, columns=2 if profiles else 1)
    ax = np.atleast_1d(axes)[0]
    names = [name for name in _BARS if name in result.draws]
    for place, name in enumerate(reversed(names)):
        interval_bar(ax, float(place), result.draws[name], _BARS[name][1])
    ax.set_yticks(range(len(names)), [_BARS[n][0] for n in reversed(names)])
    ax.set_ylim(-0.7, len(names) - 0.3)
    ax.set_xlabel(f"equivariance error\n({result.units[names[0]]}, rms)")
    ax.set_title(BAR_NOTE, fontsize=8)
    if profiles:
        other = axes[1]
        for name in profiles:
            of, color = ("model", BLUE) if name == "model_profile" else ("task", ORANGE)
            sizes = result.coords[result.dims[name][0]]
            band(other, sizes, result.draws[name], color, label=of)
        unit = result.facts.magnitude_unit
        other.set_xlabel(with_unit(result.facts.magnitude_label, unit))
        other.set_ylabel("equivariance error")
        other.set_ylim(bottom=0)
        other.set_title(BAND_NOTE, fontsize=8)
        legend_below(figure, other, columns=2)
    return figure
