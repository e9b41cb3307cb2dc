from equiprob.bounds.assumptions import Assumption as Assumption
from equiprob.bounds.base import AbstractBound as AbstractBound
from equiprob.bounds.base import GapCurve as GapCurve
from equiprob.bounds.base import GapEvidence as GapEvidence
from equiprob.bounds.base import GapProblem as GapProblem
from equiprob.bounds.base import ObservedCurve as ObservedCurve
from equiprob.bounds.calibrated import Calibrated as Calibrated
from equiprob.bounds.covering import Covering as Covering
from equiprob.bounds.holdout import Holdout as Holdout
from equiprob.bounds.losses import AbstractLoss as AbstractLoss
from equiprob.bounds.losses import BoundedLoss as BoundedLoss
from equiprob.bounds.losses import SquaredError as SquaredError
from equiprob.bounds.predictor_class import PredictorClass as PredictorClass
from equiprob.bounds.rkhs import RKHS as RKHS
from equiprob.bounds.transport import Transport as Transport

__all__ = [
    "RKHS",
    "AbstractBound",
    "AbstractLoss",
    "Assumption",
    "BoundedLoss",
    "Calibrated",
    "Covering",
    "GapCurve",
    "GapEvidence",
    "GapProblem",
    "Holdout",
    "ObservedCurve",
    "PredictorClass",
    "SquaredError",
    "Transport",
]
