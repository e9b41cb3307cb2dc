"""How are many arrays kept in one file, so that it is either whole or found to be damaged?

netCDF, made in memory, written beside the old file and put in its place. A digest of all that it
holds tells whether what is read is what was written.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.plain_hdf5 import PlainFile, opened
from equiprob.arguments.whole_files import replacing

_ATTRIBUTE = "equiprob"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], header: Any) -> None:
    """Write arrays and a header as one netCDF file. The file is replaced whole or not at all.

    Args:
        path: The file.
        arrays: By name.
        header: Of JSON types.

    Raises:
        OSError: If it cannot be written, as on a full disk: what was there before is still there.
    """
    content = to_bytes(arrays, header)
    with replacing(path) as partial:
        partial.write_bytes(content)


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """Return the arrays and the header of a file of `write_arrays`.

    Raises:
        ValueError: If the file is not one of these, or not as it was written.
    """
    return _read(path, path.stat().st_size, str(path))


def from_bytes(content: bytes, name: str) -> tuple[dict[str, NDArray[Any]], Any]:
    """Return what `to_bytes` was given; see `read_arrays`."""
    return _read(io.BytesIO(content), len(content), name)


def _read(source: Any, size: int, name: str) -> tuple[dict[str, NDArray[Any]], Any]:
    try:
        with opened(source, size) as plain:
            document = json.loads(plain.text(plain.file, _ATTRIBUTE))
            arrays = {
                item["name"]: _restored(plain, f"a{i}", item)
                for i, item in enumerate(document["arrays"])
            }
        header, written = document["header"], document["digest"]
        digest = _digest(arrays, header)
    # What a damaged file raises depends on where the damage is.
    except Exception as error:
        raise ValueError(
            f"{name} cannot be read: it is damaged, or was not written by equiprob ({error}); pass "
            f"another path, or delete it"
        ) from error
    if digest != written:
        raise ValueError(
            f"{name} is damaged: what it holds is not what was written; pass another path, or "
            f"delete it"
        )
    return arrays, header


def to_bytes(arrays: Mapping[str, NDArray[Any]], header: Any) -> bytes:
    """Return the content of a file of `write_arrays`."""
    import h5netcdf

    listed = [
        {"name": name, "dtype": array.dtype.name, "shape": array.shape}
        for name, array in arrays.items()
    ]
    document = {"arrays": listed, "header": header, "digest": _digest(arrays, header)}
    content = io.BytesIO()
    with h5netcdf.File(content, "w") as file:
        file.attrs[_ATTRIBUTE] = json.dumps(document)
        for i, array in enumerate(arrays.values()):
            if not array.size:
                continue  # a dimension of no length would be one without limit
            values = array if _is_netcdf(array.dtype) else _bytes_of(array)
            sizes = {f"a{i}_{axis}": n for axis, n in enumerate(values.shape)}
            for dimension, n in sizes.items():
                file.dimensions[dimension] = n
            file.create_variable(f"a{i}", tuple(sizes), data=values)
    return content.getvalue()


def _is_netcdf(dtype: np.dtype[Any]) -> bool:
    """Whether netCDF has numbers of a dtype."""
    return dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize in (4, 8))


def _bytes_of(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)


def _restored(plain: PlainFile, stored: str, item: dict[str, Any]) -> NDArray[Any]:
    dtype, shape = jnp.dtype(item["dtype"]), tuple(item["shape"])
    if 0 in shape:
        return np.zeros(shape, dtype)
    values = plain.array(plain.file, stored)
    if values.dtype != dtype:
        return np.frombuffer(values.tobytes(), dtype=dtype).reshape(shape).copy()
    return values.reshape(shape)


def _digest(arrays: Mapping[str, NDArray[Any]], header: Any) -> str:
    """Return a hash of names, dtypes, shapes, content and the header."""
    found = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=16)
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype.name} {array.shape}".encode())
        found.update(_bytes_of(array))
    return found.hexdigest()
