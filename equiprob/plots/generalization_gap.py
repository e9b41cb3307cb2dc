"""Figures of the generalization gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BAR_NOTE,
    BLUE,
    GREY,
    INK,
    ORANGE,
    band,
    interval_bar,
    legend_below,
    new_figure,
    tidy,
)

if TYPE_CHECKING:
    from equiprob.bounds.generalization_gap import GapForecast, GeneralizationGapResult


def plot_generalization_gap(
    result: GeneralizationGapResult, *, observed: Any = None, ax: Any = None
) -> Any:
    """Draw bound and gap against the number of rows, with and without the symmetry.

    Args:
        result: The fitted result.
        observed: Gaps that were measured: a table with columns ``n`` and ``gap``; those that a
            prediction was fitted to when left out.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    curves = result.curves
    if not curves:
        return _plot_values(result)
    figure, ax, given = _axes(ax)
    if "gap" in curves:
        _draw_predicted(ax, result, curves, observed)
        _label(figure, ax, given)
        return figure
    _draw(ax, result.coords["n"], curves, result.facts)
    n = result.facts.n
    ax.axvline(n, color=GREY, linewidth=1, linestyle=":")
    ax.annotate(
        " forecast",
        (n, 0.02),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        color=GREY,
    )
    _finish(figure, ax, given, observed)
    return figure


def plot_gap_forecast(forecast: GapForecast, *, observed: Any = None, ax: Any = None) -> Any:
    """Draw forecast bounds against the number of rows.

    Args:
        forecast: The forecast, at two numbers of rows at least.
        observed: Gaps that were measured: a table with columns ``n`` and ``gap``.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    figure, ax, given = _axes(ax)
    if "gap" in forecast.draws:
        _draw_predicted(ax, forecast, forecast.draws, observed)
        _label(figure, ax, given)
        return figure
    _draw(ax, forecast.coords["n"], forecast.draws, forecast.facts)
    _finish(figure, ax, given, observed)
    return figure


def _axes(ax: Any) -> tuple[Any, Any, bool]:
    if ax is None:
        figure, ax = new_figure(7.0, 4.8)
        return figure, ax, False
    tidy(ax)
    return ax.figure, ax, True


def _draw(ax: Any, n: Any, curves: Mapping[str, Any], facts: Any) -> None:
    """Draw the three curves and the largest loss."""
    band(ax, n, curves["without"], GREY, label="bound on the expected gap, without the symmetry")
    band(ax, n, curves["expected_bound"], BLUE, label="bound on the expected gap, with it")
    confidence = 100 * (1 - facts.delta)
    ax.plot(
        n,
        np.median(curves["bound"], axis=0),
        color=BLUE,
        linestyle="--",
        linewidth=1.4,
        label=f"bound on every gap, with confidence {confidence:.3g} %",
    )
    if facts.loss_range is not None:
        ax.axhline(
            facts.loss_range,
            color=INK,
            linewidth=0.9,
            label="largest loss: vacuous above",
        )


def _draw_predicted(ax: Any, result: Any, curves: Mapping[str, Any], observed: Any) -> None:
    """Draw predicted gaps, times the root of the number of rows: noise is then as high anywhere."""
    n = result.coords["n"]
    observed = result.observed if observed is None else observed
    rows, gaps = (np.asarray(observed[name], dtype=np.float64) for name in ("n", "gap"))
    within = slice(0, None) if not len(rows) else (n >= rows.min() / 2) & (n <= 20 * rows.max())
    root = np.sqrt(n[within])
    if "without" in curves:
        band(
            ax,
            n[within],
            root * curves["without"][:, within],
            GREY,
            label="mean gap without the symmetry",
        )
    low, high = np.quantile(curves["gap"][:, within], [0.05, 0.95], axis=0)
    ax.plot(n[within], root * low, color=BLUE, linestyle="--", linewidth=1.2)
    ax.plot(
        n[within],
        root * high,
        color=BLUE,
        linestyle="--",
        linewidth=1.2,
        label="one training run: 90 % credible interval",
    )
    band(
        ax,
        n[within],
        root * curves["expected_gap"][:, within],
        BLUE,
        label=f"mean gap of {result.facts.of_bound['candidate']}",
    )
    ax.plot(rows, np.sqrt(rows) * gaps, "o", color=ORANGE, markersize=4, label="observed gap")
    ax.axhline(0, color=INK, linewidth=0.9)
    ax.set_xscale("log")
    ax.set_ylabel("gap times root of rows (risk)")


def _finish(figure: Any, ax: Any, given: bool, observed: Any) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    if observed is not None:
        gaps = np.asarray(observed["gap"], dtype=np.float64)
        shown = gaps > 0
        rows = np.asarray(observed["n"], dtype=np.float64)
        ax.plot(rows[shown], gaps[shown], "o", color=ORANGE, markersize=4, label="observed gap")
        if not shown.all():
            ax.plot([], [], " ", label=f"({(~shown).sum()} observed gaps below 0 not shown)")
    ax.set_ylabel("generalization gap (risk)")
    _label(figure, ax, given)


def _label(figure: Any, ax: Any, given: bool) -> None:
    ax.set_xlabel("independent rows")
    ax.plot([], [], " ", label=BAND_NOTE)
    if given:
        ax.legend(frameon=False, fontsize=8)
    else:
        legend_below(figure, ax)


def _plot_values(result: GeneralizationGapResult) -> Any:
    """Draw what has no curve as bars."""
    names = [name for name in ("bound", "expected_bound", "gap") if name in result.draws]
    labels = {
        "bound": "bound on every gap",
        "expected_bound": "bound on the expected gap",
        "gap": "gap",
    }
    figure, ax = new_figure(7.2, 1.7 + 0.45 * len(names))
    for place, name in enumerate(reversed(names)):
        interval_bar(ax, float(place), result.draws[name], BLUE)
    ax.set_yticks(range(len(names)), [labels[name] for name in reversed(names)])
    ax.set_ylim(-0.7, len(names) - 0.3)
    if "gap" in names:
        ax.axvline(0, color=GREY, linewidth=1)
    ax.set_xlabel("generalization gap (risk)")
    figure.supxlabel(BAR_NOTE, fontsize=8)
    return figure
