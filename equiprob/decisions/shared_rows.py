"""Which rows do candidates share, and do they mean the same by them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.names import check_names
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.transforms.fingerprint import OF_INPUT, difference

Seeds = Mapping[str, Sequence[OrbitTable]]
"""The tables of each candidate, one for each training seed."""


def shared_rows(seeds: Seeds, on: str, found: set[Diagnostic]) -> dict[str, list[OrbitTable]]:
    """Return the tables restricted to the rows they share, in one order.

    Args:
        seeds: The tables.
        on: ``"rows"`` refuses tables over different rows, ``"intersection"`` takes what they share.
        found: What is to be said of them is added here.

    Raises:
        ValueError: If they have other rows, groups or targets, or share fewer than two rows.
    """
    if on not in ("rows", "intersection"):
        raise ValueError(f"on must be 'rows' or 'intersection', got {on!r}")
    check_names("a candidate's name", seeds)
    flat = [(name, table) for name, group in seeds.items() for table in group]
    for name, table in flat:
        if table.only.y is None:
            raise ValueError(f"{name!r} has no targets: pass y= to evaluate_orbits")
    everywhere = set(flat[0][1].row_ids.tolist())
    for name, table in flat[1:]:
        ids = set(table.row_ids.tolist())
        if on == "rows" and ids != everywhere:
            raise ValueError(
                f"{name!r} was evaluated on other rows than {flat[0][0]!r} "
                f"({len(ids & everywhere)} of {len(ids)} shared); evaluate both on the same x and "
                f"y (or give the same row_ids), or pass on='intersection'"
            )
        if ids != everywhere:
            found.add(Diagnostic.ROWS_LEFT_OUT)
        everywhere &= ids
    for _, table in flat:
        if table.batch_dependent:
            found.add(Diagnostic.BATCH_DEPENDENT)
        if len(table.nonfinite_rows):
            found.add(Diagnostic.NONFINITE_OUTPUTS)
        everywhere &= set(table.row_ids[table.valid].tolist())
    if len(everywhere) < 2:
        raise ValueError(
            f"the candidates share {len(everywhere)} rows with finite outputs; at least 2 are "
            f"needed"
        )
    shared = np.array(sorted(everywhere), dtype=np.uint64)
    aligned = {name: [table.rows(shared) for table in group] for name, group in seeds.items()}
    first = aligned[flat[0][0]][0]
    for name, group in aligned.items():
        for table in group:
            if not np.array_equal(table.unit_ids, first.unit_ids):
                raise ValueError(f"{name!r} has other groups than {flat[0][0]!r}; pass the same")
            if table.only.y is None or not np.allclose(table.only.y, first.only.y):  # pyright: ignore[reportArgumentType]
                raise ValueError(f"{name!r} has other targets than {flat[0][0]!r} on the same rows")
    return aligned


def left_out_of(seeds: Seeds) -> str | None:
    """Say which rows have no finite outputs of which candidate, and so are compared of none."""
    each = [
        f"{name!r} lacks {table.left_out}"
        for name, tables in seeds.items()
        for table in tables
        if table.left_out is not None
    ]
    return "; ".join(each) or None


def other_transforms(seeds: Seeds) -> dict[str, str]:
    """Return what tells candidates' transforms from the first one's, in words by candidate."""
    reference, *_ = seeds
    first = seeds[reference][0].fingerprint
    apart = {
        name: difference(first, table.fingerprint, named=(reference, name), besides=OF_INPUT)
        for name, tables in seeds.items()
        for table in tables
    }
    return {name: words for name, words in apart.items() if words is not None}


def numbers_of_rows(whole: OrbitTable, part: OrbitTable) -> NDArray[np.int64]:
    """Return the places in one table of the rows of another."""
    order = np.argsort(whole.row_ids)
    return order[np.searchsorted(whole.row_ids, part.row_ids, sorter=order)]
