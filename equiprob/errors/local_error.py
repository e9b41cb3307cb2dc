"""How fast does a model leave equivariance, right at the identity?

The Lie derivative along a generator of the transformations, ``L f(x) = d/dt rho(exp(-tA)) f(exp(tA)
x)`` at ``t = 0``: zero for every x if and only if the model is equivariant under the connected
group that the generators span. One forward-mode derivative of the model for each generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.tensors import all_on_host
from equiprob.errors.torch_derivative import Along, require_derivative, torch_along
from equiprob.orbits.backend import AbstractBackend
from equiprob.orbits.backend_choice import Untraceable, choose_backend
from equiprob.orbits.failures import naming_rows
from equiprob.orbits.inputs import (
    check_batch_size,
    check_inputs,
    ids_of_rows,
    take_rows,
    units_of_rows,
)
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.programs import Predict
from equiprob.orbits.row_wise import require_function_of_rows
from equiprob.orbits.torch_memory import TorchModel
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.acting import Acting, Moves
from equiprob.transforms.transform import Transform

_DIFFERENCE = 1e-5
"""Step for the derivative of a transformation's matrices, which are smooth and in float64."""

_ASIDE = 1e-4
"""Bilinear interpolation has a kink at the identity, where every point is a grid point: there the
mean of the derivatives just before and just after is the central one. Measured on images of up to
2049 pixels: ten times less is lost in float32 coordinates, and an exact model is then off by 3e-4
of its motion (3e-3 with ten times more)."""

_STEP = 3e-3
"""Of the difference that a derivative is compared with where a part of the model may be cut off."""

_SAME = 1e-3
"""Change of the rows, relative to their size, that an identity may make by rounding."""

_INSTEAD = "evaluate_orbits with a small range, such as rotations2d(0.03), needs no derivatives"


