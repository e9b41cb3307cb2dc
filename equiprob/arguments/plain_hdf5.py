"""What is read of an HDF5 file that anyone may have written?

Numbers and strings that are in the file itself. Links may lead to other files, in circles, or to
one thing by many names; storage may be elsewhere; and a few bytes may claim to be more numbers than
memory holds: none of that is followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

_MOST_OBJECTS = 100_000
_STRINGS_AT_ONCE = 64


class PlainFile:
    """An open HDF5 file of which no more is read than its size.

    Args:
        file: The file.
        size: Its bytes.

    Raises:
        ValueError: If it holds links, or more things than any file of ours.
    """

    file: h5py.File

    def __init__(self, file: h5py.File, size: int) -> None:
        """Look at all links of a file."""
        self.file = file
        self._left = size
        _require_no_links(file)

    def text(self, group: h5py.Group, name: str) -> str:
        """Return the string that is an attribute of a group.

        Raises:
            ValueError: If it has none.
        """
        import h5py

        if name not in group.attrs:
            raise ValueError(f"{group.name} has no attribute {name!r}")
        kind = group.attrs.get_id(name)
        if kind.shape != () or h5py.check_string_dtype(kind.dtype) is None:
            raise ValueError(f"the attribute {name!r} of {group.name} is no string")
        return self._counted(str(group.attrs[name]))

    def group(self, name: str) -> h5py.Group:
        """Return a group of the file.

        Raises:
            ValueError: If there is none of that name.
        """
        import h5py

        found = self.file.get(name)
        if not isinstance(found, h5py.Group):
            raise ValueError(f"there is no group {name!r}")
        return found

    def array(self, group: h5py.Group, name: str) -> NDArray[Any]:
        """Return an array of a group; strings have dtype ``U``.

        Raises:
            ValueError: If there is none, or it is not in the file as a whole.
        """
        import h5py

        item = group.get(name)
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise ValueError(f"{group.name} has no array {name!r}")
        created = item.id.get_create_plist()
        elsewhere = created.get_external_count() or created.get_layout() == h5py.h5d.VIRTUAL
        if elsewhere or created.get_nfilters() or item.nbytes > item.id.get_storage_size():
            raise ValueError(f"the array {item.name} is not in the file as it claims to be")
        if h5py.check_string_dtype(item.dtype) is not None:
            return self._strings(item)
        if item.dtype.kind not in "iuf":
            raise ValueError(f"the array {item.name} holds {item.dtype}, not numbers or strings")
        self._take(item.nbytes)
        return np.asarray(item[...])

    def _strings(self, item: h5py.Dataset) -> NDArray[np.str_]:
        if item.ndim != 1:
            raise ValueError(f"the strings {item.name} have {item.ndim} axes")
        found: list[str] = []
        # Many strings may be one string many times: no more is read at once than a few of them.
        for start in range(0, len(item), _STRINGS_AT_ONCE):
            part = item.asstr()[start : start + _STRINGS_AT_ONCE]
            found += [self._counted(str(one)) for one in part]
        return np.array(found, dtype="U")

    def _counted(self, text: str) -> str:
        self._take(len(text))
        return text

    def _take(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise ValueError("its arrays claim to be more than the file")


def _require_no_links(file: h5py.File) -> None:
    import h5py

    objects = cast("Any", h5py).h5o
    left: list[h5py.Group] = [file]
    seen = {objects.get_info(file.id).addr}
    while left:
        group = left.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{group.name} holds a link, {name!r}, which is not followed")
            item = group[name]
            address = objects.get_info(item.id).addr
            if address in seen:
                raise ValueError(f"{group.name} holds a second name, {name!r}, of another part")
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise ValueError(f"it holds more than {_MOST_OBJECTS:,} parts")
            if isinstance(item, h5py.Group):
                left.append(item)


@contextmanager
def opened(source: Any, size: int) -> Iterator[PlainFile]:
    """Open a path, or a file object of so many bytes, to read it.

    Raises:
        OSError: If it is no HDF5 file.
        ValueError: If it holds links.
    """
    import h5py

    # Not h5netcdf, which cannot close a file that it failed to open.
    with h5py.File(source, "r") as file:
        yield PlainFile(file, size)
