"""What does a method for the data error get, and what does it return?"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import check_fields
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic

Draws = NDArray[np.float64]


class Case(enum.Enum):
    """What is known of the law of the inputs and of the transformations (docs/cases.md)."""

    HAAR = "H"
    """The law of X is invariant, and the transformations have the Haar law of a compact group."""

    INVARIANT = "I"
    """The law of X is invariant under every transformation; their own law is any."""

    NEITHER = "N"
    """The law of X is not invariant, or not known to be."""

    def __str__(self) -> str:
        """Name it in words; the letters are those of the papers."""
        return _IN_WORDS[self.value]


_IN_WORDS = {"H": "uniform and invariant", "I": "invariant", "N": "unknown"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What a method found.

    Args:
        draws: ``error`` (or ``lower`` and ``upper``, which identify it up to a set),
            ``symmetry_cost``; what the case does not identify is absent.
        dims: As in `AbstractResult`.
        coords: As in `AbstractResult`.
        facts: As in `AbstractResult`.
        found: Diagnostics.
        columns: The row values ``(row,)`` that the draws are means of, by what they are: see
            `RowFindings.of`.
        used: The rows ``(used,)`` that these are of; None for all.
        process: The posterior of the truth itself, where the method has one.
    """

    draws: dict[str, Draws]
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    coords: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    found: set[Diagnostic] = field(default_factory=set)
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    used: NDArray[np.int64] | None = None
    process: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractMethod(abc.ABC):
    """A way to learn the data equivariance error."""

    def __post_init__(self) -> None:
        """Check the kinds of the settings."""
        check_fields(self)

    @property
    def depends_on_law(self) -> bool:
        """Whether what it identifies depends on the law of the inputs being invariant."""
        return True

    @abc.abstractmethod
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        """Return what the table says of the data error.

        Args:
            orbits: The table of one output, with targets where the method needs them.
            case: What is known of the law of the inputs.
            n_draws: How many draws.
            seed: The weight seed: rows weigh as in other results with the same one.

        Raises:
            ValueError: If the table does not hold what the method needs.
        """
