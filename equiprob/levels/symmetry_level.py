"""How much symmetry should be built into this model, after training?

Along a path of predictors made from one model (MATH: post-hoc optimum), the risk on held-out rows
has a posterior at every position; its least position is the optimal symmetry level. Averages over a
finite number of transformations would move the optimum towards "keep the model"; products over
distinct transformations put it back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.equivariance.model_error import (
    design_diagnostics,
    orbit_average_available,
    rounding_limit,
)
from equiprob.levels.paths import AbstractPath, Blend, PathRisk
from equiprob.levels.predictor import AveragedPredictor
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_means import RowMeans
from equiprob.posterior.weights import folds

_N_FOLDS = 5
"""Positions chosen on four fifths of the rows are close to the one chosen on all."""

_TIED = 1e-6
"""Relative difference of risks that is rounding."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryLevelResult(AbstractResult):
    """Posterior of the optimal symmetry level; made by `SymmetryLevel.fit`.

    Args:
        shipment: The recommended predictor's transformations (not saved with the result).
        transform: The transform (not saved with the result).
    """

    shipment: Any = field(default=None, repr=False)
    transform: Any = field(default=None, repr=False)

    def predictor(self, predict: Callable[[Any], Any]) -> AveragedPredictor:
        """Return the recommended model: `predict` blended with, or averaged over, transformations.

        Args:
            predict: The model the level was fitted to.

        Returns:
            A callable like `predict`, which evaluates it once for each transformation (and once
            more for a blend).

        Raises:
            ValueError: If the result was loaded from a file, which does not hold the transform.
        """
        if self.shipment is None:
            raise ValueError(
                "a level loaded from a file does not hold its transform; fit it again to the "
                "orbit table to make the predictor"
            )
        return AveragedPredictor(
            predict,
            self.transform,
            self.shipment.parameters,
            self.shipment.weights,
            self.shipment.keep,
        )

    @property
    def shipped_position(self) -> float:
        """The position of the recommended predictor."""
        return float(self.facts["shipped_position"])

    def __str__(self) -> str:
        """Say what was found."""
        if "risk_saved" not in self.draws:
            return (
                "The model is equivariant up to rounding: averaging it over the transformations "
                "changes nothing, and every position on the path is the same model."
            )
        if "is_best" in self.draws:
            return self._named + self.cautions
        unit = self.units["position"] and f" {self.units['position']}"
        position, saved = self.draws["position"], self.draws["risk_saved"]
        low, high = credible_interval(position, 0.9)
        text = (
            f"Along the path '{self.facts['path_label']}' the risk is least at "
            f"{np.median(position):.3g}{unit} (90% credible interval {low:.3g} to {high:.3g}). "
        )
        if self.facts["p_full"] is not None:
            text += (
                f"Probability that full symmetry is best {self.facts['p_full']:.2f}, none "
                f"{self.facts['p_none']:.2f}, something between {self.facts['p_between']:.2f}. "
            )
        low, high = credible_interval(saved, 0.9)
        m = self.facts["n_transforms"]
        shipped = np.median(self.draws["risk_saved_shipped"])
        elsewhere = self.facts["risk_saved_cross_fitted"]
        text += (
            f"The recommended position, {self.shipped_position:.3g}{unit}, saves "
            f"{np.median(saved):.3g} of the risk of {self.facts['risk']:.3g} ({low:.3g} to "
            f"{high:.3g}); {shipped:.3g} with {m} transformations for each prediction. Chosen on "
            f"other rows than it is judged on, it saves {elsewhere:.3g}."
        )
        return text + self.cautions

    @property
    def _named(self) -> str:
        """Say what was found along a path whose positions are names."""
        names = self.coords["position_grid"]
        p_best = self.draws["is_best"].mean(axis=0)
        likely = np.argsort(-p_best)[:3]
        best = ", ".join(f"'{names[k]}' {p_best[k]:.2f}" for k in likely if p_best[k] >= 0.01)
        low, high = credible_interval(self.draws["risk_saved"], 0.9)
        shipped = names[int(self.shipped_position)]
        return (
            f"Along the path '{self.facts['path_label']}' the risk is least with probability: "
            f"{best}. The recommended position, '{shipped}', saves "
            f"{np.median(self.draws['risk_saved']):.3g} of the risk of {self.facts['risk']:.3g} "
            f"({low:.3g} to {high:.3g}). Chosen on other rows than it is judged on, it saves "
            f"{self.facts['risk_saved_cross_fitted']:.3g}."
        )

    def plot(self, **kwargs: Any) -> Any:
        """Draw the risk along the path with the posterior of its optimum."""
        from equiprob.plots.symmetry_level import plot_symmetry_level

        return plot_symmetry_level(self, **kwargs)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryLevel(AbstractEstimator):
    """Find the symmetry level of least risk along a path, with a posterior.

    Args:
        path: ``Blend()`` between the model and its average, or ``Range()`` of averages over
            transformations up to a magnitude, or ``Subgroups()`` of averages over the subgroups of
            a finite group.

    Assumptions:
        Rows (or groups) are independent and were not trained on; squared error (the Brier score for
        labels). Valid for any law of the inputs and any averaging distribution.

    References:
        Petrache & Trivedi, NeurIPS 2023 (the trade-off); Elesedy & Zaidi, ICML 2021 (averaging).
    """

    path: AbstractPath = field(default_factory=Blend)

    def fit(self, orbits: OrbitTable) -> SymmetryLevelResult:
        """Fit to an orbit table with targets.

        Args:
            orbits: The table of one output, evaluated with ``y=``.

        Returns:
            Draws of ``position`` (of least risk along the path; ``is_best`` for each position where
            they are subgroups), ``risk_saved`` at the recommended
            position, ``risk_saved_shipped`` (the same for averages over as many transformations as
            the table has), ``risk`` along the path, and ``level``, the equivariance error left at
            the optimum, where the law is Haar and the path a blend. The fact
            ``risk_saved_cross_fitted`` is the mean saving at positions chosen on other rows than
            they are judged on: net of optimism; ``p_full``, ``p_none`` and ``p_between`` are the
            probabilities that the end of the path, its beginning, or neither is best.

        Raises:
            ValueError: If the table has no targets, several outputs, one transformation for each
                row, shared transformations, or not the sums that the path needs.
        """
        table = orbits.finite
        found = design_diagnostics(orbits)
        if table.only.y is None:
            raise ValueError(
                "the optimal level compares predictions with targets: pass y= to evaluate_orbits"
            )
        reason: set[Diagnostic] = set()
        if not orbit_average_available(table, reason):
            raise ValueError(f"the optimal level cannot be found: {reason.pop().value}")
        risk = self.path.risk(table)
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        squared_loss = ((table.only.y - table.only.base) ** 2).sum(axis=1)
        draws = {"risk": _risk_draws(means, risk, squared_loss)}
        position_draws = None
        stats = table.only
        along = squared_loss.mean() + risk.columns.mean(axis=0) @ risk.shipped
        shipped_index = int(_least(along[None])[0])
        unchanged = int(np.argmax((risk.limit == 0).all(axis=0)))
        if stats.pair_sq.mean() <= rounding_limit(table) ** 2:
            found.add(Diagnostic.UP_TO_ROUNDING)
            shipped_index = unchanged
        else:
            position_draws = _position(means, risk, draws["risk"])
            if risk.names is None:
                draws["position"] = position_draws
            else:
                draws["is_best"] = (position_draws[:, None] == risk.positions).astype(np.float64)
            draws["risk_saved"] = means.mean(-risk.columns @ risk.limit[:, shipped_index])
            draws["risk_saved_shipped"] = means.mean(-risk.columns @ risk.shipped[:, shipped_index])
            if isinstance(self.path, Blend) and table.transform.is_haar:
                error = np.sqrt(np.maximum(means.mean(stats.pair_sq), 0.0))
                draws["level"] = draws["position"] * error
            elif risk.names is None:  # averages over subgroups are equivariant under them
                found.add(Diagnostic.LEVEL_NEEDS_HAAR)
        position = float(risk.positions[shipped_index])
        order = ("position", "is_best", "level", "risk_saved", "risk_saved_shipped", "risk")
        unit = self.path.unit(table.transform)
        return SymmetryLevelResult(
            draws={name: draws[name] for name in order if name in draws},
            dims={"risk": ("position_grid",), "is_best": ("position_grid",)},
            coords={
                "position_grid": risk.positions if risk.names is None else np.array(risk.names)
            },
            units=dict.fromkeys(("risk_saved", "risk_saved_shipped", "risk"), "risk")
            | {"position": unit, "level": "output units", "is_best": "probability"},
            diagnostics=worst_first(found),
            facts={
                "transform": str(table.transform),
                "path": type(self.path).__name__,
                "path_label": self.path.label,
                "shipped_position": position,
                "unchanged_index": unchanged,
                **_ends(position_draws, risk, unchanged),
                "n_rows": len(table),
                "n_transforms": table.design.n_transforms,
                "risk": float(squared_loss.mean()),
                "risk_saved_cross_fitted": float(_saved_elsewhere(table, risk).mean()),
                "nonfinite_rows": [int(r) for r in orbits.nonfinite_rows],
            },
            rows={"row_id": table.row_ids},
            shipment=self.path.shipment(table, position),
            transform=table.transform,
        )


