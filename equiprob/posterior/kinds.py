"""What is there: every kind of result, by the name that files call it.

One row of the table says all that the rest of the package has to know of a kind: where its class
is, which figure draws it, and what `equiprob` shows of it. A new estimator is a row. What is not in
the table is not loaded, so that no file chooses what code runs; and modules may move without files
becoming unreadable.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of result.

    Args:
        module: The module, in this package, of its class and of what makes it.
        result: The name of the class.
        figure: The module, in ``plots``, of its figure ``plot_<kind>``; None where it has none.
        names: What `equiprob` shows of `module`.
        is_saved: Whether files hold it.
    """

    module: str
    result: str
    figure: str | None
    names: tuple[str, ...] = ()
    is_saved: bool = True


KINDS = {
    "alignment": Kind("task.alignment", "Alignment", "alignment", ("Alignment", "align")),
    "approximation_gap": Kind(
        "task.approximation_gap",
        "ApproximationGapResult",
        "approximation_gap",
        ("ApproximationGap",),
    ),
    "audit": Kind("auditing.findings", "Audit", None, ("Audit",)),
    "certificate": Kind(
        "errors.certificate",
        "Certificate",
        "certificate",
        ("Certificate", "certify"),
        is_saved=False,
    ),
    "changed_decisions": Kind(
        "errors.changed_decisions",
        "ChangedDecisionsResult",
        "changed_decisions",
        ("ChangedDecisions",),
    ),
    "comparison": Kind("decisions.compare", "Comparison", "comparison", ("Comparison", "compare")),
    "controls": Kind(
        "task.controls", "Controls", "controls", ("Controls", "controls"), is_saved=False
    ),
    "data_error": Kind(
        "task.data_error",
        "DataEquivarianceErrorResult",
        "data_error",
        ("DataEquivarianceError",),
    ),
    "decision": Kind("decisions.decide", "Decision", "decision", ("Decision", "decide")),
    "gap_forecast": Kind(
        "bounds.generalization_gap", "GapForecast", "generalization_gap", ("GapForecast",)
    ),
    "generalization_gap": Kind(
        "bounds.generalization_gap",
        "GeneralizationGapResult",
        "generalization_gap",
        ("GeneralizationGap",),
    ),
    "generators": Kind("errors.generators", "GeneratorsResult", "generators", ("Generators",)),
    "geometry": Kind("geometry.geometry", "GeometryResult", "geometry", ("Geometry",)),
    "invariance_check": Kind(
        "task.invariance_check",
        "InvarianceCheckResult",
        "invariance_check",
        ("InvarianceCheck", "InvariantLaw"),
    ),
    "learning_curve": Kind("curves.result", "LearningCurveResult", "learning_curve"),
    "level_certificate": Kind(
        "levels.level_certificate",
        "LevelCertificate",
        "level_certificate",
        ("LevelCertificate", "certify_level"),
        is_saved=False,
    ),
    "local_error": Kind(
        "errors.local_error",
        "LocalEquivarianceErrorResult",
        "local_error",
        ("LocalEquivarianceError",),
    ),
    "model_error": Kind(
        "errors.model_error",
        "ModelEquivarianceErrorResult",
        "model_error",
        ("ModelEquivarianceError",),
    ),
    "screen": Kind("errors.screen", "ScreenResult", "screen", ("ScreenResult", "screen")),
    "stabilizer": Kind("errors.stabilizer", "StabilizerResult", "stabilizer", ("Stabilizer",)),
    "structural_level": Kind(
        "levels.structural_level",
        "StructuralLevelResult",
        "structural_level",
        ("StructuralLevel",),
    ),
    "symmetry_level": Kind("levels.level_result", "SymmetryLevelResult", "symmetry_level"),
    "symmetry_map": Kind(
        "task.symmetry_map", "SymmetryMapResult", "symmetry_map", ("SymmetryMap",)
    ),
    "transform_budget": Kind("levels.budget", "TransformBudget", "transform_budget"),
    "unit_errors": Kind("errors.unit_errors", "UnitErrorsResult", "unit_errors", ("UnitErrors",)),
}

_NAMES = {(f"equiprob.{kind.module}", kind.result): name for name, kind in KINDS.items()}


def name_of(result: object) -> str | None:
    """Return the name of a result's kind; None for a class of a user's own."""
    return _NAMES.get((type(result).__module__, type(result).__qualname__))


def saved_name_of(result: object) -> str | None:
    """Return the name by which a file calls a result; None for what files do not hold."""
    name = name_of(result)
    return name if name is not None and KINDS[name].is_saved else None


def saved_class(name: Any) -> type[Any] | None:
    """Return the class of a kind that files hold; None for what is no name of one."""
    if not isinstance(name, str) or name not in KINDS or not KINDS[name].is_saved:
        return None
    return getattr(importlib.import_module(f"equiprob.{KINDS[name].module}"), KINDS[name].result)


def figure_of(result: object) -> Callable[..., Any]:
    """Return the function that draws a result.

    Raises:
        TypeError: If there is none.
    """
    name = name_of(result)
    if name is None or (module := KINDS[name].figure) is None:
        raise TypeError(f"there is no figure of a {type(result).__name__}; give it a plot method")
    return getattr(importlib.import_module(f"equiprob.plots.{module}"), f"plot_{name}")


class Drawn:
    """What the table has a figure of."""

    def plot(self, **kwargs: Any) -> Any:
        """Draw the result.

        Args:
            kwargs: What its figure takes, such as ``ax=``: see ``plot_<kind>`` on the page of
                figures.

        Returns:
            The Matplotlib figure.

        Raises:
            TypeError: If the figure takes no such argument.
        """
        return figure_of(self)(self, **kwargs)
