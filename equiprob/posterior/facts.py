"""What single numbers and words travel with a result?

Each kind of result declares its own, so that what is read of one is known to be there, in code as
in files: a file holds the fields of its kind, and is refused where they do not fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equiprob.arguments.checked import check_fields


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What travels with every result. Values are of JSON types.

    Args:
        details: The numbers that belong to a diagnostic's message, in words, by its name.
        n_chains: Of how many Markov chains the draws are, one after another; 1 for independent
            draws.
        nonfinite_rows: Positions of the rows that were left out because an output was not finite.
    """

    details: Mapping[str, str] = field(default_factory=dict)
    n_chains: int = 1
    nonfinite_rows: Sequence[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the kinds of the values, which may come from a file."""
        check_fields(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class RowFacts(Facts):
    """What travels with a result that rests on means of rows.

    Args:
        weight_seed: Of the rows' weights. Results are joint where it is the same.
        n_rows: Rows used.
        n_units: Independent units: groups, else rows.
        n_effective_units: How many of equal size these count as.
        invisible_rate: The rate of failures that may not be among them.
        n_effective: How many rows of equal share would know the mean as well; None if not known.
        tail_index: Of the row values; from 1/2 on their variance is infinite. None if not known.
    """

    weight_seed: int
    n_rows: int
    n_units: int
    n_effective_units: float
    invisible_rate: float
    n_effective: float | None
    tail_index: float | None


@dataclass(frozen=True, kw_only=True)
class OrbitFacts(RowFacts):
    """What travels with a result of one output of an orbit table.

    Args:
        transform: The transform.
        fingerprint: Of it, by which two results are known to be of the same.
        output: The name of the output.
        magnitude_label: What the size of a transformation is.
        magnitude_unit: Its unit.
    """

    transform: str
    fingerprint: Any
    output: str
    magnitude_label: str
    magnitude_unit: str
