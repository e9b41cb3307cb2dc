"""Names of a module that are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def late(module: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module.

    Args:
        module: Its name.
        where: For each name the module that has it; or, with a dot at the end, the module that it
            is.
    """

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        source = where[name]
        value: Any = importlib.import_module(source.removesuffix("."))
        value = value if source.endswith(".") else getattr(value, name)
        setattr(sys.modules[module], name, value)
        return value

    return find