@dataclass(frozen=True, kw_only=True)
class LocalErrorFacts(RowFacts):
    """What travels with local equivariance errors.

    Args:
        transform: The transform.
    """

    transform: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LocalEquivarianceErrorResult(AbstractResult):
    """Posterior of the local equivariance error; made by `LocalEquivarianceError.fit`."""

    facts: LocalErrorFacts = field(repr=False)

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs (layers), in the model's order."""
        return [str(name) for name in self.coords["output"]]

    def worst_rows(self, n: int = 5) -> NDArray[np.int64]:
        """Return the positions of the `n` rows with the largest error, worst first."""
        order = np.argsort(-self.rows["local_error"], kind="stable")[:n]
        return self.rows["position"][order]

    def __str__(self) -> str:
        """Say what was found."""
        parts = []
        for i, output in enumerate(self.outputs):
            for j, generator in enumerate(self.coords["generator"]):
                draws = self.draws["local_error"][:, i, j]
                low, high = credible_interval(draws, 0.9)
                parts.append(
                    f"{output} along {generator}: {np.median(draws):.3g} ({low:.3g} to {high:.3g})"
                )
        return (
            f"Rate at which the outputs leave equivariance at the identity of "
            f"{self.facts.transform}, in output units per unit of the generator (root mean "
            f"square over {self.facts.n_rows} rows; 90% credible intervals): "
            f"{'; '.join(parts)}." + self.cautions
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LocalEquivarianceError(AbstractEstimator):
    """Estimate the Lie derivative of a model along the generators of a transform.

    Assumptions:
        JAX can differentiate the model and the actions; or PyTorch, if it is one of
        `adapters.from_torch`. Rows (or groups) are independent draws from
        the law of the inputs, and the model treats them separately. The law of the transformations
        plays no part, only their generators at the identity.

    References:
        Gruver, Finzi, Goldblum & Wilson, "The Lie derivative for measuring learned equivariance",
        ICLR 2023.
    """

    def fit(
        self,
        predict: Predict,
        x: Any,
        transform: Transform,
        *,
        groups: ArrayLike | None = None,
        row_ids: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> LocalEquivarianceErrorResult:
        """Differentiate the model on every row.

        Args:
            predict: The model: an array ``(row, ...)`` or a dict of such, for instance of the
                activations of its layers.
            x: The inputs: an array or pytree of arrays, rows first.
            transform: Rotations, translations or another continuous transform.
            groups: A label for each row; rows of a group are one independent unit.
            row_ids: A unique label for each row; a hash of its content when left out.
            batch_size: Rows in each call of the model; at most 128 when left out.

        Returns:
            Draws of ``local_error`` ``(draw, output, generator)``: root mean square norm of the Lie
            derivative, in output units per unit of the generator.

        Raises:
            ValueError: If inputs do not fit, JAX cannot trace or differentiate the model (nor is it
                one of `adapters.from_torch` that PyTorch differentiates), the transform has no
                generators, one of them moves no row, its identity moves rows, or
                fewer than two rows are finite.
            TypeError: If `transform` is no transform.
        """
        if not isinstance(transform, Transform):
            raise TypeError(
                f"transform must be made by a function of ep.transforms, got {transform!r}"
            )
        if not transform.generators:
            raise ValueError(
                f"{transform} has no generators: it does not move continuously from the identity; "
                f"evaluate_orbits measures the error of finite sets"
            )
        x = all_on_host(x)
        n = check_inputs(x)
        ids = ids_of_rows(row_ids, x, None, n)
        units = ids if groups is None else units_of_rows(groups, n)
        size = check_batch_size(batch_size, n)
        squares, names = _squares(predict, x, transform, size, n)
        finite = np.isfinite(squares).all(axis=(1, 2))
        if finite.sum() < 2:
            raise ValueError(
                f"{int(finite.sum())} of {n} rows have finite derivatives; 2 are needed"
            )
        return self._result(transform, squares[finite], names, ids, units, finite)

    def _result(
        self,
        transform: Transform,
        squares: Array,
        names: list[str],
        ids: Any,
        units: Any,
        finite: NDArray[np.bool_],
    ) -> LocalEquivarianceErrorResult:
        means = RowMeans(units[finite], self.n_draws, self.weight_seed)
        n, n_outputs, n_generators = squares.shape
        draws = means.means(squares.reshape(n, -1)).reshape(-1, n_outputs, n_generators)
        found: set[Diagnostic] = set()
        if not finite.all():
            found.add(Diagnostic.NONFINITE_OUTPUTS)
        generators = [f"{name} ({unit})" if unit else name for name, unit in transform.generators]
        columns = {
            f"the squared derivative of {name} along {generator}": squares[:, i, j]
            for i, name in enumerate(names)
            for j, generator in enumerate(generators)
        }
        rows = RowFindings.of(means, columns, np.flatnonzero(finite))
        return LocalEquivarianceErrorResult(
            draws={"local_error": np.sqrt(np.maximum(draws, 0.0))},
            dims={"local_error": ("output", "generator")},
            coords={
                "output": np.array(names),
                "generator": np.array(generators),
            },
            units={"local_error": "output units per unit of the generator"},
            diagnostics=worst_first(found | rows.found),
            facts=LocalErrorFacts(
                weight_seed=self.weight_seed,
                transform=str(transform),
                n_rows=n,
                **rows.facts,
                nonfinite_rows=[int(r) for r in np.flatnonzero(~finite)],
            ),
            rows={
                "position": np.flatnonzero(finite),
                "row_id": ids[finite],
                "local_error": np.sqrt(squares.sum(axis=(1, 2))),
            },
        )


def _squares(
    predict: Predict, x: Any, transform: Transform, size: int, n: int
) -> tuple[Array, list[str]]:
    """Return squared Lie derivatives ``(row, output, generator)`` and the outputs' names."""
    x = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), x)
    first = take_rows(x, slice(0, size))
    if isinstance(predict, TorchModel):
        engine = choose_backend(predict, transform, first, "auto")
        along = torch_along(predict)
        outputs_at: Any = predict
    else:
        engine = _traced(predict, transform, first)
        along = _along(predict)
        outputs_at = None
    squared_derivative = _derivative(along, transform, first, engine.output, outputs_at)
    parts = []
    for start in range(0, n, size):
        index = np.arange(start, start + size)
        chunk = take_rows(x, np.where(index < n, index, start))
        with naming_rows(start, min(start + size, n)):
            parts.append(squared_derivative(chunk)[: n - start])
    return np.concatenate(parts), [str(name) for name in named_outputs(engine.output, size)]


def _traced(predict: Predict, transform: Transform, first: Any) -> AbstractBackend:
    """Return the compiled backend of a function of rows.

    Raises:
        ValueError: If JAX cannot trace it, or it depends on the batch.
    """
    try:
        engine = choose_backend(predict, transform, first, "jax")
    except Untraceable as error:
        raise ValueError(
            f"JAX cannot trace predict or the action, which its derivative needs; {_INSTEAD}. "
            f"{error.__cause__}"
        ) from error
    require_function_of_rows(jax.jit(predict), first, transform.on(first).moving)
    return engine


def _along(predict: Predict) -> Along:
    """Return forward-mode derivatives of a model's outputs, taken back: one program."""

    @jax.jit
    def along(chunk: Any, at: Moves, rate: Moves) -> list[Any]:
        outputs, slopes = jax.jvp(lambda moves: moves.around(predict, chunk), (at,), (rate,))
        # A row whose output is not finite is left out even where its derivative is.
        pairs = zip(jax.tree.leaves(outputs), jax.tree.leaves(slopes), strict=True)
        return [jnp.where(jnp.isfinite(value), slope, jnp.nan) for value, slope in pairs]

    return along


