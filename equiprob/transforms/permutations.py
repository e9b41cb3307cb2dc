"""All orders of a list of items."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations as all_orders
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.counts import require_count
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters
from equiprob.transforms.transform import Transform

_MOST_ENUMERATED = 6


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Permutations(AbstractLaw):
    """The symmetric group on `items` items; made by `permutations`.

    The parameter lists the place each item moves to.
    """

    items: int

    magnitude_label = "items moved"

    def __post_init__(self) -> None:
        """Check the number of items."""
        require_count("items", self.items, 2)

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"permutations({self.items})"

    @property
    @override
    def n_uniforms(self) -> int:
        return self.items

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return np.argsort(uniforms, axis=-1).astype(np.float64)

    @override
    def enumeration(self) -> Enumeration | None:
        if self.items > _MOST_ENUMERATED:
            return None
        orders = np.array(list(all_orders(range(self.items))), dtype=np.float64)
        return Enumeration(orders, np.full(len(orders), 1 / len(orders)))

    @property
    @override
    def is_haar(self) -> bool:
        return True

    @property
    @override
    def identity(self) -> Parameters:
        return np.arange(self.items, dtype=np.float64)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"source": self.inverse(parameters).astype(np.int32)}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return np.argsort(parameters, axis=-1).astype(np.float64)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        first, second = np.broadcast_arrays(first, second)
        return np.take_along_axis(first, second.astype(int), axis=-1)

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return (parameters != np.arange(self.items)).sum(axis=-1).astype(np.float64)


@checked
def permutations(
    items: int, *, acts_on: Any = "permuted", output_action: Any = "invariant"
) -> Transform:
    """Put a list of items in a uniformly random order (the Haar measure of the symmetric group).

    Args:
        items: The number of items, the first axis of a row of the leaves that are permuted.
        acts_on: How the input transforms: ``"permuted"``, ``"invariant"``, a function, or a dict of
            these by leaf.
        output_action: How the output transforms, in the same words.

    Raises:
        ValueError: If `items` is not an integer from 2 to 1,048,576.

    Examples:
        >>> import equiprob as ep
        >>> print(ep.transforms.permutations(3))
        permutations(3)
    """
    law = Permutations(items=items)
    return Transform(law=law, acts_on=acts_on, output_action=output_action)
