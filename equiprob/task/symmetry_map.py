"""Where does the symmetry hold: for which rows, and which transformations of them?

An image of a row is *extrinsic* where it lies far from all data: what the truth is there, nobody
knows, and nothing is lost by a model that is symmetric there. It is *incorrect* where there are
data with other targets: symmetry contradicts them. Else it is *correct*. No model enters.

What is far and what contradicts is seen at the rows themselves, too, where nothing has been moved:
a share F of images beyond a distance that a share a of rows exceeds is one of ``(F - a) / (1 - a)``
that left the data, and targets that contradict, less those that do so where rows are, alike.

References:
    Wang et al., "A general theory of correct, incorrect, and extrinsic equivariance", NeurIPS 2023.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.array_types import Array, Index
from equiprob.errors.magnitude_bins import MagnitudeBins
from equiprob.errors.table_findings import design_diagnostics
from equiprob.geometry.alike_rows import are_alike
from equiprob.orbits.inputs import check_labels
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.paired_means import labels_of
from equiprob.posterior.results import AbstractEstimator, AbstractResult
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.weights import folds
from equiprob.task.landing import N_AROUND, Landing
from equiprob.task.map_shares import MapShares
from equiprob.task.map_words import MapFacts, map_sentences

if TYPE_CHECKING:
    import pandas as pd


_FEWEST = 40
_MOST_BINS = 6
_MOST_PARTS = 40

_OWN_QUANTILE = 0.95
"""Of the differences between rows' targets and what their neighbours say: they are noise."""

_ENOUGH_AROUND = 250
"""Of 128 rows on three rings intervals of the share that leaves the data hold the truth in .50 to
.90 of samples, of 400 in .98 and more (docs/calibration_data.md)."""

