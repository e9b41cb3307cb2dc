"""How do curves go on where no run speaks of them?

As within the data, but for what real curves do besides: slopes fade, or stop at once (a floor that
is met suddenly); other slopes set in, such as those of a plateau that collapses; and what rises
seldom goes on rising.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.curves.bends import bend_covariance, root
from equiprob.curves.shapes import log_risk

_NO_FADE = 1e-6

MOST_RISE = 3.0
"""How far a risk rises at most beyond the data, as a ratio: 3 of 1,000 means of LCDB, cut off at n
and looked at up to 16 n, rose further. Without a bound, expected risks would be those of a few
draws that rise to a plateau hundreds of times higher."""


@dataclass(frozen=True, eq=False)
class Ahead:
    """What sets in beyond one candidate's data.

    Args:
        turns: Scales of slopes of which no run speaks, ``(draw,)``.
        fades: Rates in log n at which slopes fade, ``(draw,)``.
        rises: Whether a rise goes on, ``(draw,)``; there is none otherwise.
        highest: The risk that rises lead to at most.
    """

    turns: Array
    fades: Array
    rises: NDArray[np.bool_]
    highest: float

    def risks(
        self,
        h: Array,
        nodes: Array,
        last: float,
        floor: Array,
        plateau: Array,
        generator: np.random.Generator,
    ) -> Array:
        """Return log risks ``(draw, node)``.

        Args:
            h: Curves as within the data, ``(draw, node)``.
            nodes: Log sample sizes, ascending, the candidate's last among them.
            last: The candidate's last.
            floor: ``(draw, 1)``.
            plateau: ``(draw, 1)``.
            generator: Of the draws.
        """
        here = int(np.searchsorted(nodes, last + 1e-9)) - 1
        x = nodes[here:] - last
        if len(x) > 1:
            rate = np.maximum(self.fades, _NO_FADE)[:, None]
            left = -np.diff(np.exp(-rate * x)) / (rate * np.diff(x))
            whole = root(bend_covariance(x))
            turned = generator.normal(size=(len(h), len(x))) @ (whole - whole[0]).T
            h = h.copy()
            h[:, here + 1 :] = h[:, [here]] + np.cumsum(np.diff(h[:, here:], axis=1) * left, axis=1)
            h[:, here:] += self.turns[:, None] * turned
        logs, _ = log_risk(h, floor, plateau)
        now = logs[:, [here]]
        top = np.clip(np.log(self.highest), now, now + np.log(MOST_RISE))
        most = np.where(self.rises[:, None], top, now)
        return np.where(np.arange(len(nodes)) > here, np.minimum(logs, most), logs)
