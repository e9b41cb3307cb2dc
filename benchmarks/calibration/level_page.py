"""The page on symmetry levels: coverage of the optimum and of what is saved."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.level_problems import SIZES
from benchmarks.calibration.page import PAGE, SHORT, SHORT_FEW, listed, markdown, tabulate
from benchmarks.pages import write

LEVEL_PAGE = PAGE.with_name("calibration_levels.md")


def write_level_page(records: list[dict[str, Any]]) -> None:
    """Write the page."""
    table = tabulate(records)
    other = table["problem"].str.contains("loss")
    runs = int(table.loc[table["quantity"] == "risk_saved_shipped", "runs"].max())
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    write(
        LEVEL_PAGE,
        "# Calibration of symmetry levels\n\n"
        f"Written by `python -m benchmarks.calibration --suites level` ({versions}, Python "
        f"{platform.python_version()}; {runs} replications a problem and number of rows, 1000 "
        f"draws each).\n\n"
        "A cell is the share of 90 % credible intervals that hold the truth; in brackets their "
        "median width (over the truth where that is not 0). A quarter of the runs has each of the "
        f"truths 0, 0.4, 0.8 and 1, so that the standard error of a coverage of 0.9 is "
        f"{np.sqrt(0.36 / runs):.3f} for a position and {np.sqrt(0.09 / runs):.3f} for a saving. "
        "At the ends of the path (0 and 1) intervals hold the truth more often than nominal, "
        "because no position lies beyond.\n\n"
        "The models are linear in the plane under rotations of inputs and outputs, with rows of "
        "several laws; or waves of the angular modes 1, 3 and 5 on the disc, of which a few "
        "rotations leave a part in the average. m is the number of transformations of each row "
        "and of the predictor that is shipped. `risk_saved_shipped` is held against the risk of "
        "that predictor itself, on all possible rows. (Linear models are averaged exactly from "
        "m = 8 on.) Where no averaging is recommended the predictor is the model itself, which "
        "saves nothing, as is stated then. The steep classifier is one that every averaging "
        "costs.\n\n"
        f"## Reading\n\n{_reading(table)}\n\n"
        f"## Squared error\n{markdown(table[~other], SIZES, surely=True)}\n\n"
        "## Other losses\n\n"
        "A classifier too sure of the direction, on the disc; the truth has the named share of its "
        "asymmetric part in the logit. The optimum is that of averages over m rotations, found on "
        "100000 rows.\n"
        f"{markdown(table[other], (128, 512), surely=True)}\n",
    )
    print(LEVEL_PAGE.read_text())


def _reading(table: pd.DataFrame) -> str:
    """Say what covers too little, beyond two standard errors of the simulation."""
    limit = np.where(table["n"] < 100, SHORT_FEW, SHORT)
    surely = table[0.9] + 2 * np.sqrt(0.09 / table["runs"]) < limit
    head = f"Below {SHORT} (below {SHORT_FEW} under 100 rows) by more than two standard errors"
    return listed(head, table[surely])
