"""Which transformation of which row does the model respond to worst?

A search, not an estimate: every row starts from a lattice of transformations with a shift of its
own and climbs from the worst of them, along the gradient where JAX or PyTorch can differentiate the
model and by trial steps where they cannot. What it finds is a lower bound on the supremum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import checked
from equiprob.arguments.forks import unforked
from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.errors.torch_gradient import Gradient, torch_gradient
from equiprob.orbits.backend import AbstractBackend
from equiprob.orbits.backend_choice import choose_backend
from equiprob.orbits.failures import naming_rows
from equiprob.orbits.inputs import (
    check_batch_size,
    check_inputs,
    ids_of_rows,
    take_rows,
)
from equiprob.orbits.jax_backend import JaxBackend
from equiprob.orbits.keys import Ids, Purpose, keyed_generators, keyed_uniforms
from equiprob.orbits.precision import in_float64
from equiprob.orbits.programs import Predict
from equiprob.orbits.torch_memory import TorchModel
from equiprob.transforms.acting import Moves, displacement
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

if TYPE_CHECKING:
    import pandas as pd


_DIFFERENCE = 1e-4
"""Step in the uniforms for the derivative of a transformation's matrices, which are float64."""

_GROWTH, _SHRINKAGE = 1.3, 0.5

_CLIMBERS = 3
"""Starts of each row that climb: the best one may stand below a lower summit."""

_MOST_CORNERED = 3
"""Dimensions up to which the corners of the support are starts, too."""


@final
@dataclass(frozen=True, eq=False)
class WorstCase:
    """The worst transformation found for each row, worst row first; made by `worst_case`.

    Args:
        rows: Positions of the rows in `x`, ``(row,)``.
        error: Norm of the output's change, ``(row,)``, in output units.
        start_error: The largest change among the starting transformations, ``(row,)``.
        parameters: The transformation, ``(row, n_parameters)``.
        magnitude: Its size, ``(row,)``, in `magnitude_unit`.
        magnitude_unit: Unit of the magnitude.
        method: How it was found.
        nonfinite_rows: Rows left out since an output was not finite.
        transform: The transform.
        x: The inputs (a reference).
    """

    rows: NDArray[np.int64]
    error: Array
    start_error: Array
    parameters: Parameters
    magnitude: Array
    magnitude_unit: str
    method: str
    nonfinite_rows: tuple[int, ...]
    transform: Transform = field(repr=False)
    x: Any = field(repr=False)

    def __len__(self) -> int:
        """Return how many rows were searched."""
        return len(self.rows)

    def transformed(self, k: int = 0) -> Any:
        """Return the `k`-th worst row (rows first, one row) as the model saw it, transformed."""
        return self.transform.apply(self.parameters[k], take_rows(self.x, self.rows[[k]]))

    def table(self, n: int = 10) -> pd.DataFrame:
        """Return the `n` worst rows: error, the best start's error, and the transformation."""
        import pandas as pd

        columns: dict[str, Any] = {
            "row": self.rows,
            "error": self.error,
            "start_error": self.start_error,
            "magnitude": self.magnitude,
        }
        columns |= {f"parameter_{i}": p for i, p in enumerate(self.parameters.T)}
        return pd.DataFrame(columns).head(n)

    def __str__(self) -> str:
        """Say what was found."""
        text = (
            f"The largest change of the output found over {self.transform} is {self.error[0]:.3g}, "
            f"in row {self.rows[0]} at {self.magnitude[0]:.3g} {self.magnitude_unit}".rstrip()
            + f" ({self.method} on {len(self)} rows; half of them change by more than "
            f"{np.median(self.error):.3g}). A search finds no more than it meets: the supremum may "
            f"be larger."
        )
        if self.nonfinite_rows:
            text += f" Outputs of {len(self.nonfinite_rows)} rows were not finite."
        return text


_MOST_CALLS = 100_000


