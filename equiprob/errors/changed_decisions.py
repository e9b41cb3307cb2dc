"""How often does a transformation change what is decided?

The share of decisions that change, ``P(argmax f(gX) != argmax f(X))``: one minus what papers on
shift invariance call consistency. An error in output units says how far probabilities move; this is
whether anybody would notice. Where outputs are no classes, a decision changes where the output
moves by more than a threshold.

References:
    Zhang, "Making convolutional networks shift-invariant again", ICML 2019 (consistency).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.magnitude_bins import MagnitudeBins
from equiprob.errors.table_findings import design_diagnostics, require_deterministic
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import OrbitFacts
from equiprob.posterior.paired_means import labels_of
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans

Draws = NDArray[np.float64]

_WHOLE = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ChangedDecisionsFacts(OrbitFacts):
    """What travels with shares of changed decisions.

    Args:
        threshold: How far an output has to move; None for classes.
        unit: Of outputs.
    """

    threshold: float | None
    unit: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ChangedDecisionsResult(AbstractResult):
    """Posterior of the share of changed decisions; made by `ChangedDecisions.fit`."""

    facts: ChangedDecisionsFacts = field(repr=False)

    @property
    def consistency(self) -> Draws:
        """Draws of one minus the share."""
        return 1 - self.draws["share"]

    def worst_rows(self, n: int = 5) -> NDArray[np.int64]:
        """Return the positions of the `n` rows whose decision changes most often, worst first."""
        order = np.argsort(-self.rows["share"], kind="stable")[:n]
        return self.rows["position"][order]

    def __str__(self) -> str:
        """Say what was found."""
        facts = self.facts
        what = (
            "the predicted class changes"
            if facts.threshold is None
            else f"the output moves by more than {facts.threshold:.3g} {facts.unit}"
        )
        text = (
            f"Under {facts.transform}, {what} with probability {_share(self.draws['share'])}, "
            f"on {facts.n_rows} rows."
        )
        if "turned_wrong" in self.draws:
            text += (
                f" A right class turns wrong with probability "
                f"{_share(self.draws['turned_wrong'])}, a wrong one right with probability "
                f"{_share(self.draws['turned_right'])}, of all rows and transformations."
            )
        if "share_by_class" in self.draws:
            middle = np.median(self.draws["share_by_class"], axis=0)
            most = int(middle.argmax())
            text += (
                f" It changes most often where class {self.coords['class'][most]} was predicted "
                f"({_share(self.draws['share_by_class'][:, most])})."
            )
        return text + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ChangedDecisions(AbstractEstimator):
    """Estimate how often a transformation changes the decision, with a posterior.

    Args:
        threshold: A displacement of the output, in its units, above which a decision counts as
            changed; the predicted class is the decision when left out.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs. No assumption on the
        symmetry of that law is needed.

    References:
        Zhang, ICML 2019 (consistency); docs/equivariance.md.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> right = lambda rows: 1.0 * (rows[:, 0] > 0)
        >>> predict = lambda rows: np.stack([1 - right(rows), right(rows)], axis=1)
        >>> orbits = ep.evaluate_orbits(predict, x, turns, keep="all", backend="python")
        >>> result = ep.ChangedDecisions().fit(orbits)
        >>> low, high = result.interval(ci_prob=0.9).loc["share"]
        >>> bool(low < 0.5 < high)  # the truth
        True
    """

    threshold: float | None = None

    def __post_init__(self) -> None:
        """Check the threshold."""
        super().__post_init__()
        if self.threshold is not None and not (np.isfinite(self.threshold) and self.threshold >= 0):
            raise ValueError(
                f"threshold must be a displacement of the output of at least 0, got "
                f"{self.threshold!r}"
            )

    def fit(self, orbits: OrbitTable) -> ChangedDecisionsResult:
        """Fit to an orbit table.

        Args:
            orbits: The table of one output, evaluated with ``keep="all"``; class probabilities (or
                scores) unless there is a threshold.

        Returns:
            Draws of ``share``, of ``share_by_magnitude`` of the transformation, of
            ``share_by_class`` (the one predicted without a transformation) and, with labels, of
            ``turned_wrong`` and ``turned_right``.

        Raises:
            ValueError: If displacements were not kept, rows share their transformations, the model
                is stochastic, or outputs are no classes and there is no threshold.
        """
        table = orbits.finite
        require_deterministic(table, "the share of changed decisions")
        stats = table.only
        if stats.raw is None:
            raise ValueError("displacements were not kept: pass keep='all' to evaluate_orbits")
        if table.design.kind == "crossed":
            raise ValueError(
                "rows share one list of transformations, which are themselves a sample: pass "
                "design='quasi' to evaluate_orbits"
            )
        labels = None
        if self.threshold is None:
            labels = _classes(table)
            changed = (stats.base[:, None] + stats.raw).argmax(axis=2) != labels[:, None]
        else:
            changed = np.linalg.norm(stats.raw, axis=2) > self.threshold
        changed = changed.astype(np.float64)
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        of_rows = changed @ table.design.weights
        draws = {"share": means.mean(of_rows, _WHOLE)}
        truth = None if labels is None or stats.y is None else labels_of(stats.y)
        if labels is not None and truth is not None:
            draws |= self._turned(means, truth, labels, table)
        coords, dims = {}, {}
        if labels is not None:
            present = np.unique(labels)
            draws["share_by_class"] = self._parts(
                table, ((labels == each, of_rows) for each in present)
            )
            coords["class"], dims["share_by_class"] = present, ("class",)
        magnitude = table.transform.magnitude(table.parameters())
        bins = MagnitudeBins.of(magnitude, table.design.weights)
        draws["share_by_magnitude"] = self._parts(table, _shares_of(changed, table, bins))
        coords["magnitude"], dims["share_by_magnitude"] = bins.means, ("magnitude",)
        found = design_diagnostics(orbits) - {Diagnostic.WORST_NEEDS_CROSSED}
        columns = {"the share": of_rows}
        rows = RowFindings.of(
            means, columns, orbits.positions, orbits.left_out, in_steps=set(columns)
        )
        return ChangedDecisionsResult(
            draws=draws,
            dims=dims,
            coords=coords,
            units=dict.fromkeys(draws, "probability"),
            diagnostics=worst_first(found | rows.found),
            facts=ChangedDecisionsFacts(
                transform=str(table.transform),
                fingerprint=table.fingerprint,
                output=table.outputs[0],
                threshold=self.threshold,
                unit=stats.unit,
                n_rows=len(table),
                **rows.facts,
                weight_seed=self.weight_seed,
                magnitude_label=table.transform.magnitude_label,
                magnitude_unit=table.transform.magnitude_unit,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
            ),
            rows={"position": orbits.positions, "row_id": table.row_ids, "share": of_rows},
        )

    def _turned(
        self,
        means: RowMeans,
        truth: NDArray[np.int64],
        labels: NDArray[np.int64],
        table: OrbitTable,
    ) -> dict[str, Draws]:
        stats = table.only
        assert stats.raw is not None, "checked by the caller"
        right = (stats.base[:, None] + stats.raw).argmax(axis=2) == truth[:, None]
        after = right @ table.design.weights
        before = labels == truth
        return {
            "turned_wrong": means.mean(np.where(before, 1 - after, 0.0), _WHOLE),
            "turned_right": means.mean(np.where(before, 0.0, after), _WHOLE),
        }

    def _parts(self, table: OrbitTable, parts: Iterator[tuple[NDArray[np.bool_], Draws]]) -> Draws:
        """Return draws ``(draw, part)`` of the means over some rows each, with their weights."""
        return np.column_stack(
            [
                RowMeans(table.unit_ids[rows], self.n_draws, self.weight_seed).mean(
                    values[rows], _WHOLE
                )
                for rows, values in parts
            ]
        )


def _classes(table: OrbitTable) -> NDArray[np.int64]:
    """Return the predicted class of each row."""
    keeps = table.transform.of_output(table.outputs[0]).keeps_output
    if len(table.only.output_shape) != 1 or table.only.base.shape[1] < 2 or not keeps:
        raise ValueError(
            f"a decision is the largest of several class probabilities that transformations leave "
            f"in place, got outputs of shape {table.only.output_shape}; pass threshold=, a change "
            f"of the output that counts"
        )
    return table.only.base.argmax(axis=1)


def _shares_of(
    changed: Draws, table: OrbitTable, bins: MagnitudeBins
) -> Iterator[tuple[NDArray[np.bool_], Draws]]:
    """Yield which rows have transformations in each bin, and their shares of changes there."""
    for inside in bins.inside:
        mass = inside @ table.design.weights
        share = (inside * changed) @ table.design.weights / np.where(mass > 0, mass, 1.0)
        yield mass > 0, share


def _share(draws: Draws) -> str:
    low, high = credible_interval(draws, 0.9)
    return f"{np.median(draws):.3g} (90% credible interval {low:.3g} to {high:.3g})"
