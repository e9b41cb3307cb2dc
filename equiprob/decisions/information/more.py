"""More of the data that a comparison or a level rests on.

The posterior means to be expected after more data are scaled draws of the part of the risk that
such data tell (moment matching): exact for normal posteriors.

References:
    Jalal & Alarid-Escudero, "A Gaussian approximation approach for value of information analysis",
    Medical Decision Making 2018.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar, final, override

from equiprob.decisions.choice import Draws
from equiprob.decisions.information.base import AbstractInformation, check_amount
from equiprob.decisions.prospects import Prospect


@dataclass(frozen=True)
class AbstractMore(AbstractInformation):
    """More data of a kind that there is some of.

    Args:
        n: How many more.
    """

    n: int
    kind: ClassVar[str]

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        check_amount("n", self.n)

    @override
    @abc.abstractmethod
    def __str__(self) -> str: ...

    @override
    def expected(self, prospect: Prospect) -> Draws:
        return prospect.part(self.kind).after(self.n)


@final
@dataclass(frozen=True)
class Rows(AbstractMore):
    """More held-out rows (or groups, where rows came in groups).

    Args:
        n: How many more.
    """

    kind: ClassVar[str] = "rows"

    @override
    def __str__(self) -> str:
        return f"{self.n:g} more held-out rows"


@final
@dataclass(frozen=True)
class Seeds(AbstractMore):
    """More training runs of each candidate, from other seeds, judged on the same rows.

    Args:
        n: How many more of each.
    """

    kind: ClassVar[str] = "seeds"

    @override
    def __str__(self) -> str:
        return f"{self.n:g} more seed{'s' if self.n != 1 else ''} of each candidate"


@final
@dataclass(frozen=True)
class Transformations(AbstractMore):
    """More transformations of each row, for the decision whether to average a model.

    Args:
        n: How many more of each row.
    """

    kind: ClassVar[str] = "transformations"

    @override
    def __str__(self) -> str:
        return f"{self.n:g} more transformations of each row"
