"""What does every way of calling a model on one chunk of rows promise?"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.keys import Ids
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.precision import Array, root_mean_square, rounding_of_output
from equiprob.transforms.law import Parameters

FEW_ROUNDINGS = 16.0
"""Root mean square roundings, of the size of the outputs, by which equal calls may differ."""

MOST_AT_ONCE = 32
"""Most transformations in one block of outputs (in one call of the compiled program)."""


class AbstractBackend(abc.ABC):
    """Calls a model on one chunk of rows after another."""

    name: str
    pads: bool
    """Whether a short last chunk is padded to the full batch size."""

    runs_ahead: bool = False
    """Whether `evaluate` returns before the model is done, elsewhere, with what it was asked."""

    is_pure: bool
    """Whether nothing that the model keeps can change what it returns."""

    output: Any
    """Shapes and dtypes of the model's output on one chunk."""

    computed_in: Mapping[Any, Any] = MappingProxyType({})
    """The precision that outputs were computed in, by name, where it is known and not theirs."""

    repeated: NDArray[np.int64]
    """The rows of the first chunk that equal calls were made on."""

    differing: dict[Any, Array]
    """By how much each output of these calls differs, ``(repeated row, ...)``, where it does."""

    seen_later: bool = False
    """Whether rows are still to be seen beside others, in the batch of the probe."""

    is_quick: bool = False
    """Whether a call takes any number of rows, and so little time that larger ones are worth it."""

    seconds: Mapping[int, float] = MappingProxyType({})
    """Of a row, in the quickest call on so many, where that was looked at."""

    takes_fewer: bool = False
    """Whether `outputs_at` is known to take fewer rows than a chunk has."""

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

    def put(self, values: NDArray[Any]) -> Any:
        """Return an array where the blocks of outputs are."""
        return values

    def fetch(self, arrays: list[Any]) -> Callable[[], list[NDArray[Any]]]:
        """Bring arrays to the host; calling what is returned waits for them."""
        return lambda: [np.asarray(array) for array in arrays]

    @abc.abstractmethod
    def outputs_at(self, x: Any, parameters: Parameters) -> list[Any]:
        """Return the output leaves ``(row, ...)`` of a deterministic model at rows as they are.

        Args:
            x: As many rows as a chunk has; any number, if `takes_fewer`.
            parameters: Those of the chunk: a compiled program is made for so many.
        """


def n_rows(x: Any) -> int:
    """Return the number of rows of a pytree of arrays."""
    return len(jax.tree.leaves(x)[0])


def require_equal(first: Any, second: Any, computed_in: Mapping[Any, Any]) -> dict[Any, Array]:
    """Return by how much two outputs on the same rows differ: by a few roundings, at most.

    Sums in an order that changes from call to call, as GPUs make them, differ by so much.

    Args:
        first: One output, as the model returned it.
        second: Another.
        computed_in: The precision that outputs were declared to be computed in, by name.

    Returns:
        Differences ``(row, ...)`` of those outputs that differ.

    Raises:
        ValueError: If they differ by more: the model is stochastic.
    """
    n, differing = n_rows(first), {}
    for (name, one), other in zip(
        named_outputs(first, n).items(), named_outputs(second, n).values(), strict=True
    ):
        one, other = np.asarray(one), np.asarray(other)
        if np.array_equal(one, other, equal_nan=True):
            continue
        rounding = rounding_of_output(one, computed_in.get(name))
        apart = _apart(one, other)
        size = root_mean_square(np.where(np.isfinite(one), one, 0.0).reshape(n, -1))
        if (
            apart is None
            or root_mean_square(apart.reshape(n, -1)) > FEW_ROUNDINGS * rounding * size
        ):
            raise ValueError(
                "predict is not repeatable: the same rows gave different outputs twice; pass a "
                "deterministic predict (evaluation mode, dropout and sampling off, fixed seeds), "
                "or noise_repeats=4 if it is meant to be random"
            )
        differing[name] = apart
    return differing


def _apart(one: Array, other: Array) -> Array | None:
    """Return the difference where numbers are finite; None where others are not in one of both."""
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(finite, np.isfinite(other)):
        return None
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return None
    wide = (np.where(finite, values, 0.0).astype(np.float64) for values in (one, other))
    return np.subtract(*wide)
