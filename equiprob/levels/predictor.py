"""The model a level recommends, as a callable like the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import jax
import numpy as np
from jax.core import Tracer
from numpy.typing import NDArray

from equiprob.arguments.lending import read_only
from equiprob.transforms.base import AbstractTransform, Parameters
from equiprob.transforms.rows import LeafActions, act_on_row, as_given, move_rows


@final
@dataclass(frozen=True, eq=False)
class AveragedPredictor:
    """``keep * f(x) + (1 - keep) * sum_j w_j rho(g_j)^-1 f(g_j x)``, for fixed transformations.

    Args:
        predict: The original model.
        transform: How the transformations act.
        parameters: The transformations, ``(transformation, n_parameters)``.
        weights: Their weights, ``(transformation,)``.
        keep: The share of the original.
    """

    predict: Callable[[Any], Any]
    transform: AbstractTransform
    parameters: Parameters
    weights: NDArray[np.float64]
    keep: float

    @property
    def n_evaluations(self) -> int:
        """Evaluations of the original model for each prediction."""
        return len(self.weights) + (self.keep != 0)

    def __call__(self, x: Any) -> Any:
        """Return predictions for a batch, rows first, as the original does (traceable)."""
        if not len(self.weights) and self.keep == 1:
            return self.predict(x)
        inward = self.transform.input_actions(x)
        there = self.transform.leaf_elements(inward, self.parameters, _dtypes(x))
        shares = (1 - self.keep) * self.weights
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(x)):
            return self._traced(x, inward, there, shares)
        x = jax.tree.map(lambda v: read_only(v) if isinstance(v, np.ndarray) else v, x)
        total = self._kept(x)
        for j, share in enumerate(shares):
            moved = move_rows(inward, _for_rows(there, j, x), x)
            output = self.predict(as_given(x, moved))
            back, home = self._home(output, self.parameters[j : j + 1])
            returned = as_given(output, move_rows(back, _for_rows(home, 0, output), output))
            part = jax.tree.map(lambda leaf, s=share: leaf * leaf.dtype.type(s), returned)
            total = part if total is None else jax.tree.map(lambda a, b: a + b, total, part)
        return total

    def _kept(self, x: Any) -> Any:
        if self.keep == 0:
            return None
        return jax.tree.map(lambda leaf: leaf * leaf.dtype.type(self.keep), self.predict(x))

    def _home(self, output: Any, parameters: Parameters) -> Any:
        outward = self.transform.output_actions(output)
        return self.transform.inverse_elements(outward, parameters, _dtypes(output))

    def _traced(self, x: Any, inward: LeafActions, there: Any, shares: Any) -> Any:
        shape = jax.eval_shape(self.predict, x)
        back, home = self._home(shape, self.parameters)
        start = self._kept(x)
        if start is None:
            start = jax.tree.map(lambda s: jax.numpy.zeros(s.shape, s.dtype), shape)

        def step(total: Any, each: Any) -> tuple[Any, None]:
            element, element_home, share = each
            moved = jax.vmap(partial(act_on_row, inward, element))(x)
            returned = jax.vmap(partial(act_on_row, back, element_home))(self.predict(moved))
            return jax.tree.map(lambda t, r: t + r * share.astype(r.dtype), total, returned), None

        return jax.lax.scan(step, start, (there, home, shares))[0]


def _dtypes(tree: Any) -> list[Any]:
    return [leaf.dtype for leaf in jax.tree.leaves(tree)]


def _for_rows(elements: Any, j: int, x: Any) -> Any:
    """Repeat the element of one transformation for every row of `x`."""
    n = len(jax.tree.leaves(x)[0])
    return tuple(
        {name: np.broadcast_to(v[j], (n, *v.shape[1:])) for name, v in element.items()}
        for element in elements
    )
