"""How does a pass end that a signal ends: what is kept, and where is it?"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as a queue does before it kills."""


@contextmanager
def saying_where(words: Callable[[], str]) -> Iterator[None]:
    """Let SIGTERM end what is within as Ctrl-C does, and say in one line how to go on.

    The line is printed, and a note of the KeyboardInterrupt (or SystemExit). A handler of the
    user's own stays; so does what other threads may not change.

    Args:
        words: Returns the line.
    """
    is_main = threading.current_thread() is threading.main_thread()
    ours = is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        error.add_note(words())
        print(words(), file=sys.stderr, flush=True)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminated(number: int, frame: Any) -> NoReturn:
    raise Terminated("the process was asked to end (SIGTERM)")