_DISAGREE = 0.3
"""Where more rows than this are contradicted as they are, contradiction says little."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryMapResult(AbstractResult):
    """Posterior of where the symmetry holds; made by `SymmetryMap.fit`."""

    facts: MapFacts = field(repr=False)

    def telling_rows(self, n: int = 5) -> pd.DataFrame:
        """Return the rows that speak most against the symmetry.

        Their own neighbours agree with them, and the data at their images do not.

        Args:
            n: How many rows.

        Returns:
            A table, most telling first: ``position`` of the row, ``magnitude`` of the
            transformation that contradicts it best, ``beside``, the position of the row that it
            then lies next to, and ``share``, how many of its images are contradicted.
        """
        import pandas as pd

        rows = {name: np.asarray(values) for name, values in self.rows.items()}
        order = np.lexsort((rows["nearness"], -rows["incorrect"], rows["doubtful"]))
        order = order[rows["beside"][order] >= 0][:n]
        return pd.DataFrame(
            {
                "position": rows["position"][order],
                "magnitude": rows["magnitude"][order],
                "beside": rows["beside"][order],
                "share": rows["incorrect"][order],
            }
        )

    def __str__(self) -> str:
        """Say what was found."""
        return map_sentences(self.draws, self.coords, self.facts) + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryMap(AbstractEstimator):
    """Estimate where the symmetry is correct, incorrect, or leaves the data.

    Fit to a table of any model, or of none: its outputs are not looked at.

    Args:
        tolerance: A change of the target, in its units, up to which it counts as the same. When
            left out: the difference between rows' targets and what their neighbours say of them
            that 95 % do not exceed, which is what these data resolve. Labels need none.
        near: The share of rows that are not far from the others where they are, above 1/2. It sets
            what is far of images: a smaller share calls more of them extrinsic, and fewer
            incorrect. Try others where the answer matters.
        most_rows: Rows used at most, chosen at random: time grows with their square.

    Assumptions:
        Rows (or groups) are independent, none is a transformed copy of another, and the distance
        between inputs as vectors says which are alike. Shares that leave the data are at least as
        large: an image may be no farther from the data than rows are from each other, and yet
        unlike all of them. A target that changes contradicts by more than the tolerance, or little.

    References:
        Wang et al., NeurIPS 2023; docs/symmetry_map.md.
    """

    tolerance: float | None = None
    near: float = 0.95
    most_rows: int = 2000

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if self.tolerance is not None and not (np.isfinite(self.tolerance) and self.tolerance > 0):
            raise ValueError(
                f"tolerance must be a change of the target larger than 0, got {self.tolerance!r}"
            )
        if not 0.5 < self.near < 1:
            raise ValueError(f"near must be a share between 0.5 and 1, got {self.near!r}")
        if self.most_rows < _FEWEST:
            raise ValueError(f"most_rows must be at least {_FEWEST}, got {self.most_rows}")

    def fit(self, orbits: OrbitTable, *, by: ArrayLike | None = None) -> SymmetryMapResult:
        """Look where the rows of a table land.

        Args:
            orbits: The table of one output, with targets.
            by: A label for each row of the table (class, site, species), numbers or strings: shares
                are also of each; labels that are targets, where there are any, when left out.

        Returns:
            Draws of ``extrinsic``, ``incorrect`` and ``correct``, which sum to one; the same
            ``..._by_magnitude`` and, with groups, ``..._by_group`` and
            ``..._by_group_and_magnitude``, partially pooled over groups.

        Raises:
            ValueError: If the table has no targets or fewer than 40 independent rows, rows share
                their transformations, or `by` does not fit.
        """
        whole = orbits.finite
        if whole.only.y is None:
            raise ValueError("images are compared by their targets: pass y= to evaluate_orbits")
        if whole.design.kind == "crossed":
            raise ValueError(
                "rows share one list of transformations, which are themselves a sample: pass "
                "design='quasi' to evaluate_orbits"
            )
        given = None if by is None else check_labels(by, "by", len(orbits))[orbits.positions]
        n_units = len(np.unique(whole.unit_ids))
        used = np.arange(len(whole))
        if len(whole) > self.most_rows:
            used = np.flatnonzero(folds(whole.unit_ids, -(-len(whole) // self.most_rows)) == 0)
        table = whole if len(used) == len(whole) else whole.rows(whole.row_ids[used])
        if min(n_units, len(np.unique(table.unit_ids))) < _FEWEST:
            raise ValueError(
                f"neighbours of other rows need at least {_FEWEST} independent rows, got "
                f"{len(np.unique(table.unit_ids))}"
            )
        transform = table.transform.of_output(table.outputs[0])
        y, labels = _targets(table, may_be_labels=transform.keeps_output)
        labelled = labels is not None
        parameters, weights = table.parameters(), table.design.weights
        landing = Landing.of(
            table.x, y, table.unit_ids, transform, parameters, labelled=labelled, near=self.near
        )
        settled = ~landing.own_far
        tolerance = self.tolerance
        if labelled:
            tolerance = 0.5
        elif tolerance is None:
            tolerance = float(np.quantile(landing.own_other[settled], _OWN_QUANTILE))
        incorrect = ~landing.far & (landing.other > tolerance)
        own_incorrect = settled & (landing.own_other > tolerance)
        n_classes = 0 if labels is None else len(np.unique(labels))
        shares = MapShares(
            units=table.unit_ids,
            weights=weights,
            far=landing.far,
            incorrect=incorrect,
            around=landing.around,
            own_far=landing.own_far,
            own_incorrect=own_incorrect,
            own_around=landing.own_around,
            n_classes=n_classes,
            n_draws=self.n_draws,
            seed=self.weight_seed,
        )
        bins = MagnitudeBins.of(transform.magnitude(parameters), weights, _MOST_BINS)
        draws, dims = dict(shares.of_all()), {}
        coords: dict[str, NDArray[Any]] = {"magnitude": bins.means}
        draws |= shares.named(shares.by(bins.inside), "by_magnitude")
        dims |= shares.dims("by_magnitude", ("magnitude",))
        groups = _groups(given, used, labels)
        if groups is not None:
            names, place = np.unique(groups, return_inverse=True)
            members = np.stack([place == k for k in range(len(names))])[:, :, None]
            everywhere = np.broadcast_to(members, (len(names), *landing.far.shape))
            draws |= shares.named(shares.pooled(everywhere), "by_group")
            cells = [shares.pooled(everywhere & inside) for inside in bins.inside]
            stacked = {k: np.stack([cell[k] for cell in cells], axis=2) for k in cells[0]}
            draws |= shares.named(stacked, "by_group_and_magnitude")
            dims |= shares.dims("by_group", ("group",))
            dims |= shares.dims("by_group_and_magnitude", ("group", "magnitude"))
            coords["group"] = names
        doubt = float(own_incorrect[settled].mean())
        found = _found(table, landing, doubt, tolerance, y, labelled)
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        columns = {
            "the share that leaves the data": landing.far @ weights,
            "the share that contradicts": incorrect @ weights,
        }
        positions = orbits.positions[used]
        rows = RowFindings.of(means, columns, positions, orbits.left_out, in_steps=set(columns))
        found |= design_diagnostics(orbits) - {Diagnostic.WORST_NEEDS_CROSSED}
        return SymmetryMapResult(
            draws=draws,
            dims=dims,
            coords=coords,
            units=dict.fromkeys(draws, "probability"),
            diagnostics=worst_first(found | rows.found),
            facts=MapFacts(
                transform=str(table.transform),
                fingerprint=table.fingerprint,
                output=table.outputs[0],
                unit=table.only.unit,
                labelled=labelled,
                tolerance=None if labelled else tolerance,
                disagreement_at_rows=doubt,
                n_neighbours=N_AROUND,
                n_rows=len(whole),
                n_used=len(used),
                grouped_by=None if groups is None else "by" if by is not None else "label",
                **rows.facts,
                weight_seed=self.weight_seed,
                magnitude_label=transform.magnitude_label,
                magnitude_unit=transform.magnitude_unit,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
            ),
            rows={
                "position": positions,
                "row_id": table.row_ids,
                "extrinsic": landing.far @ weights,
                "incorrect": incorrect @ weights,
                "doubtful": landing.own_far | own_incorrect,
                **_strongest(
                    landing,
                    incorrect,
                    transform.magnitude(parameters),
                    positions,
                    labels,
                ),
            },
        )


def _targets(table: OrbitTable, *, may_be_labels: bool) -> tuple[Array, Index | None]:
    """Return targets ``(row, ...)`` as the output action takes them, and labels ``(row,)``.

    Of labels ``(row, class)``; None in place of labels where targets are none.
    """
    y = table.only.y
    assert y is not None, "checked by the caller"
    labels = labels_of(y) if may_be_labels else None
    if labels is None:
        return y.reshape(-1, *table.only.output_shape), None
    return np.eye(int(labels.max()) + 1)[labels], labels


def _groups(given: NDArray[Any] | None, used: Index, labels: Index | None) -> NDArray[Any] | None:
    """Return the label of the group of each row that is used; None for no groups."""
    if given is not None:
        groups = given[used]
        if len(np.unique(groups)) > _MOST_PARTS:
            raise ValueError(
                f"by holds {len(np.unique(groups))} different labels, at most {_MOST_PARTS} are "
                f"taken: pass labels that many rows share"
            )
        return groups
    many = labels is not None and len(np.unique(labels)) > _MOST_PARTS
    return None if many else labels


def _found(
    table: OrbitTable,
    landing: Landing,
    doubt: float,
    tolerance: float,
    y: Array,
    labelled: bool,
) -> set[Diagnostic]:
    """Return what makes shares say less, or other than they seem to."""
    found: set[Diagnostic] = set()
    size = 1e-6 * landing.typical
    moved = table.transform.magnitude(table.parameters()) > 0
    copies = (landing.own_nearest <= size).mean()
    landed = (landing.nearest <= size)[moved].mean() if moved.any() else 0.0
    if max(copies, landed) > 0.05:
        found.add(Diagnostic.NEIGHBOURS_COINCIDE)
    elif are_alike(table):
        found.add(Diagnostic.ROWS_ALIKE)
    spread = float(np.sqrt(((y - y.mean(axis=0)) ** 2).reshape(len(y), -1).sum(axis=1).mean()))
    if len(np.unique(table.unit_ids)) < _ENOUGH_AROUND:
        found.add(Diagnostic.FEW_AROUND)
    if doubt > _DISAGREE or (not labelled and tolerance > spread > 0):
        found.add(Diagnostic.TRUTH_UNRESOLVED)
    return found


def _strongest(
    landing: Landing,
    incorrect: NDArray[np.bool_],
    magnitude: Array,
    positions: Index,
    labels: Index | None,
) -> dict[str, NDArray[Any]]:
    """Return which image of each row contradicts best: among the data, with another target."""
    distance = np.where(incorrect, landing.remoteness, np.inf)
    best = distance.argmin(axis=1)
    row = np.arange(len(best))
    any_ = incorrect.any(axis=1)
    around = landing.around[row, best]
    # The nearest row, of labels the nearest with another one.
    other = 0 if labels is None else (labels[around] != labels[:, None]).argmax(axis=1)
    return {
        "magnitude": magnitude[row, best],
        "nearness": np.where(any_, distance[row, best], np.finfo(float).max),
        "beside": np.where(any_, positions[around[row, other]], -1),
    }
