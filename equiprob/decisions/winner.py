"""What is the risk of the candidate that did best on these rows?

More than its mean there: rows that choose a candidate flatter it, the more the more candidates there
are and the nearer they come. So the rows are split in folds, each is judged by the candidate that
is best on the others, and splits are repeated. What the winner's mean falls short of that mean is
added to the draws of its risk, with half of it as the standard deviation of what the correction
itself leaves open.

Simulated, nominal 90 %, losses of twelve candidates at 60 rows: 0/1 losses of equal candidates are
covered in .94 (the plain interval in .65), squared ones in .89 (.64); of candidates that differ by
their noise in .86 and .84 (.74 and .85). Where one is ahead by three standard errors the correction
is not needed and costs up to 5 %. Whole splits in two correct a little more than needed where
candidates differ, splits in ten too little to have a small variance.

References:
    Varma & Simon, "Bias in error estimation when using cross-validation for model selection", BMC
    Bioinformatics 2006; Tibshirani & Tibshirani, "A bias correction for the minimum error rate in
    cross-validation", Annals of Applied Statistics 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from equiprob.decisions.choice import Draws
from equiprob.orbits.keys import Ids

Array = NDArray[np.float64]

_FOLDS = 3
_SPLITS = 16
_IN_DOUBT = 0.5
"""Standard deviation of the correction, as a share of it."""


@dataclass(frozen=True, eq=False)
class Winner:
    """The winner among candidates, by the rows that chose it and by rows that did not.

    Args:
        losses: ``(row, candidate)``.
        unit_ids: The independent unit of each row, ``(row,)``: its rows are in one fold.
        risk: Draws ``(draw, candidate)`` of the risks.
        seed: The weight seed.
    """

    losses: Array
    unit_ids: Ids
    risk: Draws
    seed: int

    @cached_property
    def _sums(self) -> tuple[Array, Array]:
        """Sums ``(unit, candidate)`` of losses and numbers of rows ``(unit, 1)``, by unit."""
        units, place, counts = np.unique(self.unit_ids, return_inverse=True, return_counts=True)
        sums = np.zeros((len(units), self.losses.shape[1]))
        np.add.at(sums, place, self.losses)
        return sums, counts[:, None].astype(np.float64)

    def optimism(self, winner: int, besides: Array | float = 0.0) -> float:
        """Return by how much rows flatter the candidate that they choose, at least 0.

        Args:
            winner: The candidate that all rows choose.
            besides: What each candidate costs besides its risk, in its unit, ``(candidate,)``.
        """
        sums, counts = self._sums
        n_units, n_candidates = sums.shape
        if n_units < 2:
            return 0.0
        besides = np.broadcast_to(np.asarray(besides, dtype=np.float64), n_candidates)
        generator = np.random.default_rng([self.seed, 4])
        n_folds = min(_FOLDS, n_units)
        total, rows = sums.sum(axis=0), counts.sum()
        judged = 0.0
        for _ in range(_SPLITS):
            order = generator.permutation(n_units)
            for fold in np.array_split(order, n_folds):
                inside, n_inside = sums[fold].sum(axis=0), counts[fold].sum()
                chosen = ((total - inside) / (rows - n_inside) + besides).argmin()
                judged += inside[chosen] + n_inside * besides[chosen]
        apparent = total[winner] / rows + besides[winner]
        return max(float(judged / (_SPLITS * rows) - apparent), 0.0)

    def draws(self, winner: int, besides: Array | float = 0.0) -> Draws:
        """Return draws ``(draw,)`` of the winner's risk, on rows that did not choose it.

        Args:
            winner: The candidate that all rows choose.
            besides: As for `optimism`.
        """
        off = self.optimism(winner, besides)
        normal = np.random.default_rng([self.seed, 5]).standard_normal(len(self.risk))
        found = self.risk[:, winner] + off * (1 + _IN_DOUBT * normal)
        # No risk leaves the range of its losses.
        return np.maximum(found, min(0.0, float(self.losses.min())))
