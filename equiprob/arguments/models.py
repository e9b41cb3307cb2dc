"""Which adapter makes a callable of what was passed as a model?"""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any

_ADAPTERS = {
    "ase": "ep.adapters.from_ase(calculator, atoms)",
    "onnxruntime": "ep.adapters.from_onnx(session)",
    "sklearn": "ep.adapters.from_sklearn(estimator)",
    "torch": "ep.adapters.from_torch(module.eval())",
}


def adapter_for(model: Any) -> str | None:
    """Return the call that makes a callable of arrays of another package's model, or None."""
    if isinstance(model, str | PathLike):
        return "ep.adapters.from_onnx(path)" if fspath(model).endswith(".onnx") else None
    packages = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
    package = next((name for name in packages if name in _ADAPTERS), None)
    # Modules of PyTorch can be called, but not with arrays; others are functions if someone made
    # them so.
    if package is None or (package != "torch" and callable(model)):
        return None
    return _ADAPTERS[package]
