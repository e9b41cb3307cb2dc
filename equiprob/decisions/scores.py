"""What does each candidate lose, or score, in each row?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.decisions.shared_rows import Seeds
from equiprob.errors.table_findings import require_deterministic
from equiprob.orbits.table import Rows
from equiprob.posterior.contrast import Limits
from equiprob.posterior.paired_means import ANY, squared_error_limits

Metric = Callable[[Rows, Rows], NDArray[Any]]
"""``metric(y, prediction) -> (row,)``, with y and prediction ``(row, k)`` and labels one-hot."""


def accuracy(y: Rows, prediction: Rows) -> NDArray[np.bool_]:
    """Return whether the most probable class is the right one, ``(row,)``."""
    return y.argmax(axis=1) == prediction.argmax(axis=1)


_NAMED_METRICS: dict[str, Metric] = {"accuracy": accuracy}


def named_metrics(metrics: str | Sequence[str] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Return metrics by name; raise where a name is not known."""
    if isinstance(metrics, str):
        metrics = [metrics]
    if isinstance(metrics, Mapping):
        return dict(metrics)
    unknown = [m for m in metrics if not (isinstance(m, str) and m in _NAMED_METRICS)]
    if unknown:
        raise ValueError(
            f"unknown metrics {unknown}: expected {list(_NAMED_METRICS)}, or a dict of functions "
            f"metric(y, prediction) -> (row,)"
        )
    return {name: _NAMED_METRICS[name] for name in metrics}


def losses_of(aligned: Seeds) -> NDArray[np.float64]:
    """Return the loss of each row and candidate ``(row, candidate)``, a mean over seeds."""
    each = [np.mean([t.squared_residual for t in tables], axis=0) for tables in aligned.values()]
    return np.column_stack(each)


def limits_of_losses(aligned: Seeds) -> Limits:
    """Return the limits of the loss of every candidate."""
    each = [
        squared_error_limits(table.only.y, table.only.base)
        for tables in aligned.values()
        for table in tables
        if table.only.y is not None
    ]
    return 0.0, max(high for _, high in each)


def scores_of(name: str, metric: Metric, aligned: Seeds) -> tuple[NDArray[np.float64], Limits]:
    """Return a metric of each row and candidate ``(row, candidate)``, averaged over seeds.

    And its limits: 0 and 1 where it is one of these in every row.
    """
    for table in (t for tables in aligned.values() for t in tables):
        require_deterministic(table, f"metric {name!r}")
    columns, between = [], (0.0, 1.0)
    for tables in aligned.values():
        with calling(f"metric {name!r}"):
            found = [metric(t.only.y, t.only.base) for t in tables]  # pyright: ignore[reportArgumentType]
        values = [as_numbers(f"what metric {name!r} returns", v) for v in found]
        if any(v.shape != (len(t),) for v, t in zip(values, tables, strict=True)):
            raise ValueError(
                f"metric {name!r} returned shape {values[0].shape}; expected one value for each of "
                f"the {len(tables[0])} rows"
            )
        if not np.isin(values, (0.0, 1.0)).all():
            between = ANY
        columns.append(np.mean(values, axis=0))
    return np.column_stack(columns), between
