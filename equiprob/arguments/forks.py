"""Is this process a copy of one in which JAX has threads, which were not copied?

Whatever waits for one of them waits for ever: workers of data loaders and pools that fork are such
copies.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable

_has_threads = False
_is_copy = False


def unforked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function that computes with JAX refuse to wait for threads that there are not.

    Raises:
        RuntimeError: By the function, in a process that was forked from one in which JAX had
            started.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_copy:
            raise RuntimeError(
                "this process was forked from one in which JAX has threads, which are not copied: "
                "the call would never return; make it in a process that was started anew "
                "(multiprocessing.get_context('spawn'), or a DataLoader's "
                "multiprocessing_context='spawn')"
            )
        return function(*args, **kwargs)

    return call


def _look() -> None:
    global _has_threads
    started = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    _has_threads = bool(started is not None and started())


def _note() -> None:
    global _is_copy
    _is_copy = _is_copy or _has_threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_look, after_in_child=_note)
