"""The path through the subgroups of a finite group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.levels.paths.base import AbstractPath, Positions
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.transforms.law import Parameters
from equiprob.transforms.subgroups import subgroups
from equiprob.transforms.transform import Transform

_MOST_NAMED = 4
"""Order up to which a subgroup is named by its elements."""


@final
@dataclass(frozen=True, kw_only=True)
class Subgroups(AbstractPath):
    """Averages over the subgroups of a finite group, from the model itself to the whole group.

    The positions are subgroups, smallest first; they are named by their order and, where they are
    small, by their elements' indices. The table must hold the whole orbit: averages are exact, and
    what is shipped is what was judged.
    """

    label = "averaged over the subgroup"
    full: ClassVar[int | None] = -1

    @override
    def grid(self, transform: Transform) -> Positions:
        return np.arange(len(_groups(transform)), dtype=np.float64)

    @override
    def weight(
        self, transform: Transform, parameters: Parameters, position: float
    ) -> NDArray[np.float64]:
        finite = transform.enumeration()
        assert finite is not None, "subgroups are of finite groups"
        members = finite.parameters[sorted(_groups(transform)[round(position)])]
        apart = np.abs(parameters[..., None, :] - members).max(axis=-1)
        return (apart < 1e-6).any(axis=-1).astype(np.float64)

    @override
    def names(self, transform: Transform) -> tuple[str, ...]:
        return _names(_groups(transform))

    @override
    def orbit_variance(self, table: OrbitTable, position: float) -> Rows | None:
        raw = table.kept_displacements[:, sorted(_groups(table.transform)[round(position)])]
        return ((raw - raw.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)

    @override
    def n_elements(self, table: OrbitTable, position: float) -> int | None:
        return len(_groups(table.transform)[round(position)])

    @override
    def displacements(self, table: OrbitTable, positions: Positions) -> Iterator[Rows]:
        if table.design.kind != "full" or table.only.raw is None:
            raise ValueError(
                "paths.Subgroups needs the whole orbit of each row: pass design='full' and "
                "keep='all' to evaluate_orbits"
            )
        groups, raw = _groups(table.transform), table.only.raw
        for position in positions:
            group = sorted(groups[round(position)])
            # The identity alone is the model itself, without rounding.
            yield raw[:, group].mean(axis=1) if len(group) > 1 else np.zeros_like(table.only.base)


def _groups(transform: Transform) -> tuple[frozenset[int], ...]:
    groups = subgroups(transform)
    if groups is None:
        raise ValueError(
            f"paths.Subgroups needs a finite group, and {transform} is none; use "
            f"transforms such as cyclic or dihedral, or paths.Range()"
        )
    return groups


def _names(groups: Sequence[frozenset[int]]) -> tuple[str, ...]:
    """Return a name for each subgroup: its order, and its elements or a letter."""
    names = []
    for k, group in enumerate(groups):
        alike = [g for g in groups if len(g) == len(group)]
        name = f"order {len(group)}"
        if len(group) == 1:
            name = "none"
        elif len(alike) > 1 and len(group) <= _MOST_NAMED:
            name += f" {{{', '.join(map(str, sorted(group)))}}}"
        elif len(alike) > 1:
            name += f" ({alike.index(groups[k]) + 1} of {len(alike)})"
        names.append(name)
    return tuple(names)
