"""What may be done to structures of atoms that should change nothing, or results in a known way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob import transforms
from equiprob.adapters.ase_properties import PROPERTIES, Property
from equiprob.adapters.atoms_rows import AtomsRows
from equiprob.transforms.transform import Transform

Array = NDArray[Any]


class Model(Protocol):
    """What is known of a model of structures."""

    @property
    def rows(self) -> AtomsRows:
        """How structures become arrays."""
        ...

    @property
    def x(self) -> Mapping[str, Array]:
        """The structures as arrays."""
        ...

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the outputs."""
        ...


def _declared(model: Model, change: Callable[[str], Any]) -> dict[str, Any]:
    """Declare each leaf by what it holds."""
    return {name: change(kind) for name, kind in model.rows.kinds.items()}


def _outputs(model: Model, change: Callable[[Property], Any]) -> dict[str, Any]:
    return {name: change(PROPERTIES[name]) for name in model.properties}


def rotations(model: Model, **options: Any) -> Transform:
    """Turn structures with their cells, moments and momenta."""
    words = {"points": "points", "cell": "vectors", "items": "invariant"}
    moved = _declared(model, lambda kind: words.get(kind, kind.removeprefix("items ")))
    return transforms.rotations3d(
        acts_on=moved, output_action=_outputs(model, lambda kind: kind.turns), **options
    )


def translations(model: Model, max_shift: float) -> Transform:
    """Shift structures, and wrap them into their cells along periodic axes."""
    _refuse_dipole(model, "translations")
    shifted = transforms.Action(_shifted, given=("cell", "pbc"), reads="shift")
    return transforms.translations(
        max_shift,
        dimensions=3,
        acts_on=_declared(model, lambda kind: shifted if kind == "points" else "invariant"),
        output_action=_outputs(model, lambda kind: "invariant"),
    )


def _shifted(shift: Array, positions: Array, cell: Array, pbc: Array) -> Any:
    moved = positions + shift
    # Of a cell of fewer than three lattice vectors: the place along those that there are.
    cells = jnp.floor(moved @ jnp.linalg.pinv(cell))
    return moved - jnp.where(pbc, cells, 0) @ cell


def shifts_by_cells(model: Model, max_cells: int) -> Transform:
    """Move each atom by whole lattice vectors along periodic axes.

    Raises:
        ValueError: If no structure is periodic.
    """
    _refuse_dipole(model, "shifts by lattice vectors")
    if not model.x["pbc"].any():
        raise ValueError("no structure is periodic: there are no lattice vectors to move atoms by")

    def moved(cells: Array, positions: Array, cell: Array, pbc: Array) -> Any:
        return positions + jnp.where(pbc, cells, 0).astype(positions.dtype) @ cell

    moves = transforms.Action(moved, given=("cell", "pbc"), reads="lattice")
    return transforms.lattice_shifts(
        model.x["atoms"].shape[1],
        max_cells,
        acts_on=_declared(model, lambda kind: moves if kind == "points" else "invariant"),
        output_action=_outputs(model, lambda kind: "invariant"),
    )


def permutations(model: Model, within_species: bool) -> Transform:
    """List atoms in another order, with all that belongs to them."""
    if not within_species:
        words = {"points": "items _", "cell": "invariant"}
        short = {"items": "items", "invariant": "invariant"}
        return transforms.permutations(
            model.x["atoms"].shape[1],
            acts_on=_declared(model, lambda k: words.get(k) or short.get(k, "items _")),
            output_action=_outputs(model, _as_items),
        )

    def there(source: Array, values: Array, numbers: Array) -> Any:
        return values[_within(source, numbers)]

    def back(source: Array, values: Array, numbers: Array) -> Any:
        return values[jnp.argsort(_within(source, numbers))]

    def declared(kind: str) -> Any:
        of_atoms = kind == "points" or kind.startswith("items")
        return moves if of_atoms else "invariant"

    moves = transforms.Action(there, back, given="numbers", reads="source")
    acts_on = _declared(model, declared) | {"numbers": "invariant", "atoms": "invariant"}
    return transforms.permutations(
        model.x["atoms"].shape[1],
        acts_on=acts_on,
        output_action=_outputs(model, lambda kind: moves if kind.of_atoms else "invariant"),
    )


def _within(source: Array, numbers: Array) -> Any:
    """Return an order of atoms that keeps the species at each place, drawn by one of all."""
    places = jnp.lexsort((jnp.arange(len(numbers)), numbers))
    return jnp.zeros_like(places).at[places].set(jnp.lexsort((source, numbers)))


def _as_items(kind: Property) -> str:
    if not kind.of_atoms:
        return "invariant"
    return "items _" if kind.shape else "items"


def supercells(model: Model, repeats: Sequence[Sequence[int]]) -> Transform:
    """Repeat cells along periodic axes.

    Raises:
        ValueError: If an axis that is repeated is not periodic in all structures.
    """
    _refuse_dipole(model, "supercells")
    repeated = (np.asarray(repeats) > 1).any(axis=0)
    still = ~model.x["pbc"].all(axis=0)
    if repeated.shape == still.shape and (repeated & still).any():
        raise ValueError(
            f"repeats asks for copies along axis {int(np.argmax(repeated & still))}, along which "
            f"structure {int(np.argmin(model.x['pbc'][:, repeated & still].all(axis=1)))} is not "
            f"periodic"
        )
    words = {"points": "positions", "cell": "cell", "invariant": "invariant"}
    return transforms.supercells(
        repeats,
        acts_on=_declared(model, lambda kind: words.get(kind, "items")),
        output_action=_outputs(model, lambda kind: kind.in_copies),
    )


def _refuse_dipole(model: Model, what: str) -> None:
    if "dipole" in model.properties:
        raise ValueError(
            f"{what} change the dipole of what is charged or periodic: pass properties= without "
            f"'dipole' to from_ase"
        )
