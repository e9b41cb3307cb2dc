"""Candidates' risks against the sample size, and the optimal symmetry level against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    INK,
    ORANGE,
    legend_below,
    new_figure,
    plain_log_numbers,
)
from equiprob.posterior.results import credible_interval

if TYPE_CHECKING:
    from equiprob.curves.result import LearningCurveResult

_COLORS = (BLUE, ORANGE, "#2f855a", "#7c3aed", "#b7791f", "#0e7490", "#be185d", GREY)
_POINTS = 60


def plot_learning_curve(
    result: LearningCurveResult, *, up_to: float | None = None, ax: Any = None
) -> Any:
    """Draw each candidate's expected risk with its 90 % band, and the runs as points.

    Args:
        result: The fitted curves.
        up_to: The largest n drawn; ten times the largest observed when left out.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If `up_to` is out of range.
    """
    observed = result.n_observed
    far = 10 * observed[-1] if up_to is None else up_to
    sizes = np.geomspace(observed[0], far, _POINTS)
    figure, ax = new_figure(height=4.6) if ax is None else (ax.figure, ax)
    risks = np.stack([result.risk(n).to_numpy() for n in sizes], axis=1)
    for k, name in enumerate(result.candidates):
        color = _COLORS[k % len(_COLORS)]
        limits = credible_interval(risks[:, :, k], 0.9, "eti")
        ax.fill_between(sizes, limits[:, 0], limits[:, 1], color=color, alpha=0.15, linewidth=0)
        ax.plot(sizes, np.median(risks[:, :, k], axis=0), color=color, linewidth=1.8, label=name)
        if not result.facts.is_prior:
            mine = result.rows["candidate"] == name
            ax.plot(result.rows["n"][mine], result.rows["risk"][mine], ".", color=color, ms=5)
    _end_of_data(ax, observed[-1])
    ax.set(xscale="log", yscale="log", ylabel="risk")
    plain_log_numbers(ax.yaxis)
    kind = "prior" if result.facts.is_prior else "credible"
    ax.set_xlabel(f"n, rows of the training set\nline: median; band: 90 % {kind} interval")
    legend_below(figure, ax, columns=min(len(result.candidates), 3))
    return figure


def plot_optimal_level(
    result: LearningCurveResult, *, up_to: float | None = None, ax: Any = None
) -> Any:
    """Draw the posterior of the optimal symmetry level against the sample size.

    Args:
        result: Curves fitted to runs with errors.
        up_to: The largest n drawn; ten times the largest observed when left out.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If the runs had no errors, or `up_to` is out of range.
    """
    observed = result.n_observed
    far = 10 * observed[-1] if up_to is None else up_to
    sizes = np.geomspace(observed[0], far, _POINTS)
    levels = np.stack([result.optimal_level(n) for n in sizes], axis=1)
    figure, ax = new_figure() if ax is None else (ax.figure, ax)
    for prob in (0.9, 0.5):
        limits = credible_interval(levels, prob, "eti")
        ax.fill_between(sizes, limits[:, 0], limits[:, 1], color=BLUE, alpha=0.2, linewidth=0)
    ax.plot(sizes, np.median(levels, axis=0), color=BLUE, linewidth=1.8, label="optimal level")
    truth = result.draws["data_error"]
    ax.axhline(np.median(truth), color=ORANGE, linewidth=1.4, label="error of the task (median)")
    for k, name in enumerate(result.candidates):
        error = float(np.median(result.draws["model_error"][:, k]))
        ax.plot([observed[0]], [error], ">", color=INK, markersize=5, clip_on=False)
        ax.annotate(
            name, (observed[0], error), xytext=(6, 3), textcoords="offset points", fontsize=8
        )
    _end_of_data(ax, observed[-1])
    ax.set(xscale="log", ylabel="equivariance error (output units)")
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"n, rows of the training set\n{BAND_NOTE}; triangles: candidates")
    legend_below(figure, ax, columns=2)
    return figure


def _end_of_data(ax: Any, n: float) -> None:
    ax.axvline(n, color=GREY, linestyle=":", linewidth=1)
    ax.annotate(
        "largest n observed",
        (n, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=7,
        color=GREY,
    )
