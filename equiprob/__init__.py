"""How equivariant is my model, and how much symmetry should I build in? With credible intervals.

The names below are imported when first used, so that ``import equiprob`` costs little more than
``import jax``.
"""

import importlib
from typing import Any

import jax as _jax  # noqa: F401 - everything here stands on it
import numpy as _np  # noqa: F401

_WHERE = {
    "AbstractPath": "equiprob.levels.paths",
    "Alignment": "equiprob.equivariance.alignment",
    "ApproximationGap": "equiprob.bounds.approximation_gap",
    "Audit": "equiprob.auditing.findings",
    "Certificate": "equiprob.equivariance.certificate",
    "ChangedDecisions": "equiprob.equivariance.changed_decisions",
    "Comparison": "equiprob.decisions.compare",
    "Controls": "equiprob.equivariance.controls",
    "CurvePriors": "equiprob.curves.priors",
    "Costs": "equiprob.decisions.costs",
    "DataEquivarianceError": "equiprob.equivariance.data_error",
    "Decision": "equiprob.decisions.decide",
    "Diagnostic": "equiprob.posterior.diagnostics",
    "GapForecast": "equiprob.bounds.generalization_gap",
    "GeneralizationGap": "equiprob.bounds.generalization_gap",
    "Generators": "equiprob.equivariance.generators",
    "Geometry": "equiprob.bounds.geometry",
    "InvarianceCheck": "equiprob.equivariance.invariance_check",
    "InvariantLaw": "equiprob.equivariance.invariance_check",
    "LevelCertificate": "equiprob.levels.level_certificate",
    "LearningCurve": "equiprob.curves.learning_curve",
    "LocalEquivarianceError": "equiprob.equivariance.local_error",
    "ModelEquivarianceError": "equiprob.equivariance.model_error",
    "OrbitTable": "equiprob.orbits.table",
    "Output": "equiprob.orbits.output",
    "ScreenResult": "equiprob.equivariance.screen",
    "Stabilizer": "equiprob.equivariance.stabilizer",
    "StructuralLevel": "equiprob.levels.structural_level",
    "SymmetryLevel": "equiprob.levels.symmetry_level",
    "SymmetryMap": "equiprob.equivariance.symmetry_map",
    "align": "equiprob.equivariance.alignment",
    "assert_equivariant": "equiprob.auditing.assertion",
    "audit": "equiprob.auditing.run",
    "certify": "equiprob.equivariance.certificate",
    "certify_level": "equiprob.levels.level_certificate",
    "check_action": "equiprob.transforms.check_action",
    "compare": "equiprob.decisions.compare",
    "controls": "equiprob.equivariance.controls",
    "cross_fit": "equiprob.equivariance.cross_fit",
    "decide": "equiprob.decisions.decide",
    "evaluate_orbits": "equiprob.orbits.evaluate",
    "gather": "equiprob.orbits.gather",
    "load": "equiprob.posterior.files",
    "merge": "equiprob.orbits.merge",
    "padded": "equiprob.orbits.padding",
    "run_learning_curve": "equiprob.curves.run_learning_curve",
    "screen": "equiprob.equivariance.screen",
    "worst_case": "equiprob.equivariance.worst_case",
}
_MODULES = {
    "adapters": "equiprob.adapters",
    "bounds": "equiprob.bounds",
    "callbacks": "equiprob.callbacks",
    "information": "equiprob.decisions.information",
    "methods": "equiprob.equivariance.methods",
    "paths": "equiprob.levels.paths",
    "plots": "equiprob.plots",
    "posteriors": "equiprob.posterior.posteriors",
    "stopping": "equiprob.equivariance.stopping",
    "testing": "equiprob.testing",
    "transforms": "equiprob.transforms",
}

__all__ = sorted([*_WHERE, *_MODULES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name == "__version__":
        from importlib.metadata import version

        value = version("equiprob")
    else:
        raise AttributeError(f"module 'equiprob' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
