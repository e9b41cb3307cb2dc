"""Which posterior weight does each row carry in each draw?

Bayesian bootstrap (Rubin, "The Bayesian bootstrap", Annals of Statistics 1981): Dirichlet(1, ...,
1) weights over independent units, as normalized Exp(1) numbers. The weight of a unit in a draw is a
function of (weight seed, draw, unit id) alone, so the same rows weigh the same in every estimator
and draws of different results are joint; different rows weigh independently.
"""

from __future__ import annotations

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.blocks import N_BLOCKS, block_of
from equiprob.orbits.keys import Ids, Purpose, keyed_uniforms, keys_of, root_key, split_ids

MOST_UNITS = 10_000
"""Above this many units they are pooled into blocks by their ids."""

_UNITS_AT_ONCE = 1024


@partial(jax.jit, static_argnames="n_draws")
def _exponentials(root: jax.Array, high: jax.Array, low: jax.Array, n_draws: int) -> jax.Array:
    keys = keys_of(root, high, low)
    return jax.vmap(lambda key: jax.random.exponential(key, (n_draws,), jnp.float32))(keys)


def exponential_weights(ids: Ids, n_draws: int, seed: int) -> NDArray[np.float32]:
    """Return Exp(1) weights ``(unit, draw)``, each a function of (seed, unit id, draw)."""
    return (
        _few_weights(ids.tobytes(), n_draws, seed)
        if len(ids) <= _UNITS_AT_ONCE
        else (_weights(ids, n_draws, seed))
    )


@lru_cache(maxsize=4)
def _few_weights(ids: bytes, n_draws: int, seed: int) -> NDArray[np.float32]:
    """Return the weights of up to a thousand units: every estimator asks for the same ones."""
    weights = _weights(np.frombuffer(ids, dtype=np.uint64), n_draws, seed)
    weights.setflags(write=False)
    return weights


def _weights(ids: Ids, n_draws: int, seed: int) -> NDArray[np.float32]:
    # One compiled shape for the many, small powers of two for the few.
    step = min(_UNITS_AT_ONCE, 1 << max(int(len(ids) - 1).bit_length(), 4))
    root = root_key(seed, Purpose.WEIGHTS)
    parts = []
    for start in range(0, len(ids), step):
        part = ids[start : start + step]
        padded = np.concatenate([part, np.zeros(step - len(part), dtype=np.uint64)])
        parts.append(np.asarray(_exponentials(root, *split_ids(padded), n_draws))[: len(part)])
    return np.concatenate(parts)


def weighted_sums(
    units: Ids, totals: NDArray[np.float64], *, n_draws: int, seed: int, pooled: bool = False
) -> NDArray[np.float64]:
    """Return draws ``(draw, column)`` of the weighted sums of the units' totals.

    Args:
        units: Ids, all different, ``(unit,)``.
        totals: ``(unit, column)``.
        n_draws: How many draws.
        seed: The weight seed.
        pooled: Whether to pool them into blocks in any case.
    """
    if pooled or len(units) > MOST_UNITS:
        block = block_of(units)
        columns = [np.bincount(block, c, minlength=N_BLOCKS) for c in totals.T]
        units, totals = np.arange(N_BLOCKS, dtype=np.uint64), np.column_stack(columns)
    sums = np.zeros((n_draws, totals.shape[1]))
    for start in range(0, len(units), _UNITS_AT_ONCE):
        part = slice(start, start + _UNITS_AT_ONCE)
        weights = exponential_weights(units[part], n_draws, seed)
        sums += weights.T.astype(np.float64) @ totals[part]
    return sums


def folds(unit_ids: Ids, n_folds: int) -> NDArray[np.int64]:
    """Return a fold, 0 to n_folds - 1, for each row; rows of a unit share theirs.

    At least two folds have rows, as long as there are two units.
    """
    units, place = np.unique(unit_ids, return_inverse=True)
    order = np.argsort(keyed_uniforms(0, Purpose.FOLDS, units, 1)[:, 0])
    fold = np.empty(len(units), dtype=np.int64)
    fold[order] = np.arange(len(units)) % n_folds
    return fold[place]
