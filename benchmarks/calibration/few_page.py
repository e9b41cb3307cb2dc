"""The page on few rows and few groups: what differs on a few rows, and what a few groups decide."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import pandas as pd

from benchmarks.calibration.few_rows_problems import GROUPS, SIZES
from benchmarks.calibration.limit_problems import CREDIBILITY, FACTORS, RULES
from benchmarks.calibration.page import PAGE, SHORT, SHORT_FEW, markdown, tabulate
from benchmarks.pages import write

_LIMIT = "limit, "
"""How the names of problems of limits begin."""

FEW_PAGE = PAGE.with_name("calibration_few.md")


def write_few_page(records: list[dict[str, Any]]) -> None:
    """Write the page."""
    table = tabulate([r for r in records if "covered" in r])
    scores = pd.DataFrame.from_records([r for r in records if "value" in r])
    of_limits = scores["problem"].str.startswith(_LIMIT)
    runs = int(table["runs"].max())
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    grouped = table["quantity"] == "risk"
    columns = sorted({30, 100, *SIZES})
    write(
        FEW_PAGE,
        "# Calibration: few rows that differ, few groups\n\n"
        f"Written by `python -m benchmarks.calibration --suites few` ({versions}, Python "
        f"{platform.python_version()}; at least {runs // 2} replications a problem and number of "
        "rows, 1000 draws each).\n\n"
        "How often each candidate fails is drawn anew for each test set. Labels that differ on a "
        "few rows; three classifiers of which each is wrong wherever the one before is; 30 rows on "
        "which one is often right everywhere; regressors whose rare failures are most of their "
        "risk.\n\n"
        "A cell is the share of 90 % credible intervals that hold the truth, in brackets their "
        f"median width over the truth; below {SHORT} ({SHORT_FEW} under 100 rows) by more than two "
        f"standard errors it is bold.\n\n## Risks and their differences\n"
        f"{markdown(table[~grouped], columns, surely=True)}\n\n"
        "Regressors that fail on 2 %: of 100 rows many a sample holds no failure of the one that "
        "is then shipped, and its risk is too small by nearly all of it. No interval knows that; "
        "results on such rows say so.\n\n"
        "## Who is best, and how sure\n\n"
        "Mean stated probability (or expected regret) of the recommended candidate, the share that "
        "is best (or the mean regret), and how many there are. *As sure*: where at least .99 is "
        f"stated.\n\n{_stated(scores[~of_limits])}\n\n"
        "## Limits on the error\n\n"
        "Share of samples in which a model passes a limit, by how many times the limit is larger "
        f"than its true error, at a credibility (or confidence) of {CREDIBILITY:g}. At the true "
        f"error itself {1 - CREDIBILITY:.0%} may pass; at larger limits all should. *Interval "
        "alone*: the upper end of the credible interval. *assert_equivariant*: tails are taken to "
        "be heavier where few rows carry the error. *with bound=*: the largest error is known, and "
        "the limit is held against a certificate. Failures that no row shows pass without a "
        f"bound: 55 % of samples of 300 rows hold none of 1 in 500.\n\n{_limits(scores[of_limits])}"
        "\n\n"
        "## Groups\n\n"
        f"Rows in {' or '.join(map(str, GROUPS))} groups that share all, or 30 %, of their "
        "variance, of sizes that are equal, or log-normal with log-sd 1; 20 rows a group. The "
        "number of rows is that of the groups.\n"
        f"{markdown(table[grouped], GROUPS, surely=True)}\n",
    )
    print(FEW_PAGE.read_text())


def _stated(scores: pd.DataFrame) -> str:
    lines = ["| | rows | quantity | stated | in truth | of |", "|---|---|---|---|---|---|"]
    for (problem, n, quantity), part in scores.groupby(["problem", "n", "quantity"], sort=False):
        stated, truth = part["value"].mean(), part["truth"].mean()
        lines.append(f"| {problem} | {n} | {quantity} | {stated:.4f} | {truth:.4f} | {len(part)} |")
    return "\n".join(lines)


def _limits(scores: pd.DataFrame) -> str:
    """Return how often each law passes each limit, by number of rows and rule."""
    heads = " | ".join(f"{factor:g}" for factor in FACTORS)
    lines = [f"| | rows | rule | {heads} |", "|---" * (len(FACTORS) + 3) + "|"]
    for (problem, n), part in scores.groupby(["problem", "n"], sort=False):
        passed = part.groupby("quantity")["value"].mean()
        for rule in RULES:
            shares = [passed.get(f"{rule}; {factor:g}") for factor in FACTORS]
            if None not in shares:
                cells = " | ".join(f"{share:.3f}" for share in shares)
                lines.append(f"| {str(problem).removeprefix(_LIMIT)} | {n} | {rule} | {cells} |")
    return "\n".join(lines)
