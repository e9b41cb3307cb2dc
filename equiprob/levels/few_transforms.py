"""How much more risk has an average over few transformations than one over all?

A random average that is unbiased in every row costs the squared error its variance, and nothing
else: ``R(S_m f) - R(S f) = E |S_m f - S f|^2``. Of independent transformations that is v / m, with
v the variance of the turned-back output over the transformations. Of a lattice it is what two
lattices of independent shifts differ by: half of the square where they are of one size, and at most
all of it where they are not. Lattices that are parts of those that were evaluated are evaluated,
too. Of any other loss, averages over a part are judged beside those over all that there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from equiprob.levels.paths import AbstractPath, Blend
from equiprob.levels.paths.base import targets
from equiprob.levels.row_losses import Loss, squared_loss
from equiprob.orbits.table import OrbitTable, Rows

EXCESS = "excess_"
"""How names of rows begin whose excess is of averages over so many transformations."""


def budget_rows(
    table: OrbitTable, path: AbstractPath, loss: Loss, position: float
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Return what a budget of transformations needs of each row, and facts.

    Args:
        table: The table, with targets.
        path: The path.
        loss: The loss.
        position: The recommended position.

    Returns:
        ``orbit_variance``, ``excess_<size>`` and ``pair_sq``, as far as they are known: for a blend
        and the squared error of the average over all, else at the position.
    """
    facts: dict[str, Any] = {
        "excess_of": "squared" if loss is squared_loss else "loss",
        "n_elements": path.n_elements(table, position),
        "lattices_at_most": len(set(table.design.replicates)) > 1,
    }
    rows: dict[str, Rows | None] = {}
    if table.noise_repeats > 1:  # noise adds to the variance, and is not an orbit's
        return {}, facts
    if loss is not squared_loss:
        if isinstance(path, Blend):
            kept = path.kept(position)
            rows |= _named({} if kept == 1 else evaluated_excess(table, loss, kept))
    elif isinstance(path, Blend):
        rows |= {"orbit_variance": orbit_variance(table), **_named(lattice_excess(table))}
        rows["pair_sq"] = table.only.pair_sq if table.transform.is_haar else None
    else:
        rows["orbit_variance"] = path.orbit_variance(table, position)
    return {name: values for name, values in rows.items() if values is not None}, facts


def _named(by_size: dict[int, Rows]) -> dict[str, Rows]:
    return {f"{EXCESS}{size}": values for size, values in by_size.items()}


def orbit_variance(table: OrbitTable) -> Rows | None:
    """Return the variance of turned-back outputs over the transformations, ``(row,)``, unbiased.

    None where it is not known: with one transformation a row, or where rows are pooled.
    """
    squared = table.mean_displacement_sq
    return None if squared is None else table.moments.pair_sq - squared


def lattice_excess(table: OrbitTable) -> dict[int, Rows]:
    """Return the excess squared error of lattices that were evaluated, by size, ``(row,)``.

    Empty where no lattices were.
    """
    design, stats = table.design, table.only
    if design.kind != "quasi" or len(design.replicates) != 2:
        return {}
    sizes, means = design.replicates, stats.displacement
    apart = ((means[:, 0] - means[:, 1]) ** 2).sum(axis=1)
    alike = sizes[0] == sizes[1]
    found: dict[int, list[Rows]] = {}
    for which, size in enumerate(sizes):
        found.setdefault(size, []).append(apart / 2 if alike else apart)
        for part, parts in _sub_lattices(table, which):
            squares = ((parts - means[:, None, 1 - which]) ** 2).sum(axis=2).mean(axis=1)
            found.setdefault(part, []).append(squares - apart / 2 if alike else squares)
    squared = table.mean_displacement_sq
    assert squared is not None, "lattices of two sizes have a square of distinct ones"
    whole = {sum(sizes): table.shipped_displacement_sq - squared}
    return {size: np.mean(each, axis=0) for size, each in sorted(found.items())} | whole


def evaluated_excess(table: OrbitTable, loss: Loss, kept: float) -> dict[int, Rows]:
    """Return how much more of any loss averages over parts have than over all, by size, ``(row,)``.

    Args:
        table: The table, with its displacements.
        loss: The loss.
        kept: The share of the model itself.
    """
    base, y = table.only.base, targets(table)
    whole = loss(y, base + (1 - kept) * table.mean_displacement)
    found: dict[int, list[Rows]] = {}
    for size, parts in _parts(table):
        each = [loss(y, base + (1 - kept) * parts[:, j]) for j in range(parts.shape[1])]
        found.setdefault(size, []).append(np.mean(each, axis=0) - whole)
    means = {size: np.mean(each, axis=0) for size, each in sorted(found.items())}
    return means | {table.design.n_transforms: np.zeros(len(base))}


def _parts(table: OrbitTable) -> Iterator[tuple[int, Rows]]:
    """Yield sizes and the averages over parts of so many transformations, ``(row, part, k)``."""
    design, raw = table.design, table.only.raw
    if design.kind == "quasi":
        for which, size in enumerate(design.replicates):
            yield size, table.only.displacement[:, which : which + 1]
            yield from _sub_lattices(table, which)
        return
    if raw is None:
        return
    order = np.random.default_rng(design.n_transforms).permutation(design.n_transforms)
    size = 1
    while 2 * size <= len(order):
        blocks = order[: len(order) // size * size].reshape(-1, size)
        yield size, raw[:, blocks].mean(axis=2)
        size *= 2


def _sub_lattices(table: OrbitTable, which: int) -> Iterator[tuple[int, Rows]]:
    """Yield the averages ``(row, lattice, k)`` over lattices within one, and their size.

    In one dimension every k-th point of a lattice is one; of other designs single points are.
    """
    raw, transform = table.only.raw, table.transform
    if raw is None:
        return
    sizes = table.design.replicates
    start, size = sum(sizes[:which]), sizes[which]
    mine = raw[:, start : start + size]
    equispaced = transform.n_uniforms == 1 and not transform.has_own_spread
    for part in range(1, size):
        if size % part == 0 and (equispaced or part == 1):
            yield part, mine.reshape(len(mine), part, size // part, -1).mean(axis=1)
