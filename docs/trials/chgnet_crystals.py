"""A pretrained potential, CHGNet, through ASE, on 12 crystals."""

from ase.build import bulk
from chgnet.model.dynamics import CHGNetCalculator

crystals = [bulk(*one) for one in [("NaCl", "rocksalt", 5.6), ("MgO", "rocksalt", 4.2)] * 3]
crystals += [bulk(symbol, cubic=True) for symbol in ("Si", "Cu", "Fe", "Al", "Ni", "Ge")]
for i, atoms in enumerate(crystals):
    atoms.rattle(0.05, seed=i)

# ---- equiprob ----
import equiprob as ep

model = ep.adapters.from_ase(CHGNetCalculator(use_device="cpu"), crystals)
orbits = model.orbits(model.rotations(), n_transforms=4)
result = ep.ModelEquivarianceError().fit(orbits["energy"])
result.plot().savefig("figure.png")
