"""Call a user's function, and say which one it was where it raises."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from equiprob.arguments.lending import advised
from equiprob.arguments.refusals import is_refusal


@contextlib.contextmanager
def calling(name: str) -> Iterator[None]:
    """Raise what a user's function raises as a RuntimeError with its name.

    Raises:
        RuntimeError: If it raises anything that is no refusal of this package.
    """
    try:
        yield
    except Exception as error:
        if is_refusal(error):
            raise
        raise RuntimeError(f"{name} raised {type(error).__name__}: {advised(error)}") from error
