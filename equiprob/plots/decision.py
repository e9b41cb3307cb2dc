"""A decision: how likely each candidate is best, what it risks, and what could be learned first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import (
    BAR_NOTE,
    BLUE,
    CANDIDATES,
    GREY,
    INK,
    ORANGE,
    interval_bar,
    legend_below,
    new_figure,
    tidy,
    with_unit,
)
from equiprob.posterior.results import credible_interval

if TYPE_CHECKING:
    from equiprob.decisions.decide import Decision
    from equiprob.decisions.prospects import Curve


def plot_decision(decision: Decision, *, kind: str = "candidates", ax: Any = None) -> Any:
    """Draw the candidates, best first, or what could be learned before choosing one.

    Args:
        decision: The decision.
        kind: ``"candidates"`` (probability of being best, and regret) or ``"information"`` (what
            it is worth, and per unit of its cost).
        ax: For information: Matplotlib axes to draw the values on.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If there is no such kind, `ax` is given for candidates (they take two axes), or
            no information was considered.
    """
    if kind == "information":
        return plot_information(decision, ax=ax)
    if kind != "candidates":
        raise ValueError(f"kind must be 'candidates' or 'information', got {kind!r}")
    if ax is not None:
        raise ValueError("candidates are drawn on two axes: leave ax out, or draw 'information'")
    table, names = decision.table, decision.candidates
    figure, (left, right) = new_figure(width=8.0, height=1.6 + 0.55 * len(names), columns=2)
    for i, name in enumerate(names):
        color = ORANGE if i == 0 else BLUE
        p_best = float(table["p_best"].iloc[i])
        left.barh(i, p_best, color=color, height=0.35, alpha=0.85)
        left.annotate(f"{p_best:.2f}", (p_best, i), (4, 0), textcoords="offset points", va="center")
        _name_above(left, name, i)
        interval_bar(right, i, decision.draws["regret"][:, i], color)
        expected = float(table["expected_regret"].iloc[i])
        right.plot(expected, i, "|", color=INK, markersize=14, markeredgewidth=1.6)
    left.set_xlim(0, 1.12)
    left.set_xlabel("probability of being best")
    unit = decision.units["loss"]
    right.set_xlim(left=min(0.0, right.get_xlim()[0]))
    right.set_xlabel(with_unit("regret", unit))
    figure.supxlabel(f"{BAR_NOTE}\nstroke: expected regret", fontsize=8)
    for ax in (left, right):
        ax.set_yticks([])
        ax.set_ylim(len(names) - 0.5, -0.75)
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    return figure


def plot_information(decision: Decision, *, ax: Any = None) -> Any:
    """Draw what each piece of information is worth; where costs are given, also per unit of cost.

    Args:
        decision: The decision.
        ax: Matplotlib axes to draw the values on; that per unit of cost is then left out.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If nothing was considered.
    """
    table = decision.information
    if table.empty:
        raise ValueError("no information was considered: leave information= out of decide")
    perfect, unit = decision.value_of_perfect_information, decision.units["loss"]
    priced = table["value_per_cost"].notna().to_numpy() & (perfect > 0)
    if ax is not None:
        axes = [ax]
    else:
        height = 1.5 + 0.5 * len(table)
        _, made = new_figure(
            width=8.0 if priced.any() else 7.0, height=height, columns=1 + bool(priced.any())
        )
        axes = list(np.atleast_1d(made))
    for i, (name, value) in enumerate(table["value"].items()):
        axes[0].barh(i, value, color=BLUE, height=0.35, alpha=0.85)
        _name_above(axes[0], str(name), i)
    if perfect > 0:
        axes[0].axvline(perfect, color=ORANGE, linestyle=":", linewidth=1.4)
        axes[0].annotate(
            "perfect information ",
            (perfect, -0.72),
            ha="right",
            va="center",
            fontsize=8,
            color=ORANGE,
        )
        axes[0].set_xlim(0, perfect * 1.04)
        axes[0].set_xlabel(f"expected fall\nof the loss ({unit})")
    else:
        axes[0].set_xticks([])
        axes[0].set_xlabel("each is worth nothing: no outcome would change the choice")
    if len(axes) > 1:
        axes[1].barh(
            np.flatnonzero(priced), table["value_per_cost"][priced], color=BLUE, height=0.35
        )
        if unit == "cost":  # both in one unit: above one it pays
            axes[1].axvline(1.0, color=GREY, linestyle=":", linewidth=1.4)
        pays = "\n(pays above 1)" if unit == "cost" else ""
        axes[1].set_xlabel(f"value per unit\nof its cost{pays}")
    for each in axes:
        each.set_yticks([])
        each.set_ylim(len(table) - 0.5, -0.95)
        each.spines["left"].set_visible(False)
        each.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    return axes[0].figure


def plot_regret(
    curve: Curve, *, sizes: Sequence[float] | None = None, n_sizes: int = 25, ax: Any = None
) -> Any:
    """Draw what each candidate loses against the best, over the number of training rows.

    Args:
        curve: Fitted learning curves: anything with ``risk(n)`` and ``n_observed``.
        sizes: Numbers of training rows; when left out, equal steps in the logarithm from the
            smallest observed to ten times the largest.
        n_sizes: How many steps.
        ax: Matplotlib axes to draw on.

    Returns:
        The Matplotlib figure.
    """
    observed = np.asarray(curve.n_observed, dtype=np.float64)
    if sizes is None:
        sizes = np.geomspace(observed.min(), 10 * observed.max(), n_sizes).tolist()
    risk = np.stack([curve.risk(n).to_numpy(dtype=np.float64) for n in sizes], axis=1)
    regret = risk - risk.min(axis=2, keepdims=True)
    figure = None
    if ax is None:
        figure, ax = new_figure()
    else:
        tidy(ax)
    for k, name in enumerate(curve.candidates):
        color = CANDIDATES[k % len(CANDIDATES)]
        limits = credible_interval(regret[:, :, k], 0.9, "eti")
        ax.fill_between(sizes, limits[:, 0], limits[:, 1], color=color, alpha=0.15, linewidth=0)
        ax.plot(sizes, regret[:, :, k].mean(axis=0), color=color, linewidth=1.8, label=str(name))
    if max(sizes) > observed.max():
        ax.axvspan(observed.max(), max(sizes), color=GREY, alpha=0.12, linewidth=0)
        ax.annotate(
            "forecast", (observed.max(), 1.0), (4, -4), xycoords=("data", "axes fraction"),
            textcoords="offset points", va="top", fontsize=8, color=GREY,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlim(min(sizes), max(sizes))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("training rows\nline: expectation; band: 90 % credible interval")
    ax.set_ylabel("regret (risk above the best candidate's)")
    if figure is not None:
        legend_below(figure, ax, columns=3)
    else:
        ax.legend(frameon=False, fontsize=8)
    return ax.figure


def _name_above(ax: Any, name: str, place: float) -> None:
    """Write a name above its bar, which leaves the width to the bar."""
    ax.annotate(
        name,
        (0.0, place - 0.2),
        xycoords=("axes fraction", "data"),
        xytext=(2, 1),
        textcoords="offset points",
        va="bottom",
        fontsize=9,
        color=INK,
    )
