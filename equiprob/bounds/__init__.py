"""What a mismatch of symmetry costs, and what symmetry buys.

The names below bound or estimate the generalization gap; they are imported when first used.
"""

import importlib
from typing import Any

_WHERE = {
    "AbstractBound": "equiprob.bounds.base",
    "AbstractLoss": "equiprob.bounds.losses",
    "Assumption": "equiprob.bounds.assumptions",
    "BoundedLoss": "equiprob.bounds.losses",
    "Calibrated": "equiprob.bounds.calibrated",
    "Covering": "equiprob.bounds.covering",
    "GapCurve": "equiprob.bounds.base",
    "GapEvidence": "equiprob.bounds.base",
    "GapProblem": "equiprob.bounds.base",
    "Holdout": "equiprob.bounds.holdout",
    "ObservedCurve": "equiprob.bounds.base",
    "PredictorClass": "equiprob.bounds.predictor_class",
    "RKHS": "equiprob.bounds.rkhs",
    "SquaredError": "equiprob.bounds.losses",
    "Transport": "equiprob.bounds.transport",
}

__all__ = sorted(_WHERE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'equiprob.bounds' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
