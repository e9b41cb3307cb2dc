"""The model a level recommends, as a callable like the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from jax.core import Tracer
from numpy.typing import NDArray

from equiprob.arguments.lending import read_only
from equiprob.transforms.acting import Moves
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform


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
    transform: Transform
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
        shares = (1 - self.keep) * self.weights
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(x)):
            return self._traced(x, shares)
        x = jax.tree.map(lambda v: read_only(v) if isinstance(v, np.ndarray) else v, x)
        total, acting = self._kept(x), self.transform.on(x)
        for parameter, share in zip(self.parameters, shares, strict=True):
            output = self.predict(acting.at(parameter).move(x))
            returned = self.transform.on(output=output).at(parameter).back(output, x)
            part = jax.tree.map(lambda leaf, s=share: leaf * leaf.dtype.type(s), returned)
            total = part if total is None else jax.tree.map(lambda a, b: a + b, total, part)
        return total

    def _kept(self, x: Any) -> Any:
        if self.keep == 0:
            return None
        return jax.tree.map(lambda leaf: leaf * leaf.dtype.type(self.keep), self.predict(x))

    def _traced(self, x: Any, shares: NDArray[np.float64]) -> Any:
        shape = jax.eval_shape(self.predict, x)
        moves = self.transform.on(x, shape).at(self.parameters, by="transformation")
        start = self._kept(x)
        if start is None:
            start = jax.tree.map(lambda s: jax.numpy.zeros(s.shape, s.dtype), shape)

        def step(total: Any, each: tuple[Moves, jax.Array]) -> tuple[Any, None]:
            one, share = each
            returned = one.around(self.predict, x)
            return jax.tree.map(lambda t, r: t + r * share.astype(r.dtype), total, returned), None

        return jax.lax.scan(step, start, (moves, jax.numpy.asarray(shares)))[0]
