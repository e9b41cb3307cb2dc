"""Which transformations does the model respect, up to a tolerance?

The approximate stabilizer ``{g : e_f(g) <= tolerance}``. It need not be a group: only at tolerance
0 is it closed under composition for sure, so subgroups are checked as groups, element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.errors.crossed_errors import profile_squared
from equiprob.errors.steps import largest_step
from equiprob.errors.table_findings import design_diagnostics, rounding_limit
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.subgroups import subgroups

Draws = NDArray[np.float64]

_N_TOLERANCES = 41
_MOST_ELEMENTS = 64
"""Elements of a finite group up to which its subgroups are looked for."""


@dataclass(frozen=True, kw_only=True)
class StabilizerFacts(RowFacts):
    """What travels with a stabilizer.

    Args:
        transform: The transform.
        what: What was looked at: transformations or elements.
        tolerance: In output units.
        unit: Of outputs.
        credibility: The probability asked of each.
        largest_magnitude: Up to which all those seen are within the tolerance.
        subgroup: The largest subgroup that is; None where it was not looked for.
        n_elements: Of the group, then.
        magnitude_label: What the size of a transformation is.
        magnitude_unit: Its unit.
    """

    transform: str
    what: str
    tolerance: float
    unit: str
    credibility: float
    largest_magnitude: float
    subgroup: Sequence[int] | None
    n_elements: int | None
    magnitude_label: str
    magnitude_unit: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class StabilizerResult(AbstractResult):
    """Posterior of the approximate stabilizer; made by `Stabilizer.fit`."""

    facts: StabilizerFacts = field(repr=False)

    @property
    def probability(self) -> NDArray[np.float64]:
        """Probability that each transformation is in the stabilizer, ``(transform,)``."""
        return self.draws["membership"].mean(axis=0)

    @property
    def largest_magnitude(self) -> float:
        """The magnitude up to which all transformations are in it, with the stated probability."""
        return self.facts.largest_magnitude

    @property
    def subgroup(self) -> tuple[int, ...] | None:
        """Elements of the largest subgroup in it with the stated probability (finite groups)."""
        found = self.facts.subgroup
        return None if found is None else tuple(found)

    def __str__(self) -> str:
        """Say what was found."""
        facts = self.facts
        sure = int((self.probability >= facts.credibility).sum())
        text = (
            f"Of {len(self.probability)} {facts.what} of {facts.transform}, {sure} change "
            f"the output by no more than {facts.tolerance:.3g} {facts.unit} with probability "
            f"{100 * facts.credibility:.3g} % each. "
        )
        unit = facts.magnitude_unit and f" {facts.magnitude_unit}"
        if facts.largest_magnitude > 0:
            text += (
                f"All those seen up to {facts.largest_magnitude:.3g}{unit} do, together with "
                f"that probability."
            )
        else:
            text += "There is no range of small ones that all do."
        if self.subgroup is not None:
            text += (
                f" The largest subgroup that does has {len(self.subgroup)} of the group's "
                f"{facts.n_elements} elements."
            )
        return text + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Stabilizer(AbstractEstimator):
    """Find the transformations that change the output by no more than a tolerance.

    Args:
        tolerance: Root mean square change of the output that still counts as none, in output units.
        credibility: The probability that statements are made with.
        tolerances: Further tolerances for ``measure``; a grid up to the largest error when left
            out.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs. Transformations that were
        not evaluated are not spoken of; over magnitude bins, neither is a single transformation.

    References:
        Petrache & Trivedi, NeurIPS 2023 (the stabilizer up to an error); docs/mismatch.md.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> quarters = ep.transforms.cyclic(4, acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(lambda rows: rows[:, 0] ** 2, x, quarters)
        >>> result = ep.Stabilizer(tolerance=0.1).fit(orbits)
        >>> result.coords["transform"]
        array([  0.,  90.,  90., 180.])
        >>> result.draws["membership"].mean(axis=0)  # no turn, and the half turn
        array([1., 0., 0., 1.])
    """

    tolerance: float
    credibility: float = 0.9
    tolerances: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not (np.isfinite(self.tolerance) and self.tolerance > 0):
            raise ValueError(
                f"tolerance must be a positive change of the output, got {self.tolerance}"
            )
        if not 0 < self.credibility < 1:
            raise ValueError(f"credibility must lie between 0 and 1, got {self.credibility}")
        if self.tolerances is not None and not as_numbers("tolerances", self.tolerances).size:
            raise ValueError("tolerances is empty: list changes of the output, or leave it out")

    def fit(self, orbits: OrbitTable) -> StabilizerResult:
        """Fit to an orbit table.

        Args:
            orbits: The table of one output: crossed or full design for single transformations;
                otherwise bins of their magnitude are judged.

        Returns:
            Draws of ``membership`` (0 or 1) by transformation, smallest first, and of ``measure``,
            the probability of the stabilizer under the transformations' law, by tolerance.

        Raises:
            ValueError: If a full design did not keep its displacements.
        """
        table = orbits.finite
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        errors, magnitude, weights, what = _errors(table, means)
        order = np.argsort(magnitude, kind="stable")
        sorted_errors, sorted_magnitude = errors[:, order], magnitude[order]
        grid = self._grid(errors)
        inside = (sorted_errors <= self.tolerance).astype(np.float64)
        measure = np.stack([(errors <= eps) @ weights for eps in grid], axis=1)
        jointly = np.minimum.accumulate(inside, axis=1).mean(axis=0)
        # All transformations of one magnitude belong to a range or none does.
        last = np.searchsorted(sorted_magnitude, sorted_magnitude * (1 + 1e-9), side="right") - 1
        reached = np.flatnonzero(jointly[last] >= self.credibility)
        subgroup = self._subgroup(table, errors)
        columns = {"the squared error": table.only.pair_sq}
        if table.only.pair_sq.mean() <= rounding_limit(table) ** 2:
            columns = {}  # which rows round most says nothing
        rows = RowFindings.of(means, columns, orbits.positions, orbits.left_out)
        return StabilizerResult(
            draws={"membership": inside, "measure": measure},
            dims={"membership": ("transform",), "measure": ("tolerance",)},
            coords={"transform": sorted_magnitude, "tolerance": grid},
            units={"membership": "probability", "measure": "probability"},
            diagnostics=worst_first(design_diagnostics(orbits) | rows.found),
            facts=StabilizerFacts(
                transform=str(table.transform),
                weight_seed=self.weight_seed,
                what=what,
                tolerance=self.tolerance,
                unit=table.only.unit,
                credibility=self.credibility,
                largest_magnitude=float(sorted_magnitude[reached[-1]]) if len(reached) else 0.0,
                subgroup=subgroup,
                n_elements=None if subgroup is None else errors.shape[1],
                n_rows=len(table),
                **rows.facts,
                magnitude_label=table.transform.magnitude_label,
                magnitude_unit=table.transform.magnitude_unit,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
            ),
            rows={"row_id": table.row_ids},
        )

    def _grid(self, errors: Draws) -> Draws:
        if self.tolerances is not None:
            return np.unique(np.asarray(self.tolerances, dtype=np.float64))
        return np.linspace(0.0, 1.05 * max(errors.max(), self.tolerance), _N_TOLERANCES)

    def _subgroup(self, table: OrbitTable, errors: Draws) -> list[int] | None:
        """Return the largest subgroup whose elements are all inside with enough probability."""
        finite = table.transform.enumeration()
        if finite is None or table.design.kind != "full" or len(finite.weights) > _MOST_ELEMENTS:
            return None
        groups = subgroups(table.transform)
        if groups is None:
            return None
        inside = errors <= self.tolerance
        sure = [g for g in groups if inside[:, sorted(g)].all(axis=1).mean() >= self.credibility]
        return sorted(max(sure, key=len)) if sure else []


def _errors(table: OrbitTable, means: RowMeans) -> tuple[Draws, Draws, Draws, str]:
    """Return draws of the error at transformations or magnitude bins, their sizes and weights."""
    stats, design, transform = table.only, table.design, table.transform
    step = largest_step(table) or 0.0
    if design.kind == "full" and stats.raw is None:
        raise ValueError("displacements were not kept: pass keep='all' to evaluate_orbits")
    if design.kind in ("full", "crossed"):
        each = stats.pair_sq_each
        if each is None:
            assert stats.raw is not None, "kept in full designs, as checked above"
            each = (stats.raw**2).sum(axis=2)
        squares = profile_squared(each, means, means.mean(each @ design.weights))
        magnitude = transform.magnitude(table.parameters()[0])
        still = (magnitude > 0) & ~each.any(axis=0)
        if step and still.any():
            squares[:, still] = means.mean(np.zeros(len(each)), (0.0, step))[:, None]
        return np.sqrt(squares), magnitude, design.weights, "transformations"
    seen = stats.bin_weight.sum(axis=0) > 0
    squares = means.weighted_means(stats.bin_sq[:, seen], stats.bin_weight[:, seen], step)
    weights = stats.bin_weight[:, seen].sum(axis=0)
    return (
        np.sqrt(np.maximum(squares, 0.0)),
        table.bin_magnitude[seen],
        weights / weights.sum(),
        "magnitude bins",
    )
