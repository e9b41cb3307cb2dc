"""The page of learning curves: what they say at the sample sizes that matter to the reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from equiprob.curves.result import LearningCurveResult
from equiprob.posterior.results import credible_interval
from equiprob.report.audit_page import result_page
from equiprob.report.page import Page, Section

if TYPE_CHECKING:
    import pandas as pd

_CI_PROB = 0.9


def curve_page(curve: LearningCurveResult, *, sizes: Sequence[float] = ()) -> Page:
    """Return the page of learning curves.

    Args:
        curve: The curves.
        sizes: Numbers of training rows to judge at; the largest observed and ten times that when
            there are none.
    """
    last = float(curve.n_observed[-1])
    page = result_page(curve)
    answers = Section(
        heading="Which candidate, at which size?",
        table=_answers(curve, sorted(set(sizes)) or [last, 10 * last]),
        table_caption=(
            "Expected risk on fresh rows, with its 90 % credible interval, and the probability of "
            "having the least"
        ),
        assumptions="Beyond the largest size observed, how much curves may turn is a prior.",
    )
    return replace(page, sections=[answers, *page.sections])


def _answers(curve: LearningCurveResult, sizes: Sequence[float]) -> pd.DataFrame:
    """Return a row for each candidate at each size, the likeliest best first."""
    import pandas as pd

    rows = []
    for n in sizes:
        best, risk = curve.p_best(n), curve.risk(n)
        for name in best.sort_values(ascending=False, kind="stable").index:
            low, high = credible_interval(risk[name].to_numpy(), _CI_PROB)
            median = float(np.median(risk[name]))
            rows.append((name, f"{n:,.0f}", f"{best[name]:.2f}", median, low, high))
    columns = ["candidate", "n", "p_best", "risk", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).set_index("candidate")
