"""Figures: they consume results and never compute."""

from equiprob.plots.alignment import plot_alignment
from equiprob.plots.approximation_gap import plot_approximation_gap
from equiprob.plots.certificate import plot_certificate
from equiprob.plots.changed_decisions import plot_changed_decisions
from equiprob.plots.comparison import plot_comparison
from equiprob.plots.controls import plot_controls
from equiprob.plots.data_error import plot_data_error
from equiprob.plots.decision import plot_decision, plot_information, plot_regret
from equiprob.plots.generalization_gap import plot_gap_forecast, plot_generalization_gap
from equiprob.plots.generators import plot_generators
from equiprob.plots.geometry import plot_geometry
from equiprob.plots.invariance_check import plot_invariance_check
from equiprob.plots.learning_curve import plot_learning_curve, plot_optimal_level
from equiprob.plots.level_certificate import plot_level_certificate
from equiprob.plots.local_error import plot_local_error
from equiprob.plots.model_error import plot_model_error
from equiprob.plots.screen import plot_screen
from equiprob.plots.stabilizer import plot_stabilizer
from equiprob.plots.structural_level import plot_structural_level
from equiprob.plots.symmetry_level import plot_symmetry_level
from equiprob.plots.symmetry_map import plot_symmetry_map
from equiprob.plots.transform_budget import plot_transform_budget
from equiprob.plots.unit_errors import plot_unit_errors

__all__ = [
    "plot_alignment",
    "plot_approximation_gap",
    "plot_certificate",
    "plot_changed_decisions",
    "plot_comparison",
    "plot_controls",
    "plot_data_error",
    "plot_decision",
    "plot_gap_forecast",
    "plot_generalization_gap",
    "plot_generators",
    "plot_geometry",
    "plot_information",
    "plot_invariance_check",
    "plot_learning_curve",
    "plot_level_certificate",
    "plot_local_error",
    "plot_model_error",
    "plot_optimal_level",
    "plot_regret",
    "plot_screen",
    "plot_stabilizer",
    "plot_structural_level",
    "plot_symmetry_level",
    "plot_symmetry_map",
    "plot_transform_budget",
    "plot_unit_errors",
]


def __dir__() -> list[str]:
    return list(__all__)
