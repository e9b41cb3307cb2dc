"""How is nothing computed lost, however a pass ends?

All that the store holds is written from time to time, whole or not at all. The same call reads it,
looks at the rows that were evaluated again (without the model), and goes on after the last of
them. That it is the same call is seen from its settings, from a hash of these rows, and from the
model's outputs on the first of them.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from equiprob.arguments.whole_files import NoPlace, remove_partial, target_of
from equiprob.orbits.chunk import Chunk
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.output import Output
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.storage.archive import read_arrays, write_arrays
from equiprob.orbits.storage.path_lock import PathLock
from equiprob.orbits.storage.saved_state import packed, unpack
from equiprob.orbits.storage.store import Store
from equiprob.transforms.fingerprint import difference

_FORMAT = 2

_KEYS = {"format", "call", "first", "seen", "stopped", "store"}

_TRANSFORM = "the transform"

_SHARE = 20
"""Writing may take one part in so many of the time."""

_ROUNDINGS = 10.0
"""Outputs of the same model on another machine differ by no more of its own roundings."""


@dataclass(eq=False)
class Checkpoint:
    """Writes what is known to a file, and goes on from there.

    Args:
        path: The file.
        every: Seconds between two writes, at least.
        call: What tells this call from others, by words for messages.
        stopped: Why the pass ended before the last row, where a rule ended it.
    """

    path: Path
    every: float
    call: dict[str, Any]
    stopped: str | None = None
    _lock: PathLock | None = None
    _seen: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    _written: float = field(default_factory=lambda: time.monotonic())
    _took: float = 0.0
    _done: int = 0
    _is_whole: bool = True
    _first: str | None = None
    _failed: bool = False

    @classmethod
    def of(
        cls, path: Path, every: float, orbit_pass: OrbitPass, n: int | None, *, grouped: bool
    ) -> Checkpoint:
        """Return the checkpoint of a pass over `n` rows.

        Raises:
            ValueError: If there can be no file of that name.
        """
        try:
            target = target_of(path)
        except ValueError as error:
            raise ValueError(
                f"checkpoint must name a file in a folder that exists, such as 'orbits.nc': {error}"
            ) from error
        if not every >= 0:
            raise ValueError(f"checkpoint_every must be seconds, 0 or more, got {every!r}")
        return cls(target, every, _call(orbit_pass, n, grouped=grouped))

    def __enter__(self) -> Checkpoint:
        """Keep others from writing to the path.

        Raises:
            ValueError: If another call writes to it.
        """
        self._lock = PathLock(self.path)
        return self

    def __exit__(self, *error: object) -> None:
        """Let others write to it."""
        if self._lock is not None:
            self._lock.release()

    def resume(
        self, store: Store, chunks: Iterator[Chunk], orbit_pass: OrbitPass
    ) -> Iterator[Chunk]:
        """Fill an empty store with what was written, and yield the chunks that it was made of.

        Raises:
            ValueError: If the file is damaged, or of another call.
        """
        remove_partial(self.path)
        if not self.path.exists():
            return
        arrays, header = read_arrays(self.path)
        if not isinstance(header, dict) or "format" not in header:
            raise self._is_none()
        if header["format"] != _FORMAT:
            raise ValueError(
                f"the checkpoint {self.path} is of format {header['format']!r:.20}, and this "
                f"version of equiprob reads format {_FORMAT}; pass another path, or delete it"
            )
        called = header.get("call")
        if set(header) != _KEYS or not isinstance(called, dict):
            raise self._is_none()
        if not isinstance(called.get(_TRANSFORM), dict):
            raise self._is_none()
        self._check_call(called)
        try:
            unpack(arrays, header["store"], store)
        except Exception as error:  # whatever the header claims
            raise self._is_none() from error
        first, last = store.first
        at = 0
        while at < store.done:
            chunk = next(chunks, None)
            if chunk is None or chunk.stop > store.done:
                raise self._refused("x has other rows")
            self._see(chunk)
            if chunk.start <= first < last <= chunk.stop:
                self._check_rows(header["first"])
                part = chunk.take(slice(first - at, last - at))
                self._check_model(orbit_pass, part, store, fill=len(part) < len(chunk))
            at = chunk.stop
            yield chunk
        self._check_rows(header["seen"])
        self.stopped, self._done, self._first = header["stopped"], store.done, header["first"]

    @contextmanager
    def taking(self, chunk: Chunk, store: Store) -> Iterator[None]:
        """Go into the context to put what was found on a chunk into the store.

        If that ends half-way (by a signal), the store is not written any more.
        """
        self._is_whole = False
        yield
        self._see(chunk)
        if self._first is None and not store.is_empty:
            self._first = self._seen.hexdigest()
        self._is_whole = True

    def _see(self, chunk: Chunk) -> None:
        """Add a chunk that is in the store to the hash of them all."""
        leaves = [*jax.tree.leaves(chunk.x), *jax.tree.leaves(chunk.y), chunk.ids, chunk.units]
        for leaf in leaves:
            array = np.asarray(leaf)
            self._seen.update(f"{array.dtype.name} {array.shape}".encode())
            self._seen.update(array.tobytes())
        for output in jax.tree.leaves(chunk.declared, is_leaf=lambda v: isinstance(v, Output)):
            per = output.per if isinstance(output.per, str | None) else np.asarray(output.per)
            mask = None if output.mask is None else np.asarray(output.mask)
            for part in (output.unit, output.scale, per, mask):
                content = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
                self._seen.update(content)

    def save(self, store: Store, stopped: str | None = None, *, now: bool = False) -> None:
        """Write what is known, if it is time to, or `now` if it is not written yet.

        What cannot be written is said, once; the pass goes on.
        """
        began = time.monotonic()
        due = began - self._written >= max(self.every, _SHARE * self._took)
        changed = (store.done, stopped) != (self._done, self.stopped)
        if not (changed and self._is_whole and (due or now)):
            return
        arrays, header = packed(store)
        whole = {
            "format": _FORMAT,
            "call": self.call,
            "first": self._first,
            "seen": self._seen.hexdigest(),
            "stopped": stopped,
            "store": header,
        }
        try:
            write_arrays(self.path, arrays, whole)
            self._done, self.stopped = store.done, stopped
        except (OSError, NoPlace) as error:  # the folder may be gone by now
            self._warn(error)
        self._written = time.monotonic()
        self._took = self._written - began

    @property
    def n_written(self) -> int:
        """How many rows are in the file."""
        return self._done

    def discard(self) -> None:
        """Remove the file: what it holds is of a model that changed meanwhile."""
        self.path.unlink(missing_ok=True)

    def _warn(self, error: Exception) -> None:
        if not self._failed:
            warnings.warn(
                f"the checkpoint {self.path} could not be written: {error}. The pass goes on, and "
                f"tries again; the file holds the first {self._done} rows",
                RuntimeWarning,
                stacklevel=2,
            )
        self._failed = True

    def _is_none(self) -> ValueError:
        return ValueError(f"{self.path} is no checkpoint; pass another path, or delete it")

    def _check_call(self, there: dict[str, Any]) -> None:
        words = [
            f"{name} was {there.get(name)!r} there and is {value!r} here"
            for name, value in self.call.items()
            if name != _TRANSFORM and there.get(name) != value
        ]
        named = ("the file", "this call")
        apart = difference(there.get(_TRANSFORM, {}), self.call[_TRANSFORM], named=named)
        if words or apart is not None:
            raise self._refused("; ".join([*words, *([] if apart is None else [apart])]))

    def _check_rows(self, written: str) -> None:
        if self._seen.hexdigest() != written:
            raise self._refused("x, y, row_ids, groups or outputs hold other values")

    def _check_model(
        self, orbit_pass: OrbitPass, chunk: Chunk, store: Store, *, fill: bool
    ) -> None:
        """Refuse a model whose outputs are not those that were written, up to rounding."""
        if orbit_pass.noise is not None:
            return
        found = orbit_pass.evaluate(chunk, probe=True, fill=fill)
        if list(found.statistics) != list(store.templates) or not all(
            _same(found.statistics[name], template) for name, template in store.templates.items()
        ):
            raise self._refused(
                f"predict has other outputs on rows {chunk.start} to {chunk.stop - 1}"
            )

    def _refused(self, reason: str) -> ValueError:
        return ValueError(
            f"the checkpoint {self.path} is of another call: {reason}; make the same call, pass "
            f"another path, or delete the file"
        )


def _call(orbit_pass: OrbitPass, n: int | None, *, grouped: bool) -> dict[str, Any]:
    """Return what is the same in every call that may go on from one file."""
    design, keep = orbit_pass.design, orbit_pass.keep
    return {
        _TRANSFORM: orbit_pass.transform.fingerprint,
        "design": design.kind,
        "n_transforms": design.n_transforms,
        "seed": design.seed,
        "noise_repeats": 1 if orbit_pass.noise is None else orbit_pass.noise.repeats,
        "keep": keep.what if keep.magnitudes is None else keep.magnitudes.tolist(),
        "batch_size": orbit_pass.size,
        "batch_dependent": orbit_pass.batch_dependent,
        "the number of rows": n,
        "whether there are groups": grouped,
    }


def _same(found: RowStatistics, written: RowStatistics) -> bool:
    """Whether outputs and displacements differ by rounding alone."""
    pairs = ((found.base, written.base), (found.displacement, written.displacement))
    if any(one.shape != other.shape for one, other in pairs):
        return False
    limit = _ROUNDINGS * max(found.float_floor, written.float_floor)
    for one, other in pairs:
        finite = np.isfinite(other)
        if not np.array_equal(np.isfinite(one), finite):
            return False
        squared = np.where(finite, one - other, 0.0) ** 2
        if np.sqrt(squared.sum(axis=-1).mean()) > limit:
            return False
    return True
