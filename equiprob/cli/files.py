"""Models and data from files. Nothing that a file holds is ever run: no pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class Data(NamedTuple):
    """What an audit is made on: inputs, targets and groups."""

    x: Any
    y: NDArray[Any] | None
    groups: NDArray[Any] | None


def read_arrays(path: Path) -> Arrays:
    """Return the arrays of an ``.npz`` file by name.

    Raises:
        ValueError: If the file is missing, is none, or holds pickled objects.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as loaded:
            if not hasattr(loaded, "files"):
                raise ValueError(f"{path} holds one array: pass a file that numpy.savez wrote")
            return {name: loaded[name] for name in loaded.files}
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, ValueError, MemoryError) as error:
        if "holds one array" in str(error):
            raise
        pickled = "allow_pickle" in str(error) or "Object arrays" in str(error)
        why = "it holds Python objects, which are not loaded" if pickled else str(error)
        raise ValueError(
            f"{path} cannot be read ({why}): pass arrays of numbers written by numpy.savez"
        ) from error


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
    """Return the models of ``path.onnx`` or ``name=path.onnx`` by name.

    Args:
        given: The models.
        output: The output to return, by name; all when left out.
        softmax: Whether outputs are logits, which a softmax makes probabilities.

    Raises:
        ValueError: If a name is given twice, or a file is missing or no ONNX model.
    """
    from equiprob.adapters import from_onnx

    models: dict[str, Callable[[Any], Any]] = {}
    for text in given:
        name, separator, path = text.partition("=")
        path = Path(path if separator else text)
        name = name.strip() if separator else path.stem
        if not name:
            raise ValueError(f"--model {text!r} has an empty name: pass name=path.onnx")
        if name in models:
            raise ValueError(f"two models are called {name!r}: pass --model name=path for each")
        if path.suffix.lower() != ".onnx":
            raise ValueError(
                f"--model {str(path)!r} is no .onnx file: export the model to ONNX, or use "
                f"ep.audit in Python, which takes any function"
            )
        model = from_onnx(path, outputs=output)
        models[name] = _probabilities(model, name) if softmax else model
    return models


def _probabilities(model: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """Return a model of logits as one of probabilities."""
    from scipy.special import softmax

    def predict(x: Any) -> NDArray[np.floating]:
        logits = model(x)
        if isinstance(logits, dict):
            raise ValueError(f"{name!r} has the outputs {list(logits)}: --softmax needs --output")
        return softmax(logits, axis=-1)

    return predict


def read_runs_table(path: Path) -> Any:
    """Return the table of a CSV file.

    Raises:
        ValueError: If the file is missing or is no table.
    """
    import pandas as pd

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        return pd.read_csv(path)
    except (ValueError, OSError, MemoryError) as error:
        raise ValueError(f"{path} cannot be read as a CSV table: {error}") from error
