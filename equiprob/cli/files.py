"""Models and data from files. Nothing that a file of data holds is ever run: no pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiprob.cli.structures import STRUCTURES, inputs_of, read_structures

Arrays = dict[str, NDArray[Any]]


class Data(NamedTuple):
    """What an audit is made on: inputs, targets and groups."""

    x: Any
    y: NDArray[Any] | None
    groups: NDArray[Any] | None


def read_data(
    path: Path,
    inputs: Sequence[str],
    target: str | None,
    groups: str | None,
    apart: Collection[str] = (),
) -> Data:
    """Return the rows of a file: arrays by name, one array, a table, or structures.

    Args:
        path: A file of arrays (`read_arrays`), or a table (``.csv``, ``.parquet``), whose columns
            that are not the targets or the groups are one array ``(row, column)``.
        inputs: Names of the inputs; see `choose`.
        target: Name of the targets.
        groups: Name of the groups.
        apart: Names of arrays that are no rows, as the transform reads them.

    Raises:
        ValueError: If the file is missing or of another kind, holds pickled objects, or has no
            array of a name.
    """
    kind = path.suffix.lower()
    if kind in (".csv", ".parquet"):
        return _of_table(read_table(path), path, inputs, target, groups)
    arrays = {name: values for name, values in read_arrays(path).items() if name not in apart}
    if kind in STRUCTURES:
        inputs = list(inputs) or inputs_of(arrays)
    return choose(arrays, path, inputs, target, groups)


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of a file by name.

    Args:
        path: An ``.npz``, ``.npy``, ``.h5``, ``.xyz`` or ``.extxyz`` file, or a ``.zarr`` folder.

    Raises:
        ValueError: If the file is missing or of another kind, or cannot be read.
    """
    kind = path.suffix.lower()
    if kind == ".zarr" and path.is_dir():
        return _zarr_arrays(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    read = {".npz": _numpy_arrays, ".npy": _numpy_arrays, ".h5": _hdf5_arrays}.get(kind)
    if kind in STRUCTURES:
        read = read_structures
    if read is None:
        raise ValueError(
            f"--data takes .npz (numpy.savez), .npy (one array, the inputs), .h5, .zarr, .xyz, "
            f".csv and .parquet files, got {str(path)!r}"
        )
    return read(path)


class NamedArrays:
    """The arrays of a file that something asks for by name.

    Args:
        path: The file, which is read when the first is asked for.
    """

    def __init__(self, path: Path) -> None:
        """Take the file, and read nothing yet."""
        self.path: Path = path
        self.used: set[str] = set()
        self._arrays: Arrays | None = None

    def __call__(self, name: str) -> NDArray[Any]:
        """Return the array of a name.

        Raises:
            ValueError: If the file has none; the message names those there are.
        """
        if self._arrays is None:
            self._arrays = read_arrays(self.path)
        if name not in self._arrays:
            raise ValueError(
                f"array({name!r}) is not in {self.path}, which has {sorted(self._arrays)}"
            )
        self.used.add(name)
        return self._arrays[name]


def _numpy_arrays(path: Path) -> Arrays:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not hasattr(loaded, "files"):
            return {"x": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    # Damaged archives end in errors of zipfile, zlib, struct and NumPy's own.
    except Exception as error:
        pickled = "allow_pickle=False" in str(error) and zipfile.is_zipfile(path)
        pickled = pickled or "Object arrays" in str(error)
        why = "it holds Python objects, which are not loaded" if pickled else str(error)[:200]
        raise ValueError(
            f"{path} cannot be read ({why}): pass arrays of numbers written by numpy.savez"
        ) from error


def _hdf5_arrays(path: Path) -> Arrays:
    """Return the arrays at the top of an HDF5 file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            arrays = {n: v[()] for n, v in file.items() if isinstance(v, h5py.Dataset)}
    except OSError as error:
        raise ValueError(f"{path} cannot be read as HDF5: {str(error)[:200]}") from error
    return _numbers(arrays, path)


def _zarr_arrays(path: Path) -> Arrays:
    """Return the arrays at the top of a zarr group, or the one array there is."""
    from equiprob.transforms.extras import require

    zarr = require("zarr", extra="zarr")
    try:
        found = zarr.open(str(path), mode="r")
        if hasattr(found, "shape"):
            return _numbers({"x": found[...]}, path)
        arrays = {n: v[...] for n, v in found.members() if hasattr(v, "shape")}
    except Exception as error:  # zarr has many, and those of its codecs
        raise ValueError(f"{path} cannot be read as zarr: {str(error)[:200]}") from error
    return _numbers(arrays, path)


def _numbers(arrays: dict[str, Any], path: Path) -> Arrays:
    found = {name: np.asarray(values) for name, values in arrays.items()}
    if not found or any(values.dtype.kind not in "biuf" for values in found.values()):
        kinds = {name: str(values.dtype) for name, values in found.items()}
        raise ValueError(f"{path} must hold arrays of numbers at its top, got {kinds}")
    return found


def _of_table(
    table: Any, path: Path, inputs: Sequence[str], target: str | None, groups: str | None
) -> Data:
    """Return the columns of a table as inputs ``(row, column)``, targets and groups."""
    columns = {str(name): np.asarray(table[name]) for name in table.columns}
    chosen = list(inputs) or [name for name in columns if name not in (target, groups)]
    rows = choose(columns, path, chosen, target, groups)
    words = [name for name in chosen if columns[name].dtype.kind not in "biuf"]
    if words:
        raise ValueError(
            f"the columns {words} of {path} are no numbers; name the columns that are inputs with "
            f"--input, once for each"
        )
    return rows._replace(x=np.column_stack([columns[name] for name in chosen]))


def choose(
    arrays: Arrays, path: Path, inputs: Sequence[str], target: str | None, groups: str | None
) -> Data:
    """Return the arrays that are inputs, targets and groups.

    Args:
        arrays: All arrays.
        path: Where they come from, for messages.
        inputs: Names of the inputs: ``x`` when left out, else all that are nothing else.
        target: Name of the targets.
        groups: Name of the groups.

    Raises:
        ValueError: If an array is missing; the message names those there are.
    """
    named = {"--target": target, "--groups": groups} | {f"--input {n}": n for n in inputs}
    for option, name in named.items():
        if name is not None and name not in arrays:
            raise ValueError(f"{option} {name!r} is not in {path}, which has {sorted(arrays)}")
    rest = [name for name in arrays if name not in (target, groups)]
    chosen = list(inputs) or (["x"] if "x" in rest else rest)
    if not chosen:
        raise ValueError(f"{path} has no inputs: its arrays are {sorted(arrays)}")
    x = {name: arrays[name] for name in chosen}
    return Data(
        x[chosen[0]] if len(chosen) == 1 else x,
        None if target is None else arrays[target],
        None if groups is None else arrays[groups],
    )


def read_models(
    given: Sequence[str], output: str | None, *, softmax: bool = False
) -> dict[str, Callable[[Any], Any]]:
    """Return models by name: of files, or of functions, each ``model`` or ``name=model``.

    Args:
        given: The models.
        output: The output to return, by name; all when left out.
        softmax: Whether outputs are logits, which a softmax makes probabilities.

    Raises:
        ValueError: If a name is given twice, or a file is missing or no ONNX model.
    """
    models: dict[str, Callable[[Any], Any]] = {}
    for text in given:
        name, separator, path = text.partition("=")
        path = Path(path if separator else text)
        name = name.strip() if separator else _name_of(path)
        if not name:
            raise ValueError(f"--model {text!r} has an empty name: pass name=path.onnx")
        if name in models:
            raise ValueError(f"two models are called {name!r}: pass --model name=path for each")
        model = _read_model(path, output)
        models[name] = _probabilities(model, name) if softmax else model
    return models


def _name_of(path: Path) -> str:
    from equiprob.cli.python_models import is_function

    return path.name.rpartition(":")[2] if is_function(str(path)) else path.stem


def _read_model(path: Path, output: str | None) -> Callable[[Any], Any]:
    """Return the model of a file, or of the name of a function."""
    from equiprob.adapters import from_onnx
    from equiprob.cli.python_models import TORCH_FILES, is_function, read_function, read_torch_file

    kind = path.suffix.lower()
    if kind == ".onnx":
        return from_onnx(path, outputs=output)
    if kind in TORCH_FILES:
        model = read_torch_file(path)
    elif is_function(str(path)):
        model = read_function(str(path))
    else:
        raise ValueError(
            f"--model {str(path)!r} is no .onnx, .pt or .pt2 file, and no name of a function, such "
            f"as package.module:predict or file.py:predict"
        )
    return model if output is None else _one_output(model, output)


def _one_output(model: Callable[[Any], Any], output: str) -> Callable[[Any], Any]:
    def predict(x: Any) -> Any:
        found = model(x)
        if not isinstance(found, dict) or output not in found:
            there = list(found) if isinstance(found, dict) else "one output, without a name"
            raise ValueError(f"--output {output!r} is none of the model's: it has {there}")
        return found[output]

    return predict


def _probabilities(model: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """Return a model of logits as one of probabilities."""
    from scipy.special import softmax

    def predict(x: Any) -> NDArray[np.floating]:
        logits = model(x)
        if isinstance(logits, dict):
            raise ValueError(f"{name!r} has the outputs {list(logits)}: --softmax needs --output")
        return softmax(logits, axis=-1)

    return predict


def read_table(path: Path) -> Any:
    """Return the table of a CSV or Parquet file.

    Raises:
        ValueError: If the file is missing or is no table.
    """
    import pandas as pd

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    parquet = path.suffix.lower() == ".parquet"
    try:
        return pd.read_parquet(path) if parquet else pd.read_csv(path)
    except ImportError as error:
        raise ValueError(
            f"reading {path} needs pyarrow (pip install pyarrow); or pass a .csv or .npz file"
        ) from error
    except Exception as error:  # pandas has errors of its own, and those of its engines
        kind = "Parquet" if parquet else "CSV"
        raise ValueError(f"{path} cannot be read as a {kind} table: {str(error)[:200]}") from error
