"""Laws that are made of several, whose transformations act in turn."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, override

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Parameters


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AbstractCombinedLaw(AbstractLaw):
    """A law of transformations of several laws that act in turn, the last one first.

    The parameter is that of each factor, one after the other; what follows is the variant's own.

    Args:
        factors: The laws.
        ranges: The magnitude of each that a magnitude of 1 stands for.
    """

    factors: tuple[AbstractLaw, ...] = field()
    ranges: tuple[float, ...]

    magnitude_label = "largest transformation"
    magnitude_unit = "share of the range"

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"{self.written(()).function}({', '.join(map(str, self.factors))})"

    @override
    @abc.abstractmethod
    def written(self, factors: Sequence[Any]) -> Call:
        """Return the call of the public function that combines factors so."""

    @override
    def call(self) -> Call:
        return self.written(self.factors)

    def each(self, parameters: Parameters) -> Iterator[tuple[AbstractLaw, Parameters]]:
        """Yield each factor with its parameters."""
        return zip(self.factors, self.split(parameters), strict=True)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {
            f"{place}.{name}": values
            for place, (factor, own) in enumerate(self.each(parameters))
            for name, values in factor.element(own).items()
        }

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        each = zip(self.each(parameters), self.ranges, strict=True)
        shares = np.stack([f.magnitude(own) / largest for (f, own), largest in each])
        return shares.max(axis=0)

    @property
    @override
    def grid_symmetry(self) -> int:
        return max(factor.grid_symmetry for factor in self.factors)


def ranges_of(factors: Sequence[AbstractLaw]) -> tuple[float, ...]:
    """Return the largest magnitude of each factor (1 where there is none)."""
    return tuple(float(factor.magnitude_law()[0].max()) or 1.0 for factor in factors)
