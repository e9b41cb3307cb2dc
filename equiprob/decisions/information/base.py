"""What is a piece of information worth before a decision?

As much as the decision gets better by it, in expectation over what it may turn out to be: the
expected value of sample information. It is never negative and never exceeds that of perfect
information.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np

from equiprob.arguments.checked import check_fields
from equiprob.decisions.choice import Draws
from equiprob.decisions.prospects import Prospect


def check_amount(name: str, value: float) -> None:
    """Raise where an amount of data is no positive number."""
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value}")


@dataclass(frozen=True, kw_only=True)
class AbstractInformation(abc.ABC):
    """Something that could be learned before deciding.

    Args:
        cost: What it costs, in the unit of the loss (that of ``Costs``, else of risk).
    """

    cost: float | None = None

    def __post_init__(self) -> None:
        """Check the cost."""
        check_fields(self)
        if self.cost is not None and not (np.isfinite(self.cost) and self.cost > 0):
            raise ValueError(f"cost must be a positive number, or left out, got {self.cost}")

    @abc.abstractmethod
    def __str__(self) -> str:
        """Say what it is in a few words."""

    @abc.abstractmethod
    def expected(self, prospect: Prospect) -> Draws:
        """Return draws ``(draw, candidate)`` of the risks that will be expected when it is known.

        Raises:
            ValueError: If it has no bearing on this decision.
        """
