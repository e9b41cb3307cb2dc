"""How are shares, changes and many names said, so that a reader takes them for what they are?

A share above 2 is a factor; a change that is all rounding is none; of fifty names eight are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import credible_interval

Draws = NDArray[np.float64]

MANY = 8
"""How many candidates a sentence or a page speaks of, one by one."""

_FACTOR = 2.0
"""Shares above are said as factors: "9 times", not "900 %"."""


def listed(names: Sequence[str], joint: str = ", ") -> str:
    """Return names in quotes, the first few of many: "'a', 'b', ... (48 more)".

    Args:
        names: At least one.
        joint: What stands before the last of a few.
    """
    quoted = [repr(name) for name in names]
    if len(quoted) > MANY:
        return f"{', '.join(quoted[:MANY])}, ... ({len(quoted) - MANY} more)"
    *others, last = quoted
    return f"{', '.join(others)}{joint}{last}" if others else last


def of_its_own_variation(relative_error: Draws) -> str:
    """Say a relative error: "24 % of its own variation", or "8 times its own variation, ..."."""
    share = float(np.median(relative_error))
    if share <= _FACTOR:
        return f"{100 * share:.3g} % of its own variation"
    return f"{share:.2g} times as much as it varies between rows, which is little"


def change_of_risk(share_saved: Draws) -> str:
    """Say what saving a share of the risk does to it, with a 90 % credible interval.

    Args:
        share_saved: Draws of the share, at most 1; negative where the risk grows.

    Returns:
        What follows "would": "change its risk by -37 % (-60 to -10 %)", "make its risk 5 times as
        large (0.8 to 9 times)" or "leave its risk as it is".
    """
    low, high = credible_interval(-share_saved, 0.9)
    middle = float(-np.median(share_saved))
    percent = [f"{round(100 * value, 4) + 0.0:+.3g}" for value in (middle, low, high)]
    if max(abs(low), abs(high)) < 5e-4:
        return "leave its risk as it is, to within 0.05 %"
    if 1 + high > _FACTOR:
        times = [f"{1 + value:.2g}" for value in (middle, low, high)]
        return f"make its risk {times[0]} times as large ({times[1]} to {times[2]} times)"
    return f"change its risk by {percent[0]} % ({percent[1]} to {percent[2]} %)"


def no_step_seen(facts: RowFacts, n_transforms: int) -> str:
    """Say that no output of few values changed, and in how many of the rows not seen it may."""
    percent = 100 * facts.invisible_rate
    return (
        f"No output changed on {facts.n_rows} rows under {n_transforms} "
        f"transformations each; outputs take few values, so that it is in at most about "
        f"{percent:.2g} % of rows that they may."
    )
