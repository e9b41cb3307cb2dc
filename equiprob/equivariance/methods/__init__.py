"""Ways to learn the data equivariance error: one class a file."""

from equiprob.equivariance.methods.base import AbstractMethod, Case
from equiprob.equivariance.methods.measured_pairs import MeasuredPairs
from equiprob.equivariance.methods.neighbours import Neighbours
from equiprob.equivariance.methods.oracle import Oracle
from equiprob.equivariance.methods.symmetrization import Symmetrization
from equiprob.equivariance.methods.trained_pair import TrainedPair
from equiprob.equivariance.methods.two_part_process import GaussianProcess

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
