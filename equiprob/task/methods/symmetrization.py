"""Bounds on the data error from any predictor and its averages over the transformations.

For an invariant law of the inputs and the Haar law of a group (case H), averaging S is an
orthogonal projection, and with ``a = f - S f``

    sqrt(2) <Y, a> / |a|   <=   e*   <=   sqrt(2 (R(f_G) - sigma^2)),

the first for every predictor f that was not trained on these rows, the second for every f_G that is
equivariant under the whole group, such as the predictor's average over it: where the
transformations have another law, by weighing them (`equiprob.task.group_averages`). The 2
in the upper bound is then up to 4 (`equiprob.task.spectral_constants`). The lower bound is
signed: at exact symmetry it is below zero half of the time, and squaring it first would make it
always wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import check_fields
from equiprob.errors.fixed_outputs import fixed_part_of_mean
from equiprob.errors.table_findings import require_deterministic, rounding_limit
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.row_findings import few_carry
from equiprob.posterior.row_means import RowMeans, widened_for_cross_fitting
from equiprob.posterior.weights import folds
from equiprob.task.group_averages import (
    GroupAverage,
    haar_average,
    two_way_average,
)
from equiprob.task.methods.base import AbstractMethod, Case, Draws, Evidence
from equiprob.task.spectral_constants import eigenvalues
from equiprob.transforms.fingerprint import OF_INPUT, check_same_transform
from equiprob.transforms.lattices import hammersley
from equiprob.transforms.transform import Transform

_N_FOLDS = 5
_RIDGE = 1e-6

_TRAINED = 0.99
"""Probability that the risk is below the noise from which rows count as trained on."""

_HEAVY = 0.4
"""Tail index of squared residuals from which the upper bound is short: at 2/3 (Student's t with 3
degrees of freedom) one of nominal 90 % holds in three of four runs."""

_PERFECT = 1e-6
"""Risk over the targets' variance that no predictor of noisy targets has on rows new to it."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Symmetrization(AbstractMethod):
    """Lower and upper bound from averages of any predictor; no model of the truth is needed.

    Args:
        noise_variance: Variance of the targets around their mean given x, summed over components:
            a known value (one that is too large makes the upper bound too small), 0 for a
            simulator, None where it is not known: the upper bound then takes all of the risk for
            asymmetry.
        repeats: Further targets measured at the same inputs, ``(row, repeat, ...)`` with at least 2
            repeats, in the rows' order: they replace `noise_variance`.
        others: Orbit tables of other predictors on the same rows, quasi or full design: the lower
            bound is that of their best combination, found on other rows than it is used on.

    Assumptions:
        Rows are independent and were not trained on (`equiprob.cross_fit` sees to that). With class
        labels, the risk is the Brier score.

    References:
        docs/data_error.md; Elesedy & Zaidi, ICML 2021 (averaging as a projection).
    """

    noise_variance: float | None = None
    repeats: Any = field(default=None, repr=False)
    others: Sequence[OrbitTable] = ()

    def __post_init__(self) -> None:
        """Check the noise."""
        check_fields(self)
        check_noise(self.noise_variance, self.repeats)
        if not all(isinstance(other, OrbitTable) for other in self.others):
            raise TypeError(f"others must be a list of orbit tables, got {self.others!r:.80}")

    @override
    def evidence(self, orbits: OrbitTable, case: Case, *, n_draws: int, seed: int) -> Evidence:
        table = orbits.finite
        stats = table.only
        if stats.y is None:
            raise ValueError("the data error compares with targets: pass y= to evaluate_orbits")
        for each in (orbits, *self.others):
            require_deterministic(each, "a bound on the data error by averages of a predictor")
        found: set[Diagnostic] = set()
        means = RowMeans(table.unit_ids, n_draws, seed)
        noise = noise_of_rows(orbits, self.noise_variance, self.repeats, found)
        facts = {"noise_variance": float(noise.mean()), "n_predictors": 1 + len(self.others)}
        loss = self._symmetric_risk(table)
        excess = np.maximum(means.mean_from_above(loss - noise), 0.0)
        if means.tail_index(loss) > _HEAVY or few_carry(means, loss):
            found.add(Diagnostic.HEAVY_NOISE)
        columns = {"the symmetric predictor's risk": loss}
        if case is Case.NEITHER:  # this much stays true on any law of the inputs
            draws = {"symmetry_cost_upper": excess}
            return Evidence(draws=draws, facts=facts, found=found, columns=columns)
        lower = self._lower(table, case, means, found)
        if table.cross_fitted:
            lower = widened_for_cross_fitting(lower)
        lower = np.maximum(lower, 0.0)
        changes = eigenvalues(table.transform)
        upper = np.sqrt(2 * changes.largest * excess)
        known = self.noise_variance is not None or self.repeats is not None
        if is_trained_on(table, means, noise if known else None):
            found.add(Diagnostic.TRAINED_ON_ROWS)
        if np.mean(lower > upper) > 0.5:
            found.add(Diagnostic.BOUNDS_CROSS)
        costs = changes.costs(lower)["symmetry_cost_lower"], excess
        draws = {"lower": lower, "upper": upper}
        draws |= {"symmetry_cost_lower": costs[0], "symmetry_cost_upper": costs[1]}
        return Evidence(draws=draws, facts=facts, found=found, columns=columns)

    def _lower(
        self, table: OrbitTable, case: Case, means: RowMeans, found: set[Diagnostic]
    ) -> Draws:
        stats = table.only
        none = np.zeros(means.n_draws)
        if stats.pair_sq.mean() <= rounding_limit(table) ** 2:
            found.add(Diagnostic.NO_LOWER_BOUND)
            return none
        if case is Case.INVARIANT:
            gained = _gained_by_law(table)
            if gained is None:
                found.add(Diagnostic.LAW_NOT_SYMMETRIC)
                return none
            error = np.sqrt(np.maximum(means.mean(stats.pair_sq), 0.0))
            return 2 * means.ratio(gained, stats.pair_sq) * error
        gained, squared = self._projection(table)
        if (means.plain(squared[:, None]) <= 0).mean() > 0.01:
            found.add(Diagnostic.NO_LOWER_BOUND)  # what averaging takes off is lost in its noise
            return none
        size = np.sqrt(np.maximum(means.mean(squared), 0.0))
        return np.sqrt(2) * means.ratio(gained, squared) * size

    def _projection(self, table: OrbitTable) -> tuple[Rows, Rows]:
        """Return row values of ``<Y - S f, a>`` and ``|a|^2`` for the best combination a."""
        stats = table.only
        assert stats.y is not None, "checked by the caller"
        residual = stats.y - stats.base
        if not len(self.others):
            squared = table.mean_displacement_sq
            if squared is None:
                raise ValueError(
                    "averages over the orbit need at least 2 transformations a row that rows do "
                    "not share: pass n_transforms of at least 2 and design='quasi'"
                )
            return squared - (residual * table.mean_displacement).sum(axis=1), squared
        tables = [table, *(aligned(other, table) for other in self.others)]
        products = np.stack(
            [[_product(one, other) for other in tables] for one in tables]
        )  # (predictor, predictor, row)
        crossed = [(residual * t.mean_displacement).sum(axis=1) for t in tables]
        gained = products[0] - np.stack(crossed)
        fold = folds(table.unit_ids, _N_FOLDS)
        top, bottom = np.zeros(len(table)), np.zeros(len(table))
        for held_out in np.unique(fold):
            judges, rest = fold == held_out, fold != held_out
            gram, target = products[:, :, rest].mean(axis=2), gained[:, rest].mean(axis=1)
            ridge = _RIDGE * np.trace(gram) * np.eye(len(gram))
            mix = np.linalg.solve(gram + ridge, target)
            size = float(mix @ gram @ mix)
            mix = mix / np.sqrt(size) if size > 0 else np.eye(len(mix))[0]
            top[judges] = mix @ gained[:, judges]
            bottom[judges] = np.einsum("k,kli,l->i", mix, products[:, :, judges], mix)
        return top, bottom

    def _symmetric_risk(self, table: OrbitTable) -> Rows:
        """Return row losses of the best predictor that is equivariant for sure."""
        assert table.only.y is not None, "checked by the caller"
        constant = table.only.y - fixed_part_of_mean(table, table.only.y)
        risks = [(constant**2).sum(axis=1)]
        for each in (table, *(aligned(other, table) for other in self.others)):
            risk = symmetric_risk(each)
            if risk is not None:
                risks.append(risk)
        return min(risks, key=lambda r: float(r.mean()))