@checked
@unforked
def worst_case(
    predict: Predict,
    x: Any,
    transform: Transform,
    *,
    n_starts: int = 16,
    n_steps: int = 30,
    seed: int = 0,
    batch_size: int | None = None,
    backend: str = "auto",
) -> WorstCase:
    """Search the transformation to which the model responds worst, for every row.

    Args:
        predict: The model, with one output ``(row, ...)``. Its rows must not depend on each other.
        x: The inputs: an array or pytree of arrays, rows first.
        transform: The distribution over transformations; only its support matters here. Finite sets
            are searched whole.
        n_starts: Transformations each row starts from, besides the corners of a bounded range.
        n_steps: Steps of the ascent from each row's three best starts; 0 for none.
        seed: Seed of the starts.
        batch_size: Rows in each call of `predict`; at most 128 when left out.
        backend: ``"auto"``, ``"jax"``, ``"python"`` or ``"torch"``, as in `evaluate_orbits`.

    Returns:
        Rows and transformations, worst first.

    Raises:
        ValueError: If inputs or counts do not fit, or no row has finite outputs.
        TypeError: If the model has several outputs or `transform` is no transform.
        RuntimeError: If `predict` raises; the message names the rows.

    Assumptions:
        Laws of unbounded support are searched between their 0.05 % and 99.95 % quantiles.
    """
    if not isinstance(transform, Transform):
        raise TypeError(f"transform must be made by a function of ep.transforms, got {transform!r}")
    for name, value, least in (("n_starts", n_starts, 1), ("n_steps", n_steps, 0)):
        if not isinstance(value, int | np.integer) or not least <= value <= _MOST_CALLS:
            raise ValueError(
                f"{name} must be an integer of at least {least} and at most {_MOST_CALLS:,}, got "
                f"{value!r}"
            )
    x = all_on_host(x)
    n = check_inputs(x)
    x = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), x)
    size = check_batch_size(batch_size, n)
    ids = ids_of_rows(None, x, None, n)
    with naming_rows(0, size):
        engine = choose_backend(predict, transform, take_rows(x, slice(0, size)), backend)
    if isinstance(engine.output, dict):
        raise TypeError(
            f"the model has the outputs {list(engine.output)}; pass a predict that returns one, as "
            f"in lambda x: predict(x)[{next(iter(engine.output))!r}]"
        )
    search = _Search(
        transform,
        engine,
        _gradient(predict, transform, engine, take_rows(x, slice(0, 2)), ids[:2]),
        n_starts,
        n_steps,
        check_seed(seed),
    )
    parts = []
    for start in range(0, n, size):
        # The last chunk is filled up with its first row: one compiled shape.
        index = np.arange(start, start + size)
        index = np.where(index < n, index, start)
        with naming_rows(start, min(start + size, n)):
            found = search.chunk(take_rows(x, index), ids[index])
        parts.append([values[: n - start] for values in found])
    starts, ends, parameters = (np.concatenate(p) for p in zip(*parts, strict=True))
    finite = np.isfinite(ends)
    if not finite.any():
        raise ValueError("no row has finite outputs at all transformations; look at the model")
    order = np.argsort(np.where(finite, -ends, np.inf), kind="stable")[: finite.sum()]
    return WorstCase(
        rows=order,
        error=np.sqrt(ends[order]),
        start_error=np.sqrt(starts[order]),
        parameters=parameters[order],
        magnitude=transform.magnitude(parameters[order]),
        magnitude_unit=transform.magnitude_unit,
        method=search.method,
        nonfinite_rows=tuple(int(r) for r in np.flatnonzero(~finite)),
        transform=transform,
        x=x,
    )


