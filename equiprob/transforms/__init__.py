"""Probability distributions over transformations, and how each acts on inputs and outputs."""

from equiprob.transforms.check_action import ActionCheck, check_action
from equiprob.transforms.conjugated import conjugated
from equiprob.transforms.coordinates import pixels
from equiprob.transforms.crops import crops
from equiprob.transforms.euclidean3d import euclidean3d
from equiprob.transforms.finite import cyclic, dihedral, finite, mirror
from equiprob.transforms.from_augmentation import from_augmentation
from equiprob.transforms.from_functions import from_functions
from equiprob.transforms.irreps import irreps
from equiprob.transforms.item_axes import by_element, reflected
from equiprob.transforms.lattice_shifts import lattice_shifts
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.lorentz import lorentz
from equiprob.transforms.mixture import mixture
from equiprob.transforms.permutations import permutations
from equiprob.transforms.product import product
from equiprob.transforms.rescalings import rescalings
from equiprob.transforms.rotations2d import rotations2d
from equiprob.transforms.rotations3d import rotations3d
from equiprob.transforms.scalings import scalings
from equiprob.transforms.sign_flips import sign_flips
from equiprob.transforms.supercells import supercells
from equiprob.transforms.transform import AbstractTransform, Transform
from equiprob.transforms.translations import translations
from equiprob.transforms.user_actions import Action

__all__ = [
    "AbstractLaw",
    "AbstractTransform",
    "Action",
    "ActionCheck",
    "Transform",
    "by_element",
    "check_action",
    "conjugated",
    "crops",
    "cyclic",
    "dihedral",
    "euclidean3d",
    "finite",
    "from_augmentation",
    "from_functions",
    "irreps",
    "lattice_shifts",
    "lorentz",
    "mirror",
    "mixture",
    "permutations",
    "pixels",
    "product",
    "reflected",
    "rescalings",
    "rotations2d",
    "rotations3d",
    "scalings",
    "sign_flips",
    "supercells",
    "translations",
]


def __dir__() -> list[str]:
    return list(__all__)
