"""How large is a share in each of several groups, where groups are of one kind?

Few rows of a group say little of it, and what all groups say together is then worth more: shares
come from one beta law, whose mean and spread are found with them.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv, betaln

from equiprob.arguments.array_types import Array

_MEANS = (np.arange(40) + 0.5) / 40
_ALIKE = (np.arange(24) + 0.5) / 24
"""How alike groups are, ``c / (1 + c)`` of the beta law's concentration c: uniform a priori."""

_LEAST_VARIANCE = 1e-9


def pooled_shares(draws: Array, seed: int) -> Array:
    """Return draws of shares with what the groups say of each other.

    Args:
        draws: Of each group by itself, ``(draw, group)``, in [0, 1].
        seed: Of the draws of the common law.

    Returns:
        ``(draw, group)``: none and all stay what they are, and in each group the others are in in
        the order of its own draws, so that they stay joint with whatever else rests on the rows.
    """
    n_draws, n_groups = draws.shape
    if n_groups < 2:
        return draws
    middle = np.clip(draws.mean(axis=0), 1e-6, 1 - 1e-6)
    # The counts of a share that would be as well known.
    known = middle * (1 - middle) / np.maximum(draws.var(axis=0), _LEAST_VARIANCE) - 1
    known = np.maximum(known, 0.0)
    yes, no = middle * known, (1 - middle) * known
    mean, alike = (grid.ravel() for grid in np.meshgrid(_MEANS, _ALIKE))
    concentration = alike / (1 - alike)
    a, b = mean * concentration, (1 - mean) * concentration
    evidence = sum(betaln(a + y, b + n) - betaln(a, b) for y, n in zip(yes, no, strict=True))
    weight = np.exp(evidence - np.max(evidence))
    generator = np.random.default_rng([seed, n_groups])
    law = generator.choice(len(a), size=n_draws, p=weight / weight.sum())
    ranks = draws.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    quantile = (ranks + 0.5) / n_draws
    shares = betaincinv(a[law, None] + yes, b[law, None] + no, quantile)
    return np.where((draws == 0) | (draws == 1), draws, shares)
