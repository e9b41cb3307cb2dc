"""One of several transforms, chosen at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import checked
from equiprob.transforms.combined import combined
from equiprob.transforms.combined_law import AbstractCombinedLaw
from equiprob.transforms.expression import Call
from equiprob.transforms.law import Enumeration, Parameters
from equiprob.transforms.transform import Transform


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Mixture(AbstractCombinedLaw):
    """A draw of one of several laws, the others at their identity; made by `mixture`.

    The parameter ends with the place of the transform that was drawn.
    """

    weights: NDArray[np.float64]

    @override
    def written(self, factors: Sequence[Any]) -> Call:
        return Call("mixture", (list(factors),), {"weights": self.weights})

    @property
    @override
    def n_uniforms(self) -> int:
        each = [factor.n_uniforms for factor in self.factors]
        return 1 + max(each) if all(each) else 0

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], uniforms[..., 0], side="right")
        draws = [f.parameters(uniforms[..., 1 : 1 + f.n_uniforms]) for f in self.factors]
        return self._chosen(chosen, draws)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.n_uniforms:
            return super().sample_many(generator, n)
        chosen = generator.choice(len(self.factors), size=n, p=self.weights)
        return self._chosen(chosen, [f.sample_many(generator, n) for f in self.factors])

    def _chosen(self, chosen: NDArray[np.int64], draws: list[Parameters]) -> Parameters:
        """Return parameters of which all but the chosen transform's are the identity's."""
        parts = [
            np.where((chosen == place)[..., None], draw, factor.identity)
            for place, (factor, draw) in enumerate(zip(self.factors, draws, strict=True))
        ]
        return np.concatenate([*parts, chosen[..., None].astype(np.float64)], axis=-1)

    @override
    def enumeration(self) -> Enumeration | None:
        each = [factor.enumeration() for factor in self.factors]
        parameters, weights = [], []
        for place, finite in enumerate(each):
            if finite is None:
                return None
            chosen = np.full(len(finite.weights), place)
            draws = [
                finite.parameters if i == place else np.zeros((1, f.identity.size))
                for i, f in enumerate(self.factors)
            ]
            parameters.append(self._chosen(chosen, draws))
            weights.append(finite.weights * self.weights[place])
        return Enumeration(np.concatenate(parameters), np.concatenate(weights))

    @property
    @override
    def identity(self) -> Parameters:
        return np.concatenate([*(factor.identity for factor in self.factors), [0.0]])

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        # All but one are at their identity: the order in which they are undone does not matter.
        undone = [f.inverse(own) for f, own in self.each(parameters)]
        return np.concatenate([*undone, parameters[..., -1:]], axis=-1)

    @property
    @override
    def parts(self) -> tuple[str, ...]:
        names = [str(factor) for factor in self.factors]
        once = len(set(names)) == len(names)
        return tuple(names if once else [f"{i}: {name}" for i, name in enumerate(names)])

    @override
    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        return parameters[..., -1].astype(np.int64)

    @override
    def restricted(self, max_magnitude: float) -> Self:
        each = list(zip(self.factors, self.ranges, strict=True))
        kept = self.weights * [f.probability_within(max_magnitude * r) for f, r in each]
        factors = tuple(f.restricted(max_magnitude * r) for f, r in each)
        return replace(self, factors=factors, weights=kept / kept.sum())

    @override
    def probability_within(self, max_magnitude: float) -> float:
        each = zip(self.factors, self.ranges, strict=True)
        return float(self.weights @ [f.probability_within(max_magnitude * r) for f, r in each])


@checked
def mixture(
    transforms: Sequence[Transform],
    *,
    weights: ArrayLike | None = None,
    acts_on: Any = None,
    output_action: Any = None,
) -> Transform:
    """Apply a draw of one of several transforms, chosen at random: an augmentation policy.

    Args:
        transforms: Two or more transforms, each with its own declarations of how inputs and outputs
            transform.
        weights: The probability of each; equal when left out.
        acts_on: How inputs transform, declared once for all, as in `product`.
        output_action: The same for outputs.

    Returns:
        The transform. Results report its parts apart (``error_by_part``). Its magnitude is that of
        the transform that was drawn, as a share of its range.

    Raises:
        ValueError: If there are fewer than two transforms, or the weights do not fit.
    """
    n = len(transforms)
    mass = np.ones(n) if weights is None else as_numbers("weights", weights)
    if mass.shape != (n,) or not (np.isfinite(mass) & (mass > 0)).all():
        raise ValueError(f"weights must be {n} positive numbers, got {weights}")
    return combined(
        transforms,
        lambda laws, ranges: Mixture(factors=laws, ranges=ranges, weights=mass / mass.sum()),
        acts_on=acts_on,
        output_action=output_action,
    )
