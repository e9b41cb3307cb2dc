"""Along which family of predictors is the optimum sought? One path a file."""

from equiprob.levels.paths.base import AbstractPath
from equiprob.levels.paths.blend import Blend
from equiprob.levels.paths.ranges import Range
from equiprob.levels.paths.subgroup_lattice import Subgroups

__all__ = [
    "AbstractPath",
    "Blend",
    "Range",
    "Subgroups",
]


def __dir__() -> list[str]:
    return list(__all__)
