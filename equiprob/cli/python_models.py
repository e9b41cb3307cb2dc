"""Models that are Python: functions by name, and programs of PyTorch.

These run code: what the user names, and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TORCH_FILES = (".pt", ".pt2")
"""TorchScript (``torch.jit.save``) and exported programs (``torch.export.save``)."""


def is_function(name: str) -> bool:
    """Whether a name is ``package.module:function`` or ``file.py:function``."""
    module, separator, function = name.rpartition(":")
    return bool(separator and module and function.replace(".", "").isidentifier())


def read_function(name: str) -> Callable[[Any], Any]:
    """Import a function of arrays, or a fitted estimator or module, of a name.

    Args:
        name: ``package.module:function``, found from the current folder, too, or
            ``file.py:function``.

    Raises:
        ValueError: If there is no such file, module or name, or it cannot be imported or called.
    """
    place, _, attribute = name.rpartition(":")
    try:
        found = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
    except FileNotFoundError:
        raise ValueError(f"--model {name!r}: there is no file {place}") from None
    except AttributeError as error:
        raise ValueError(f"--model {name!r}: {error}") from error
    except Exception as error:  # what the user's module raises where it is imported
        raise ValueError(
            f"--model {name!r} cannot be imported: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    return _as_predictor(found, name)


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # so that what it defines can be pickled
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _from_module(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _as_predictor(found: Any, name: str) -> Callable[[Any], Any]:
    """Return a model as a function of arrays, by the adapter that fits."""
    from equiprob.adapters import from_sklearn, from_torch

    if hasattr(found, "named_modules") and hasattr(found, "state_dict"):
        return from_torch(found)
    if hasattr(found, "fit") and hasattr(found, "predict") and not isinstance(found, type):
        return from_sklearn(found)
    if not callable(found) or isinstance(found, type):
        raise ValueError(
            f"--model {name!r} is a {type(found).__name__}: name a function of arrays, rows first, "
            f"a PyTorch module in evaluation mode or a fitted scikit-learn estimator"
        )
    return found


def read_torch_file(path: Path) -> Callable[[Any], Any]:
    """Load a program of PyTorch.

    Raises:
        ValueError: If there is no such file, or it is no program.
        ImportError: Without PyTorch.
    """
    from equiprob.adapters import from_torch
    from equiprob.transforms.extras import require

    torch = require("torch", extra="torch")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        if path.suffix.lower() == ".pt2":
            module = torch.export.load(str(path)).module()
        else:
            module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # PyTorch has many, and those of zip archives
        raise ValueError(
            f"{path} cannot be read as a program of PyTorch ({str(error)[:200]}): write it by "
            f"torch.jit.save (.pt) or torch.export.save (.pt2); weights alone are no program"
        ) from error
    for part in module.modules():
        part.training = False  # an exported program does what it did when it was exported
    return from_torch(module)
