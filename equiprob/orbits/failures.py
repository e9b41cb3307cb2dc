"""On which rows did the model fail?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from equiprob.arguments.lending import advised
from equiprob.arguments.refusals import is_refusal


class PredictionFailed(RuntimeError):
    """The user's model raised; the message names the rows it was given."""


@dataclass(frozen=True)
class Skipped:
    """Rows that were passed over because the model raised on their chunk.

    Args:
        start: The number of the first row.
        stop: One more than the number of the last.
        reason: What the model raised.
    """

    start: int
    stop: int
    reason: str

    def __str__(self) -> str:
        """Name the rows."""
        return f"{rows_named(self.start, self.stop)}: {self.reason}"


def rows_named(start: int, stop: int) -> str:
    """Return what rows from `start` up to, and without, `stop` are called."""
    return f"row {start}" if stop - start == 1 else f"rows {start} to {stop - 1}"


class naming_rows:
    """Says which rows a failing prediction was given."""

    def __init__(self, start: int, stop: int) -> None:
        """Name the rows from `start` up to, and without, `stop`."""
        self._rows = rows_named(start, stop)

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Raise what the model raised, with the rows' names."""
        # What fails inside a compiled program surfaces in the frame that runs or fetches it.
        compiled = isinstance(error, jax.errors.JaxRuntimeError)
        ours = not compiled and traceback is not None and _raised_by_us(traceback)
        if isinstance(error, TypeError) and not is_refusal(error):
            ours = False  # a function that takes other arguments fails where it is called
        if isinstance(error, Exception) and not ours:
            raise PredictionFailed(
                f"predict raised {type(error).__name__} on {self._rows}: {advised(error)}"
            ) from error


def _raised_by_us(traceback: Any) -> bool:
    """Whether the innermost frame is the package's own code."""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return str(traceback.tb_frame.f_globals.get("__name__", "")).startswith("equiprob.")
