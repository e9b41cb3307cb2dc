"""Results that were computed together and are kept together."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from equiprob.posterior.named import Named
from equiprob.posterior.results import AbstractResult


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractBundle(abc.ABC):
    """Several results and the facts that they share.

    Args:
        parts: Results by the name of their group in a file, such as ``"law"`` or
            ``"model_error/0"``.
        facts: Single numbers and words that travel with them (JSON types).
    """

    parts: Mapping[str, AbstractResult] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)

    def __post_init__(self) -> None:
        """Name what there is where something else is asked for."""
        for name in ("parts", "facts"):
            found = Named.of(getattr(self, name), name, type(self).__name__)
            object.__setattr__(self, name, found)

    @abc.abstractmethod
    def __str__(self) -> str:
        """Say in plain words what was found, the verdict first."""

    def save(self, path: str | Path) -> None:
        """Write everything as one netCDF file; `equiprob.load` reads it back.

        Args:
            path: The file. It is replaced whole or not at all.
        """
        from equiprob.posterior.files import save

        save(self, path)
