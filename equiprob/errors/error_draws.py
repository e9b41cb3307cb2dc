"""What are the errors of a table: over all, by size and part of the transformations, relative ones?

Squared displacements to the row itself ("identity pairs") are unbiased for the squared error under
every design with the law's marginals; the variance within a row is not, and is never used for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.crossed_errors import (
    means_by_unit,
    place_in_law,
    profile_squared,
    worst_squared,
)
from equiprob.errors.fixed_outputs import fixed_part_of_mean
from equiprob.errors.steps import largest_step
from equiprob.errors.table_findings import is_quiet, rounding_limit
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.hierarchical import Hierarchical
from equiprob.posterior.parts_of_rows import means_of_parts
from equiprob.posterior.row_means import RowMeans

Draws = NDArray[np.float64]
Part = tuple[Draws, Draws]

_CONSTANT = 1e-12
"""Variation over rows, relative to the output's size, below which there is none to compare with."""


@dataclass(frozen=True, eq=False)
class ErrorDraws:
    """Draws of the errors of one table.

    Args:
        draws: ``error``, ``profile``, and where there are such ``relative_error``, ``worst_error``,
            ``error_by_part``.
        dims: Dimensions beyond the draw.
        coords: Their coordinates.
        found: What is to be said of them.
        facts: How well chains mixed, where they were sampled.
        parts: What the draws of parts are means of: sums within rows and how much of each row
            counts, ``(row,)`` each, by name.
        step: The largest squared change that outputs of few values could show; None of others.
    """

    draws: dict[str, Draws]
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, NDArray[Any]]
    found: set[Diagnostic] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    step: float | None = None

    @property
    def unchanged(self) -> bool:
        """Whether no row shows a change beyond rounding."""
        return not self.found.isdisjoint({Diagnostic.UP_TO_ROUNDING, Diagnostic.NO_STEP_SEEN})


def error_draws(
    table: OrbitTable,
    means: RowMeans,
    posterior: Hierarchical | None = None,
    *,
    whole_only: bool = False,
) -> ErrorDraws:
    """Return draws of the errors of a table of one output.

    Args:
        table: The table, rows with finite outputs.
        means: The means over its rows.
        posterior: Of the transformations of a crossed design, in place of the closed form.
        whole_only: Leave out errors by size and part of the transformations.
    """
    step = largest_step(table)
    crossed = table.design.kind == "crossed"
    if whole_only and not crossed:
        errors = ErrorDraws({"error": root(means.mean(table.moments.pair_sq))}, {}, {})
    elif crossed:
        errors = _crossed(table, means, posterior)
    else:
        errors = _by_row(table, means, step or 0.0)
    draws, found = errors.draws, errors.found
    if is_quiet(table) and np.quantile(draws["error"], 0.95) <= rounding_limit(table):
        found.add(Diagnostic.UP_TO_ROUNDING if step is None else Diagnostic.NO_STEP_SEEN)
    if Diagnostic.NO_STEP_SEEN in found:
        draws["error"] = root(means.mean(np.zeros(len(means.unit_ids)), (0.0, step or 0.0)))
        if crossed:
            shape = draws["profile"].shape
            draws["profile"] = np.broadcast_to(draws["error"][:, None], shape)
            draws["worst_error"] = draws["error"]
    relative = _relative_error(
        table, means, draws["error"], seen=Diagnostic.NO_STEP_SEEN not in found
    )
    if relative is None:
        found.add(Diagnostic.CONSTANT_OUTPUT)
    else:
        draws["relative_error"] = relative
    dims, coords, parts = errors.dims, errors.coords, errors.parts
    if table.transform.parts and not whole_only:
        drawn = table.moments.part_weight.sum(axis=0) > 0
        squares, weights = table.moments.part_sq[:, drawn], table.moments.part_weight[:, drawn]
        names = np.array(table.transform.parts)[drawn]
        draws["error_by_part"] = root(means_of_parts(means, squares, weights, step or 0.0))
        coords, dims = {**coords, "part": names}, {**dims, "error_by_part": ("part",)}
        each = zip(names, squares.T, weights.T, strict=True)
        parts = {f"the squared error of {name} ones": (top, bottom) for name, top, bottom in each}
        parts |= errors.parts
        if not drawn.all():
            found.add(Diagnostic.PART_NOT_DRAWN)
    return ErrorDraws(draws, dims, coords, found, errors.facts, parts, step)