def _ends(
    position: NDArray[np.float64] | None, risk: PathRisk, unchanged: int
) -> dict[str, float | None]:
    """Return the probabilities that full symmetry, none, or something between is best."""
    if position is None or risk.full is None:
        return dict.fromkeys(("p_full", "p_none", "p_between"))
    full = float((position == risk.positions[risk.full]).mean())
    none = float((position == risk.positions[unchanged]).mean())
    return {"p_full": full, "p_none": none, "p_between": 1 - full - none}


def _risk_draws(
    means: RowMeans, risk: PathRisk, squared_loss: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return draws ``(draw, position)`` of the risk along the path."""
    draws = means.plain(np.column_stack([risk.columns, squared_loss]))
    return draws[:, :-1] @ risk.limit + draws[:, -1:]


def _position(means: RowMeans, risk: PathRisk, along: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return draws of the position of least risk.

    A ratio of means, where the path has one, is fitted to its own row contrast, tails included:
    the minimum of draws of the risk covers .70 to .84 on heavy-tailed rows where this covers .93
    (nominal 0.9, n = 128).
    """
    if risk.optimum is not None:
        above, below = risk.optimum
        if (means.plain(below[:, None]) > 0).all():
            ends = risk.positions.min(), risk.positions.max()
            return np.clip(means.ratio(above, below), *ends)
    return risk.positions[_least(along)]


def _least(risk: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first position ``(draw,)`` whose risk is the least, up to rounding.

    Averages over a subgroup and over a larger one are the same model where the rest changes
    nothing; rounding must not choose between them.
    """
    least = risk.min(axis=1, keepdims=True)
    return np.argmax(risk <= least + _TIED * np.abs(least), axis=1)


def _saved_elsewhere(table: OrbitTable, risk: PathRisk) -> NDArray[np.float64]:
    """Return the risk saved in each row, at a position chosen on other rows.

    The rows are split into folds; each fold judges the position that the others choose. Its mean
    has no optimism; an interval would be of several positions, and too narrow where nothing is to
    be saved (.76 instead of .9 at n = 128).
    """
    fold = folds(table.unit_ids, _N_FOLDS)
    saved = np.zeros(len(table))
    for held_out in np.unique(fold):
        judges = fold == held_out
        index = int(np.argmin(risk.columns[~judges].mean(axis=0) @ risk.shipped))
        saved[judges] = -risk.columns[judges] @ risk.limit[:, index]
    return saved
