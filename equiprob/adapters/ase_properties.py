"""What calculators of ASE return, and how it turns, grows and is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Property:
    """What a calculator returns for one name.

    Args:
        of_atoms: Whether it has a value for each atom.
        shape: Of that value, or of the structure's.
        turns: How it turns: ``"invariant"``, ``"vectors"`` or ``"voigt"``.
        in_copies: What it is in a supercell: ``"extensive"``, ``"items"``, ``"invariant"``, or None
            where it is not defined.
        unit: The unit that errors are given in.
        scale: How many of these units there are in ASE's.
    """

    of_atoms: bool
    shape: tuple[int, ...]
    turns: str
    in_copies: str | None
    unit: str
    scale: float = 1.0


_GPA = 160.21766208
"""One eV/Å³ in GPa."""

PROPERTIES = {
    "energy": Property(False, (), "invariant", "extensive", "eV/atom"),
    "free_energy": Property(False, (), "invariant", "extensive", "eV/atom"),
    "forces": Property(True, (3,), "vectors", "items", "eV/Å"),
    "stress": Property(False, (6,), "voigt", "invariant", "GPa", _GPA),
    "energies": Property(True, (), "invariant", "items", "eV"),
    "charges": Property(True, (), "invariant", "items", "e"),
    "magmoms": Property(True, (), "invariant", "items", "μB"),
    "magmom": Property(False, (), "invariant", "extensive", "μB"),
    "dipole": Property(False, (3,), "vectors", None, "e Å"),
}
"""What can be asked of a calculator; those that grow with the structure are given per atom."""
