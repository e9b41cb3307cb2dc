"""The one pass over the model: designs, backends and the table of row statistics."""

from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.table import OrbitTable

__all__ = ["OrbitTable", "evaluate_orbits"]
