"""Is an error a refusal of what came in, or a fault of the package?"""

from __future__ import annotations

import dis
from pathlib import Path
from types import TracebackType

_HOUSE = Path(__file__).parents[1]

_KINDS = (
    *(ValueError, TypeError, LookupError, AttributeError),
    *(ImportError, OSError, RuntimeError),  # and with it NotImplementedError
)


def is_refusal(error: BaseException) -> bool:
    """Whether an error was raised by this package on purpose, with words of its own.

    A ``ValueError`` from inside of NumPy, or a ``TypeError`` of an expression of ours, says that an
    input was not looked at before it was used.

    Args:
        error: A caught error, with its traceback.
    """
    last = _last(error.__traceback__)
    if last is None or not isinstance(error, _KINDS):
        return False
    code = last.tb_frame.f_code
    raised = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return raised and Path(code.co_filename).is_relative_to(_HOUSE)


def _last(traceback: TracebackType | None) -> TracebackType | None:
    """Return the frame in which an error was raised."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback
