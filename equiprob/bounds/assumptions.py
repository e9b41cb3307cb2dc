"""What has to be true for a bound to hold?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Assumption:
    """Something that a bound needs and cannot find out.

    Args:
        statement: What has to be true.
        source: Where it comes from.
        is_promised: Whether it is stated, or follows from the kind of output. Otherwise it is the
            largest value that a sample shows, which a supremum may exceed.
    """

    statement: str
    source: str = "stated"
    is_promised: bool = True

    def __str__(self) -> str:
        """Return the statement and its source."""
        return f"{self.statement} ({self.source})"


LARGEST_SEEN = "the largest seen"
"""The source of constants that a sample stands in for."""


def seen(statement: str) -> Assumption:
    """Return the assumption that the largest value of a sample is the largest of all."""
    return Assumption(statement, LARGEST_SEEN, is_promised=False)
