"""What does every way of calling a model on one chunk of rows promise?"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from equiprob.orbits.keys import Ids
from equiprob.transforms.base import Parameters

MOST_AT_ONCE = 32
"""Most transformations in one block of outputs (in one call of the compiled program)."""


class AbstractBackend(abc.ABC):
    """Calls a model on one chunk of rows after another."""

    name: str
    pads: bool
    """Whether a short last chunk is padded to the full batch size."""

    output: Any
    """Shapes and dtypes of the model's output on one chunk."""

    @abc.abstractmethod
    def evaluate(
        self, x: Any, parameters: Parameters, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        """Evaluate the model on a chunk and on its transformations.

        Args:
            x: The chunk, a pytree of arrays with rows first.
            parameters: ``(row, transformation, n_parameters)``.
            ids: The rows' ids, which name the noise of a stochastic model.

        Returns:
            The output leaves at the rows ``(call, row, ...)``, and an iterator over blocks of
            transformations: output leaves ``(transformation, row, ...)`` taken back by the inverse
            output action.
        """

    @abc.abstractmethod
    def outputs_at(self, x: Any, parameters: Parameters) -> list[Any]:
        """Return the output leaves ``(row, ...)`` of a deterministic model at rows as they are.

        Args:
            x: As many rows as a chunk has.
            parameters: Those of the chunk: a compiled program is made for so many.
        """


def by_transformation(
    elements: Sequence[dict[str, Any]], block: slice, size: int | None = None
) -> Any:
    """Return elements ``(transformation, row, ...)`` of a block, padded to `size` by its last."""

    def leaf(values: Any) -> Any:
        part = np.moveaxis(values[:, block], 1, 0)
        short = (size or len(part)) - len(part)
        return np.concatenate([part, np.repeat(part[-1:], short, axis=0)]) if short else part

    return tuple({name: leaf(v) for name, v in element.items()} for element in elements)


def n_rows(x: Any) -> int:
    """Return the number of rows of a pytree of arrays."""
    return len(jax.tree.leaves(x)[0])


def require_equal(first: Any, second: Any) -> None:
    """Raise where two outputs on the same rows differ.

    Raises:
        ValueError: If they do: the model is stochastic.
    """
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        if not np.array_equal(one, other, equal_nan=True):
            raise ValueError(
                "predict is not repeatable: the same rows gave different outputs twice; pass a "
                "deterministic predict (evaluation mode, dropout and sampling off, fixed seeds), "
                "or noise_repeats=4 if it is meant to be random"
            )
