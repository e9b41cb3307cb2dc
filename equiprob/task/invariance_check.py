"""Is the law of the inputs invariant?

A classifier that never saw a row tells its original from its transformed copy, or cannot. Both
copies are resampled alike: images are turned away and back, or away and elsewhere, since one
interpolation more is all that a classifier needs (AUC 0.97 on digits, by that alone). A check can
find that the law is not invariant; that it found nothing establishes little, and its result says
how little by an interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.inputs import check_inputs, ids_of_rows, units_of_rows
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans, widened_for_cross_fitting
from equiprob.posterior.weights import folds
from equiprob.task.resampling import TurnedAway
from equiprob.transforms.transform import Transform

_N_BINS = 6
_N_TURNS = 3
"""The way back must not resemble the way there: after one turn a classifier still sees it (AUC .58
on digits turned at random, .53 after two, .49 after three)."""

_KAPPA_SHARE = 0.01
_KAPPA_ROWS = 10


@final
@dataclass(frozen=True)
class InvariantLaw:
    """Your promise that the law of the inputs is invariant under every transformation.

    For instance because the inputs were transformed at random, or are defined up to the
    transformations.
    """


@dataclass(frozen=True, kw_only=True)
class InvarianceFacts(RowFacts):
    """What travels with a check of the law of the inputs.

    Args:
        transform: The transform.
        fingerprint: Of the transform.
        auc: Of the classifier; one half is chance.
        is_invariant: Whether it found nothing.
        margin: The largest distance of the AUC from one half that is taken for nothing.
        kappa: The largest ratio of densities, going by its scores.
        magnitude_label: What the size of a transformation is.
        magnitude_unit: Its unit.
    """

    transform: str
    fingerprint: Any
    auc: float
    is_invariant: bool
    margin: float
    kappa: float
    magnitude_label: str
    magnitude_unit: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class InvarianceCheckResult(AbstractResult):
    """What a classifier could tell; made by `InvarianceCheck.fit`."""

    facts: InvarianceFacts = field(repr=False)

    @property
    def is_invariant(self) -> bool:
        """Whether the credible interval of the AUC keeps within the margin around one half."""
        return self.facts.is_invariant

    @property
    def margin(self) -> float:
        """Largest distance of the AUC from one half that still counts as invariant."""
        margin = self.facts.margin
        if not 0 < margin < 0.5:
            raise RuntimeError(f"no check has a margin of {margin}")
        return margin

    @property
    def kappa(self) -> float:
        """Indicative density ratio of the transformed law to the law of the inputs.

        The largest ratio of the two laws' shares among the sets that the classifier thinks most
        transformed, from 1 % of the transformed inputs (or ten) upwards; no sample bounds the
        largest ratio of densities. Infinite where such a set holds no input as it was.
        """
        return self.facts.kappa

    def __str__(self) -> str:
        """Say what was found."""
        low, high = credible_interval(self.draws["auc"], 0.9)
        margin = self.margin
        if self.is_invariant:
            verdict = (
                "compatible with inputs and moved inputs being equally likely, within the margin "
                f"of {margin:g}: not proof of it"
            )
        elif low > 0.5:
            verdict = "inputs and moved inputs are not equally likely"
            if np.isinf(self.kappa):
                verdict += " (some moved inputs look unlike any input)"
        elif Diagnostic.BLIND_CLASSIFIER in self.diagnostics:
            verdict = "it gave all rows one answer, which says nothing"
        else:
            verdict = (
                f"too few rows to say: neither is a difference seen, nor one beyond the margin of "
                f"{margin:g} excluded"
            )
        return (
            f"A classifier tells inputs from inputs moved by {self.facts.transform} with an AUC "
            f"of {np.median(self.draws['auc']):.3f} (90% credible interval {low:.3f} to "
            f"{high:.3f}; one half is chance): {verdict}." + self.cautions
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class InvarianceCheck(AbstractEstimator):
    """Compare the law of the inputs with that of transformed inputs, by a classifier.

    Args:
        classifier: A scikit-learn classifier with ``predict_proba``; extremely randomized trees
            when left out. It is cloned for each fold.
        n_folds: Folds: the classifier is judged on rows of which it saw neither copy. Fewer where
            there are not two independent rows for each.
        margin: Largest distance of the AUC from one half that still counts as invariant.
        seed: Seed of the transformations and of the classifier.

    Assumptions:
        Rows (or groups) are independent draws from the law of the inputs.

    References:
        Lopez-Paz & Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    """

    classifier: Any = field(default=None, repr=False)
    n_folds: int = 5
    margin: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        if not 0 < self.margin < 0.5:
            raise ValueError(f"margin must lie between 0 and 0.5, got {self.margin}")
        if not isinstance(self.n_folds, int | np.integer) or self.n_folds < 2:
            raise ValueError(f"n_folds must be an integer of at least 2, got {self.n_folds!r}")
        check_seed(self.seed)
        if self.classifier is not None and not hasattr(self.classifier, "predict_proba"):
            raise ValueError(
                f"classifier must have predict_proba, got {type(self.classifier).__name__}"
            )

    def fit(self, x: Any, transform: Transform, *, groups: Any = None) -> InvarianceCheckResult:
        """Compare `x` with transformed copies.

        Args:
            x: The inputs: an array or a dict of arrays, rows first.
            transform: The transform.
            groups: A label for each row; rows of a group share a fold and are one unit.

        Returns:
            Draws of ``auc`` and of ``auc_profile`` over the magnitude of the transformation; facts
            ``kappa`` (indicative) and ``is_invariant``.

        Raises:
            ValueError: If there are fewer than four rows (or groups), or inputs do not fit the
                transform.
        """
        x = all_on_host(x)
        n = check_inputs(x)
        x = jax.tree.map(np.asarray, x)
        ids = ids_of_rows(None, x, None, n)
        units = ids if groups is None else units_of_rows(groups, n)
        n_folds = min(self.n_folds, len(np.unique(units)) // 2)
        if n_folds < 2:
            raise ValueError(
                f"{len(np.unique(units))} independent rows (or groups) are too few to train a "
                "classifier on some and judge it on others: at least 4 are needed; pass "
                "law=ep.InvariantLaw() to the data error where you know that inputs and moved "
                "inputs are equally likely"
            )
        generator = np.random.default_rng([self.seed, 5])
        parameters = transform.sample_many(generator, n)
        away = TurnedAway.of(x, transform, n, _N_TURNS, [self.seed, 6])
        still, moved = _features(away.still), _features(away.moved(parameters))
        magnitude = transform.magnitude(parameters)
        fold = folds(units, n_folds)
        scores = self._scores(still, moved, fold)
        # One answer for all rows is no evidence, unless there is nothing to tell apart.
        blind = bool(np.ptp(scores) == 0) and not np.array_equal(still, moved)
        means = RowMeans(units, self.n_draws, self.weight_seed)

        def area(chosen: NDArray[np.bool_]) -> Array:
            draws = means.mean(_placements(scores, fold, chosen), (0.0, 1.0))
            return np.clip(widened_for_cross_fitting(draws), 0.0, 1.0)

        auc = area(np.ones(n, dtype=bool))
        edges = np.unique(np.quantile(magnitude, np.linspace(0, 1, _N_BINS + 1)))
        bins = np.clip(np.searchsorted(edges, magnitude, side="left") - 1, 0, len(edges) - 2)
        if len(edges) < 2:
            bins, edges = np.zeros(n, dtype=np.int64), np.repeat(edges, 2)
        present = [b for b in range(len(edges) - 1) if (bins == b).sum() >= 2 * n_folds]
        profile = [area(bins == b) for b in present]
        low, high = np.quantile(auc, [0.025, 0.975])
        invariant = not blind and max(abs(low - 0.5), abs(high - 0.5)) < self.margin
        found: set[Diagnostic] = {Diagnostic.BLIND_CLASSIFIER} if blind else set()
        placements = _placements(scores, fold, np.ones(n, dtype=bool))
        rows = RowFindings.of(means, {"the AUC": placements}, np.arange(n))
        return InvarianceCheckResult(
            draws={"auc": auc, "auc_profile": np.stack(profile, axis=1)}
            if profile
            else {"auc": auc},
            dims={"auc_profile": ("magnitude",)},
            coords={"magnitude": np.array([magnitude[bins == b].mean() for b in present])},
            diagnostics=worst_first(found | rows.found),
            facts=InvarianceFacts(
                weight_seed=self.weight_seed,
                transform=str(transform),
                fingerprint=transform.fingerprint,
                auc=float(auc.mean()),
                is_invariant=bool(invariant),
                margin=self.margin,
                kappa=_largest_ratio(*scores),
                n_rows=n,
                **rows.facts,
                magnitude_label=transform.magnitude_label,
                magnitude_unit=transform.magnitude_unit,
            ),
            rows={"row_id": ids},
        )

    def _scores(self, still: Array, moved: Array, fold: NDArray[np.int64]) -> Array:
        """Return the probability of being moved, ``(2, row)``, by classifiers that saw neither."""
        from sklearn.base import clone
        from sklearn.ensemble import ExtraTreesClassifier

        model = self.classifier
        if model is None:
            model = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=self.seed)
            still, moved = _in_standard_units(still, moved)
        scores = np.empty((2, len(fold)))
        for held_out in np.unique(fold):
            judged, rest = fold == held_out, fold != held_out
            labels = np.repeat([0, 1], rest.sum())
            fitted: Any = clone(model)
            fitted.fit(np.concatenate([still[rest], moved[rest]]), labels)
            for arm, copies in enumerate((still, moved)):
                scores[arm, judged] = fitted.predict_proba(copies[judged])[:, 1]
        return scores


def _in_standard_units(still: Array, moved: Array) -> tuple[Array, Array]:
    """Return features of mean 0 and standard deviation 1 over both.

    Trees take features that differ by less than 1e-7 for equal (metres of atoms, say), and compare
    them in float32.
    """
    both = np.concatenate([still, moved])
    largest = np.abs(both).max(axis=0)
    both /= np.where(largest > 0, largest, 1.0)
    both -= both.mean(axis=0)
    deviation = both.std(axis=0)
    both /= np.where(deviation > 0, deviation, 1.0)
    return both[: len(still)], both[len(still) :]


def _features(x: Any) -> Array:
    leaves = jax.tree.leaves(x)
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1).astype(float)


def _placements(scores: Array, fold: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Array:
    """Return row values whose mean is the AUC within folds, of the chosen rows' moved copies.

    Each row is in both arms: its value is the place of its moved copy among the still ones, plus
    that of its still copy among the moved ones, less the AUC (the influence of a row).
    """
    values = np.zeros(len(fold))
    for held_out in np.unique(fold):
        rows = np.flatnonzero(fold == held_out)
        still, moved = scores[0, rows], scores[1, rows[chosen[rows]]]
        if not len(moved):
            values[rows] = 0.5
            continue
        wins = _share_below(np.sort(still), moved)
        losses = 1 - _share_below(np.sort(moved), still)
        auc = wins.mean()
        here = chosen[rows].mean()
        values[rows] = losses
        values[rows[chosen[rows]]] += (wins - auc) / here
    return values


def _largest_ratio(still: Array, moved: Array) -> float:
    """Return the largest ratio of shares, moved over still, above a score."""
    ordered = np.sort(moved)[::-1]
    fewest = min(max(_KAPPA_ROWS, int(np.ceil(_KAPPA_SHARE * len(moved)))), len(moved))
    held = np.arange(1, len(moved) + 1)
    beside = len(still) - np.searchsorted(np.sort(still), ordered, side="left")
    with np.errstate(divide="ignore"):
        return float((held / beside)[fewest - 1 :].max())


def _share_below(ordered: Array, values: Array) -> Array:
    """Return the share of ordered numbers below each value; ties count half."""
    left = np.searchsorted(ordered, values, side="left")
    right = np.searchsorted(ordered, values, side="right")
    return (left + right) / (2 * len(ordered))