def root(squares: Draws) -> Draws:
    """Return the root of draws of a square; of what noise that was taken off leaves below 0, 0."""
    return np.sqrt(np.maximum(squares, 0.0))


def _by_row(table: OrbitTable, means: RowMeans, step: float) -> ErrorDraws:
    """Return draws where each row has its own transformations.

    Args:
        table: The table.
        means: The means over its rows.
        step: The largest squared change of outputs that take few values, 0 of others.
    """
    stats = table.moments
    seen = stats.bin_weight.sum(axis=0) > 0
    squares, weights = stats.bin_sq[:, seen], stats.bin_weight[:, seen]
    magnitude = table.bin_magnitude[seen]
    profile = means_of_parts(means, squares, weights, step)
    profile[:, (magnitude == 0) & ~squares.any(axis=0)] = 0.0  # the identity has no steps
    unit = table.transform.magnitude_unit
    at = [f"{size:.3g}{f' {unit}' if unit else ''}" for size in magnitude]
    return ErrorDraws(
        draws={"error": root(means.mean(stats.pair_sq)), "profile": root(profile)},
        dims={"profile": ("magnitude",)},
        coords={"magnitude": magnitude},
        found={Diagnostic.WORST_NEEDS_CROSSED},
        parts={
            f"the squared error at {name}": (top, bottom)
            for name, top, bottom in zip(at, squares.T, weights.T, strict=True)
        },
    )


def _crossed(table: OrbitTable, means: RowMeans, posterior: Hierarchical | None) -> ErrorDraws:
    """Return draws where all rows share a list of transformations: both are sampled."""
    each = table.only.pair_sq_each
    assert each is not None, "crossed designs keep the error of each transformation"
    magnitude = table.transform.magnitude(table.parameters()[0])
    mean_sq = means.mean(each.mean(axis=1))
    if posterior is None:
        profile_sq = profile_squared(each, means, mean_sq)
        columns = each.mean(axis=0)
        listed = RowMeans(np.arange(len(columns), dtype=np.uint64), means.n_draws, means.seed)
        relative = listed.mean(columns / (columns.mean() or 1.0))
        worst_sq = worst_squared(means_by_unit(each, table), mean_sq, profile_sq, means.seed)
        facts: dict[str, Any] = {}
    else:
        effects = posterior.effects(
            means_by_unit(each, table),
            place_in_law(magnitude, table.transform),
            n_draws=means.n_draws,
            seed=means.seed,
        )
        relative, profile_sq = effects.mean, mean_sq[:, None] * effects.each
        worst_sq, facts = profile_sq.max(axis=1), effects.facts
    order = np.argsort(magnitude, kind="stable")
    return ErrorDraws(
        draws={
            "error": root(mean_sq * relative),
            "profile": root(profile_sq)[:, order],
            "worst_error": root(worst_sq),
        },
        dims={"profile": ("transform",)},
        coords={"transform": magnitude[order]},
        facts=facts,
    )


def _relative_error(
    table: OrbitTable, means: RowMeans, error: Draws, *, seen: bool
) -> Draws | None:
    """Return draws of the error over the rms distance of the output to its fixed mean.

    None where the output does not vary.

    Args:
        table: The table.
        means: The means over its rows.
        error: Draws of the error.
        seen: Whether rows show an error, so that it has a row contrast.
    """
    stats = table.moments
    base = stats.base
    centre = fixed_part_of_mean(table, base)
    invariant = table.transform.of_output(table.outputs[0]).keeps_output
    spread = ((base - centre) ** 2).sum(axis=1) - stats.noise_sq / table.noise_repeats
    size = np.average((base**2).sum(axis=1), weights=table.mass)
    if np.average(spread, weights=table.mass) <= _CONSTANT * size:
        return None
    # The centre moves with the weights, too: take off the squared distance of the weighted mean
    # from it, along the outputs that can be a centre.
    size_sq = means.mean(spread)
    k = int(np.prod(stats.output_shape))
    moved = (means.plain((base - centre)[:, :k]) ** 2).sum(axis=1) if invariant else 0.0
    # Where the few rows that vary weigh nothing in a draw, it has no relative error: it says so.
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        kept = np.maximum(1 - moved / size_sq, np.finfo(float).tiny)
        # A crossed design's error has a random effect that no row contrast has.
        if table.design.kind == "crossed" or not seen:
            return error / np.sqrt(size_sq) / np.sqrt(kept)
    return root(means.ratio(stats.pair_sq, spread)) / np.sqrt(kept)
