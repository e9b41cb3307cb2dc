"""A billion rows on a thousand accelerators, on paper: every number follows from measured ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS = 1_000_000_000
DEVICES = 1000


@dataclass(frozen=True)
class Parts:
    """What was measured on one core here, for one row or one table.

    Args:
        transforms: Transformations a row.
        beyond: Seconds of a pass beyond the bare model passes, for each row: the host's work.
        row_bytes: Bytes of one row's input.
        table_bytes: Bytes of one table pooled into blocks.
        merge: Seconds to merge two tables.
    """

    transforms: int
    beyond: float
    row_bytes: float
    table_bytes: float
    merge: float


@dataclass(frozen=True)
class Machine:
    """What is supposed of the cluster, not measured.

    Args:
        passes: Model passes of a row in a second, on one accelerator.
        read: Bytes in a second that each accelerator's host reads.
        link: Bytes in a second between two hosts.
        cores: Cores of the host for each accelerator that prepare rows.
    """

    passes: float
    read: float = 1e9
    link: float = 1e9
    cores: float = 1.0


def terms(parts: Parts, machine: Machine) -> dict[str, float]:
    """Return the seconds that each part of the work takes; parts of one host overlap."""
    rows = ROWS / DEVICES
    rounds = np.ceil(np.log2(DEVICES))  # tables are merged in pairs
    return {
        "model passes": rows * (parts.transforms + 1) / machine.passes,
        "host work (transformations, statistics, ids)": rows * parts.beyond / machine.cores,
        "reading inputs": rows * parts.row_bytes / machine.read,
        "merging tables": rounds * (parts.merge + parts.table_bytes / machine.link),
    }


def rows_of_table(parts: Parts, speeds: tuple[float, ...]) -> list[str]:
    """Return a line for each speed of an accelerator."""
    lines = []
    for speed in speeds:
        found = terms(parts, Machine(speed))
        largest = max(found, key=lambda name: found[name])
        cells = " | ".join(f"{seconds:,.3g}" for seconds in found.values())
        lines.append(f"| {speed:,.0f} | {cells} | {largest} |")
    return lines


def page(parts: Parts, versions: str) -> str:
    """Return the page on scale."""
    names = list(terms(parts, Machine(1.0)))
    equal = (parts.transforms + 1) / parts.beyond
    reading = parts.beyond * Machine(1.0).read
    table = "\n".join(rows_of_table(parts, (1e4, 1e5, 1e6, 1e7)))
    passes = ROWS * (parts.transforms + 1)
    return (
        "# Scale, on paper\n\n"
        f"Written by `python -m benchmarks.performance` ({versions}). **Nothing on this page was "
        f"run at this size.** {ROWS:,} rows with {parts.transforms} transformations each on "
        f"{DEVICES:,} accelerators: each takes an equal share of the rows, keeps its table in "
        "blocks, and tables are merged in pairs at the end.\n\n"
        "## Measured, on one core of the machine of [performance](performance.md)\n\n"
        "| part | value |\n|---|---|\n"
        f"| a pass beyond its bare model passes, a row | {1e6 * parts.beyond:.1f} microseconds |\n"
        f"| input of one row (16 points of the plane) | {parts.row_bytes:.0f} bytes |\n"
        f"| one table in blocks, however many rows | {parts.table_bytes / 1e6:.2f} MB |\n"
        f"| merging two tables | {1e3 * parts.merge:.1f} ms |\n\n"
        "## Supposed\n\n"
        f"Hosts read inputs and send tables at {Machine(1.0).read / 1e9:.0f} GB a second each, "
        "and one core prepares the rows of one accelerator. All rows together are "
        f"{passes:,} model passes and {ROWS * parts.row_bytes / 1e12:.2f} TB of inputs; "
        f"{DEVICES * parts.table_bytes / 1e9:.1f} GB of tables are sent.\n\n"
        "## Seconds of each part\n\n"
        f"| passes a second on one accelerator | {' | '.join(names)} | binds first |\n"
        f"|---{'|---' * (len(names) + 1)}|\n"
        f"{table}\n\n"
        f"Model passes bind up to {equal:,.0f} passes a second on each accelerator; for quicker "
        "models it is the host's work on one core, which more cores for each accelerator divide: "
        "chunks are independent. Reading would bind in its place for rows of more than "
        f"{reading:,.0f} bytes. Merging does not: its time grows with the logarithm of the number "
        "of machines, and the table does not grow with the rows.\n"
    )
