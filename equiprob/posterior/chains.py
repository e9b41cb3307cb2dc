"""How are draws of Markov chains handed on, so that their order still tells how they mix?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from equiprob.arguments.array_types import Array


def one_after_another(draws: Mapping[str, Array], n_draws: int) -> tuple[dict[str, Array], int]:
    """Return `n_draws` draws, evenly spaced, one chain after another, and of how many chains.

    In their order they still tell how much they depend on each other. Chains are as many as
    `n_draws` can be shared among equally.

    Args:
        draws: By name, ``(chain, draw, ...)``.
        n_draws: How many to return, ``(draw, ...)``.
    """
    available, length = next(iter(draws.values())).shape[:2]
    n_chains = max(k for k in range(1, available + 1) if n_draws % k == 0)
    size = n_draws // n_chains
    place = np.arange(size) * length // size
    taken = {name: v[:n_chains, place].reshape(n_draws, *v.shape[2:]) for name, v in draws.items()}
    return taken, n_chains
