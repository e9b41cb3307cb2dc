"""Figures of the share of changed decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAND_NOTE, BLUE, band, interval_bar, new_figure, with_unit

if TYPE_CHECKING:
    from equiprob.errors.changed_decisions import ChangedDecisionsResult


def plot_changed_decisions(result: ChangedDecisionsResult) -> Any:
    """Draw the share against the size of the transformation, and by predicted class.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    by_class = "share_by_class" in result.draws
    figure, axes = new_figure(9.6 if by_class else 5.4, 3.8, columns=1 + by_class)
    left, facts = np.atleast_1d(axes)[0], result.facts
    band(left, result.coords["magnitude"], result.draws["share_by_magnitude"], BLUE, "share")
    left.set_ylim(-0.03, 1.03)
    left.set_xlabel(with_unit(facts.magnitude_label, facts.magnitude_unit))
    left.set_ylabel("share of changed decisions")
    left.set_title(BAND_NOTE, fontsize=8)
    if by_class:
        right, classes = axes[1], result.coords["class"]
        for place in range(len(classes)):
            interval_bar(right, float(place), result.draws["share_by_class"][:, place], BLUE)
        right.set_yticks(range(len(classes)), [str(each) for each in classes])
        right.set_ylabel("predicted class")
        right.set_xlabel("share of changed decisions")
        right.set_xlim(-0.03, 1.03)
    return figure
