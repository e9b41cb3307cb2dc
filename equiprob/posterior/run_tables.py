"""What is wrong with a table of training runs, and with which of its runs?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def as_frame(table: Any, required: Sequence[str]) -> pd.DataFrame:
    """Return a table as a DataFrame that has some columns.

    Raises:
        ValueError: If it lacks one, or has one twice.
    """
    import pandas as pd

    try:
        frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"runs must be a DataFrame with a row for each training run, got {table!r:.80}: {error}"
        ) from None
    missing = [c for c in required if c not in frame.columns]
    if missing:
        raise ValueError(
            f"runs need the columns {list(required)}, a row for each training run; "
            f"{missing} missing from {list(frame.columns)}"
        )
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise ValueError(f"each column of runs must be there once, and {twice} are there twice")
    return frame


def numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, NaN where it has none.

    Raises:
        ValueError: If it holds something else.
    """
    given = frame[name]
    if given.dtype.kind == "c":
        raise ValueError(f"the column {name!r} must hold real numbers, got {given.dtype}")
    try:
        return given.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        row = next((f" in row {i}" for i, value in given.items() if not _is_number(value)), "")
        raise ValueError(f"the column {name!r} must hold numbers: {error}{row}") from None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return value is None
    return True


def refuse(frame: pd.DataFrame, bad: NDArray[np.bool_], column: str, words: str) -> None:
    """Raise a ValueError that names the runs that are bad, if any are."""
    if not bad.any():
        return
    names = dict.fromkeys([*(c for c in ("candidate", "n", "seed") if c in frame.columns), column])
    shown = frame.loc[bad, list(names)].head(5)
    rows = "; ".join(
        ", ".join(f"{name} {row[name]}" for name in names) for _, row in shown.iterrows()
    )
    raise ValueError(f"{column} {words}; {int(bad.sum())} runs do not: {rows}")


def refuse_unless_amounts(frame: pd.DataFrame, values: NDArray[np.float64], column: str) -> None:
    """Raise a ValueError unless all are finite and at least 0, or NaN where there is none."""
    refuse(frame, (values < 0) | np.isinf(values), column, "must not be negative or infinite")
