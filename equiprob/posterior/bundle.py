"""Results that were computed together and are kept together."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from equiprob.arguments.checked import checked
from equiprob.posterior.facts import Facts
from equiprob.posterior.named import Named
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.saving import check_saved, write
from equiprob.posterior.tree import bundle_datatree


@dataclass(frozen=True, kw_only=True, eq=False)
class AbstractBundle(abc.ABC):
    """Several results and the facts that they share.

    Args:
        parts: Results by the name of their group in a file, such as ``"law"`` or
            ``"model_error/0"``.
        facts: Single numbers and words that travel with them.
    """

    parts: Mapping[str, AbstractResult] = field(repr=False)
    facts: Facts = field(repr=False)

    def __post_init__(self) -> None:
        """Name what there is where something else is asked for."""
        parts = Named.of(self.parts, "parts", type(self).__name__)
        object.__setattr__(self, "parts", parts)

    @abc.abstractmethod
    def __str__(self) -> str:
        """Say in plain words what was found, the verdict first."""

    @checked
    def save(self, path: str | Path) -> None:
        """Write everything as one netCDF file; `equiprob.load` reads it back.

        Args:
            path: The file. It is replaced whole or not at all.

        Raises:
            ValueError: As by `AbstractResult.save`.
        """
        check_saved([self, *self.parts.values()])
        write(bundle_datatree(self, self.facts, self.parts), Path(path))
