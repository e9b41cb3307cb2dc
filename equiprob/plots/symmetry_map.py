"""Figures of where the symmetry holds."""

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
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.task.symmetry_map import SymmetryMapResult

_KINDS = {
    "correct": ("agrees with the data", BLUE),
    "incorrect": ("contradicts the data", ORANGE),
    "extrinsic": ("leaves the data", GREY),
}


def plot_symmetry_map(result: SymmetryMapResult) -> Any:
    """Draw the three shares against the size of the transformation, and by group.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    by_group, facts = "group" in result.coords, result.facts
    figure, axes = new_figure(9.6 if by_group else 5.4, 4.2, columns=1 + by_group)
    left, magnitude = np.atleast_1d(axes)[0], result.coords["magnitude"]
    for kind, (words, color) in _KINDS.items():
        draws = result.draws[f"{kind}_by_magnitude"]
        if len(magnitude) > 1:
            band(left, magnitude, draws, color, words)
        else:
            interval_bar(left, float(magnitude[0]), draws[:, 0], color, vertical=True)
            left.plot([], [], color=color, label=words)
    left.set_ylim(-0.03, 1.03)
    left.set_xlabel(with_unit(facts.magnitude_label, facts.magnitude_unit))
    left.set_ylabel("share of moved rows")
    left.set_title(BAND_NOTE, fontsize=8)
    if by_group:
        right, groups = axes[1], result.coords["group"]
        offsets = (0.2, 0.0, -0.2)
        for (kind, (_, color)), offset in zip(_KINDS.items(), offsets, strict=True):
            for place in range(len(groups)):
                draws = result.draws[f"{kind}_by_group"][:, place]
                interval_bar(right, place + offset, draws, color)
        right.set_yticks(range(len(groups)), [str(each) for each in groups])
        right.set_ylabel("group")
        right.set_xlabel("share of moved rows, of all sizes")
        right.set_xlim(-0.03, 1.03)
    legend_below(figure, left, columns=3)
    return figure
