"""What do candidates cost besides their errors?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import check_fields


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Prices that put errors, training and inference into one unit, such as euros.

    Over its life a candidate costs ``n_predictions * (price_of_risk * risk + per_prediction) +
    training``.

    Args:
        price_of_risk: What one unit of risk costs, for each prediction: for a squared error, the
            price of one prediction that is wrong by one unit.
        n_predictions: How many predictions the candidate will make.
        training: By candidate; leave it out where it is spent already.
        per_prediction: By candidate: evaluations times what one costs.
    """

    price_of_risk: float
    n_predictions: float
    training: Mapping[str, float] = field(default_factory=dict)
    per_prediction: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the prices."""
        check_fields(self)
        for name in ("price_of_risk", "n_predictions"):
            value = getattr(self, name)
            if not np.isfinite(value) or value <= 0:
                raise ValueError(f"{name} must be a positive number, got {value}")

    @property
    def of_risk(self) -> float:
        """What one unit of risk costs over all predictions."""
        return self.price_of_risk * self.n_predictions

    def besides_risk(self, candidates: Sequence[str]) -> NDArray[np.float64]:
        """Return what each candidate costs besides its risk, ``(candidate,)``.

        Raises:
            ValueError: If costs are of other candidates, or not finite.
        """
        training = by_candidate(self.training, candidates, "training")
        each = by_candidate(self.per_prediction, candidates, "per_prediction")
        return training + self.n_predictions * each


def by_candidate(
    costs: Mapping[str, float], candidates: Sequence[str], name: str
) -> NDArray[np.float64]:
    """Return costs in the order of the candidates; zeros where none are given.

    Raises:
        ValueError: If the names are not those of the candidates, or a cost is not finite.
    """
    if not costs:
        return np.zeros(len(candidates))
    unknown = sorted(set(costs) - set(candidates))
    if unknown:
        raise ValueError(f"{name} names {unknown}, but the candidates are {list(candidates)}")
    missing = [c for c in candidates if c not in costs]
    if missing:
        raise ValueError(f"{name} says nothing of {missing}; give every candidate a cost, or 0")
    values = np.array([costs[c] for c in candidates], dtype=np.float64)
    if not np.isfinite(values).all():
        bad = [c for c, v in zip(candidates, values, strict=True) if not np.isfinite(v)]
        raise ValueError(f"{name} is not finite for {bad}")
    return values
