"""Figures of an analysis and its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, ORANGE, interval_bar, new_figure, with_unit

if TYPE_CHECKING:
    from equiprob.task.controls import Controls


def plot_controls(controls: Controls) -> Any:
    """Draw a panel for each scalar quantity, with a bar for each analysis that has it.

    Args:
        controls: The analysis and its controls.

    Returns:
        The Matplotlib figure.
    """
    results = controls.results
    names = list(
        dict.fromkeys(
            name
            for result in results.values()
            for name, values in result.draws.items()
            if values.ndim == 1
        )
    )
    figure, axes = new_figure(2.9 * len(names) + 1.4, 2.7, columns=len(names))
    panels = np.atleast_1d(axes)
    for ax, name in zip(panels, names, strict=True):
        for place, (result, color) in enumerate(
            zip(results.values(), (BLUE, ORANGE, GREY), strict=True)
        ):
            if name in result.draws:
                interval_bar(ax, -float(place), result.draws[name], color)
            else:
                ax.text(
                    0.5,
                    -float(place),
                    "not identified",
                    transform=ax.get_yaxis_transform(),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=color,
                )
        ax.set_yticks([-float(k) for k in range(len(results))], list(results))
        ax.set_ylim(-len(results) + 0.4, 0.6)
        if ax is not panels[0]:
            ax.set_yticklabels([])
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
        ax.locator_params(axis="x", nbins=4)
        unit = next(r.units.get(name, "") for r in results.values() if name in r.draws)
        ax.set_xlabel(with_unit(_in_words(name), unit))
    figure.supxlabel(BAR_NOTE, fontsize=8)
    return figure


def _in_words(name: str) -> str:
    """Return the name of a quantity for a label: that of a bound says which end it is."""
    for ending, side in {"lower": "at least", "upper": "at most"}.items():
        if name.endswith(ending):
            what = name.removesuffix(ending).replace("_", " ").strip() or "error"
            return f"{what}, {side}"
    return name.replace("_", " ")
