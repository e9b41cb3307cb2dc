"""Calculators of ASE as models, and averages of them as calculators again."""

import numpy as np
import pandas as pd
import pytest

import equiprob as ep

pytest.importorskip("ase")
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

# ASE itself, under NumPy 2.5.
pytestmark = pytest.mark.filterwarnings("ignore:Setting the shape on a NumPy array")

M = 4


def rattled(structures):
    for i, one in enumerate(structures):
        one.rattle(0.1, seed=i)
    return structures


def crystals():
    """Four structures of unequal sizes in straight and skewed cells, with atoms outside of them."""
    made = rattled(
        [
            bulk("Cu", cubic=True),
            bulk("AuCu", "rocksalt", a=4.3),
            bulk("Ag"),
            bulk("Ni") * (2, 1, 1),
        ]
    )
    made[0].symbols[2] = "Au"
    made[1].positions[0] += 3 * made[1].cell[1]
    made[3].constraints = FixAtoms([0])
    return made


class Faulty(Calculator):
    """EMT with a mistake in the energy that is known."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, mistake):
        super().__init__()
        self.mistake, self.calls, self.seen = mistake, 0, []

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        self.seen.append(atoms.copy())
        within = atoms.copy()
        within.wrap()
        right = EMT()
        energy, forces = (right.get_property(p, within) for p in ("energy", "forces"))
        energy += self.mistake(atoms)
        self.results = {"energy": energy, "forces": forces}
        if atoms.pbc.all():
            self.results["stress"] = right.get_property("stress", within)


def errors(model, transform):
    table = model.orbits(transform, n_transforms=M)
    fitted = {name: ep.ModelEquivarianceError().fit(table[name]) for name in table.outputs}
    return {name: float(np.median(r.draws["error"])) for name, r in fitted.items()}, table


@pytest.fixture(scope="module")
def model():
    return ep.adapters.from_ase(EMT(), crystals())


@pytest.mark.parametrize(
    ("name", "mistake", "size"),
    [
        # A field along z: over rotations its energy, g z, is uniform within +- g |r|.
        ("rotations", lambda a: 0.1 * len(a) * a.positions[0, 2], 0.01),
        ("translations", lambda a: 0.1 * len(a) * np.abs(a.positions[:, 0]).max(), 0.01),
        ("permutations", lambda a: 0.1 * len(a) * a.positions[0] @ a.positions[0], 0.01),
        ("lattice shifts", lambda a: 0.1 * len(a) * np.ptp(a.positions), 0.01),
        ("supercells", lambda a: 0.1 * len(a) ** 2, 0.1),
    ],
)
def test_a_potential_has_its_symmetries_and_each_fault_is_seen(model, name, mistake, size):
    transform = model.symmetries[name]
    right, table = errors(model, transform)
    # Of rounding alone, in eV/atom, eV/Å and GPa: some 1e-14.
    assert max(right.values()) < 1e-10
    assert ep.ModelEquivarianceError().fit(table["stress"]).units["error"] == "GPa"
    faulty = ep.adapters.from_ase(Faulty(mistake), crystals())
    wrong, _ = errors(faulty, transform)
    assert wrong["energy"] > size
    assert max(wrong["forces"], wrong["stress"]) < 1e-10


def test_all_atoms_may_be_listed_in_another_order(model):
    right, _ = errors(model, model.permutations(within_species=False))
    assert max(right.values()) < 1e-10
    first = Faulty(lambda a: float(a.numbers[0]))
    faulty = ep.adapters.from_ase(first, crystals())
    assert errors(faulty, faulty.permutations())[0]["energy"] < 1e-10
    assert errors(faulty, faulty.permutations(within_species=False))[0]["energy"] > 1


def test_the_calculator_is_called_once_for_each_structure_and_transformation_and_few_times_more():
    faulty = Faulty(lambda a: 0.0)
    counted = ep.adapters.from_ase(faulty, crystals() * 5)
    counted.orbits(counted.translations(), n_transforms=M)
    assert 20 * (M + 1) <= faulty.calls <= 20 * (M + 1) + 34


def test_slabs_and_molecules_keep_what_is_not_periodic():
    slab = fcc111("Al", (1, 1, 2), vacuum=5.0)
    assert slab.pbc.tolist() == [True, True, False]
    slabs = rattled([slab, slab.copy(), fcc111("Cu", (1, 1, 2), vacuum=5.0)])
    slabs[2].set_cell(slabs[2].cell * [[1], [1], [0]])  # two lattice vectors only
    height = ep.adapters.from_ase(Faulty(lambda a: float(np.ptp(a.positions[:, 2]))), slabs)
    assert height.properties == ("energy", "forces")
    for name in ("translations", "lattice shifts"):  # neither moves an atom out of the slab
        assert max(errors(height, height.symmetries[name])[0].values()) < 1e-10
    with pytest.raises(ValueError, match="along axis 2, along which structure 0 is not periodic"):
        height.supercells([[1, 1, 1], [1, 1, 2]])
    molecules = ep.adapters.from_ase(EMT(), rattled([molecule("H2O"), molecule("CO2")]))
    assert list(molecules.symmetries) == ["rotations", "translations", "permutations"]
    with pytest.raises(ValueError, match="no structure is periodic"):
        molecules.lattice_shifts()


def test_structures_come_to_the_calculator_with_all_they_had():
    structures = crystals()[:2]
    for i, one in enumerate(structures):
        one.info["charge"] = i
        one.set_initial_magnetic_moments(np.arange(3 * len(one)).reshape(-1, 3) / 7.0)
        one.set_array("site", np.array([f"site {k}" for k in range(len(one))]))
    structures[1].set_tags(np.arange(len(structures[1])))
    seeing = Faulty(lambda a: 0.0)
    model = ep.adapters.from_ase(seeing, structures)
    model(model.x)
    for before, after in zip(structures, seeing.seen, strict=True):
        assert after.info == before.info
        assert before.arrays.keys() | {"tags"} == after.arrays.keys()
        assert all(np.array_equal(after.arrays[k], v) for k, v in before.arrays.items())
        assert not after.constraints
    # A moment's square along the cell: it stays where moments turn as axial vectors do.
    along = lambda a: float((a.get_initial_magnetic_moments() @ a.cell[0]).sum() ** 2)  # noqa: E731
    model = ep.adapters.from_ase(Faulty(along), structures)
    assert errors(model, model.rotations())[0]["energy"] < 1e-8
    assert errors(model, model.rotations(parity="both"))[0]["energy"] < 1e-8
    sites = lambda a: float((a.arrays["site"] == "site 0") @ a.positions[:, 0])  # noqa: E731
    model = ep.adapters.from_ase(Faulty(sites), structures)
    assert errors(model, model.permutations(within_species=False))[0]["energy"] < 1e-10


def test_averages_over_rotations_relax_structures():
    """Forces and stress of the average are slopes of its energy."""

    class Field(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            field = np.array([0.0, 0.3, 0.5])
            for name in ("energy", "free_energy"):
                self.results[name] += float((self.atoms.positions @ field).sum())
            self.results["forces"] = self.results["forces"] - field
            strain = np.outer(self.atoms.positions.sum(0), field)
            strain = (strain + strain.T) / 2 / self.atoms.get_volume()
            self.results["stress"] = self.results["stress"] + strain.flat[[0, 4, 8, 5, 2, 1]]

    structures = crystals()
    for one in structures:
        one.calc = EMT()
        results = {p: one.calc.get_property(p, one) for p in ("energy", "forces", "stress")}
        one.calc = SinglePointCalculator(one, **results)
    model = ep.adapters.from_ase(Field(), structures)
    table = model.orbits(model.rotations(), n_transforms=M, y=model.targets)
    level = ep.SymmetryLevel(path=ep.paths.Blend()).fit(table["energy"])
    assert level.recommended
    atoms = structures[0].copy()
    atoms.calc = level.calculator(model)
    forces, stress, step = atoms.get_forces(), atoms.get_stress(), 1e-4

    def slope(change):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            change(moved, sign * step)
            moved.calc = atoms.calc
            ends.append(moved.get_potential_energy())
        return (ends[0] - ends[1]) / (2 * step)

    def move(moved, by):
        moved.positions[1, 2] += by

    def stretch(moved, by):
        moved.set_cell(moved.cell @ (np.eye(3) + by * np.diag([0, 1, 0])), scale_atoms=True)

    # Central differences of a smooth energy: 1e-8 of third derivatives, rounding 1e-11.
    assert slope(move) == pytest.approx(-forces[1, 2], abs=1e-5)
    assert slope(stretch) / atoms.get_volume() == pytest.approx(stress[1], abs=1e-5)
    # The model itself has another energy: the test would see it.
    atoms.calc = model.calculator_of()
    assert np.abs(atoms.get_forces() - forces).max() > 0.01
    with pytest.raises(TypeError, match=r"made by ep.adapters.from_ase"):
        level.calculator(lambda x: x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.set_array("velocity", np.ones((len(a), 3))), "nobody knows how it turns"),
        (lambda a: a.set_array("cell", np.ones(len(a))), "'cell', which stands for something"),
        (lambda a: a.set_array("spin", np.ones(len(a), complex)), "expected numbers, booleans"),
    ],
)
def test_arrays_that_nobody_can_move_are_named(change, message):
    structures = crystals()
    for one in structures:
        change(one)
    with pytest.raises(ValueError, match=message):
        ep.adapters.from_ase(EMT(), structures)


def test_what_does_not_fit_is_refused():
    some = crystals()
    some[1].set_array("colour", np.ones(len(some[1])))
    with pytest.raises(ValueError, match="structure 0 has no array 'colour'"):
        ep.adapters.from_ase(EMT(), some)
    with pytest.raises(TypeError, match="calculator must be an ASE calculator"):
        ep.adapters.from_ase(lambda a: 0.0, crystals())
    with pytest.raises(TypeError, match=r"list of ase.Atoms, got str at 0"):
        ep.adapters.from_ase(EMT(), ["Cu", "Ag"])
    with pytest.raises(ValueError, match="at least 2"):
        ep.adapters.from_ase(EMT(), crystals()[0])
    with pytest.raises(ValueError, match="structure 1 has no atoms"):
        ep.adapters.from_ase(EMT(), [bulk("Cu"), Atoms()])
    with pytest.raises(ValueError, match=r"calculator has no \['dipole'\]"):
        ep.adapters.from_ase(EMT(), crystals(), properties=["dipole"])
    with pytest.raises(ValueError, match="structure 0 has no results of a reference"):
        _ = ep.adapters.from_ase(EMT(), crystals()).targets


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (crystals, r"ep\.adapters\.from_ase\(calculator, atoms\)"),
        (lambda: [{"positions": np.ones((2, 3))}] * 3, r"x, masks = ep\.padded\(rows\)"),
        (lambda: pd.DataFrame({"a": ["b", "c"]}), r"ep\.adapters\.from_dataframe"),
    ],
)
def test_rows_that_are_no_arrays_are_refused_by_the_helper_that_takes_them(x, message):
    with pytest.raises(TypeError, match=message):
        ep.evaluate_orbits(lambda rows: rows, x(), ep.transforms.rotations3d())