def check_noise(noise_variance: float | None, repeats: Any) -> None:
    """Raise unless at most one of them is given, and the first is a variance."""
    if noise_variance is not None and not 0 <= noise_variance <= np.finfo(np.float32).max:
        raise ValueError(
            f"noise_variance must be a variance (0 for a simulator) or None, got {noise_variance}"
        )
    if noise_variance is not None and repeats is not None:
        raise ValueError("pass noise_variance or repeats, not both")


def noise_of_rows(
    orbits: OrbitTable, noise_variance: float | None, repeats: Any, found: set[Diagnostic]
) -> Rows:
    """Return the noise variance of each finite row; 0, and a note, where it is not known."""
    if repeats is None:
        if noise_variance is None:
            found.add(Diagnostic.NOISE_UNKNOWN)
        return np.full(len(orbits.finite), noise_variance or 0.0)
    repeats = as_numbers("repeats", repeats)
    k = orbits.only.base.shape[1]
    if repeats.ndim < 2 or len(repeats) != len(orbits) or repeats.shape[1] < 2:
        raise ValueError(
            f"repeats must be (row, repeat, ...) with {len(orbits)} rows and at least 2 repeats, "
            f"got shape {repeats.shape}"
        )
    flat = repeats.reshape(*repeats.shape[:2], -1)
    if flat.shape[2] != k or not np.isfinite(flat).all():
        raise ValueError(
            f"repeats must be finite targets of {k} components, got shape {repeats.shape}"
        )
    return flat.var(axis=1, ddof=1).sum(axis=1)[orbits.valid]


