"""How much symmetry should be built into this model, after training?

Along a path of predictors made from one model (the post-hoc optimum), the risk on held-out rows
has a posterior at every position; its least position is the optimal symmetry level. Averages over a
finite number of transformations would move the optimum towards "keep the model"; products over
distinct transformations put it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.steps import largest_step
from equiprob.errors.table_findings import (
    design_diagnostics,
    is_quiet,
    orbit_average_available,
    require_deterministic,
    rounding_limit,
)
from equiprob.levels.few_transforms import budget_rows
from equiprob.levels.level_facts import LevelFacts
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.levels.monte_carlo import monte_carlo_share
from equiprob.levels.optimum import Optimum, partitions
from equiprob.levels.path_risk import AbstractPathRisk
from equiprob.levels.paths import AbstractPath, Blend
from equiprob.levels.paths.base import targets
from equiprob.levels.row_losses import Loss, limits_of_loss, named_loss
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.results import AbstractEstimator
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryLevel(AbstractEstimator):
    """Find the symmetry level of least risk along a path, with a posterior.

    Averaging is recommended where it is expected to save more than `rope` at a position chosen on
    other rows than it is judged on; otherwise the recommended predictor is the model itself.

    Args:
        path: ``Blend()`` between the model and its average, ``Range()`` of averages over
            transformations up to a magnitude, ``Subgroups()`` of averages over the subgroups of a
            finite group, or a path of your own.
        loss: What the risk is the mean of: ``"squared"`` (the Brier score for labels), ``"log"`` or
            ``"zero_one"`` for labels, ``"absolute"``, or a function ``loss(y, prediction) ->
            (row,)``, with labels one-hot. Only the squared error has a form for the average over
            all transformations; another loss is evaluated for averages over as many as the table
            has, and its optimum is the right one for those.

    Assumptions:
        Rows (or groups) are independent and were not trained on. Valid for any law of the inputs
        and any averaging distribution.

    References:
        Petrache & Trivedi, NeurIPS 2023 (the trade-off); Elesedy & Zaidi, ICML 2021 (averaging).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> generator = np.random.default_rng(0)
        >>> x = generator.normal(size=(500, 2))
        >>> y = np.sum(x**2, axis=1)  # does not change where x turns
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> predict = lambda rows: rows[:, 0] ** 2 + 1.2 * rows[:, 1] ** 2
        >>> orbits = ep.evaluate_orbits(predict, x, turns, y=y, n_transforms=8)
        >>> level = ep.SymmetryLevel().fit(orbits)
        >>> round(float(np.median(level.draws["position"])), 1)  # 0 is the average, 1 the model
        0.1
    """

    path: AbstractPath = field(default_factory=Blend)
    loss: str | Loss = "squared"
    rope: float = 0.0

    def __post_init__(self) -> None:
        """Check the counts, the loss and the saving asked for."""
        super().__post_init__()
        named_loss(self.loss)
        if not (np.isfinite(self.rope) and self.rope >= 0):
            raise ValueError(f"rope must be a difference in risk of at least 0, got {self.rope!r}")

    def fit(self, orbits: OrbitTable) -> SymmetryLevelResult:
        """Fit to an orbit table with targets.

        Args:
            orbits: The table of one output, evaluated with ``y=``.

        Returns:
            Draws of ``position`` (of least risk along the path; ``is_best`` for each position where
            they are subgroups), ``unclipped_position`` (of a blend's squared error: where it would
            be least if the path had no ends), ``risk_saved_cross_fitted``, the saving at positions
            chosen on other rows than they are judged on, net of optimism, ``risk_saved`` at the
            recommended position (0 where that is the model itself), less what choosing it on these
            rows adds (the fact ``optimism``), ``risk_saved_shipped`` (the same for averages over as
            many transformations as the table has, which for other losses than the squared error
            both are), ``risk`` along the path, and ``level``, the equivariance error left at the
            optimum, where the law is Haar and the path a blend. The facts ``p_full``, ``p_none``
            and ``p_between`` are the probabilities that the end of the path, its beginning, or
            neither is best; where no position saves more than the rope, its beginning is.

        Raises:
            ValueError: If the table has no targets, several outputs, one transformation for each
                row, shared transformations, or not the displacements that the path needs; if a loss
                does not fit the targets or is not finite.
        """
        table = orbits.finite
        found = design_diagnostics(orbits)
        targets(table)
        reason: set[Diagnostic] = set()
        if not orbit_average_available(table, reason):
            raise ValueError(f"the optimal level cannot be found: {reason.pop().value}")
        name, loss = named_loss(self.loss)
        if not (isinstance(self.path, Blend) and name == "squared"):
            require_deterministic(table, "a level along other paths than Blend, or of another loss")
        risk = self.path.risk(table) if name == "squared" else self.path.evaluated(table, loss)
        means = RowMeans(table.unit_ids, self.n_draws, self.weight_seed)
        along = risk.tabulate(means, partitions(means))
        limits = limits_of_loss(name, targets(table), table.only.base, risk.loss)
        draws: dict[str, NDArray[np.float64]] = {}
        optimum = None
        if is_quiet(table) and table.only.pair_sq.mean() <= rounding_limit(table) ** 2:
            few = largest_step(table) is not None
            found.add(Diagnostic.NO_STEP_SEEN if few else Diagnostic.UP_TO_ROUNDING)
        else:
            optimum = Optimum.of(means, risk, along, self.rope)
            draws |= self._draws(table, means, risk, optimum, found) | optimum.draws
            if optimum.mostly_unchanged:
                steps = optimum.in_steps
                found.add(Diagnostic.STEP_LOSS if steps else Diagnostic.FEW_IN_RANGE)
        shipped = risk.unchanged if optimum is None else optimum.shipped
        columns = {"the risk": risk.loss}
        if optimum is not None and shipped != risk.unchanged:
            columns["the saving"] = optimum.saved
        rows = RowFindings.of(means, columns, orbits.positions, orbits.left_out)
        position = float(risk.positions[shipped])
        of_budget, budget_facts = budget_rows(table, self.path, loss, position)
        ship = self.path.shipment if name == "squared" else self.path.shipment_as_evaluated
        grid = risk.positions if risk.names is None else np.array(risk.names)
        return SymmetryLevelResult(
            draws=draws | {"risk": np.clip(along.draws, *limits)},
            dims={"risk": ("position_grid",), "is_best": ("position_grid",)},
            coords={"position_grid": grid},
            units=dict.fromkeys(
                ("risk_saved", "risk_saved_shipped", "risk_saved_cross_fitted", "risk"), "risk"
            )
            | {
                "position": self.path.unit(table.transform),
                "level": "output units",
                "is_best": "probability",
            },
            diagnostics=worst_first(found | rows.found),
            facts=LevelFacts(
                transform=str(table.transform),
                path=type(self.path).__name__,
                path_label=self.path.label,
                loss=_LOSS_WORDS.get(name, f"expected loss ({name})"),
                shipped_position=position,
                recommended=optimum is not None and optimum.recommended,
                rope=self.rope,
                unchanged_index=risk.unchanged,
                **_ends(optimum, risk),
                n_rows=len(table),
                **rows.facts,
                n_transforms=table.design.n_transforms,
                monte_carlo_share=monte_carlo_share(table, self.path, position, risk, shipped)
                if name == "squared"
                else None,
                risk=float(np.clip(risk.loss.mean(), *limits)),
                risk_saved_cross_fitted=0.0 if optimum is None else optimum.expected,
                optimism=0.0 if optimum is None else optimum.optimism,
                weight_seed=self.weight_seed,
                nonfinite_rows=[int(r) for r in orbits.nonfinite_rows],
                output=table.outputs[0],
                **budget_facts,
            ),
            rows={
                **of_budget,
                "row_id": table.row_ids,
                "unit_id": table.unit_ids,
                "saved": np.zeros(len(table)) if optimum is None else optimum.saved,
            },
            shipment=ship(table, position),
            transform=table.transform,
        )

    def _draws(
        self,
        table: OrbitTable,
        means: RowMeans,
        risk: AbstractPathRisk,
        optimum: Optimum,
        found: set[Diagnostic],
    ) -> dict[str, NDArray[np.float64]]:
        """Return draws of the position and of the error left there."""
        best = optimum.best
        draws = (
            {"position": best}
            if risk.names is None
            else {"is_best": (best[:, None] == risk.positions).astype(np.float64)}
        )
        if optimum.unclipped is not None:
            draws["unclipped_position"] = optimum.unclipped
        if isinstance(self.path, Blend) and table.transform.is_haar:
            squared = np.maximum(means.mean(table.only.pair_sq), 0.0)
            draws["level"] = best * np.sqrt(squared)
        elif risk.names is None:  # averages over subgroups are equivariant under them
            found.add(Diagnostic.LEVEL_NEEDS_HAAR)
        return draws


_LOSS_WORDS = {
    "squared": "expected squared error",
    "log": "expected log loss",
    "zero_one": "probability of error",
    "absolute": "expected absolute error",
}


def _ends(optimum: Optimum | None, risk: AbstractPathRisk) -> dict[str, float | None]:
    """Return the probabilities that full symmetry, none, or something between is best."""
    if optimum is None or risk.full is None:
        return dict.fromkeys(("p_full", "p_none", "p_between"))
    full = float((optimum.best == risk.positions[risk.full]).mean())
    none = float((optimum.best == risk.positions[risk.unchanged]).mean())
    return {"p_full": full, "p_none": none, "p_between": 1 - full - none}
