"""The pages on what data say without a model, and on distributions that are not uniform."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibration.page import PAGE, SHORT, listed, markdown, tabulate
from benchmarks.pages import write

DATA_PAGE = PAGE.with_name("calibration_data.md")
LAWS_PAGE = PAGE.with_name("calibration_laws.md")

_SECTIONS = {
    "Neighbours": (
        "What exact symmetry costs, from neighbours",
        "Inputs lean to one side; orbits fill a space of 1 to 10 dimensions; a third of the runs "
        "each of no cost, a little and much. In more than about eight dimensions the result says "
        "that it is indicative.",
    ),
    "Where": (
        "Where the symmetry holds",
        "Three rings, in which images agree, contradict, or leave the data. Shares that leave the "
        "data are *at least* as large: with few rows an image is no farther from them than they "
        "are from each other. The third ring's share of contradictions is then not 0.",
    ),
    "half plane": (
        "Changed decisions",
        "A classifier by a half plane, 1 label in 10 wrong.",
    ),
    "Budget": (
        "How many transformations",
        "Waves of one and three crests around a circle, as high as the radius or its square. Of "
        "two lattices of unequal sizes the interval is that of a bound, which here is tight.",
    ),
}
"""By what the names of their problems begin with."""


_LAW_SECTIONS = {
    "Harm,": (
        "What exact symmetry harms at n rows",
        "Kernel ridge regression on inputs that lean to one side, where few rows lie where exact "
        "symmetry fails; the truth by brute force. Intervals begin at 0: where the harm is less "
        "than the data show they hold it nearly always.",
    ),
    "Harm of a whole fit": (
        "The same, by `StructuralLevel`",
        "With the length scales that the package chose on each sample, at which the truth is "
        "found.",
    ),
    "Reweighted": (
        "Bounds under distributions of transformations that are not uniform",
        "The model is the truth, with noisy targets whose variance is stated: bounds are as near "
        "as they can be. One-sided bounds at 90 %; in brackets the bound over the truth.",
    ),
}


def write_data_page(records: list[dict[str, Any]]) -> None:
    """Write the page on data without a model."""
    title = "Calibration: data without a model, decisions, budgets"
    _write(DATA_PAGE, title, "data", _SECTIONS, records)


def write_laws_page(records: list[dict[str, Any]]) -> None:
    """Write the page on distributions of inputs and transformations."""
    title = "Calibration: distributions that are neither invariant nor uniform"
    _write(LAWS_PAGE, title, "laws", _LAW_SECTIONS, records)


def _write(
    page: Path,
    title: str,
    suite: str,
    sections: Mapping[str, tuple[str, str]],
    records: list[dict[str, Any]],
) -> None:
    table = tabulate(records)
    surely = table[0.9] + 2 * np.sqrt(0.09 / table["runs"]) < SHORT
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    runs = f"{int(table['runs'].min())} to {int(table['runs'].max())}"
    text = (
        f"# {title}\n\n"
        f"Written by `python -m benchmarks.calibration --suites {suite}` ({versions}, Python "
        f"{platform.python_version()}; {runs} replications a cell, 1000 draws each).\n\n"
        "A cell is the share of 90 % credible intervals that hold the truth; in brackets their "
        f"median width over it (the width itself where it is 0). Bold is what covers less than "
        f"{SHORT} by more than two standard errors of the simulation.\n\n"
        f"## Reading\n\n"
        f"{listed(f'Below {SHORT} by more than two standard errors', table[surely])}\n"
    )
    for begins, (heading, words) in sections.items():
        part = table[table["problem"].str.startswith(begins)]
        if len(part):
            sizes = sorted(part["n"].unique())
            text += f"\n## {heading}\n\n{words}\n{markdown(part, sizes, surely=True)}\n"
    write(page, text)
    print(text)