@dataclass(frozen=True)
class _Search:
    """The search over the uniforms that parameters are made of, in [0, 1]^d."""

    transform: Transform
    engine: AbstractBackend
    gradient: Gradient | None
    n_starts: int
    n_steps: int
    seed: int

    @property
    def climbs(self) -> bool:
        finite = self.transform.enumeration() is not None
        return not finite and self.transform.n_uniforms > 0 and self.n_steps > 0

    @property
    def method(self) -> str:
        if self.transform.enumeration() is not None:
            return "all elements"
        if not self.climbs:
            return "random search"
        return "pattern search" if self.gradient is None else "gradient ascent"

    def chunk(self, x: Any, ids: Ids) -> tuple[Array, Array, Parameters]:
        """Return squared errors before and after the ascent, and the parameters after it."""
        uniforms, parameters = self._starts(ids)
        squared = self._squared(x, parameters, ids)
        # A row that is not finite somewhere is named, not ranked.
        bad = ~np.isfinite(squared).all(axis=1)
        ranked = np.argsort(np.where(np.isfinite(squared), -squared, 1.0), axis=1, kind="stable")
        rows, best = np.arange(len(ids)), ranked[:, 0]
        start = np.where(bad, np.nan, squared[rows, best])
        if uniforms is None:
            return start, start, parameters[rows, best]
        u, top = uniforms[rows, best], start
        for place in ranked[:, :_CLIMBERS].T:
            end, reached = self._climb(x, ids, uniforms[rows, place], squared[rows, place])
            higher = reached > top
            u, top = np.where(higher[:, None], end, u), np.where(higher, reached, top)
        return start, top, self.transform.parameters(u)

    def _starts(self, ids: Ids) -> tuple[Array | None, Parameters]:
        finite = self.transform.enumeration()
        if finite is not None:
            shape = (len(ids), *finite.parameters.shape)
            return None, np.broadcast_to(finite.parameters, shape).copy()
        if not self.transform.n_uniforms:
            draws = keyed_generators(self.seed, ids)
            return None, np.stack([self.transform.sample_many(g, self.n_starts) for g in draws])
        d = self.transform.n_uniforms
        shifts = keyed_uniforms(self.seed, Purpose.TRANSFORMS, ids, d)[:, None]
        u = self._inside((hammersley(self.n_starts, d) + shifts) % 1.0)
        if not self.transform.is_haar and d <= _MOST_CORNERED:
            # A bounded range is often worst at its ends.
            corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * d), axis=-1).reshape(-1, d)
            ends = np.broadcast_to(self._inside(corners), (len(ids), *corners.shape))
            u = np.concatenate([u, ends], axis=1)
        return u if self.climbs else None, self.transform.parameters(u)

    def _inside(self, u: Array) -> Array:
        """Return uniforms moved back into the support."""
        if self.transform.is_haar:
            return u % 1.0
        ends = self.transform.parameters(np.array([[0.0], [1.0]]) * np.ones(u.shape[-1]))
        margin = 0.0 if np.isfinite(ends).all() else 5e-4
        return np.clip(u, margin, 1.0 - margin)

    def _squared(self, x: Any, parameters: Parameters, ids: Ids) -> Array:
        """Return squared errors ``(row, transformation)``."""
        (base,), blocks = self.engine.evaluate(x, parameters, ids)
        origin = in_float64(base[0])
        with np.errstate(invalid="ignore", over="ignore"):
            parts = [
                ((in_float64(leaf) - origin) ** 2).reshape(*leaf.shape[:2], -1).sum(axis=2)
                for (leaf,) in blocks
            ]
            return np.concatenate(self.engine.fetch(parts)()).T

    def _climb(self, x: Any, ids: Ids, u: Array, squared: Array) -> tuple[Array, Array]:
        """Take steps that are kept where they lead up; lengths adapt row by row."""
        step = np.full(len(u), 0.5 / self.n_starts)
        for _ in range(self.n_steps):
            proposals = self._proposals(x, u, step)
            values = self._squared(x, self.transform.parameters(proposals), ids)
            best = np.where(np.isfinite(values), values, -1.0).argmax(axis=1)
            rows = np.arange(len(u))
            better = values[rows, best] > squared
            u = np.where(better[:, None], proposals[rows, best], u)
            squared = np.where(better, values[rows, best], squared)
            step = step * np.where(better, _GROWTH, _SHRINKAGE)
        return u, squared

    def _proposals(self, x: Any, u: Array, step: Array) -> Array:
        """Return points to try, ``(row, point, d)``: up the gradient, or along every axis."""
        if self.gradient is None:
            axes = np.concatenate([np.eye(u.shape[1]), -np.eye(u.shape[1])])
            return self._inside(u[:, None] + step[:, None, None] * axes)
        gradient = self._ascent(self.gradient, x, u)
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        flat = ~np.isfinite(length) | (length == 0)
        direction = np.where(flat, 0.0, gradient / np.where(flat, 1.0, length))
        return self._inside(u + step[:, None] * direction)[:, None]

    def _ascent(self, gradient: Gradient, x: Any, u: Array) -> Array:
        """Return the gradient of the squared errors in the uniforms.

        JAX or PyTorch differentiate the model and the actions in the transformations' arrays; these
        are NumPy functions of the uniforms, differentiated by central differences.
        """
        acting = self.transform.on(x, self.engine.output)
        moves = acting.at(self.transform.parameters(u))
        return acting.slopes(gradient(moves, x), u, _DIFFERENCE)


def _gradient(
    predict: Predict, transform: Transform, engine: AbstractBackend, x: Any, ids: Ids
) -> Gradient | None:
    """Return the gradient of rows' squared errors in the arrays of their moves, if there is one.

    Args:
        predict: The model.
        transform: The transform.
        engine: What calls the model.
        x: A few rows.
        ids: Their ids.
    """
    if isinstance(engine, JaxBackend):

        def total(moves: Moves, x: Any) -> Any:
            apart, _ = displacement(predict, moves, x)
            return (apart**2).sum()

        return jax.jit(jax.grad(total, allow_int=True))
    if not isinstance(predict, TorchModel) or not transform.n_uniforms:
        return None
    uniforms = keyed_uniforms(0, Purpose.TRANSFORMS, ids, transform.n_uniforms)
    moves = transform.on(x, engine.output).at(transform.parameters(uniforms))
    return torch_gradient(predict, moves, x)
