"""How do two calls that were given one path notice, before one overwrites what the other knows?"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from equiprob.arguments.whole_files import beside

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is noticed
    fcntl = None

_held: set[Path] = set()
_guard = threading.Lock()


class PathLock:
    """A path that one call at a time may write to.

    The lock is of the system (``lockf``, which network disks know): it ends with its process,
    however that ends. Where a disk has no locks, there is none.

    Args:
        path: The file that is written. The lock is on a file beside it, which is removed.

    Raises:
        ValueError: If another call holds it.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock."""
        self.path = path
        self._beside = beside(path, ".lock")
        self._handle: int | None = None
        with _guard:  # locks of the system do not tell the threads of a process apart
            if path in _held:
                raise _taken(path, "this process")
            self._handle = self._locked()
            _held.add(path)

    def release(self) -> None:
        """Let others write to the path."""
        with _guard:
            _held.discard(self.path)
            if self._handle is not None:
                self._beside.unlink(missing_ok=True)
                os.close(self._handle)
                self._handle = None

    def _locked(self) -> int | None:
        while fcntl is not None:
            try:
                handle = os.open(self._beside, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # a folder that cannot be written to, which is said when it matters
                return None
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                holder = os.read(handle, 200).decode(errors="replace") or "another process"
                os.close(handle)
                raise _taken(self.path, holder) from error
            except OSError:  # a disk without locks
                os.close(handle)
                self._beside.unlink(missing_ok=True)
                return None
            if _is_still(self._beside, handle):
                with contextlib.suppress(OSError):  # a full disk: it is locked, without words
                    os.truncate(handle, 0)
                    os.write(handle, f"process {os.getpid()} on {os.uname().nodename}".encode())
                return handle
            os.close(handle)  # who held it before has removed it meanwhile
        return None


def _is_still(path: Path, handle: int) -> bool:
    """Whether a path names the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _taken(path: Path, holder: str) -> ValueError:
    return ValueError(
        f"the checkpoint {path} is being written by another call ({holder}); give each call a path "
        f"of its own, or wait until that one ends"
    )
