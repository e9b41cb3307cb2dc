"""What does one rounding of the input make of the output?

A few rows are evaluated again, changed by 1, 2 and 4 roundings. Only a change that grows in
proportion, or is another one each time, is rounding seen through the model, or made by it: a
threshold, a table or a nearest neighbour that happens to lie there answers with a step, whatever
the size. Whole numbers (class ids, edges, masks,
charges) mean what they are and stay, and so does what the transformation leaves in place: its
roundings are the same on both sides of every displacement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.precision import Array, root_mean_square, rounding_of
from equiprob.orbits.statistics import is_usable
from equiprob.transforms.by_leaf import precision_of

SIZES = (1, 2, 4)
"""Roundings by which inputs are changed."""

_SECOND, _THIRD = (1.25, 3.2), (2.0, 8.0)
"""Where the changes by 2 and 4 roundings lie, relative to that by 1, where they are in proportion;
a model's own roundings blur it."""

_FEW = 4.0
"""Roundings of the output that are believed without proportion: a model makes some of its own."""

_SCATTERED = 1 / 8
"""How near two of the outputs at the row and at its changes may be, relative to the farthest two: a
model that sums up many terms in few digits answers each change by other roundings of its own, and
no two answers are alike. On either side of a step they are."""


@dataclass(frozen=True, eq=False)
class Probed:
    """What the model answered where rows were changed by 1, 2 and 4 roundings.

    Args:
        rows: The rows that were.
        moved: Output leaves ``(size, probed row, ...)``.
        beside: Output leaves ``(row, ...)`` of the rows that stayed as they are in that batch.
    """

    rows: NDArray[np.int64]
    moved: list[NDArray[Any]]
    beside: list[NDArray[Any]]


def probed(
    outputs_at: Callable[[Any], list[Any]],
    x: Any,
    moving: Sequence[bool],
    rounding: float,
    most: int,
    *,
    beside: NDArray[np.int64] | None = None,
    whole: bool = True,
) -> Probed:
    """Evaluate the first rows changed by 1, 2 and 4 roundings.

    Args:
        outputs_at: The model, on a batch.
        x: A batch.
        moving: Of each of its leaves, whether the transformation moves it.
        rounding: One rounding of the outputs, where that is more than one of the inputs.
        most: How many rows are changed, at most; one batch as long as the one given, where rows
            stay as they are in it, else up to one batch.
        beside: Rows that stay as they are, and fill what those that are changed leave.
        whole: Whether the model takes only batches as long as the one given.
    """
    length = len(jax.tree.leaves(x)[0])
    still = np.empty(0, np.int64) if beside is None else beside
    rows = np.arange(min(max((length - len(still)) // len(SIZES), 1), most))
    which, sizes = np.tile(rows, len(SIZES)), np.repeat(SIZES, len(rows))
    # First, so that the first row of the batch is another one than it was.
    n_still = 0 if beside is None else length - len(which)
    which = np.concatenate([np.resize(still, n_still), which])
    sizes = np.concatenate([np.zeros(n_still, sizes.dtype), sizes])
    batches = []
    for start in range(0, len(which), length):
        part, by = (each[start : start + length] for each in (which, sizes))
        n = length if whole else len(part)
        batch = perturbed(x, moving, np.resize(part, n), np.resize(by, n), rounding)
        batches.append([np.array(leaf) for leaf in outputs_at(batch)])
    joined = [np.concatenate(leaves)[: len(which)] for leaves in zip(*batches, strict=True)]
    changed = [leaf[n_still:].reshape(len(SIZES), -1, *leaf.shape[1:]) for leaf in joined]
    return Probed(rows, changed, [leaf[: len(still)] for leaf in joined])


def perturbed(
    x: Any, moving: Sequence[bool], rows: NDArray[Any], sizes: NDArray[Any], rounding: float
) -> Any:
    """Return rows of a batch, each changed by so many roundings up or down.

    Args:
        x: A batch, a pytree of arrays with rows first.
        moving: Of each of its leaves, whether the transformation moves it.
        rows: The rows.
        sizes: By how many roundings each is changed.
        rounding: One rounding, where that is more than one of the leaf.
    """
    leaves, treedef = jax.tree.flatten(x)
    changed = []
    for i, (moves, leaf) in enumerate(zip(moving, leaves, strict=True)):
        values = np.asarray(leaf)[rows]
        if moves and jnp.issubdtype(values.dtype, jnp.floating):
            # One row has the same signs at every size: what it answers is then in proportion.
            signs = np.random.default_rng(i).integers(0, 2, (rows.max() + 1, *values.shape[1:]))
            step = sizes * max(rounding, rounding_of(values.dtype))
            factor = 1 + step.reshape(-1, *[1] * (values.ndim - 1)) * (2 * signs[rows] - 1)
            moved = values * factor.astype(values.dtype)
            values = np.where(values == np.rint(values), values, moved)
        changed.append(values)
    with precision_of(x):
        each = zip(leaves, changed, strict=True)
        kept = [jnp.asarray(new) if isinstance(old, jax.Array) else new for old, new in each]
    return treedef.unflatten(kept)


def response(base: Array, moved: Array, rounding: float) -> float:
    """Return the rms change of an output under one rounding of its input, or of itself.

    Args:
        base: Outputs at the rows that were probed, ``(row, k)``.
        moved: Outputs where they were changed, ``(size, row, k)``.
        rounding: One rounding of the output, relative to its size.
    """
    finite = is_usable(base).all(axis=1) & is_usable(moved).all(axis=(0, 2))
    base, moved = base[finite], moved[:, finite]
    if not finite.any():
        return 0.0
    itself = rounding * root_mean_square(base)
    largest = float(np.abs(moved - base).max(initial=0.0)) or 1.0
    answers = np.concatenate([base[None], moved]) / largest
    first, second = np.triu_indices(len(answers), 1)
    distances = np.sqrt(((answers[first] - answers[second]) ** 2).sum(axis=2))
    one, two, four = distances[: len(SIZES)]
    grows = _within(two, one, _SECOND) & _within(four, one, _THIRD)
    scatters = distances.min(axis=0) >= _SCATTERED * distances.max(axis=0)
    own = np.where(grows | scatters, one, np.minimum(one, _FEW * itself / largest))
    return float(np.hypot(largest * np.sqrt((own**2).mean()), itself))


def _within(values: Array, unit: Array, limits: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= limits[0] * unit) & (values <= limits[1] * unit)
