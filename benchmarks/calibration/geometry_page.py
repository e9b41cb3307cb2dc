"""The page on geometry: tables from the records alone."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import pandas as pd

from benchmarks.calibration.page import PAGE, tabulate
from benchmarks.pages import write

GEOMETRY_PAGE = PAGE.with_name("calibration_geometry.md")

_LEAST = 0.85
"""Coverage that intervals of the dimension are held to; cells below it are named."""


def write_geometry_page(records: list[dict[str, Any]]) -> None:
    """Write the page."""
    table = tabulate([r for r in records if "covered" in r])
    runs = int(table["runs"].max())
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))

    def part(start: str) -> str:
        return _table(table[table["quantity"].str.startswith(start)])

    write(
        GEOMETRY_PAGE,
        "# Calibration of the geometry\n\n"
        f"Written by `make calibrate` ({versions}, Python {platform.python_version()}; up to "
        f"{runs} replications a cell, 1000 draws each).\n\n"
        "A cell is the share of 90 % credible intervals that hold the truth; in brackets their "
        "median width over the truth (the width itself for logarithms of covering numbers).\n\n"
        "## Dimension of inputs\n\n"
        "A torus is a box whose opposite sides are joined: no boundary, no curvature. Products of "
        "circles are the same up to the curvature of the circles.\n\n"
        f"{part('dimension')}\n\n"
        f"## Dimension of orbits\n\n{part('orbit_dimension')}\n\n"
        "## Covering numbers\n\n"
        "The logarithm of the covering number of as many fresh rows of the same law, at radii "
        f"relative to the largest distance.\n\n{part('log_cover')}\n\n"
        "## Diameters and slopes\n\n"
        "The supremum, extrapolated from the largest values of a sample: indicative. What a "
        "sample does not show (the last line) is not in the interval.\n\n"
        f"{part('diameter')}\n\n{part('lipschitz')}\n\n"
        "## The structural level\n\n"
        "The model error of the kernel ridge regression of least risk at half as many, as many and "
        "twice as many rows as were seen, found by brute force over 40 fresh data sets. Half of "
        "the tasks on the disc are exactly symmetric; the others have an amplitude with a "
        f"half-normal law of scale 1/2.\n\n{part('level')}\n\n{_all_levels(table)}\n\n"
        f"## Reading\n\n{_low(table)}\n",
    )
    print(GEOMETRY_PAGE.read_text())


def _table(table: pd.DataFrame) -> str:
    sizes = sorted(table["n"].unique())
    several = table["quantity"].nunique() > 1
    head = ["| |", *(["quantity |"] if several else []), *(f"n = {n} |" for n in sizes), "runs |"]
    lines = [" ".join(head), "|---" * (len(head)) + "|"]
    for (problem, quantity), rows in table.groupby(["problem", "quantity"], sort=False):
        by_n = rows.set_index("n")
        cells = [str(problem), *([str(quantity)] if several else [])]
        cells += [
            f"{by_n.loc[n, 0.9]:.2f} ({by_n.loc[n, 'width']:.2g})" if n in by_n.index else ""
            for n in sizes
        ]
        lines.append(f"| {' | '.join(cells)} | {int(rows['runs'].max())} |")
    return "\n".join(lines)


def _all_levels(table: pd.DataFrame) -> str:
    """Say how often the intervals of the level hold the optimum, over all tasks."""
    part = table[table["quantity"].str.startswith("level")]
    share = float((part[0.9] * part["runs"]).sum() / max(part["runs"].sum(), 1))
    return f"Over all tasks and numbers of rows, {share:.1%} of the intervals hold the optimum."


def _low(table: pd.DataFrame) -> str:
    """Name the cells whose intervals cover too little, of every quantity."""
    part = table[table[0.9] < _LEAST]
    cells = [
        f"- {r['problem']}, {r['quantity']}, n = {r['n']}: {r[0.9]:.2f} of {r['runs']} runs"
        for _, r in part.iterrows()
    ]
    return f"Below {_LEAST}:\n\n" + ("\n".join(cells) or "- nothing")
