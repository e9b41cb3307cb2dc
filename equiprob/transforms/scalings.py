"""Changes of size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import LARGEST, require_count, require_size
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.laws import quantile_function, sampler
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Scalings(AbstractLaw):
    """Multiplication by a random factor; made by `scalings`.

    The parameter is the natural logarithm of the factor.
    """

    max_factor: float
    dimensions: int = 2
    law: Any = None

    magnitude_label = "change of size, either way"
    magnitude_unit = "octaves"

    def __post_init__(self) -> None:
        """Check the range and the dimension."""
        require_size("max_factor", self.max_factor, LARGEST, above=1)
        require_count("dimensions", self.dimensions, 1)
        if self.law is not None:
            object.__setattr__(self, "_quantile", quantile_function(self.law))
            object.__setattr__(self, "_draw", sampler(self.law))

    def __str__(self) -> str:
        """Name the transform for people."""
        if self.law is not None:
            return f"scalings(law={type(self.law).__name__})"
        return f"scalings(by 1/{self.max_factor:g} to {self.max_factor:g})"

    @property
    @override
    def n_uniforms(self) -> int:
        return 0 if self.law is not None and self._quantile is None else 1  # pyright: ignore[reportAttributeAccessIssue]

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        if self.law is not None:
            return self._logarithm(self._quantile(uniforms))  # pyright: ignore[reportAttributeAccessIssue]
        return (2 * uniforms - 1) * np.log(self.max_factor)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.n_uniforms:
            return super().sample_many(generator, n)
        return self._logarithm(self._draw(generator, n))  # pyright: ignore[reportAttributeAccessIssue]

    def _logarithm(self, factors: NDArray[np.float64]) -> Parameters:
        if (factors <= 0).any():
            raise ValueError(
                f"{self} draws factors that are not positive; pass a distribution of positive "
                "numbers, such as LogNormal"
            )
        return np.log(factors)

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(1)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"matrix": np.exp(parameters)[..., None] * np.eye(self.dimensions)}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return -parameters

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        return first + second

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return np.abs(parameters[..., 0]) / np.log(2)

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        return (("logarithm of the factor", ""),)

    @override
    def restricted(self, max_magnitude: float) -> Self:
        if self.law is not None:
            return super().restricted(max_magnitude)
        return replace(self, max_factor=min(2.0**max_magnitude, self.max_factor))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        if self.law is not None:
            return super().probability_within(max_magnitude)
        return min(max_magnitude / np.log2(self.max_factor), 1.0)


@checked
def scalings(
    max_factor: float = 2.0,
    *,
    dimensions: int = 2,
    acts_on: Any = "image",
    output_action: Any = "invariant",
    law: Any = None,
    fill: float = 0.0,
) -> Transform:
    """Make images, points or vectors larger or smaller by a random factor.

    Args:
        max_factor: The logarithm of the factor is uniform between those of 1 / max_factor and
            max_factor.
        dimensions: The length of the last axis of points and vectors; 2 for images.
        acts_on: How the input transforms: ``"image"`` (about its centre), ``"points"``,
            ``"vectors"``, ``"tensors2"``, ``"invariant"``, a function, or a dict of these by leaf.
        output_action: How the output transforms. The size of an output error must not depend on
            the factor: ``"invariant"``, or ``Action(function, inverse)`` such as a division by the
            factor, ``exp(parameter[0])``, to the output's degree.
        law: A scalar ``numpyro.distributions.Distribution`` of the factor, instead.
        fill: What an image reads outside its frame.

    Returns:
        The transform. Factors are not compact: the law is never marked as a Haar measure.

    Raises:
        ValueError: If `max_factor` is not larger than 1, or `law` is not scalar.
    """
    law = Scalings(max_factor=float(max_factor), dimensions=dimensions, law=law)
    return Transform(law=law, acts_on=acts_on, output_action=output_action, fill=fill)
