"""Figures of generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equiprob.plots.style import BAR_NOTE, BLUE, GREY, ORANGE, interval_bar, new_figure

if TYPE_CHECKING:
    from equiprob.errors.generators import GeneratorsResult

_MOST = 16


def plot_generators(result: GeneratorsResult) -> Any:
    """Draw the relative errors of generators, the best at the top, with their intervals.

    Args:
        result: The fitted result.

    Returns:
        The Matplotlib figure.
    """
    errors = result.draws["relative_error"][:, :_MOST]
    n, tolerance = errors.shape[1], result.facts.tolerance
    figure, ax = new_figure(5.6, 1.6 + 0.22 * n)
    for k in range(n):
        color = BLUE if k < result.n_symmetries else GREY
        interval_bar(ax, float(n - 1 - k), errors[:, k], color)
    ax.axvline(tolerance, color=ORANGE, linewidth=1.2)
    ax.set_yticks(range(n), [str(k) for k in range(n, 0, -1)])
    ax.set_xlim(left=min(-0.02, 0.0))
    ax.set_ylabel("generator")
    ax.set_xlabel("change of the output per unit of motion,\nrelative to a random generator")
    ax.set_title(f"orange: the tolerance. {BAR_NOTE}", fontsize=8)
    return figure
