"""What a mismatch of symmetry costs, and what symmetry buys.

The names below bound or estimate the generalization gap; they are imported when first used.
"""

from equiprob.arguments.late import late

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

__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    {*_WHERE} - {"GapCurve", "ObservedCurve"}
)

__getattr__ = late(__name__, _WHERE)


def __dir__() -> list[str]:
    return list(__all__)