def _check_motion(
    transform: Transform, acting: Acting, name: str, x: Any, moved: list[Any]
) -> None:
    """Refuse an identity that moves rows and a generator that moves none.

    Args:
        transform: The transform.
        acting: The transform on the leaves of `x`.
        name: The name of the generator.
        x: Some rows.
        moved: For each point beside the identity, the moved rows and their rates of change.
    """
    if not any(acting.moving):
        return  # the outputs alone move
    change = rate = size = 0.0
    for place, speed in moved:
        leaves = map(jax.tree.leaves, (x, place, speed))
        for moves, before, after, velocity in zip(acting.moving, *leaves, strict=True):
            if moves:
                old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
                speeds = np.asarray(velocity, np.float64)
                change, size = change + ((new - old) ** 2).sum(), size + (old**2).sum()
                rate += (speeds**2).sum()
    if rate == 0.0:
        raise ValueError(
            f"{name} of {transform} moves no row at its identity: the action rounds or ignores its "
            f"parameter; pass an action that is differentiable in it, or use evaluate_orbits"
        )
    # Beside the identity images have moved by their rate times the step.
    if np.sqrt(change) > 2 * _ASIDE * np.sqrt(rate) + _SAME * np.sqrt(size):
        raise ValueError(
            f"the identity {transform.identity} of {transform} moves rows of x; pass the parameter "
            f"that changes nothing as identity="
        )


def _derivative(
    along: Along,
    transform: Transform,
    x: Any,
    output: Any,
    outputs_at: Callable[[Any], Any] | None,
) -> Callable[[Any], Array]:
    """Return the squared Lie derivatives ``(row, output, generator)`` as a function of a chunk.

    The model and the actions are differentiated in the transformation's matrices, along the
    derivative of these in the parameter, a central difference in float64.

    Args:
        along: The derivatives.
        transform: The transform.
        x: The first chunk.
        output: Its outputs, or their shapes.
        outputs_at: A model of which parts may be cut off from its derivatives, or None.
    """
    acting, rows = transform.on(x, output), len(jax.tree.leaves(x)[0])

    @jax.jit
    def motion(chunk: Any, at: Moves, rate: Moves) -> Any:
        return jax.jvp(lambda moves: moves.move(chunk), (at,), (rate,))

    points = (-_ASIDE, _ASIDE) if acting.interpolates else (0.0,)
    tangents = []
    for axis in np.eye(len(transform.generators), transform.identity.size):
        places = (transform.identity + point * axis for point in points)
        each = [np.broadcast_to(place, (rows, len(place))) for place in places]
        tangents.append([(acting.at(p), acting.rates(p, axis, _DIFFERENCE)) for p in each])
    for (name, _), at_points in zip(transform.generators, tangents, strict=True):
        _check_motion(transform, acting, name, x, [motion(x, *pair) for pair in at_points])
    library = "JAX" if outputs_at is None else "PyTorch"
    try:  # before the pass: libraries say it only here
        along(x, *tangents[0][0])
    except (TypeError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and outputs_at is None:
            raise
        raise ValueError(
            f"{library} cannot differentiate predict forwards; {_INSTEAD}. {error}"
        ) from error

    def slopes_of(chunk: Any, at_points: Any) -> list[Array]:
        slopes = [along(chunk, at, direction) for at, direction in at_points]
        each = zip(*slopes, strict=True)
        return [np.mean([np.asarray(s, np.float64) for s in leaf], axis=0) for leaf in each]

    def squared(chunk: Any) -> Array:
        generators = []
        for at_points in tangents:
            leaves = slopes_of(chunk, at_points)
            generators.append([(v.reshape(len(v), -1) ** 2).sum(axis=1) for v in leaves])
        return np.moveaxis(np.array(generators), (0, 1, 2), (2, 1, 0))

    if outputs_at is not None:
        for axis, at_points in zip(
            np.eye(len(transform.generators), transform.identity.size), tangents, strict=True
        ):
            beside = [transform.identity + s * _STEP * axis for s in (1, -1)]
            ahead, behind = (acting.at(np.broadcast_to(p, (rows, len(p)))) for p in beside)
            require_derivative(
                lambda one: [np.asarray(v) for v in jax.tree.leaves(one.around(outputs_at, x))],
                ahead,
                behind,
                _STEP,
                slopes_of(x, at_points),
            )
    return squared
