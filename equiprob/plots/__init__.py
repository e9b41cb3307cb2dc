"""Figures: they consume results and never compute."""

from equiprob.plots.comparison import plot_comparison
from equiprob.plots.local_error import plot_local_error
from equiprob.plots.model_error import plot_model_error
from equiprob.plots.symmetry_level import plot_symmetry_level

__all__ = ["plot_comparison", "plot_local_error", "plot_model_error", "plot_symmetry_level"]