def is_trained_on(table: OrbitTable, means: RowMeans, noise: Rows | None) -> bool:
    """Whether the risk is lower than any predictor's on rows new to it.

    Args:
        table: Of the predictor, with targets.
        means: Of the table's rows.
        noise: Noise variance of each row; None where it is not known.
    """
    stats = table.only
    assert stats.y is not None, "methods check that there are targets"
    risk = means.mean(((stats.y - stats.base) ** 2).sum(axis=1))
    if noise is not None:
        return bool(np.mean(risk < noise.mean()) > _TRAINED)
    return bool(risk.mean() <= _PERFECT * float(np.var(stats.y, axis=0).sum()))


def symmetric_risk(table: OrbitTable) -> Rows | None:
    """Return each row's squared loss of a predictor that is equivariant under the whole group.

    The model itself where it is equivariant up to rounding, else its average over the group; None
    where there is neither.
    """
    stats = table.only
    assert stats.y is not None, "methods check that there are targets"
    residual = stats.y - stats.base
    squares = (residual**2).sum(axis=1)
    if stats.pair_sq.mean() <= rounding_limit(table) ** 2:
        return squares
    average = haar_average(table)
    return None if average is None else averaged_risk(table, average)


def averaged_risk(table: OrbitTable, average: GroupAverage) -> Rows:
    """Return each row's squared loss of an average of the model."""
    stats = table.only
    assert stats.y is not None, "methods check that there are targets"
    residual = stats.y - stats.base
    crossed = (residual * average.moved).sum(axis=1)
    return (residual**2).sum(axis=1) - 2 * crossed + average.squared


def has_symmetric_law(transform: Transform) -> bool:
    """Whether a transformation and its inverse are equally likely, as far as can be seen."""
    try:
        finite = transform.enumeration()
        if finite is not None:
            inverse = transform.inverse(finite.parameters)
            order = np.lexsort(finite.parameters.T), np.lexsort(inverse.T)
            return bool(np.allclose(finite.weights[order[0]], finite.weights[order[1]]))
        if not transform.n_uniforms:
            return False
        points = hammersley(64, transform.n_uniforms, centred=True)
        inverse = transform.inverse(transform.parameters(points))
        return bool(np.allclose(inverse, transform.parameters(1 - points), atol=1e-6))
    except ValueError:
        return False


def _gained_by_law(table: OrbitTable) -> Rows | None:
    """Return row values of ``<Y, f - S f>``, S over the law and its inverses; None if not known.

    An equivariant part may be taken off Y, as ``f - S f`` has no product with any.
    """
    y = table.only.y
    assert y is not None, "checked by the caller"
    two_way = two_way_average(table)
    if two_way is not None:  # what is taken off is the average over the group
        return two_way.product - ((y - table.only.base) * two_way.moved).sum(axis=1)
    if not has_symmetric_law(table.transform):
        return None
    return -((y - fixed_part_of_mean(table, y)) * table.mean_displacement).sum(axis=1)


def aligned(other: OrbitTable, table: OrbitTable) -> OrbitTable:
    """Return another predictor's table on the rows of this one."""
    try:
        same = other.rows(table.row_ids)
    except KeyError:
        raise ValueError(
            "the other predictors' tables must hold the same rows: pass the same x, y and row_ids "
            "to evaluate_orbits"
        ) from None
    if not same.valid.all():
        raise ValueError("another predictor has outputs that are not finite on these rows")
    named = ("the table", "another predictor's table")
    check_same_transform(table.fingerprint, same.fingerprint, named=named, besides=OF_INPUT)
    if same.design.kind not in ("quasi", "full"):
        raise ValueError(
            f"predictors are combined in the quasi or full design, got {same.design.kind!r}"
        )
    return same


def _product(one: OrbitTable, other: OrbitTable) -> Rows:
    """Return ``<S f - f, S h - h>`` for each row, from distinct transformations."""
    a, b = one.only.displacement, other.only.displacement
    if one.design.kind == "full":
        return (one.mean_displacement * other.mean_displacement).sum(axis=1)
    return ((a[:, 0] * b[:, 1]).sum(axis=1) + (a[:, 1] * b[:, 0]).sum(axis=1)) / 2
