"""How a certificate came down as units came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BLUE, GREY, legend_below, new_figure, plain_log_numbers, with_unit

if TYPE_CHECKING:
    from equiprob.errors.certificate import Certificate, CertifiedMean

_LABELS = {"squared_error": "squared error", "share": "share above the tolerance"}


def plot_certificate(certificate: Certificate) -> Any:
    """Draw each bound, and the mean so far, against the number of units seen.

    Args:
        certificate: The certificate.

    Returns:
        The Matplotlib figure.
    """
    means = certificate.means
    figure, axes = new_figure(3.9 * len(means) + 0.6, 3.6, columns=len(means))
    panels = np.atleast_1d(axes)
    for ax, (name, mean) in zip(panels, means.items(), strict=True):
        _draw(ax, mean, 1 - certificate.delta)
        ax.set_xlabel("rows" if certificate.n_units == certificate.n_rows else "groups of rows")
        ax.set_ylabel(with_unit(_LABELS[name], mean.unit if name == "squared_error" else ""))
    legend_below(figure, panels[0], columns=len(means))
    return figure


def _draw(ax: Any, mean: CertifiedMean, confidence: float) -> None:
    looks, bounds = mean.path()
    so_far = mean.values.cumsum()[looks - 1] / looks * mean.largest
    ax.plot(
        looks,
        bounds,
        color=BLUE,
        linewidth=1.8,
        label=f"upper bound, {100 * confidence:.3g} % confidence at all times",
    )
    so_far[so_far == 0] = np.nan  # below a logarithmic axis
    ax.plot(looks, so_far, color=GREY, linewidth=1.2, linestyle="--", label="mean so far")
    ax.set(xscale="log", yscale="log")
    plain_log_numbers(ax.yaxis)
