"""How do transformations act on the rows of a batch, and on what a model makes of them?

The one place that acts. `Acting` is a transform bound to the leaves of some rows and outputs: what
is declared is checked once. `Moves` are some of its transformations, ready to act: a pytree of
arrays whose static part is how they act, so that they are an argument of compiled functions, of
scans and of derivatives, and the same program serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.transforms.actions import Invariant
from equiprob.transforms.by_leaf import ByLeaf, Elements
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.representations import Transformations

_NOTHING = ByLeaf((), ())


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Moves:
    """Transformations ready to act: a pytree of arrays; how they act is its static part.

    Args:
        there: The arrays that move each leaf of the rows, ``(row, ...)``; 1 stands for all rows.
        home: Those that take each leaf of the outputs back (or forth).
        inward: How the leaves of the rows move.
        outward: How those of the outputs move.
    """

    there: Elements
    home: Elements
    inward: ByLeaf = field(metadata={"static": True})
    outward: ByLeaf = field(metadata={"static": True})

    def move(self, x: Any) -> Any:
        """Return ``g x``: rows, a pytree of arrays with rows first, each by its transformation.

        Within a compiled function it is a part of that, otherwise it is compiled by itself, with
        rows in NumPy where a user's function takes nothing else.
        """
        return self.inward.apply(self.there, x, x)

    def back(self, output: Any, x: Any = None) -> Any:
        """Return ``rho(g)^-1 y``: outputs at moved rows, taken back (see `move`).

        Args:
            output: The outputs.
            x: The rows, as they were before they moved: where actions read leaves of them.
        """
        return self.outward.apply(self.home, output, x)

    def forth(self, output: Any, x: Any = None) -> Any:
        """Return ``rho(g) y``, for moves made by ``at(..., outputs="forth")``."""
        return self.outward.apply(self.home, output, x)

    def around(self, predict: Callable[[Any], Any], x: Any) -> Any:
        """Return ``rho(g)^-1 f(g x)``: what a model answers at moved rows, taken back."""
        return self.back(predict(self.move(x)), x)

    def only(self, inward: Sequence[bool], outward: Sequence[bool]) -> Moves:
        """Return the same for some leaves of the rows and of the outputs; the others stay."""
        there, inner = _only(self.there, self.inward, inward)
        home, outer = _only(self.home, self.outward, outward)
        return Moves(there, home, inner, outer)

    # ---- several transformations, on the first axis of the arrays (see `Acting.at`) -------------

    def block(self, part: slice, size: int | None = None) -> Moves:
        """Return some of the transformations, filled up to `size` by the last of them."""

        def leaf(values: Any) -> Any:
            some = values[part]
            short = (size or len(some)) - len(some)
            return np.concatenate([some, np.repeat(some[-1:], short, axis=0)]) if short else some

        return jax.tree.map(leaf, self)

    def each(self, x: Any, n: int) -> Iterator[Any]:
        """Yield rows moved by one of `n` transformations after another, all made in one call."""
        return self.inward.each(self.there, x, n)

    def each_back(self, outputs: Any, x: Any, repeats: int = 1) -> Any:
        """Take outputs ``(transformation and call, row, ...)`` back, all in one call.

        Args:
            outputs: Outputs, or a dict of them; the calls of one transformation are neighbours.
            x: The rows that they belong to, as they were before they moved.
            repeats: How many calls of the model there are for each transformation.
        """
        if any(action.changes_shape for action in self.outward.actions):
            each = [jax.tree.map(lambda v, i=i: v[i], outputs) for i in range(_length(outputs))]
            homes = (
                jax.tree.map(lambda v, i=i: v[i // repeats], self.home) for i in range(len(each))
            )
            back = [self.outward.apply(h, one, x) for h, one in zip(homes, each, strict=True)]
            return jax.tree.map(lambda *values: np.stack(values), *back)
        home = jax.tree.map(lambda values: values[:, None], self.home)
        by_call = jax.tree.map(lambda v: v.reshape(-1, repeats, *v.shape[1:]), outputs)
        once = jax.tree.map(lambda v: v[None, None], x)
        returned = self.outward.apply(home, by_call, once, axes=3)
        return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:]), returned)


def _only(elements: Elements, actions: ByLeaf, chosen: Sequence[bool]) -> tuple[Elements, ByLeaf]:
    kept = tuple(a if c else Invariant() for a, c in zip(actions.actions, chosen, strict=True))
    own = tuple(e if c else {} for e, c in zip(elements, chosen, strict=True))
    return own, replace(actions, actions=kept)


def _length(tree: Any) -> int:
    return len(jax.tree.leaves(tree)[0])


def displacement(predict: Callable[[Any], Any], moves: Moves, x: Any) -> tuple[Any, Any]:
    """Return ``rho(g)^-1 f(g x) - f(x)``, and ``f(x)``: what all errors of equivariance are of."""
    base = predict(x)
    return jax.tree.map(lambda a, b: a - b, moves.around(predict, x), base), base


@final
@dataclass(frozen=True, eq=False)
class Acting:
    """A transform on the leaves of some rows and of some outputs.

    Args:
        law: Which transformations there are.
        inward: How the leaves of the rows move.
        outward: How those of the outputs move.
        x_dtypes: Of the leaves of the rows.
        y_dtypes: Of the leaves of the outputs.
    """

    law: AbstractLaw
    inward: ByLeaf = _NOTHING
    outward: ByLeaf = _NOTHING
    x_dtypes: tuple[Any, ...] = ()
    y_dtypes: tuple[Any, ...] = ()

    @property
    def moving(self) -> tuple[bool, ...]:
        """Of each leaf of the rows, whether a transformation moves it."""
        return tuple(not isinstance(action, Invariant) for action in self.inward.actions)

    @property
    def keeps_output(self) -> bool:
        """Whether all outputs stay as they are."""
        return all(isinstance(action, Invariant) for action in self.outward.actions)

    def weights(self, outputs: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the weights of components in a squared norm, by name of the output.

        ``(*row,)``, or None where all weigh 1; `outputs` are arrays or shapes, rows first, in the
        order of the leaves.
        """
        pairs = zip(outputs.items(), self.outward.actions, strict=True)
        return {name: action.weights(tuple(leaf.shape[1:])) for (name, leaf), action in pairs}

    @property
    def users(self) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Of each leaf of the rows and of the outputs, whether a user's function moves it."""
        inward, outward = (
            tuple(action.is_users for action in side.actions)
            for side in (self.inward, self.outward)
        )
        return inward, outward

    @property
    def changes_shape(self) -> bool:
        """Whether rows or outputs come in another shape where they are moved."""
        return any(a.changes_shape for a in (*self.inward.actions, *self.outward.actions))

    @property
    def makes_rows(self) -> bool:
        """Whether a model sees rows as the identity leaves them, and never as they are."""
        return any(action.makes_rows for action in self.inward.actions)

    @property
    def reads_more(self) -> bool:
        """Whether how an output moves depends on more than that output: its row, other outputs."""
        return any(action.given for action in self.outward.actions)

    @property
    def interpolates(self) -> bool:
        """Whether some leaf of the rows or outputs is read between the points of a grid."""
        return any(a.interpolates for a in (*self.inward.actions, *self.outward.actions))

    def at(
        self,
        parameters: Array,
        *,
        by: Literal["row", "transformation"] = "row",
        outputs: Literal["back", "forth"] = "back",
    ) -> Moves:
        """Return transformations ready to act, in the precision of the leaves they act on.

        Args:
            parameters: ``(row, n_parameters)``, or ``(n_parameters,)`` for all rows alike. By
                transformation: ``(row, transformation, n_parameters)``, or ``(transformation,
                n_parameters)`` for all rows alike.
            by: What the first axis of the arrays of the moves is.
            outputs: Whether outputs are taken back, or forth as rows are.
        """
        parameters = np.asarray(parameters)
        shared = parameters.ndim == (1 if by == "row" else 2)
        if shared:  # on an axis of rows of length 1
            parameters = parameters[..., None, :]
        some = Transformations(self.law, parameters)
        there = self.inward.arrays(some, self.x_dtypes)
        back = outputs == "back"
        home = self.outward.arrays(some, self.y_dtypes, back=back)
        outward = self.outward.undo if back else self.outward
        if by == "transformation" and not shared:
            there, home = jax.tree.map(lambda v: np.moveaxis(v, 1, 0), (there, home))
        return Moves(there, home, self.inward, outward)

    def rates(self, parameters: Array, direction: Array, step: float) -> Moves:
        """Return the derivative of `at`: a tangent of it, to be moved along by ``jax.jvp``.

        Args:
            parameters: As for `at`, by row.
            direction: ``(n_parameters,)``, along which the parameters change.
            step: Of the central difference, which is taken in float64.
        """
        wide = self._in_float64()
        ahead = wide.at(parameters + step * direction)
        behind = wide.at(parameters - step * direction)
        at = self.at(parameters)
        return jax.tree.map(lambda v, a, b: _tangent(v, (a - b) / (2 * step)), at, ahead, behind)

    def slopes(self, gradient: Moves, uniforms: Array, step: float) -> Array:
        """Return the derivative of a number of each row in its uniforms, ``(row, n_uniforms)``.

        Args:
            gradient: The derivative in the arrays of the moves, of ``jax.grad``.
            uniforms: Those of the parameters, ``(row, n_uniforms)``.
            step: Of the central difference of the arrays.
        """
        wide, columns = self._in_float64(), []
        for axis in np.eye(uniforms.shape[1]) * step:
            ahead = wide.at(self.law.parameters(uniforms + axis))
            behind = wide.at(self.law.parameters(uniforms - axis))
            columns.append(sum(map(_product, *map(jax.tree.leaves, (gradient, ahead, behind)))))
        return np.stack(columns, axis=1) / (2 * step)

    def _in_float64(self) -> Acting:
        wide = np.dtype(np.float64)
        return replace(
            self,
            x_dtypes=(wide,) * len(self.x_dtypes),
            y_dtypes=(wide,) * len(self.y_dtypes),
        )


def _tangent(values: NDArray[Any], rate: Array) -> NDArray[Any]:
    """Return a rate of change as JAX takes it; whole numbers have none."""
    if jnp.issubdtype(values.dtype, jnp.inexact):
        return rate.astype(values.dtype)
    return np.zeros(values.shape, dtype=jax.dtypes.float0)


def _product(slope: Any, ahead: Any, behind: Any) -> Any:
    """Return a row's derivative along a difference of its arrays; whole numbers have none."""
    if not np.issubdtype(ahead.dtype, np.inexact):
        return 0.0
    change = np.asarray(slope, np.float64) * (ahead - behind)
    return change.reshape(len(change), -1).sum(axis=1)
