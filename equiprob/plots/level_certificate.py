"""The risk along a path, and which positions a certified predictor draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.plots.style import BLUE, GREY, ORANGE, legend_below, new_figure, with_unit

if TYPE_CHECKING:
    from equiprob.levels.level_certificate import LevelCertificate


def plot_level_certificate(certificate: LevelCertificate) -> Any:
    """Draw mean losses with both bounds, and the probabilities of positions with their prior.

    Args:
        certificate: The certificate.

    Returns:
        The Matplotlib figure.
    """
    figure, (top, below) = new_figure(8.4, 3.6, columns=2)
    named = certificate.names is not None
    at = np.arange(len(certificate.positions)) if named else certificate.positions
    style: dict[str, Any] = {"marker": "o", "linestyle": ""} if named else {"linewidth": 1.8}
    top.plot(at, certificate.risk, color=BLUE, label="in the sample", **style)
    upper = certificate.upper
    top.axhline(upper["drawn"], color=BLUE, linestyle="--", label="drawn, at most")
    top.axhline(upper["as_it_is"], color=ORANGE, linestyle="--", label="as it is, at most")
    top.set_ylabel(f"expected loss ({certificate.loss})")
    below.plot(at, certificate.probability, color=BLUE, label="drawn", **style)
    below.plot(at, certificate.prior, color=GREY, label="prior", **(style | {"zorder": 1}))
    below.set_ylabel("probability of a position")
    for ax in (top, below):
        ax.set_ylim(bottom=0)
        ax.set_xlabel(
            with_unit(certificate.path.label, certificate.path.unit(certificate.transform))
        )
        if named:
            ax.set_xticks(at, certificate.names, rotation=30, ha="right", fontsize=7)
    legend_below(figure, top, columns=3)
    return figure
