"""Several independent transformations at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product as all_combinations
from typing import Any, Self, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.combined import combined
from equiprob.transforms.combined_law import AbstractCombinedLaw
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters
from equiprob.transforms.transform import Transform

_MOST_ENUMERATED = 1024


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Product(AbstractCombinedLaw):
    """Independent draws of several laws, of which the last one acts first; made by `product`."""

    commute: bool = False

    @override
    def written(self, factors: Sequence[Any]) -> Call:
        return Call("product", factors, {"commute": True} if self.commute else {})

    @property
    @override
    def n_uniforms(self) -> int:
        each = [factor.n_uniforms for factor in self.factors]
        return sum(each) if all(each) else 0

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return self._joined(f.parameters(u) for f, u in self._by_factor(uniforms))

    @property
    @override
    def periodic(self) -> tuple[bool, ...]:
        return tuple(each for factor in self.factors for each in factor.periodic)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.n_uniforms:
            return super().sample_many(generator, n)
        return self._joined(factor.sample_many(generator, n) for factor in self.factors)

    @override
    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        if not any(factor.has_own_spread for factor in self.factors):
            return super().spread(n, shifts)  # one lattice in all dimensions
        # Designs of their own: each in an order that tells nothing of the others'.
        orders = [np.random.default_rng([n, i]).permutation(n) for i in range(len(self.factors))]
        each = zip(self._by_factor(shifts), orders, strict=True)
        return self._joined(f.spread(n, u)[..., order, :] for (f, u), order in each)

    def _by_factor(self, uniforms: NDArray[np.float64]) -> list[tuple[AbstractLaw, NDArray[Any]]]:
        ends = np.cumsum([factor.n_uniforms for factor in self.factors])
        parts = np.split(uniforms, ends[:-1], axis=-1)
        return list(zip(self.factors, parts, strict=True))

    def _joined(self, each: object) -> Parameters:
        return np.concatenate(list(each), axis=-1)  # pyright: ignore[reportArgumentType,reportCallIssue]

    @override
    def enumeration(self) -> Enumeration | None:
        each = [factor.enumeration() for factor in self.factors]
        finite = [e for e in each if e is not None]
        sizes = [len(e.weights) for e in finite]
        if len(finite) < len(each) or np.prod(sizes) > _MOST_ENUMERATED:
            return None
        chosen = np.array(list(all_combinations(*map(range, sizes)))).T
        pairs = list(zip(finite, chosen, strict=True))
        weights = np.prod([e.weights[i] for e, i in pairs], axis=0)
        return Enumeration(self._joined(e.parameters[i] for e, i in pairs), weights)

    @property
    @override
    def is_haar(self) -> bool:
        return self.commute and all(factor.is_haar for factor in self.factors)

    @property
    @override
    def identity(self) -> Parameters:
        return self._joined(factor.identity for factor in self.factors)

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        if not self.commute:
            return super().inverse(parameters)
        return self._joined(f.inverse(own) for f, own in self.each(parameters))

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        if not self.commute:
            return None
        each = zip(self.factors, self.split(first), self.split(second), strict=True)
        products = [f.compose(a, b) for f, a, b in each]
        return None if any(p is None for p in products) else self._joined(products)

    @override
    def restricted(self, max_magnitude: float) -> Self:
        each = zip(self.factors, self.ranges, strict=True)
        return replace(self, factors=tuple(f.restricted(max_magnitude * r) for f, r in each))

    @override
    def probability_within(self, max_magnitude: float) -> float:
        each = zip(self.factors, self.ranges, strict=True)
        return float(np.prod([f.probability_within(max_magnitude * r) for f, r in each]))


@checked
def product(
    *transforms: Transform,
    commute: bool = False,
    acts_on: Any = None,
    output_action: Any = None,
) -> Transform:
    """Apply one independent draw of each of several transforms, the last one first.

    Args:
        *transforms: Two or more transforms, each with its own declarations of how inputs and
            outputs transform.
        commute: Your promise that the order does not matter, as for rotations and permutations of
            atoms: products and inverses are then those of the factors, and the law is a Haar
            measure if all of theirs are. `check_action` tests it.
        acts_on: How inputs transform, declared once for all: each transform moves the axes that it
            knows (``"items points"``: permutations the items, rotations the points). When left
            out, each transform has its own declaration.
        output_action: The same for outputs.

    Returns:
        The transform. Its magnitude is the largest of the factors', each as a share of its range.

    Raises:
        ValueError: If there are fewer than two transforms.

    Examples:
        >>> import equiprob as ep
        >>> atoms = {"positions": "items points", "species": "items"}
        >>> turns, orders = ep.transforms.rotations3d(), ep.transforms.permutations(4)
        >>> print(ep.transforms.product(turns, orders, commute=True, acts_on=atoms))
        product(rotations3d(up to 180 degrees), permutations(4))
    """
    return combined(
        transforms,
        lambda laws, ranges: Product(factors=laws, ranges=ranges, commute=commute),
        acts_on=acts_on,
        output_action=output_action,
    )
