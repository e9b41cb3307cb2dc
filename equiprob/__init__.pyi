from equiprob import adapters as adapters
from equiprob import bounds as bounds
from equiprob import callbacks as callbacks
from equiprob import plots as plots
from equiprob import testing as testing
from equiprob import transforms as transforms
from equiprob.auditing.assertion import assert_equivariant as assert_equivariant
from equiprob.auditing.findings import Audit as Audit
from equiprob.auditing.run import audit as audit
from equiprob.bounds.generalization_gap import GapForecast as GapForecast
from equiprob.bounds.generalization_gap import GeneralizationGap as GeneralizationGap
from equiprob.curves.learning_curve import LearningCurve as LearningCurve
from equiprob.curves.priors import CurvePriors as CurvePriors
from equiprob.curves.run_learning_curve import run_learning_curve as run_learning_curve
from equiprob.decisions import information as information
from equiprob.decisions.compare import Comparison as Comparison
from equiprob.decisions.compare import compare as compare
from equiprob.decisions.costs import Costs as Costs
from equiprob.decisions.decide import Decision as Decision
from equiprob.decisions.decide import decide as decide
from equiprob.errors import stopping as stopping
from equiprob.errors.certificate import Certificate as Certificate
from equiprob.errors.certificate import certify as certify
from equiprob.errors.changed_decisions import ChangedDecisions as ChangedDecisions
from equiprob.errors.generators import Generators as Generators
from equiprob.errors.local_error import LocalEquivarianceError as LocalEquivarianceError
from equiprob.errors.model_error import ModelEquivarianceError as ModelEquivarianceError
from equiprob.errors.screen import ScreenResult as ScreenResult
from equiprob.errors.screen import screen as screen
from equiprob.errors.stabilizer import Stabilizer as Stabilizer
from equiprob.errors.unit_errors import UnitErrors as UnitErrors
from equiprob.errors.worst_case import worst_case as worst_case
from equiprob.geometry.geometry import Geometry as Geometry
from equiprob.levels import paths as paths
from equiprob.levels.level_certificate import LevelCertificate as LevelCertificate
from equiprob.levels.level_certificate import certify_level as certify_level
from equiprob.levels.paths import AbstractPath as AbstractPath
from equiprob.levels.structural_level import StructuralLevel as StructuralLevel
from equiprob.levels.symmetry_level import SymmetryLevel as SymmetryLevel
from equiprob.orbits.evaluate import evaluate_orbits as evaluate_orbits
from equiprob.orbits.output import Output as Output
from equiprob.orbits.padding import padded as padded
from equiprob.orbits.storage.gather import gather as gather
from equiprob.orbits.storage.merge import merge as merge
from equiprob.orbits.table import OrbitTable as OrbitTable
from equiprob.posterior import hierarchical
from equiprob.posterior.diagnostics import Diagnostic as Diagnostic
from equiprob.posterior.files import load as load
from equiprob.task import methods as methods
from equiprob.task.alignment import Alignment as Alignment
from equiprob.task.alignment import align as align
from equiprob.task.approximation_gap import ApproximationGap as ApproximationGap
from equiprob.task.controls import Controls as Controls
from equiprob.task.controls import controls as controls
from equiprob.task.cross_fit import cross_fit as cross_fit
from equiprob.task.data_error import DataEquivarianceError as DataEquivarianceError
from equiprob.task.invariance_check import InvarianceCheck as InvarianceCheck
from equiprob.task.invariance_check import InvariantLaw as InvariantLaw
from equiprob.task.symmetry_map import SymmetryMap as SymmetryMap
from equiprob.transforms.check_action import check_action as check_action

__version__: str
posteriors = hierarchical
__all__ = [
    "ApproximationGap",
    "ChangedDecisions",
    "Costs",
    "DataEquivarianceError",
    "Diagnostic",
    "GeneralizationGap",
    "Generators",
    "Geometry",
    "InvarianceCheck",
    "InvariantLaw",
    "LearningCurve",
    "LocalEquivarianceError",
    "ModelEquivarianceError",
    "Output",
    "Stabilizer",
    "StructuralLevel",
    "SymmetryLevel",
    "SymmetryMap",
    "UnitErrors",
    "adapters",
    "align",
    "assert_equivariant",
    "audit",
    "bounds",
    "certify",
    "certify_level",
    "check_action",
    "compare",
    "controls",
    "cross_fit",
    "decide",
    "evaluate_orbits",
    "load",
    "merge",
    "methods",
    "paths",
    "run_learning_curve",
    "screen",
    "transforms",
    "worst_case",
]
