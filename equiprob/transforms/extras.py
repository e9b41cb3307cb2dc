"""Packages that only some users need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, *, extra: str) -> Any:
    """Import an optional package.

    Args:
        module: The name it is imported by.
        extra: The extra of this package that installs it.

    Raises:
        ImportError: If it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed; pip install 'equiprob[{extra}]'") from error
