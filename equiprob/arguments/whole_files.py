"""How is a file replaced whole or not at all, also where its name is a link?"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_NAME = 200
"""Bytes of a name that is as it is in the names of files beside it: systems have 255."""


class NoPlace(ValueError):
    """There can be no file of that name."""


def beside(target: Path, ending: str) -> Path:
    """Return the path of a file that belongs to another, in the same folder."""
    name = os.fsencode(target.name)
    if len(name) > _LONGEST_NAME:
        return target.with_name(hashlib.blake2b(name, digest_size=16).hexdigest() + ending)
    return target.with_name(target.name + ending)


def target_of(path: Path) -> Path:
    """Return the file that a path names: what a symbolic link leads to, there or not yet.

    Raises:
        NoPlace: If there can be no file of that name.
    """
    try:
        target = Path(os.path.realpath(path))
        fits = bool(path.name) and not target.is_dir() and target.parent.is_dir()
        special = target.exists() and not target.is_file()
    except (OSError, ValueError) as error:  # too long, or with characters that no name has
        raise NoPlace(f"path {_shown(path)} can be no file: {error}") from error
    if not fits or special or target.is_symlink():
        raise NoPlace(f"path must be a file in a folder that exists, got {_shown(path)}")
    return target


def _shown(path: Path) -> str:
    text = repr(str(path))
    return text if len(text) < 200 else f"{text[:100]}... ({len(text)} characters)"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Go into the context to write a file beside the one that it replaces at the end.

    Yields:
        The file to write. It is on the disk of what a link leads to.

    Raises:
        NoPlace: If there can be no file of that name.
        OSError: If it cannot be written, as on a full disk: what was there before is still there.
    """
    target = target_of(path)
    of_this_thread = f"{os.getpid()}-{threading.get_ident()}"
    partial = beside(target, f".partial-{of_this_thread}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, target)
    except OSError as error:
        if error.errno is None:
            raise
        # The library that wrote it may say where in its memory that was.
        reason = f"{os.strerror(error.errno)}; what was there before is as it was"
        raise OSError(error.errno, reason, str(target)) from error
    finally:
        with contextlib.suppress(OSError):  # on a disk that can only be read by now
            partial.unlink(missing_ok=True)
    _sync_folder(target.parent)


def remove_partial(path: Path) -> None:
    """Remove what processes that were killed while they wrote have left beside a file."""
    target = target_of(path)
    for partial in target.parent.glob(f"{glob.escape(beside(target, '.partial-').name)}*"):
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable, where the system has that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    # Disks of other machines often have no such thing; the file is in place all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
