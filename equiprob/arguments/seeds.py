"""What is a seed? A number that NumPy and JAX both take as it is."""

from __future__ import annotations

import numpy as np


def check_seed(seed: int) -> int:
    """Return a 32-bit seed; raise where it is none."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), got {seed!r}")
    return int(seed)
