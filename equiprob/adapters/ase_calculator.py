"""Calculators of ASE: interatomic potentials and electronic structure codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.adapters import ase_transforms
from equiprob.adapters.ase_properties import PROPERTIES
from equiprob.adapters.atoms_rows import AtomsRows
from equiprob.adapters.averaged_calculator import calculator_of
from equiprob.arguments.checked import checked
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.output import Output
from equiprob.orbits.table import OrbitTable
from equiprob.transforms.extras import require
from equiprob.transforms.transform import Transform

Array = NDArray[Any]

_ROWS_AT_ONCE = 12
"""Structures in a batch. Calls are one by one anyway; the first batch is asked more than once."""


@final
@dataclass(frozen=True, eq=False)
class AseModel:
    """A calculator and structures as a model and its rows; made by `from_ase`.

    Args:
        calculate: What a calculator returns for a structure: a function ``atoms -> results``.
        calculator: The calculator.
        structures: The structures.
        properties: What is asked of the calculator.
        rows: How structures become arrays.
        x: The structures as a dict of arrays, rows first, padded to the largest.
    """

    calculate: Callable[[Any], Mapping[str, Any]]
    calculator: Any
    structures: tuple[Any, ...]
    properties: tuple[str, ...]
    rows: AtomsRows
    x: Mapping[str, Array]

    def __call__(self, x: Mapping[str, Array]) -> dict[str, Array]:
        """Return the results for a batch of rows, by name; those of padding are 0."""
        n, places = np.shape(x["atoms"])
        outputs: dict[str, Array] = {}
        for row in range(n):
            results = self.calculate(self.rows.structure(x, row))
            there = np.asarray(x["atoms"][row])
            for name in self.properties:
                values = _result(results, name, int(there.sum()))
                of_atoms, shape = PROPERTIES[name].of_atoms, PROPERTIES[name].shape
                if name not in outputs:
                    whole = (n, places, *shape) if of_atoms else (n, *shape)
                    outputs[name] = np.zeros(whole, values.dtype)
                outputs[name][(row, there) if of_atoms else row] = values
        return outputs

    @property
    def outputs(self) -> dict[str, Output]:
        """Units and padding of what the calculator returns: ``outputs`` of `evaluate_orbits`."""
        mask = self.x["atoms"]
        counts = mask.sum(axis=1)

        def declared(name: str) -> Output:
            kind = PROPERTIES[name]
            if kind.of_atoms:
                return Output(unit=kind.unit, scale=kind.scale, mask=mask, per="item")
            per = counts if name in ("energy", "free_energy") else None
            return Output(unit=kind.unit, scale=kind.scale, per=per)

        return {name: declared(name) for name in self.properties}

    @property
    def targets(self) -> dict[str, Array]:
        """What is stored with the structures, such as the results of a reference code: ``y``.

        Raises:
            ValueError: If structures come without results.
        """
        lacking = [i for i, one in enumerate(self.structures) if one.calc is None]
        if lacking:
            raise ValueError(
                f"structure {lacking[0]} has no results of a reference: read structures with "
                f"theirs, or attach an ase.calculators.singlepoint.SinglePointCalculator"
            )
        x, outputs = self.x, {}
        each = [one.calc.results for one in self.structures]
        for name in [n for n in self.properties if all(n in results for results in each)]:
            kind = PROPERTIES[name]
            rows = x["atoms"].shape if kind.of_atoms else x["atoms"].shape[:1]
            values = outputs[name] = np.zeros((*rows, *kind.shape))
            for row, results in enumerate(each):
                part = _result(results, name, len(self.structures[row]))
                values[(row, slice(len(part))) if kind.of_atoms else row] = part
        if not outputs:
            raise ValueError(f"no structure has results for any of {list(self.properties)}")
        return outputs

    def orbits(self, transform: Any, **options: Any) -> OrbitTable:
        """Evaluate the calculator on the structures and on transformations of them.

        Args:
            transform: The transform, such as ``model.rotations()``.
            **options: Arguments of `evaluate_orbits`: ``n_transforms``, ``y`` (``model.targets``),
                ``groups`` (the trajectory of each structure) ...

        Returns:
            The table, with one output for each property.
        """
        given: dict[str, Any] = {
            "outputs": self.outputs,
            "batch_size": _ROWS_AT_ONCE,
            "backend": "python",
        }
        given |= {"outputs": self.outputs} | options
        return evaluate_orbits(self, self.x, transform, **given)

    def calculator_of(self, predict: Callable[[Any], Any] | None = None) -> Any:
        """Return a function of this model's rows as a calculator of ASE.

        Args:
            predict: The function, such as ``level.predictor(model)``; the model when left out.
        """
        given = getattr(self.calculator, "implemented_properties", ())
        return calculator_of(
            self if predict is None else predict,
            self.rows,
            self.properties,
            places=self.x["atoms"].shape[1],
            gives_free_energy="free_energy" in given,
        )

    # ---- what should change nothing, or change results in a known way ---------------------------

    def rotations(self, **options: Any) -> Transform:
        """Turn structures with their cells: `rotations3d`, whose arguments these are."""
        return ase_transforms.rotations(self, **options)

    def translations(self, max_shift: float = 10.0) -> Transform:
        """Shift structures by up to `max_shift` Å an axis; atoms that leave their cell re-enter."""
        return ase_transforms.translations(self, max_shift)

    def lattice_shifts(self, max_cells: int = 1) -> Transform:
        """Move each atom by whole lattice vectors along periodic axes, as unwrapped ones are."""
        return ase_transforms.shifts_by_cells(self, max_cells)

    def permutations(self, *, within_species: bool = True) -> Transform:
        """List atoms in another order: those of a species among themselves, or all."""
        return ase_transforms.permutations(self, within_species)

    def supercells(self, repeats: Sequence[Sequence[int]] = ((1, 1, 1), (2, 1, 1))) -> Transform:
        """Repeat cells along periodic axes; energies grow in proportion."""
        return ase_transforms.supercells(self, repeats)

    @property
    def symmetries(self) -> dict[str, Transform]:
        """All of these that there are for the structures, by name."""
        made = {
            "rotations": self.rotations,
            "translations": self.translations,
            "permutations": self.permutations,
        }
        periodic = self.x["pbc"].all(axis=0)
        if periodic.any():
            made["lattice shifts"] = self.lattice_shifts
            once = 1 + (np.arange(3) == np.argmax(periodic))
            made["supercells"] = lambda: self.supercells([[1, 1, 1], once.tolist()])
        if "dipole" in self.properties:
            made = {name: made[name] for name in ("rotations", "permutations")}
        if self.x["atoms"].shape[1] < 2:
            del made["permutations"]
        return {name: make() for name, make in made.items()}


def _result(results: Mapping[str, Any], name: str, n_atoms: int) -> Array:
    """Return one result of a calculator, in its own precision."""
    if results.get(name) is None:
        raise ValueError(
            f"the calculator returned no {name!r}, but {sorted(results)}; pass properties= without "
            f"it"
        )
    values = np.asarray(results[name])
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    kind = PROPERTIES[name]
    if name == "stress" and values.shape == (3, 3):
        values = values[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    wanted = (n_atoms, *kind.shape) if kind.of_atoms else kind.shape
    if values.shape != wanted and values.size == 1 and not wanted:
        values = values.reshape(())
    if values.shape != wanted:
        raise ValueError(
            f"the calculator returned {name!r} of shape {values.shape} for {n_atoms} atoms; "
            f"expected {wanted}: pass properties= without it"
        )
    return values


@checked
def from_ase(
    calculator: Any, atoms: Sequence[Any], *, properties: Sequence[str] | None = None
) -> AseModel:
    """Make a model and its rows of a calculator and structures of ASE.

    Args:
        calculator: A calculator: a potential, an electronic structure code. Structures are given to
            it one by one, each a new object, and constraints are not applied.
        atoms: The structures, a list of ``ase.Atoms`` of any sizes, periodic or not. They keep
            their cells, charges, moments, tags, momenta and ``info``.
        properties: What is asked of the calculator: some of ``energy``, ``free_energy``,
            ``forces``, ``stress``, ``energies``, ``charges``, ``magmoms``, ``magmom``, ``dipole``.
            When left out, energy, forces and, where all structures are periodic along three axes,
            stress, as far as the calculator has them.

    Returns:
        The model: ``model.orbits(model.rotations())`` is its table; ``model`` itself is the
        function, ``model.x`` are its rows and ``model.outputs`` their units for any other call.

    Raises:
        ImportError: Without the extra ``ase``.
        TypeError: If `calculator` is no calculator, or `atoms` no list of ``ase.Atoms``.
        ValueError: If a property is not known or the calculator lacks it, a structure is empty, or
            arrays of atoms cannot be moved.
    """
    require("ase", extra="ase")
    if not (hasattr(calculator, "get_property") or hasattr(calculator, "get_potential_energy")):
        raise TypeError(
            f"calculator must be an ASE calculator, such as ase.calculators.emt.EMT(), got "
            f"{calculator!r:.80}"
        )
    structures = [atoms] if hasattr(atoms, "get_chemical_symbols") else list(atoms)
    for i, one in enumerate(structures):
        if not hasattr(one, "get_chemical_symbols"):
            raise TypeError(f"atoms must be a list of ase.Atoms, got {type(one).__name__} at {i}")
        if not len(one):
            raise ValueError(f"structure {i} has no atoms; leave it out")
    if len(structures) < 2:
        raise ValueError(
            f"atoms holds {len(structures)} structure(s); an interval needs at least 2"
        )
    chosen = _properties(calculator, structures, properties)
    rows = AtomsRows.of(structures)
    x, calculate = rows.arrays(structures), _Calculate(calculator, chosen)
    return AseModel(calculate, calculator, tuple(structures), chosen, rows, x)


def _properties(
    calculator: Any, structures: Sequence[Any], asked: Sequence[str] | None
) -> tuple[str, ...]:
    """Return what is asked of a calculator."""
    has = list(getattr(calculator, "implemented_properties", PROPERTIES))
    if asked is None:
        asked = ["energy", "forces"]
        if all(one.pbc.all() for one in structures):
            asked.append("stress")
        asked = [name for name in asked if name in has]
    if isinstance(asked, str):
        asked = [asked]
    unknown = [name for name in asked if name not in PROPERTIES]
    if unknown or not asked or len(set(asked)) < len(asked):
        raise ValueError(f"properties must be some of {list(PROPERTIES)}, got {list(asked)}")
    lacking = [name for name in asked if name not in has]
    if lacking:
        raise ValueError(f"the calculator has no {lacking}, but {has}")
    return tuple(asked)


@dataclass(frozen=True, eq=False)
class _Calculate:
    """What a calculator returns for a structure: no results of one before, no constraints."""

    calculator: Any
    properties: tuple[str, ...]

    def __call__(self, atoms: Any) -> Mapping[str, Any]:
        """Return its results by name."""
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()  # a model that changes from call to call shall be seen
        return {name: self.calculator.get_property(name, atoms) for name in self.properties}
