"""How far may an architecture's risk be from the mean over its few training seeds?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 1.0
"""Largest standard deviation of the log risk between seeds.

Few seeds leave the spread all but unknown; without a limit, the expectation of the risk is
infinite.
"""


@dataclass(frozen=True)
class SeedSpread:
    """The spread of the risk between training seeds, pooled over candidates in relative terms.

    Args:
        relative: Standard deviation of the risk over its mean.
        freedom: Seeds beyond the first of each candidate.
        counts: Seeds of each candidate.
    """

    relative: float
    freedom: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, risks: Sequence[Sequence[float]]) -> SeedSpread | None:
        """Return the spread, given the risks ``(seed,)`` of each candidate; None with single seeds.

        Args:
            risks: The risk of each training run, by candidate.
        """
        counts = tuple(len(r) for r in risks)
        freedom = sum(counts) - len(counts)
        if not freedom:
            return None
        squares = [((r / r.mean() - 1) ** 2).sum() for r in map(np.asarray, risks) if r.mean() > 0]
        return cls(float(np.sqrt(sum(squares) / freedom)), freedom, counts)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> SeedSpread | None:
        """Return the spread that `facts` recorded."""
        kept = facts["seed_spread"]
        return None if kept is None else cls(kept[0], kept[1], tuple(facts["n_seeds"].values()))

    def factors(self, n_draws: int, seed: int) -> NDArray[np.float64]:
        """Return draws ``(draw, candidate)``, of mean 1, of the risk over its mean of these seeds.

        Log-normal with the deviation drawn from its posterior (scaled inverse chi-squared), which
        all candidates share.
        """
        generator = np.random.default_rng([seed, 2])
        chi_squared = generator.chisquare(self.freedom, n_draws)
        deviation = np.minimum(self.relative * np.sqrt(self.freedom / chi_squared), _LARGEST)
        of_mean = deviation[:, None] / np.sqrt(self.counts)
        normal = generator.standard_normal(of_mean.shape)
        return np.exp(of_mean * normal - of_mean**2 / 2)
