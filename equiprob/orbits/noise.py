"""How often is a stochastic model called on each input, and with which keys?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from equiprob.orbits.keys import Ids, Purpose, keys_of, root_key, split_ids


@dataclass(frozen=True)
class Noise:
    """How often a stochastic model is called on each input, and where its randomness comes from.

    Args:
        repeats: Calls on each input, at least 2.
        seed: Seed of the keys.
        keyed: Whether the model takes keys, ``predict(batch, keys)``, a JAX key for each row.
    """

    repeats: int
    seed: int
    keyed: bool

    @classmethod
    def of(cls, predict: Callable[..., Any], repeats: int, seed: int) -> Noise | None:
        """Return the noise of a model; None for a deterministic one.

        Raises:
            ValueError: If `repeats` is no positive integer.
        """
        if not isinstance(repeats, int | np.integer) or repeats < 1:
            raise ValueError(f"noise_repeats must be a positive integer, got {repeats!r}")
        return None if repeats == 1 else cls(int(repeats), seed, _takes_keys(predict))

    def keys(self, ids: Ids, place: int, repeat: int) -> jax.Array:
        """Return a key for each row, whatever batch the row is in."""
        root = root_key(self.seed, Purpose.NOISE)
        root = jax.random.fold_in(jax.random.fold_in(root, place), repeat)
        return keys_of(root, *map(jax.numpy.asarray, split_ids(ids)))


def _takes_keys(predict: Callable[..., Any]) -> bool:
    """Whether a model must be given a second argument."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    return sum(p.default is p.empty for p in positional) == 2
