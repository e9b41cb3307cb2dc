"""Which random numbers belong to a row?

Everything random is a function of a seed, a purpose and the id of a row (or group), never of its
place in a batch: the same rows get the same transformations and the same weights in every
estimator, whatever the batch size or the number of processes.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry2x32_p
from numpy.typing import NDArray

Ids = NDArray[np.uint64]

_COUNTERS = np.arange(2**12, dtype=np.uint32)

_BYTES_HASHED, _ROWS_HASHED = 2**22, 4096
"""Bytes, and rows, made contiguous float64 at a time: of images, a few."""

_HEAVY = 2**14
"""Bytes of a row whose hash takes longer than to count it in Python."""


class Purpose(enum.IntEnum):
    """What random numbers are for: different purposes never share any."""

    TRANSFORMS = 1
    WEIGHTS = 2
    FOLDS = 3
    NOISE = 4


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _canonical(leaf: Any) -> NDArray[Any]:
    """Return a leaf as contiguous float64 or int64 rows, so that equal values hash alike."""
    array = np.asarray(leaf)
    wide = np.float64 if jnp.issubdtype(array.dtype, jnp.floating) else np.int64
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        wide = np.complex128
    # Adding zero turns -0.0 into 0.0.
    return np.ascontiguousarray(array.reshape(len(array), -1).astype(wide) + wide(0))


def _bytes_of(leaf: Any) -> NDArray[np.uint8]:
    """Return the bytes of each row of a leaf in canonical form, ``(row, byte)``."""
    canonical = _canonical(leaf)
    width = canonical.shape[1] * canonical.itemsize
    return canonical.view(np.uint8).reshape(len(canonical), width)


def _digests(rows: NDArray[np.uint8]) -> Ids:
    """Return `_digest` of each row of bytes: most of the cost of an id is Python's own."""
    blake2b, size = hashlib.blake2b, np.dtype(np.uint64).itemsize
    n, length = rows.shape
    each = np.frombuffer(rows.tobytes(), dtype=f"V{length}").tolist() if length else [b""] * n
    found = [blake2b(content, digest_size=size).digest() for content in each]
    return np.frombuffer(b"".join(found), dtype="<u8").astype(np.uint64)


def content_hashes(leaves: Sequence[Any]) -> Ids:
    """Return a hash of the content of each row; equal rows have equal ones.

    Args:
        leaves: Arrays with rows first, all of the same length.
    """
    hashes = np.empty(len(leaves[0]), dtype=np.uint64)
    rows = min(max(_BYTES_HASHED // max(_bytes_of_row(leaves), 1), 1), _ROWS_HASHED)
    for start in range(0, len(hashes), rows):
        part = slice(start, start + rows)
        hashes[part] = _digests(np.concatenate([_bytes_of(leaf[part]) for leaf in leaves], axis=1))
    return hashes


def _bytes_of_row(leaves: Sequence[Any]) -> int:
    """Return the bytes of a row in canonical form."""
    return 8 * sum(math.prod(np.shape(leaf)[1:]) for leaf in leaves)


def are_heavy(leaves: Sequence[Any]) -> bool:
    """Whether rows take so long to hash that a device should work meanwhile."""
    return _bytes_of_row(leaves) >= _HEAVY


def told_apart(hashes: Ids, seen: Counter[int]) -> Ids:
    """Return an id for each row, from its hash and from how often that has been seen before.

    Args:
        hashes: Of the content of each row.
        seen: How often each came before these rows; counts on.
    """
    ids = hashes.copy()
    for i, content in enumerate(hashes.tolist()):
        if seen[content]:
            ids[i] = _digest(b"%d#%d" % (content, seen[content]))
        seen[content] += 1
    return ids


def content_ids(leaves: Sequence[Any]) -> Ids:
    """Return an id for each row: a hash of its content and of how often it came before.

    Args:
        leaves: Arrays with rows first, all of the same length.
    """
    ids = content_hashes(leaves)
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order]) == 0)
    copies = np.sort(np.union1d(order[again], order[again + 1]))
    ids[copies] = told_apart(ids[copies], Counter())
    return ids


