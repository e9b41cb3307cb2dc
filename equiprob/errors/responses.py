"""How does a model answer to infinitesimal motions of its inputs?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from equiprob.arguments.array_types import Array, Index

_FLAT = 1e-9
"""Relative mean square of a combination of coordinates below which no row has it."""


@dataclass(frozen=True, eq=False)
class Ordered:
    """Generators in the order of how much they change the output per unit of motion.

    Args:
        matrices: ``(generator, d, e)``, each of mean squared motion 1.
        output_matrices: What moves the output's last axis along, ``(generator, c, c)``; zeros where
            it is left in place.
    """

    matrices: Array
    output_matrices: Array


@dataclass(frozen=True, eq=False)
class Responses:
    """Directional derivatives of every row's output along a basis of generators.

    Args:
        slopes: ``(row, output, d e)``, in the order of the entries of a generator.
        second: Second moments of each row's items, ``(row, e, e)``: a generator A moves the row by
            ``tr(A second A^T)`` squared.
        follow: ``(row, output, c c)``, what a matrix on the output's last axis takes off; no last
            axis where it is left in place.
        shape: ``(d, e)`` of a generator; e is d, and one more with translations.
    """

    slopes: Array
    second: Array
    follow: Array
    shape: tuple[int, int]

    @classmethod
    def of(
        cls,
        predict: Callable[[Any], Any],
        x: Any,
        leaf: str | None,
        *,
        translations: bool,
        output_moves: bool,
        batch_size: int,
    ) -> Responses:
        """Differentiate a model.

        Raises:
            ValueError: If inputs do not fit or JAX cannot differentiate the model.
        """
        points = _moving(x, leaf)
        d = points.shape[-1]
        e = d + translations
        basis = np.eye(d * e).reshape(-1, d, e)

        def slopes(batch: Any) -> tuple[Any, Any]:
            moving = batch if leaf is None else batch[leaf]

            def model(rows: Any) -> Any:
                return predict(rows if leaf is None else {**batch, leaf: rows})

            def along(generator: Any) -> Any:
                motion = moving @ generator[:, :d].T
                motion = motion + generator[:, d] if translations else motion
                return jax.jvp(model, (moving,), (motion.astype(moving.dtype),))[1]

            return model(moving), jax.vmap(along)(jnp.asarray(basis, moving.dtype))

        outputs, parts = [], []
        try:
            compiled = jax.jit(slopes)
            for start in range(0, len(points), batch_size):
                at = np.minimum(np.arange(start, start + batch_size), len(points) - 1)
                batch = jax.tree.map(lambda values, at=at: jnp.asarray(np.asarray(values)[at]), x)
                value, slope = compiled(batch)
                kept = min(batch_size, len(points) - start)
                outputs.append(np.asarray(value, np.float64)[:kept])
                parts.append(np.moveaxis(np.asarray(slope, np.float64), 0, -1)[:kept])
        except (TypeError, jax.errors.JAXTypeError) as error:
            raise ValueError(
                f"JAX cannot differentiate predict, which generators need: {error}"
            ) from error
        output, slope = np.concatenate(outputs), np.concatenate(parts)
        # An output that is NaN by a branch of its own has derivatives of 0.
        slope[~np.isfinite(output).reshape(len(output), -1).all(axis=1)] = np.nan
        items = points.reshape(len(points), -1, d)
        if translations:
            items = np.concatenate([items, np.ones((*items.shape[:2], 1))], axis=2)
        second = np.einsum("nia,nib->nab", items, items)
        _check_filled(second.mean(axis=0))
        n = len(points)
        return cls(
            slope.reshape(n, -1, d * e),
            second,
            _following(output) if output_moves else np.empty((n, output[0].size, 0)),
            (d, e),
        )

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Which rows have finite outputs and derivatives only."""
        return np.isfinite(self.slopes).all(axis=(1, 2)) & np.isfinite(self.follow).all(axis=(1, 2))

    @property
    def n_outputs(self) -> int:
        """Numbers of output of a row."""
        return self.slopes.shape[1]

    @property
    def n_generators(self) -> int:
        """Independent generators."""
        return self.slopes.shape[2]

    @property
    def moved(self) -> Array:
        """The matrix N of mean squared motions, ``(d e, d e)``."""
        return np.asarray(np.kron(np.eye(self.shape[0]), self.second.mean(axis=0)), np.float64)

    def take(self, rows: Index) -> Responses:
        """Return those of some rows."""
        return replace(
            self, slopes=self.slopes[rows], second=self.second[rows], follow=self.follow[rows]
        )

    def ordered(self) -> Ordered:
        """Return generators in the order of how much they change the output."""
        n = len(self.slopes)
        change = np.einsum("nkp,nkq->pq", self.slopes, self.slopes) / n
        both = np.einsum("nkp,nkb->pb", self.slopes, self.follow) / n
        own = np.einsum("nkb,nkc->bc", self.follow, self.follow) / n
        best = np.linalg.pinv(own, rcond=_FLAT, hermitian=True) @ both.T  # of each generator
        found: Any = eigh(change - both @ best, self.moved)
        vectors = found[1].T
        c = round(np.sqrt(self.follow.shape[2]))
        return Ordered(
            vectors.reshape(-1, *self.shape), (vectors @ best.T).reshape(len(vectors), c, c)
        )

    def squares(self, chosen: Ordered, *, follow: bool = True) -> tuple[Array, Array]:
        """Return squared changes and squared motions of rows, ``(row, generator)`` each.

        Args:
            chosen: The generators.
            follow: Whether outputs are moved along.
        """
        vectors = chosen.matrices.reshape(len(chosen.matrices), -1)
        change = self.slopes @ vectors.T
        if follow:
            change = change - self.follow @ chosen.output_matrices.reshape(len(vectors), -1).T
        moved = np.einsum("gae,nef,gaf->ng", chosen.matrices, self.second, chosen.matrices)
        return (change**2).sum(axis=1), moved


def _moving(x: Any, leaf: str | None) -> Array:
    """Return the points that move, ``(row, ..., d)``."""
    if isinstance(x, dict):
        if leaf not in x:
            raise ValueError(f"x has the leaves {list(x)}: pass leaf=, the one that moves")
        points = np.asarray(x[leaf])
    elif leaf is not None:
        raise ValueError(f"leaf={leaf!r} names a leaf of a dict, and x is an array")
    else:
        points = np.asarray(x)
    if points.ndim < 2 or not np.issubdtype(points.dtype, np.floating):
        raise ValueError(
            f"what moves must be an array (row, ..., d) of floats, got shape {points.shape} of "
            f"{points.dtype}"
        )
    return np.asarray(points, dtype=np.float64)


def _check_filled(second: Array) -> None:
    sizes = np.linalg.eigvalsh(second)
    if sizes[0] <= _FLAT * sizes[-1]:
        raise ValueError(
            "a combination of coordinates is zero in all rows (or all rows lie at one point): no "
            "generator can be told by it; leave it out"
        )


def _following(output: Array) -> Array:
    """Return ``(row, output, c c)``: the output moved by each matrix on its last axis."""
    n, c = len(output), output.shape[-1] if output.ndim > 1 else 1
    items = output.reshape(n, -1, c)
    moved = np.einsum("ab,nid->niabd", np.eye(c), items)  # E_bd moves component d into b
    return moved.reshape(n, -1, c * c)
