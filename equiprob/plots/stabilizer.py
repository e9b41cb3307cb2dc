"""Figures of the approximate stabilizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    legend_below,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.errors.stabilizer import StabilizerResult


def plot_stabilizer(result: StabilizerResult) -> Any:
    """Draw the probability of membership, and the share of the law inside against the tolerance.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    figure, (left, right) = new_figure(9.6, 3.8, columns=2)
    facts = result.facts
    left.plot(result.coords["transform"], result.probability, "o", color=BLUE, markersize=5)
    left.axhline(facts.credibility, color=GREY, linewidth=0.9, linestyle="--")
    left.set_ylim(-0.03, 1.03)
    left.set_xlim(left=0)
    left.set_xlabel(with_unit(facts.magnitude_label, facts.magnitude_unit))
    tolerance = f"{facts.tolerance:.3g} {facts.unit}"
    left.set_ylabel(f"probability of an error\nup to {tolerance}")
    left.set_title(f"dashed: {100 * facts.credibility:.3g} %", fontsize=8)
    band(right, result.coords["tolerance"], result.draws["measure"], BLUE, "share inside")
    right.axvline(facts.tolerance, color=ORANGE, linewidth=1.2, label="stated tolerance")
    right.set_ylim(-0.03, 1.03)
    right.set_xlabel(f"tolerance ({facts.unit}, rms)")
    right.set_ylabel("share of the transformations inside")
    right.set_title(BAND_NOTE, fontsize=8)
    legend_below(figure, right, columns=2)
    return figure
