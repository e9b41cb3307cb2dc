"""A law, and how its transformations act on inputs and on outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.base import AbstractTransform
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Transform(AbstractTransform):
    """A law, and how its transformations act on inputs and on outputs; see `AbstractTransform`.

    What is asked of a transform as of a law is what its law answers.

    Args:
        law: Which transformations there are, and how likely each is.
    """

    law: AbstractLaw

    def __str__(self) -> str:
        """Name the transform for people: by its law."""
        return str(self.law)

    @override
    def call(self) -> Call:
        """Return the call of the public function that makes this transform."""
        own, declared = self.law.call(), self.declared()
        declared = {self.law.argument: declared.pop("acts_on"), **declared}
        return Call(own.function, own.positional, {**own.named, **declared})

    # ---- what the law answers -------------------------------------------------------------------

    @property
    @override
    def n_uniforms(self) -> int:
        return self.law.n_uniforms

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return self.law.parameters(uniforms)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        return self.law.sample_many(generator, n)

    @override
    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        return self.law.spread(n, shifts)

    @property
    @override
    def has_own_spread(self) -> bool:
        return self.law.has_own_spread

    @property
    @override
    def periodic(self) -> tuple[bool, ...]:
        return self.law.periodic

    @override
    def enumeration(self) -> Enumeration | None:
        return self.law.enumeration()

    @property
    @override
    def parts(self) -> tuple[str, ...]:
        return self.law.parts

    @override
    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        return self.law.part(parameters)

    @property
    @override
    def is_haar(self) -> bool:
        return self.law.is_haar

    @property
    @override
    def products(self) -> NDArray[np.int64] | None:
        return self.law.products

    @property
    @override
    def identity(self) -> Parameters:
        return self.law.identity

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return self.law.element(parameters)

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return self.law.inverse(parameters)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        return self.law.compose(first, second)

    @property
    @override
    def magnitude_label(self) -> str:
        return self.law.magnitude_label

    @property
    @override
    def magnitude_unit(self) -> str:
        return self.law.magnitude_unit

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return self.law.magnitude(parameters)

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        return self.law.generators

    @property
    @override
    def grid_symmetry(self) -> int:
        return self.law.grid_symmetry

    @override
    def restricted(self, max_magnitude: float) -> Self:
        return replace(self, law=self.law.restricted(max_magnitude))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        return self.law.probability_within(max_magnitude)
