"""Figures of the model equivariance error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from equiprob.plots.style import (
    BAND_NOTE,
    BLUE,
    GREY,
    ORANGE,
    band,
    degree_ticks,
    interval_bar,
    legend_below,
    new_figure,
    with_unit,
)

if TYPE_CHECKING:
    from equiprob.errors.model_error import ModelEquivarianceErrorResult


def plot_model_error(
    result: ModelEquivarianceErrorResult,
    *,
    kind: Literal["profile", "posterior"] = "profile",
    ax: Any = None,
) -> Any:
    """Draw the error against the size of the transformation, or the posterior of the error.

    Args:
        result: The fitted result.
        kind: ``"profile"``, or ``"posterior"`` (by ArviZ's ``plot_dist``).
        ax: Matplotlib axes to draw the profile on.

    Returns:
        The Matplotlib figure.

    Raises:
        ValueError: If `kind` is unknown.
    """
    if kind == "posterior":
        return _posterior(result)
    if kind != "profile":
        raise ValueError(f"kind must be 'profile' or 'posterior', got {kind!r}")
    given = ax is not None
    figure, ax = (ax.figure, ax) if given else new_figure()
    (dimension,) = result.dims["profile"]
    sizes, draws = result.coords[dimension], result.draws["profile"]
    label, unit = result.facts.magnitude_label, result.facts.magnitude_unit
    if dimension == "magnitude" and len(sizes) > 8:
        band(ax, sizes, draws, BLUE, label=BAND_NOTE)
    else:
        for size, values in zip(sizes, draws.T, strict=True):
            interval_bar(ax, float(size), values, BLUE, vertical=True)
    rms = float(np.median(result.draws["error"]))
    ax.axhline(rms, color=ORANGE, linestyle="--", linewidth=1.2, label="over all transformations")
    if result.is_exact:
        ax.axhline(result.float_floor, color=GREY, linestyle=":", label="rounding")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    if unit == "deg":
        degree_ticks(ax, float(np.max(sizes)))
    ax.set_xlabel(with_unit(label, unit))
    ax.set_ylabel(f"equivariance error ({result.units['error']}, rms)")
    if given:
        ax.legend(frameon=False, fontsize=8, loc="best")
    else:
        legend_below(figure, ax, columns=2)
    return figure


def _posterior(result: ModelEquivarianceErrorResult) -> Any:
    import arviz_plots

    names = [n for n in ("error", "relative_error", "asymmetry_share") if n in result.draws]
    collection = arviz_plots.plot_dist(
        result.tree,
        var_names=names,
        ci_prob=0.9,
        backend="matplotlib",
        figure_kwargs={"figsize": (3.2 * len(names), 2.8)},
    )
    for name in names:
        axes = collection.get_target(name, {})
        axes.set_title("")
        axes.set_xlabel(with_unit(name.replace("_", " "), result.units.get(name, "")))
    figure = collection.viz["figure"].item()
    figure.set_layout_engine("constrained")
    return figure
