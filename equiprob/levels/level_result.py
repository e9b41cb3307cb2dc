"""What does a symmetry level say, ship, and need at test time?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.levels.averaged import averaged_predictor
from equiprob.levels.budget import Asked, Spacing, TransformBudget, transform_budget
from equiprob.levels.level_facts import LevelFacts
from equiprob.levels.paths.base import Shipment
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.results import AbstractResult, credible_interval
from equiprob.posterior.words import no_step_seen

_SURELY = 0.95
"""Probability from which the text says that the optimum lies beyond an end of the path."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SymmetryLevelResult(AbstractResult):
    """Posterior of the optimal symmetry level; made by `SymmetryLevel.fit`.

    Args:
        shipment: The recommended predictor's transformations (not saved with the result).
        transform: The transform (not saved with the result).
    """

    facts: LevelFacts = field(repr=False)

    shipment: Shipment | None = field(default=None, repr=False)
    transform: Any = field(default=None, repr=False)

    def predictor(
        self, predict: Callable[[Any], Any], n_transforms: int | None = None
    ) -> Callable[[Any], Any]:
        """Return the recommended model: `predict` blended with, or averaged over, transformations.

        Args:
            predict: The model the level was fitted to.
            n_transforms: How many transformations, in one lattice where there are lattices (see
                `budget`); as many as the table has when left out.

        Returns:
            A callable like `predict`, which evaluates it once for each transformation (and once
            more for a blend). Of a model of `adapters.from_torch` it is a ``torch.nn.Module`` that
            averages on its device: it takes tensors, or arrays, and is exported as others are once
            it has been called.

        Raises:
            ValueError: If the result was loaded from a file, which does not hold the transform.
        """
        if self.shipment is None:
            raise ValueError(
                "a level loaded from a file does not hold its transform; fit it again to the "
                "orbit table to make the predictor"
            )
        ship = self.shipment if n_transforms is None else self.shipment.with_size(n_transforms)
        return averaged_predictor(predict, self.transform, ship.parameters, ship.weights, ship.keep)

    @checked
    def budget(
        self,
        tolerance: float,
        *,
        error_tolerance: float | None = None,
        spacing: Spacing | None = None,
        position: float | None = None,
    ) -> TransformBudget:
        """Say how many transformations are enough for each prediction.

        Args:
            tolerance: Risk that may be lost against the average over all transformations.
            error_tolerance: Equivariance error that may be left.
            spacing: ``"lattice"``, of sizes that were evaluated, or ``"random"``, independent
                transformations of any number; lattices where there are any when left out.
            position: Along a blend and for the squared error, the share of the model that is kept
                in place of the recommended one: 0 is the average alone.

        Returns:
            Draws of ``excess_risk`` and, under the uniform law of a group and for the squared
            error, of the ``error`` left, by number of transformations; ``enough`` is the least that
            will do.

        Raises:
            ValueError: If no averaging is recommended and no position given, or what is asked is
                not known for this path, loss or design.
        """
        if position is None:
            if not self.recommended:
                raise ValueError(
                    "no averaging is recommended, so that no transformations are needed; along "
                    "Blend pass position=0 for the average over all"
                )
            position = self.shipped_position
        elif self.facts.path != "Blend" or self.facts.excess_of != "squared":
            raise ValueError(
                "position is for Blend and the squared error: other budgets are those of the "
                "recommended position"
            )
        asked = Asked(tolerance, error_tolerance, spacing, position)
        return transform_budget(self, self.facts, asked)

    def calculator(self, model: Any) -> Any:
        """Return the recommended model as a calculator of ASE.

        Args:
            model: The model that the level was fitted to, made by ``ep.adapters.from_ase``.

        Returns:
            The calculator. Energy, forces and stress are averages over the same transformations, so
            that forces stay the gradient of the energy.

        Raises:
            TypeError: If `model` was not made by ``ep.adapters.from_ase``.
            ValueError: If the result was loaded from a file, which does not hold the transform.
        """
        if not hasattr(model, "calculator_of"):
            raise TypeError(
                f"model must be made by ep.adapters.from_ase, got {type(model).__name__}; pass any "
                f"other model to level.predictor(predict)"
            )
        return model.calculator_of(self.predictor(model))

    @property
    def shipped_position(self) -> float:
        """The position of the recommended predictor."""
        return self.facts.shipped_position

    @property
    def unchanged_risk(self) -> NDArray[np.float64]:
        """Draws ``(draw,)`` of the risk of the model as it is."""
        return self.draws["risk"][:, self.facts.unchanged_index]

    @property
    def recommended(self) -> bool:
        """Whether averaging is recommended; else the recommended predictor is the model itself."""
        return self.facts.recommended

    @property
    def shipped_name(self) -> str:
        """The position of the recommended predictor in words, with its unit."""
        if "is_best" in self.draws:
            return f"'{self.coords['position_grid'][int(self.shipped_position)]}'"
        unit = self.units["position"]
        return f"{self.shipped_position:.3g}" + (f" {unit}" if unit else "")

    def __str__(self) -> str:
        """Say what was found."""
        if Diagnostic.NO_STEP_SEEN in self.diagnostics:
            text = no_step_seen(self.facts, self.facts.n_transforms)
            return f"{text} On these rows averaging changes nothing.{self.cautions}"
        if "risk_saved" not in self.draws:
            return (
                "The model is equivariant up to rounding: averaging it over the transformations "
                "changes nothing, and every position on the path is the same model."
            )
        where = self._positions if "is_best" not in self.draws else self._names
        return f"{self._advice} {where}{self.cautions}"

    @property
    def judged_elsewhere(self) -> str:
        """What averaging saves at positions chosen on other rows than it is judged on, in words."""
        if "risk_saved_cross_fitted" not in self.draws:
            return "on these rows averaging changes nothing"
        draws, risk = self.draws["risk_saved_cross_fitted"], f"a risk of {self.facts.risk:.3g}"
        if not self.recommended and not self.rows["saved"].any():
            return f"at positions chosen on other rows, no row's loss changes, with {risk}"
        (low, high), saved = credible_interval(draws, 0.9), self.facts.risk_saved_cross_fitted
        does, of, sign = ("adds", "to", -1) if saved < 0 else ("saves", "of", 1)
        ends = sorted([sign * low, sign * high])
        return (
            f"chosen on other rows than it is judged on, it {does} {sign * saved:.3g} {of} {risk} "
            f"(90% credible interval {ends[0]:.3g} to {ends[1]:.3g})"
        )

    @property
    def _advice(self) -> str:
        """Say what is recommended, and what it saves."""
        elsewhere = self.judged_elsewhere
        if not self.recommended:
            rope = self.facts.rope
            asked = f", and more than {rope:.3g} was asked for" if rope else ""
            return f"No averaging is recommended along {self.facts.path}: {elsewhere}{asked}."
        text = (
            f"Averaging is recommended ({self.facts.path_label} {self.shipped_name}): "
            f"{elsewhere}. On all rows, which also chose it, it saves "
            f"{_with_interval(self.draws['risk_saved'])}, after what choosing adds is taken off"
        )
        if self.facts.n_transforms and self.facts.path != "Subgroups":
            shipped = np.median(self.draws["risk_saved_shipped"])
            text += (
                f"; {shipped:.3g} with {self.facts.n_transforms} transformations for each "
                f"prediction"
            )
        return text + "."

    @property
    def _positions(self) -> str:
        """Say where along the path the risk is least."""
        unit = self.units["position"] and f" {self.units['position']}"
        text = f"The risk is least at {_with_interval(self.draws['position'], unit)}."
        if self.facts.p_full is not None:
            text += (
                f" Probability that full symmetry is best {self.facts.p_full:.2f}, none "
                f"{self.facts.p_none:.2f}, something between {self.facts.p_between:.2f}."
            )
        return text + self._beyond

    @property
    def _beyond(self) -> str:
        """Say where the risk would be least beyond the ends of a blend."""
        if "unclipped_position" not in self.draws:
            return ""
        draws = self.draws["unclipped_position"]
        if np.mean(draws < 0) >= _SURELY:
            return (
                f" Beyond the path it would be least at {_with_interval(draws)}: what the model "
                f"learned of the asymmetry has the wrong sign."
            )
        if np.mean(draws > 1) >= _SURELY:
            return (
                f" Beyond the path it would be least at {_with_interval(draws)}: the model's "
                f"asymmetry is weaker than the task's, and averaging takes more of it away."
            )
        return ""

    @property
    def _names(self) -> str:
        """Say which positions are likely to be the best, along a path where they have names."""
        names = self.coords["position_grid"]
        p_best = self.draws["is_best"].mean(axis=0)
        likely = np.argsort(-p_best, kind="stable")[:3]
        best = ", ".join(f"'{names[k]}' {p_best[k]:.2f}" for k in likely if p_best[k] >= 0.01)
        return f"The risk is least with probability: {best}."


def _with_interval(draws: NDArray[np.float64], unit: str = "") -> str:
    """Return the median of draws and their 90 % credible interval in words."""
    low, high = credible_interval(draws, 0.9)
    return f"{np.median(draws):.3g}{unit} ({low:.3g} to {high:.3g})"
