"""How equivariant is my model, and how much symmetry should I build in? With credible intervals.

The names below are imported when first used, so that ``import equiprob`` costs little more than
``import jax``.
"""

from typing import Any

import jax as _jax  # noqa: F401 - everything here stands on it
import numpy as _np  # noqa: F401

from equiprob.arguments.late import late
from equiprob.posterior.kinds import KINDS

_WHERE = {name: f"equiprob.{kind.module}" for kind in KINDS.values() for name in kind.names} | {
    "AbstractPath": "equiprob.levels.paths",
    "CurvePriors": "equiprob.curves.priors",
    "Costs": "equiprob.decisions.costs",
    "Diagnostic": "equiprob.posterior.diagnostics",
    "LearningCurve": "equiprob.curves.learning_curve",
    "OrbitTable": "equiprob.orbits.table",
    "Output": "equiprob.orbits.output",
    "SymmetryLevel": "equiprob.levels.symmetry_level",
    "assert_equivariant": "equiprob.auditing.assertion",
    "audit": "equiprob.auditing.run",
    "check_action": "equiprob.transforms.check_action",
    "cross_fit": "equiprob.task.cross_fit",
    "evaluate_orbits": "equiprob.orbits.evaluate",
    "gather": "equiprob.orbits.storage.gather",
    "load": "equiprob.posterior.files",
    "merge": "equiprob.orbits.storage.merge",
    "padded": "equiprob.orbits.padding",
    "run_learning_curve": "equiprob.curves.run_learning_curve",
    "worst_case": "equiprob.errors.worst_case",
    "adapters": "equiprob.adapters.",
    "bounds": "equiprob.bounds.",
    "callbacks": "equiprob.callbacks.",
    "information": "equiprob.decisions.information.",
    "methods": "equiprob.task.methods.",
    "paths": "equiprob.levels.paths.",
    "plots": "equiprob.plots.",
    "posteriors": "equiprob.posterior.hierarchical.",
    "stopping": "equiprob.errors.stopping.",
    "testing": "equiprob.testing.",
    "transforms": "equiprob.transforms.",
}
"""Where each name is: those of the kinds of results are in their table."""

_SELDOM = {
    *("AbstractPath", "CurvePriors", "OrbitTable", "gather", "padded"),
    *("callbacks", "information", "plots", "posteriors", "stopping", "testing"),
}
"""What few scripts write. With the classes of results, which are not called but returned, these are
found as the others are, but not shown to those who look around."""

__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    {*_WHERE} - _SELDOM - {kind.result for kind in KINDS.values()}
)

_find = late(__name__, _WHERE)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("equiprob")
    return _find(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
