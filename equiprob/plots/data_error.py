"""Figures of the data equivariance error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, INK, ORANGE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.task.data_error import DataEquivarianceErrorResult


_SHOWN = {
    "symmetry_cost": "cost",
    "error_if_asymmetric": "error, if\nasymmetric",
    "invariant_error_lower": "invariant,\nat least",
    "invariant_error_upper": "invariant,\nat most",
    "free_error_lower": "any,\nat least",
    "free_error_upper": "any,\nat most",
}


def plot_data_error(result: DataEquivarianceErrorResult) -> Any:
    """Draw the error (or what is known to hold it) and the symmetry cost, a panel for each unit.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    draws = result.draws
    errors = [n for n in ("error", "error_if_asymmetric", "lower", "upper") if n in draws]
    costs = [
        n for n in ("symmetry_cost", "symmetry_cost_lower", "symmetry_cost_upper") if n in draws
    ]
    brackets = [n for n in _SHOWN if n.endswith(("_error_lower", "_error_upper")) and n in draws]
    panels = [
        (names, label)
        for names, label in (
            (errors, f"equivariance error of the task\n({result.units['error']}, rms)"),
            (costs, "symmetry cost\n(risk)"),
            (brackets, "wrong labels of the best\nclassifier (share)"),
        )
        if names
    ]
    figure, axes = new_figure(4.2 * len(panels) + 0.6, 2.8, columns=len(panels))
    for ax, (names, label) in zip(np.atleast_1d(axes), panels, strict=True):
        for place, name in enumerate(reversed(names)):
            color = {"lower": ORANGE, "upper": GREY}.get(name.rsplit("_", 1)[-1], BLUE)
            interval_bar(ax, float(place), draws[name], color)
        shown = [_SHOWN.get(n, n.removeprefix("symmetry_cost_")) for n in names]
        ax.set_yticks(range(len(names)), list(reversed(shown)))
        ax.set_ylim(-0.7, len(names) - 0.3)
        if min(draws[n].min() for n in names) >= 0:
            right = 1.05 * ax.get_xlim()[1]
            ax.set_xlim(-0.03 * right, right)  # points at zero and at the end show whole
        else:
            ax.axvline(0, color=INK, linewidth=0.8)
        ax.set_xlabel(label)
    figure.supxlabel(BAR_NOTE, fontsize=8)
    return figure
