"""Tables of runs as people have them, made into a row for each run.

What is taken: no seeds; a mean with its spread and number of seeds; a column for each candidate;
sizes as "1k" or "5%"; accuracies; counts of failures or successes among trials.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.posterior.run_tables import as_frame, numbers, refuse

if TYPE_CHECKING:
    import pandas as pd


_SIZE = re.compile(r"\s*([0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kKmMgGbB%]?)\s*")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_LOSSES = ("risk", "accuracy", "failures", "successes")
_NO_CANDIDATES = ("seed", "n", "n_total", "compute", "epochs")
_MOST_SEEDS = 1000


def runs_frame(table: Any, size: str, n_total: float | None) -> pd.DataFrame:
    """Return a table with ``candidate``, ``n``, ``seed`` and ``risk``, a row for each run.

    Args:
        table: As of `equiprob.LearningCurve.fit`.
        size: The column that curves run over.
        n_total: What shares of the rows are of.

    Raises:
        ValueError: If it is no such table.
    """
    frame = as_frame(table, (size,))
    if size != "n":
        frame = frame.drop(columns="n", errors="ignore").rename(columns={size: "n"})
    frame = frame.assign(n=_sizes(frame, n_total))
    if not set(_LOSSES) & set(frame.columns):
        frame = _from_wide(frame)
    elif "candidate" not in frame.columns:
        raise ValueError(
            f"runs need a column 'candidate' (names) besides {size!r} and the risk, or a column "
            f"for each candidate in place of the risk; got {list(frame.columns)}"
        )
    _one_loss(frame)
    frame = _counted(frame)
    if "risk" not in frame.columns:
        frame = _from_accuracies(frame)
    if "seeds" in frame.columns and "seed" not in frame.columns:
        frame = _from_means(frame)
    if "seed" not in frame.columns:
        frame = frame.assign(seed=frame.groupby(["candidate", "n"]).cumcount())
    return frame


def _sizes(frame: pd.DataFrame, n_total: float | None) -> Array:
    """Return sizes as numbers: "1k" is 1000, "5%" that share of `n_total`."""
    given = frame["n"].to_numpy()
    if given.dtype.kind in "iuf":
        return given.astype(np.float64)
    found = np.full(len(given), np.nan)
    for i, value in enumerate(given):
        match = _SIZE.fullmatch(str(value))
        if match is None:
            row = frame.index[i]
            raise ValueError(
                f"n must be a number of rows such as 1000, '1k' or '5%', got {value!r} in row {row}"
            )
        number, unit = float(re.sub("[_,]", "", match[1])), match[2].lower()
        if unit == "%" and n_total is None:
            raise ValueError(
                f"n is {value!r} in row {frame.index[i]}: pass n_total=, the rows it is of"
            )
        found[i] = number * (float(n_total or 0.0) / 100 if unit == "%" else _UNITS[unit])
    return found


def _from_wide(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each run of a table that has a column for each candidate."""
    names = [c for c in frame.columns if c not in _NO_CANDIDATES]
    wrong = [c for c in names if frame[c].dtype.kind not in "iuf"]
    if not names or wrong or "candidate" in names:
        raise ValueError(
            f"runs need the columns 'candidate', 'n' and 'risk' (or 'accuracy', or 'failures' and "
            f"'trials'), a row for each training run; or 'n' and a column of risks for each "
            f"candidate; got {list(frame.columns)}"
        )
    kept = [c for c in ("n", "seed") if c in frame.columns]
    long = frame.melt(id_vars=kept, value_vars=names, var_name="candidate", value_name="risk")
    long.index = [f"{row.candidate} at n = {row.n:g}" for row in long.itertuples()]  # pyright: ignore[reportAttributeAccessIssue]
    return long


def _one_loss(frame: pd.DataFrame) -> None:
    for column in ("loss", "metric"):
        kinds = frame[column].dropna().unique() if column in frame.columns else []
        if len(kinds) > 1:
            raise ValueError(
                f"the risks of one table must be of one loss, and the column {column!r} has "
                f"{sorted(map(str, kinds))}: bring them to one (square rooted errors), or fit a "
                f"table for each"
            )


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with risks of counts, which may be zero."""
    by = next((c for c in ("failures", "successes") if c in frame.columns), None)
    if by is None:
        return frame
    if "trials" not in frame.columns:
        raise ValueError(f"{by} need a column 'trials': among how many they are")
    trials, count = numbers(frame, "trials"), numbers(frame, by)
    known = np.isfinite(count)
    bad = known & ~(np.isfinite(trials) & (trials > 0) & (trials == np.round(trials)))
    refuse(frame, bad, "trials", "must be a whole number above 0")
    bad = known & ~((count >= 0) & (count <= trials) & (count == np.round(count)))
    refuse(frame, bad, by, "must be a whole number from 0 to trials")
    failures = count if by == "failures" else trials - count
    if by == "failures" and "successes" in frame.columns:
        total = failures + numbers(frame, "successes")
        refuse(
            frame, known & (total != trials), "trials", "must be failures and successes together"
        )
    # The half keeps logarithms finite; the likelihood is that of the counts themselves.
    rate = (failures + 0.5) / (trials + 1)
    return frame.assign(failures=failures, risk=rate, risk_se=np.sqrt(rate * (1 - rate) / trials))


def _from_accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    accuracy = numbers(frame, "accuracy")
    bad = np.isfinite(accuracy) & ~((accuracy >= 0) & (accuracy <= 1))
    refuse(frame, bad, "accuracy", "must lie between 0 and 1 (divide percentages by 100)")
    if "trials" in frame.columns:
        failures = np.round((1 - accuracy) * numbers(frame, "trials"))
        return _counted(frame.assign(failures=failures))
    refuse(
        frame,
        accuracy == 1,
        "accuracy",
        "must be below 1 (how large the risk is, is not known then), or come with a column "
        "'trials', the number of test rows",
    )
    return frame.assign(risk=1 - accuracy)


def _from_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return as many runs as there were seeds, of the mean and the spread that are given."""
    import pandas as pd

    count = numbers(frame, "seeds")
    bad = ~((count >= 1) & (count <= _MOST_SEEDS) & (count == np.round(count)))
    refuse(frame, bad, "seeds", "must be the number of runs that a mean is of, 1 to 1000")
    spread = numbers(frame, "sd") if "sd" in frame.columns else np.full(len(frame), np.nan)
    refuse(frame, (spread < 0) | np.isinf(spread), "sd", "must not be negative or infinite")
    rows = []
    for i, (_, row) in enumerate(frame.iterrows()):
        n, mean = int(count[i]), float(row["risk"])
        # Without a spread, means of several seeds are one run, whose noise is not known.
        known = n > 1 and np.isfinite(spread[i]) and np.isfinite(mean) and mean > 0
        white = np.linspace(-1.0, 1.0, n) if known else np.zeros(1)
        if known:
            white = white / white.std(ddof=1)
            white = np.exp(np.sqrt(np.log1p((spread[i] / mean) ** 2)) * white)
            values = mean * white / white.mean()
        else:
            values = np.array([mean])
        rows += [row.to_dict() | {"risk": v, "seed": s} for s, v in enumerate(values)]
    return pd.DataFrame(rows)
