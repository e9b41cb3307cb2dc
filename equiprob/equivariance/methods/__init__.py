"""Ways to learn the data equivariance error: one class a file."""

from equiprob.equivariance.methods.base import AbstractMethod as AbstractMethod
from equiprob.equivariance.methods.base import Case as Case
from equiprob.equivariance.methods.measured_pairs import MeasuredPairs as MeasuredPairs
from equiprob.equivariance.methods.neighbours import Neighbours as Neighbours
from equiprob.equivariance.methods.oracle import Oracle as Oracle
from equiprob.equivariance.methods.symmetrization import Symmetrization as Symmetrization
from equiprob.equivariance.methods.trained_pair import TrainedPair as TrainedPair
from equiprob.equivariance.methods.two_part_process import GaussianProcess as GaussianProcess
