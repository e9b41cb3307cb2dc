"""How many transformations are enough at test time?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from equiprob.levels.few_transforms import EXCESS
from equiprob.levels.level_facts import LevelFacts
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractResult, credible_interval
from equiprob.posterior.row_means import RowMeans

Draws = NDArray[np.float64]

Spacing = Literal["lattice", "random"]

_SURE = 0.95
"""Probability that the tolerances are kept from which so many transformations will do."""

_MOST = 4096
"""Independent transformations that are looked at, at most."""

_EACH = 32
"""Numbers up to which every one is looked at; beyond, a few in every doubling."""


@dataclass(frozen=True, kw_only=True)
class BudgetFacts(Facts):
    """What travels with a budget of transformations.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        output: The name of the output.
        risk: Of the model as it is.
        n_units: Independent units: groups, else rows.
        tolerance: Risk that may be lost.
        error_tolerance: Equivariance error that may be left; None for no limit.
        spacing: How transformations are chosen.
        position: Along the path.
        at_most: Whether losses are upper bounds.
        reference: What is lost is against this many, in words.
    """

    transform: str
    weight_seed: int
    output: str
    risk: float
    n_units: int
    tolerance: float
    error_tolerance: float | None
    spacing: str
    position: float
    at_most: bool
    reference: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class TransformBudget(AbstractResult):
    """Posterior of what averages over few transformations lose; made by `level.budget`."""

    facts: BudgetFacts = field(repr=False)

    @property
    def p_enough(self) -> pd.Series:
        """The probability that so many transformations keep the tolerances, by their number."""
        keeps = self.draws["excess_risk"] <= self.facts.tolerance
        if self.facts.error_tolerance is not None:
            keeps &= self.draws["error"] <= self.facts.error_tolerance
        index = pd.Index(self.coords["n_transforms"].astype(int), name="n_transforms")
        return pd.Series(keeps.mean(axis=0), index=index, name="p_enough")

    @property
    def enough(self) -> int | None:
        """The least number that keeps the tolerances with probability 0.95; None where none does.

        A smaller one is not taken where a larger one, evaluated too, does not keep them.
        """
        sure = (self.p_enough >= _SURE).to_numpy()
        if not sure[-1]:
            return None
        first = len(sure) - int(np.argmin(sure[::-1])) if not sure.all() else 0
        return int(self.coords["n_transforms"][first])

    def __str__(self) -> str:
        """Say how many will do, and what more would buy."""
        sizes, risk = self.coords["n_transforms"].astype(int), self.facts.risk
        kind = "in a lattice" if self.facts.spacing == "lattice" else "drawn at random"
        allowed = f"a risk of {self.facts.tolerance:.3g}"
        if self.facts.error_tolerance is not None:
            allowed += f" and an equivariance error of {self.facts.error_tolerance:.3g}"
        enough = self.enough
        if enough is None:
            last = _interval(self.draws["excess_risk"][:, -1])
            return (
                f"No number of transformations up to {sizes[-1]} {kind} surely keeps {allowed}: "
                f"{sizes[-1]} lose {last}." + self.cautions
            )
        place = int(np.flatnonzero(sizes == enough)[0])
        least = "at most " if self.facts.at_most and enough != sizes[-1] else ""
        text = (
            f"{enough} transformation{'s' * (enough != 1)} {kind} will do: against "
            f"{self.facts.reference} they lose {least}"
            f"{_interval(self.draws['excess_risk'][:, place])} of a risk of {risk:.3g}, and keep "
            f"{allowed} with probability {self.p_enough.iloc[place]:.2f}."
        )
        if "error" in self.draws:
            text += f" Equivariance error left: {_interval(self.draws['error'][:, place])}."
        if place + 1 < len(sizes):
            bought = self.draws["excess_risk"][:, place] - self.draws["excess_risk"][:, place + 1]
            share = 100 * max(float(np.median(bought)), 0.0) / risk if risk > 0 else 0.0
            text += f" {sizes[place + 1] - enough} more buy {_percent(share)} of the risk."
        return text + self.cautions


@dataclass(frozen=True)
class Asked:
    """What a budget is asked for.

    Args:
        tolerance: Risk that may be lost.
        error_tolerance: Equivariance error that may be left; None for no limit.
        spacing: How transformations are chosen; None for lattices where they were evaluated.
        position: Of the average along its path.
    """

    tolerance: float
    error_tolerance: float | None
    spacing: Spacing | None
    position: float

    @property
    def least(self) -> float:
        """The excess risk that keeps the smaller of the tolerances, whatever share is kept."""
        limit = np.inf if self.error_tolerance is None else self.error_tolerance**2 / 2
        return min(self.tolerance, limit)

    def __post_init__(self) -> None:
        """Check the tolerances."""
        for name, value in (
            ("tolerance", self.tolerance),
            ("error_tolerance", self.error_tolerance),
        ):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be larger than 0, got {value!r}")
        if self.spacing not in ("lattice", "random", None):
            raise ValueError(f"spacing must be 'lattice' or 'random', got {self.spacing!r}")


def transform_budget(level: AbstractResult, facts: LevelFacts, asked: Asked) -> TransformBudget:
    """Return the budget of a level from the rows that it keeps for it.

    Raises:
        ValueError: If the level does not know what is asked.
    """
    rows = level.rows
    sizes = sorted(int(name.removeprefix(EXCESS)) for name in rows if name.startswith(EXCESS))
    spacing: Spacing = asked.spacing or ("lattice" if sizes else "random")
    squared, blend = facts.excess_of == "squared", facts.path == "Blend"
    kept = asked.position if blend else 0.0
    moved = (1 - kept) ** 2 if blend and squared else 1.0
    means = RowMeans(rows["unit_id"], level.n_draws, facts.weight_seed)
    if spacing == "lattice":
        if not sizes:
            raise ValueError(
                "no lattices of this average were evaluated: along Blend pass design='quasi' and "
                "n_transforms of at least 2 to evaluate_orbits, or spacing='random'"
            )
        columns = np.column_stack([rows[f"{EXCESS}{size}"] for size in sizes])
        numbers = np.array(sizes, dtype=np.float64)
        excess = moved * (means.means(columns) if squared else means.differences(columns))
    else:
        if "orbit_variance" not in rows:
            raise ValueError(
                "the variance over transformations is known for the squared error of deterministic "
                "models, along Blend, Range (not of finite sets) and Subgroups"
            )
        variance = moved * np.maximum(means.mean(rows["orbit_variance"]), 0.0)
        n = facts.n_elements
        numbers = _numbers(variance, asked.least, n)
        excess = variance[:, None] / numbers
        if n is not None:  # none is drawn twice
            excess *= np.maximum(n - numbers, 0) / max(n - 1, 1)
    # An average over more is worth as much; of another loss it may be worse.
    found = {"excess_risk": np.maximum(excess, 0.0) if squared else excess}
    if "pair_sq" in rows:
        square = kept**2 * np.maximum(means.mean(rows["pair_sq"]), 0.0)
        found["error"] = np.sqrt(square[:, None] + 2 * found["excess_risk"])
    elif facts.path == "Subgroups" and squared:
        found["error"] = np.sqrt(2 * found["excess_risk"])
    elif asked.error_tolerance is not None:
        raise ValueError(
            "the error that an average over few transformations leaves is known for the squared "
            "error, along Blend or Subgroups, for transformations drawn uniformly from a group: "
            "evaluate the orbits of level.predictor(predict, n_transforms=...) to measure it"
        )
    return TransformBudget(
        draws=found,
        dims=dict.fromkeys(found, ("n_transforms",)),
        coords={"n_transforms": numbers},
        units={"excess_risk": "risk", "error": "output units"},
        diagnostics=level.diagnostics,
        facts=BudgetFacts(
            transform=facts.transform,
            output=facts.output,
            risk=facts.risk,
            n_units=facts.n_units,
            weight_seed=facts.weight_seed,
            details=facts.details,
            tolerance=asked.tolerance,
            error_tolerance=asked.error_tolerance,
            spacing=spacing,
            position=asked.position,
            at_most=spacing == "lattice" and squared and facts.lattices_at_most,
            reference="all" if squared else f"the {facts.n_transforms} of the table",
        ),
    )


def _numbers(variance: Draws, least: float, n_elements: int | None) -> Draws:
    """Return numbers of transformations to look at, up to where the excess is surely below."""
    sure, beyond = np.quantile(variance, [_SURE, 0.999]) / least
    most = int(np.clip(2 * beyond, 8, _MOST))
    if n_elements is not None:
        most = min(most, n_elements) if 2 * beyond < n_elements else n_elements
    steps = 2.0 ** (np.arange(4 * int(np.ceil(np.log2(_MOST))) + 1) / 4)
    wanted = [np.ceil(sure), most]
    numbers = np.unique(np.concatenate([np.arange(1, _EACH + 1), np.round(steps), wanted]))
    return numbers[(numbers >= 1) & (numbers <= most)].astype(np.float64)


def _interval(draws: Draws) -> str:
    low, high = credible_interval(draws, 0.9)
    return f"{np.median(draws):.3g} (90% credible interval {low:.3g} to {high:.3g})"


def _percent(share: float) -> str:
    return "less than 1 %" if share < 1 else f"{share:.2g} %"
