"""What is read of a result's file, before anything is believed of it?"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.plain_hdf5 import PlainFile
from equiprob.posterior.tree import ATTRIBUTE

if TYPE_CHECKING:
    import h5py

DIGEST = "equiprob_digest"
"""The attribute that holds a hash of all that is read."""

_PART = re.compile(r"[a-z_]+(/\d{1,9})?")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Stored:
    """All that is read of a result, or of a bundle.

    Args:
        header: Of JSON types.
        posterior: Draws ``(chain, draw, ...)`` and coordinates.
        rows: One entry a row.
        parts: The results of a bundle.
    """

    header: dict[str, Any]
    posterior: Arrays
    rows: Arrays
    parts: dict[str, Stored]

    @classmethod
    def of(cls, plain: PlainFile, group: h5py.Group, *, is_part: bool = False) -> Stored:
        """Read a group of a file; parts of a bundle have none of their own."""
        header = json.loads(plain.text(group, ATTRIBUTE))
        if not isinstance(header, dict):
            raise TypeError("its header is no table")
        if "parts" not in header:
            posterior, rows = (_arrays(plain, group, name) for name in ("posterior", "rows"))
            return cls(header, posterior, rows, {})
        names = header["parts"]
        if is_part or not all(isinstance(n, str) and _PART.fullmatch(n) for n in names):
            raise ValueError(f"its parts have names that no part has: {names!r:.200}")
        parts = {name: cls.of(plain, plain.group(name), is_part=True) for name in names}
        return cls(header, {}, {}, parts)

    @property
    def digest(self) -> str:
        """A hash of it all."""
        found = hashlib.blake2b(json.dumps(self.header, sort_keys=True).encode(), digest_size=16)
        for group in (self.posterior, self.rows):
            for name, array in sorted(group.items()):
                found.update(f"{name!r} {array.dtype.str} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        for name, part in sorted(self.parts.items()):
            found.update(f"{name} {part.digest}".encode())
        return found.hexdigest()


def _arrays(plain: PlainFile, group: h5py.Group, name: str) -> Arrays:
    found = plain.group(f"{group.name}/{name}")
    keys = [str(key) for key in found]
    return {key: plain.array(found, key) for key in keys if not _is_bare_dimension(found[key])}


def _is_bare_dimension(item: Any) -> bool:
    """Whether it is what netCDF writes of a dimension that has no values."""
    name = item.attrs.get("NAME", b"")
    return isinstance(name, bytes) and name.startswith(b"This is a netCDF dimension but not")
