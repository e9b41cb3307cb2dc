"""Atoms of ASE as arrays with rows first, and back."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_VECTORS = ("momenta",)
"""Arrays of atoms that turn with them."""

_OWN = ("numbers", "positions", "cell", "pbc", "atoms", "info")
"""Leaves that have a meaning of their own."""

_DEFAULTS = {
    "tags": "get_tags",
    "momenta": "get_momenta",
    "masses": "get_masses",
    "initial_magmoms": "get_initial_magnetic_moments",
    "initial_charges": "get_initial_charges",
}
"""How ASE is asked for arrays of atoms that it has a default for where structures lack them."""


@final
@dataclass(frozen=True, eq=False)
class AtomsRows:
    """How structures become a dict of arrays, and rows of it structures again.

    Args:
        kinds: What each leaf holds: ``"points"``, ``"cell"``, ``"items"`` (a value for each atom),
            ``"items vectors"``, ``"items axial"`` or ``"invariant"``.
        names: The strings that numbers stand for, by the array of atoms that holds them.
        infos: What ``atoms.info`` holds, by its number in the leaf ``info``.
    """

    kinds: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]
    infos: Mapping[int, Mapping[str, Any]]

    @classmethod
    def of(cls, structures: Sequence[Any]) -> AtomsRows:
        """Return how these structures, and others of their kind, become arrays.

        Raises:
            ValueError: If an array of atoms has three columns, of which nobody knows whether they
                turn, or holds something else than numbers, booleans and strings.
        """
        kinds = {
            "numbers": "items",
            "positions": "points",
            "cell": "cell",
            "pbc": "invariant",
            "atoms": "items",
        }
        names: dict[str, tuple[str, ...]] = {}
        found = {name for one in structures for name in one.arrays} - {"numbers", "positions"}
        for name in sorted(found):
            if name in _OWN:
                raise ValueError(
                    f"atoms.arrays holds {name!r}, which stands for something else here: give it "
                    f"another name, or delete it"
                )
            lacking = [i for i, one in enumerate(structures) if not one.has(name)]
            if lacking and name not in _DEFAULTS:
                raise ValueError(
                    f"structure {lacking[0]} has no array {name!r}, which others have: delete it "
                    f"in those (del atoms.arrays[{name!r}]), or set it in all"
                )
            each = [_atomic(one, name) for one in structures]
            kinds[name] = _kind(name, each)
            if each[0].dtype.kind in "US":
                names[name] = tuple(sorted({str(value) for array in each for value in array}))
        infos = {_number(one.info): dict(one.info) for one in structures if one.info}
        if infos:
            kinds["info"] = "invariant"
        return cls(kinds, names, infos)

    def arrays(self, structures: Sequence[Any], at_least: int = 0) -> dict[str, Array]:
        """Return structures as arrays, rows first, padded with atoms that ``atoms`` marks as none.

        Args:
            structures: Some structures with the arrays of those this was made of.
            at_least: How many places for atoms there are at least.
        """
        n, longest = len(structures), max(at_least, *(len(one) for one in structures))
        x: dict[str, Array] = {
            "cell": np.stack([np.asarray(one.cell, np.float64) for one in structures]),
            "pbc": np.stack([np.asarray(one.pbc, bool) for one in structures]),
            "atoms": np.arange(longest) < np.array([[len(one)] for one in structures]),
        }
        if "info" in self.kinds:
            x["info"] = np.array([self._info(one) for one in structures], np.int32)
        for name in self.kinds:
            if name in x:
                continue
            each = [self._coded(name, _atomic(one, name)) for one in structures]
            x[name] = np.zeros((n, longest, *each[0].shape[1:]), np.result_type(*each))
            for row, values in zip(x[name], each, strict=True):
                row[: len(values)] = values
        return x

    def structure(self, x: Mapping[str, Array], row: int) -> Any:
        """Return one row of arrays as ``ase.Atoms``, without what is padding."""
        from ase import Atoms  # pyright: ignore[reportMissingImports] - an optional extra

        there = np.asarray(x["atoms"][row])
        info = self.infos.get(int(x["info"][row]), {}) if "info" in self.kinds else {}
        atoms = Atoms(
            numbers=np.asarray(x["numbers"][row])[there],
            positions=np.asarray(x["positions"][row], np.float64)[there],
            cell=np.asarray(x["cell"][row], np.float64),
            pbc=np.asarray(x["pbc"][row]),
            info=dict(info),
        )
        for name in self.kinds.keys() - set(_OWN):
            values = np.asarray(x[name][row])[there]
            if name in self.names:
                values = np.array(self.names[name])[values]
            atoms.arrays[name] = values
        return atoms

    def _coded(self, name: str, values: Array) -> Array:
        """Return values of atoms as numbers; strings as their places among those there are."""
        if values.dtype.kind == "i":
            return values.astype(np.int32)
        if name not in self.names:
            return values
        unknown = sorted({str(v) for v in values} - set(self.names[name]))
        if unknown:
            raise ValueError(f"atoms.arrays[{name!r}] holds {unknown}, which no structure did")
        return np.searchsorted(np.array(self.names[name]), values.astype(str)).astype(np.int32)

    def _info(self, atoms: Any) -> int:
        if not atoms.info:
            return 0
        number = _number(atoms.info)
        if number not in self.infos:
            raise ValueError(
                f"atoms.info holds {atoms.info!r:.80}, which none of the structures did that the "
                f"model was made with: make it with from_ase(calculator, [atoms, ...]) of these"
            )
        return number


def _atomic(atoms: Any, name: str) -> Array:
    """Return an array of atoms, or what ASE takes for it where there is none."""
    if atoms.has(name):
        return np.asarray(atoms.arrays[name])
    return np.asarray(getattr(atoms, _DEFAULTS[name])())


def _kind(name: str, each: Sequence[Array]) -> str:
    """Return how an array of atoms moves.

    Raises:
        ValueError: If nobody can know.
    """
    shapes = {array.shape[1:] for array in each}
    if len(shapes) > 1:
        raise ValueError(
            f"atoms.arrays[{name!r}] has atoms of the shapes {sorted(shapes)}: give all structures "
            f"the same (collinear moments (atom,), others (atom, 3))"
        )
    (shape,) = shapes
    if each[0].dtype.kind not in "biufUS":
        raise ValueError(
            f"atoms.arrays[{name!r}] holds {each[0].dtype}; expected numbers, booleans or strings: "
            f"delete it (del atoms.arrays[{name!r}])"
        )
    if shape == ():
        return "items"
    if name in _VECTORS and shape == (3,):
        return "items vectors"
    if name == "initial_magmoms" and shape == (3,):
        return "items axial"
    raise ValueError(
        f"atoms.arrays[{name!r}] has rows of shape {shape}, and nobody knows how it turns with "
        f"the atoms: delete it (del atoms.arrays[{name!r}]) if the calculator does not read it, or "
        f"pass dicts of arrays to evaluate_orbits and declare them"
    )


def _number(info: Mapping[str, Any]) -> int:
    """Return a number that tells one ``atoms.info`` from another, the same in every process."""
    content = pickle.dumps(sorted(info.items(), key=lambda item: str(item[0])))
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest()) >> 1 or 1
