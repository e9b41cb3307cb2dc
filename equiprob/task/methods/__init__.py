"""Ways to learn the data equivariance error: one class a file."""

from equiprob.task.methods.base import AbstractMethod, Case
from equiprob.task.methods.measured_pairs import MeasuredPairs
from equiprob.task.methods.neighbours import Neighbours
from equiprob.task.methods.oracle import Oracle
from equiprob.task.methods.symmetrization import Symmetrization
from equiprob.task.methods.trained_pair import TrainedPair
from equiprob.task.methods.two_part_process import GaussianProcess

__all__ = [
    "AbstractMethod",
    "Case",
    "GaussianProcess",
    "MeasuredPairs",
    "Neighbours",
    "Oracle",
    "Symmetrization",
    "TrainedPair",
]


def __dir__() -> list[str]:
    return list(__all__)
