"""Refuse priors and lengths of chains that cannot be sampled, before anything is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

_FEWEST = {"num_warmup": 1, "num_samples": 4, "num_chains": 1}
"""R-hat compares the halves of a chain, and the spread of each."""


def check_chains(settings: Any) -> None:
    """Check ``num_warmup``, ``num_samples`` and ``num_chains`` of a configuration.

    Raises:
        ValueError: If one is no integer, or too small.
    """
    for name, fewest in _FEWEST.items():
        given = getattr(settings, name)
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < fewest:
            raise ValueError(f"{name} must be an integer of at least {fewest}, got {given!r}")


def check_prior(name: str, given: Any) -> None:
    """Check that a prior, where there is one, is a distribution of one number.

    Raises:
        TypeError: If it is not.
    """
    if given is None:
        return
    import numpyro.distributions as dist

    if not isinstance(given, dist.Distribution) or given.batch_shape or given.event_shape:
        raise TypeError(
            f"{name} must be a numpyro.distributions.Distribution of one number, such as "
            f"dist.LogNormal(0.0, 1.0); got {given!r:.80}"
        )
