"""The page on many rows, the law of the inputs and forecasts of gaps."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration import (
    calibrated_problems,
    generator_problems,
    input_law_problems,
    many_rows_problems,
)
from benchmarks.calibration.page import PAGE, SHORT, listed, markdown, tabulate
from benchmarks.pages import write

MORE_PAGE = PAGE.with_name("calibration_more.md")


def write_more_page(records: list[dict[str, Any]]) -> None:
    """Write the page."""
    table = tabulate([r for r in records if "covered" in r])
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    law = table["quantity"] == "auc"
    gap = table["quantity"] == "gap of one more run"
    found = table["problem"].str.startswith("Generators")
    write(
        MORE_PAGE,
        "# Calibration: many rows, the inputs' law, forecasts of gaps, generators\n\n"
        f"Written by `python -m benchmarks.calibration --suites more` ({versions}, Python "
        f"{platform.python_version()}; up to {int(table['runs'].max())} replications a cell, 1000 "
        "draws each).\n\n"
        "A cell is the share of 90 % credible intervals that hold the truth; in brackets their "
        "median width over it. Bold is what covers less than "
        f"{SHORT} by more than two standard errors of the simulation.\n\n"
        f"## Reading\n\n{_reading(table)}\n\n"
        "## More rows than are weighed one by one\n\n"
        "A linear model under rotations, 4 transformations a row. `rows`: row statistics are kept, "
        "weights are drawn for blocks of units. `blocks`: only sums over blocks are kept "
        '(`keep="blocks"`).\n'
        f"{markdown(table[~law & ~gap & ~found], many_rows_problems.SIZES, surely=True)}\n\n"
        "## The law of the inputs\n\n"
        "The AUC of the classifier: one half where the law is invariant; elsewhere what a "
        "classifier that was trained on all of these rows has on 4,000 fresh ones, which is a "
        "little more than that of one trained on four fifths of them.\n"
        f"{markdown(table[law], input_law_problems.SIZES, surely=True)}\n\n"
        f"{_shares(records)}\n\n"
        "## Forecasts of gaps\n\n"
        "`Calibrated` on four runs at 100, 200, 400 and 1000 rows and three levels each; columns "
        "are the rows at which one more run is forecast.\n"
        f"{markdown(table[gap], calibrated_problems.SIZES, surely=True)}\n\n"
        "## Generators\n\n"
        "A particle in a harmonic well and a field: the relative error of the second and third "
        "generators, the root of the mean of their squares.\n"
        f"{markdown(table[found], generator_problems.SIZES, surely=True)}\n",
    )
    print(MORE_PAGE.read_text())


def _reading(table: pd.DataFrame) -> str:
    surely = table[0.9] + 2 * np.sqrt(0.09 / table["runs"]) < SHORT
    return listed(f"Below {SHORT} by more than two standard errors", table[surely])


def _shares(records: list[dict[str, Any]]) -> str:
    """Return how often the check finds a difference, and how often it calls a law compatible."""
    frame = pd.DataFrame.from_records([r for r in records if "value" in r])
    wide = frame.pivot_table(index=["problem", "n"], columns="quantity", values="value", sort=False)
    lines = ["| | n | difference found | called compatible |", "|---|---|---|---|"]
    lines += [
        f"| {problem} | {n} | {row['difference found']:.2f} | {row['called compatible']:.2f} |"
        for (problem, n), row in wide.iterrows()
    ]
    return "\n".join(lines)
