"""Figures of what averages over few transformations lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equiprob.plots.style import BAND_NOTE, BLUE, GREY, ORANGE, band, new_figure

if TYPE_CHECKING:
    from equiprob.levels.budget import TransformBudget

_SPACING = {"lattice": "evenly spread", "random": "drawn at random"}


def plot_transform_budget(result: TransformBudget) -> Any:
    """Draw the risk that averages lose, and the error they leave, by number of transformations.

    Args:
        result: The budget.

    Returns:
        The Matplotlib figure.
    """
    facts, sizes = result.facts, result.coords["n_transforms"]
    panels: list[tuple[str, str, float | None, str]]
    panels = [("excess_risk", "risk lost", facts.tolerance, BLUE)]
    if "error" in result.draws:
        panels.append(("error", "equivariance error left", facts.error_tolerance, ORANGE))
    figure, axes = new_figure(4.8 * len(panels), 3.8, columns=len(panels))
    for axis, (name, label, tolerance, color) in zip(
        [axes] if len(panels) == 1 else axes, panels, strict=True
    ):
        band(axis, sizes, result.draws[name], color)
        if tolerance is not None:
            axis.axhline(tolerance, color=GREY, linewidth=1.2, linestyle="--")
        if result.enough is not None:
            axis.axvline(result.enough, color=GREY, linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xlabel(f"transformations for each prediction,\n{_SPACING[facts.spacing]}")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.set_title(BAND_NOTE, fontsize=8)
    return figure
