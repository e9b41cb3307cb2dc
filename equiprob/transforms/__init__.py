"""Probability distributions over transformations, and how each acts on inputs and outputs."""

from equiprob.transforms.actions import Action
from equiprob.transforms.base import AbstractTransform
from equiprob.transforms.check_action import ActionCheck, check_action
from equiprob.transforms.conjugated import conjugated
from equiprob.transforms.finite import cyclic, dihedral, finite
from equiprob.transforms.from_functions import from_functions
from equiprob.transforms.permutations import permutations
from equiprob.transforms.rotations2d import rotations2d
from equiprob.transforms.sign_flips import sign_flips
from equiprob.transforms.translations import translations

__all__ = [
    "AbstractTransform",
    "Action",
    "ActionCheck",
    "check_action",
    "conjugated",
    "cyclic",
    "dihedral",
    "finite",
    "from_functions",
    "permutations",
    "rotations2d",
    "sign_flips",
    "translations",
]
