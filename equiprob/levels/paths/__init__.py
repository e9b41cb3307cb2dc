"""Along which family of predictors is the optimum sought? One path a file."""

from equiprob.levels.paths.base import AbstractPath as AbstractPath
from equiprob.levels.paths.base import Shipment as Shipment
from equiprob.levels.paths.blend import Blend as Blend
from equiprob.levels.paths.ranges import Range as Range
from equiprob.levels.paths.subgroup_lattice import Subgroups as Subgroups