def label_ids(labels: Any) -> Ids:
    """Return an id for each of the users' own labels (integers or strings)."""
    return np.array([_digest(repr(v).encode()) for v in np.asarray(labels).tolist()], np.uint64)


def split_ids(ids: Ids) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the high and low halves of 64-bit ids."""
    return (ids >> np.uint64(32)).astype(np.uint32), ids.astype(np.uint32)


def root_key(seed: int | jax.Array, purpose: Purpose | jax.Array) -> jax.Array:
    """Return the JAX key all keys of one seed and purpose derive from (traceable)."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), purpose)


def keys_of(root: jax.Array, high: jax.Array, low: jax.Array) -> jax.Array:
    """Return one JAX key for each id (traceable)."""
    return jax.vmap(lambda h, w: jax.random.fold_in(jax.random.fold_in(root, h), w))(high, low)


def keyed_bits(
    seed: jax.Array, purpose: jax.Array, high: jax.Array, low: jax.Array, counters: jax.Array
) -> jax.Array:
    """Return 32 random bits for each id and counter, ``(id, counter)`` (traceable).

    They are those of ``jax.random.bits`` with the key of the id, which for arrays of n numbers
    takes the counters 0 to n - 1.
    """
    first, second = jax.random.key_data(keys_of(root_key(seed, purpose), high, low)).T
    shape = (len(high), len(counters))
    words = (first[:, None], second[:, None], jnp.uint32(0), counters)
    return jnp.bitwise_xor(*threefry2x32_p.bind(*(jnp.broadcast_to(w, shape) for w in words)))


_bits = jax.jit(keyed_bits)


def in_tiles(
    program: Callable[..., jax.Array],
    seed: int,
    purpose: Purpose,
    ids: Ids,
    n: int,
    tile: tuple[int, int],
) -> NDArray[Any]:
    """Evaluate a compiled function of ids and counters in tiles of one size.

    A program with these hashes takes a quarter of a second to compile, and would be compiled for
    every number of ids and of counters.

    Args:
        program: Takes what `keyed_bits` takes.
        seed: The seed.
        purpose: What the numbers are for.
        ids: The ids.
        n: How many numbers each id has.
        tile: Ids and counters of one evaluation.

    Returns:
        What it returns, ``(id, n)``.
    """
    found, (rows, columns) = [], tile
    for i in range(0, max(len(ids), 1), rows):
        part = ids[i : i + rows]
        padded = np.zeros(rows, dtype=np.uint64)
        padded[: len(part)] = part
        halves = split_ids(padded)
        across = [
            program(np.uint32(seed), np.uint32(purpose), *halves, j + _COUNTERS[:columns])
            for j in range(0, n, columns)
        ]
        found.append(np.concatenate(across, axis=1)[: len(part), :n])
    return np.concatenate(found)


def keyed_uniforms(seed: int, purpose: Purpose, ids: Ids, n: int) -> NDArray[np.float64]:
    """Return `n` uniform numbers in [0, 1) for each id, with 53 random bits: ``(id, n)``."""
    tile = (256 if len(ids) <= 512 else 1024, 4 if n <= 2 else 32)
    bits = in_tiles(_bits, seed, purpose, ids, 2 * n, tile).astype(np.uint64)
    whole = (bits[:, ::2] >> np.uint64(5)) << np.uint64(26) | bits[:, 1::2] >> np.uint64(6)
    return whole.astype(np.float64) / 2.0**53


def keyed_generators(seed: int, ids: Ids) -> list[np.random.Generator]:
    """Return a NumPy generator for each id, for laws that can only be sampled."""
    keys = keyed_uniforms(seed, Purpose.TRANSFORMS, ids, 2)
    words = (keys * 2.0**53).astype(np.uint64)
    return [np.random.Generator(np.random.Philox(key=word)) for word in words]
