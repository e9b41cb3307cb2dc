"""How is a result written, so that it can be made again?"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from equiprob.arguments.plain_hdf5 import PlainFile
from equiprob.arguments.whole_files import replacing
from equiprob.posterior.kinds import saved_name_of
from equiprob.posterior.stored import DIGEST, Stored

if TYPE_CHECKING:
    import xarray as xr


def check_saved(results: Iterable[object]) -> None:
    """Check that files hold results of these kinds.

    Raises:
        ValueError: If one is of a class of a user's own.
    """
    for one in results:
        if saved_name_of(one) is None:
            raise ValueError(
                f"{type(one).__name__} is no result of equiprob, which load could make again; "
                f"keep its .tree, or its .draws"
            )


def write(tree: xr.DataTree, path: Path) -> None:
    """Write a result or a bundle as netCDF. The file is replaced whole or not at all.

    Raises:
        ValueError: If there can be no file of that name, or a name in it is no text that a file can
            hold.
        OSError: If it cannot be written, as on a full disk: what was there before is still there.
    """
    import h5py

    # In memory: the library may end the process where a disk fills while it writes.
    content = io.BytesIO()
    tree.to_netcdf(content, engine="h5netcdf")
    with h5py.File(content, "r+") as file:
        stored = Stored.of(PlainFile(file, content.getbuffer().nbytes), file)
        file.attrs[DIGEST] = stored.digest
    with replacing(path) as partial:
        partial.write_bytes(content.getvalue())
