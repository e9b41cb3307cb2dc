"""What kinds of results are there, by the names that files call them?

A file says of what kind it is. What is not in this table is not loaded, so that no file chooses
what code runs; and modules may move without files becoming unreadable.
"""

from __future__ import annotations

import importlib
from typing import Any

from equiprob.posterior.bundle import AbstractBundle
from equiprob.posterior.results import AbstractResult

KINDS = {
    "alignment": ("equiprob.equivariance.alignment", "Alignment"),
    "approximation_gap": ("equiprob.bounds.approximation_gap", "ApproximationGapResult"),
    "audit": ("equiprob.auditing.findings", "Audit"),
    "changed_decisions": ("equiprob.equivariance.changed_decisions", "ChangedDecisionsResult"),
    "comparison": ("equiprob.decisions.compare", "Comparison"),
    "data_error": ("equiprob.equivariance.data_error", "DataEquivarianceErrorResult"),
    "decision": ("equiprob.decisions.decide", "Decision"),
    "gap_forecast": ("equiprob.bounds.generalization_gap", "GapForecast"),
    "generalization_gap": ("equiprob.bounds.generalization_gap", "GeneralizationGapResult"),
    "generators": ("equiprob.equivariance.generators", "GeneratorsResult"),
    "geometry": ("equiprob.bounds.geometry", "GeometryResult"),
    "invariance_check": ("equiprob.equivariance.invariance_check", "InvarianceCheckResult"),
    "learning_curve": ("equiprob.curves.result", "LearningCurveResult"),
    "local_error": ("equiprob.equivariance.local_error", "LocalEquivarianceErrorResult"),
    "model_error": ("equiprob.equivariance.model_error", "ModelEquivarianceErrorResult"),
    "screen": ("equiprob.equivariance.screen", "ScreenResult"),
    "stabilizer": ("equiprob.equivariance.stabilizer", "StabilizerResult"),
    "structural_level": ("equiprob.levels.structural_level", "StructuralLevelResult"),
    "symmetry_level": ("equiprob.levels.level_result", "SymmetryLevelResult"),
    "symmetry_map": ("equiprob.equivariance.symmetry_map", "SymmetryMapResult"),
    "transform_budget": ("equiprob.levels.budget", "TransformBudget"),
}
"""Module and name of the class of each kind."""

_NAMES = {where: name for name, where in KINDS.items()}


def kind_of(result: AbstractResult | AbstractBundle) -> str | None:
    """Return the name of a result's kind; None for a class of a user's own."""
    return _NAMES.get((type(result).__module__, type(result).__qualname__))


def class_of(kind: Any) -> type[AbstractResult] | type[AbstractBundle] | None:
    """Return the class of a kind; None for what is no name of one."""
    if not isinstance(kind, str) or kind not in KINDS:
        return None
    module, name = KINDS[kind]
    return getattr(importlib.import_module(module), name)
