"""Trained models of other packages as callables: rows first, arrays in, arrays out.

A JAX function needs no adapter. Each package is imported when its adapter is used.
"""

from equiprob.adapters.ase_calculator import from_ase
from equiprob.adapters.data_frame import from_dataframe
from equiprob.adapters.equinox_module import from_equinox
from equiprob.adapters.flax_module import from_flax
from equiprob.adapters.graph_model import from_graphs
from equiprob.adapters.onnx_file import from_onnx
from equiprob.adapters.pytorch import from_torch
from equiprob.adapters.row_model import from_rows
from equiprob.adapters.scikit_learn import from_sklearn

__all__ = [
    "from_ase",
    "from_dataframe",
    "from_equinox",
    "from_flax",
    "from_graphs",
    "from_onnx",
    "from_rows",
    "from_sklearn",
    "from_torch",
]


def __dir__() -> list[str]:
    return list(__all__)
