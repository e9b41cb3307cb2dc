"""How is a file replaced whole or not at all, also where its name is a link?"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def target_of(path: Path) -> Path:
    """Return the file that a path names: what a symbolic link leads to, there or not yet.

    Raises:
        ValueError: If there can be no file of that name.
    """
    try:
        target = Path(os.path.realpath(path))
        fits = bool(path.name) and not target.is_dir() and target.parent.is_dir()
        special = target.exists() and not target.is_file()
    except (OSError, ValueError) as error:  # too long, or with characters that no name has
        raise ValueError(f"path {_shown(path)} can be no file: {error}") from error
    if not fits or special or target.is_symlink():
        raise ValueError(f"path must be a file in a folder that exists, got {_shown(path)}")
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
        ValueError: If there can be no file of that name.
        OSError: If it cannot be written, as on a full disk: what was there before is still there.
    """
    target = target_of(path)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(target.parent)


def remove_partial(path: Path) -> None:
    """Remove what processes that were killed while they wrote have left beside a file."""
    target = target_of(path)
    for partial in target.parent.glob(f"{glob.escape(target.name)}.partial-*"):
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable, where the system has that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
