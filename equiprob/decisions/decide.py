"""Which candidate to ship, what that costs, and what would be worth knowing first?

A decision minimizes one loss: the risk, or the risk and other costs in one unit. It says how sure
it is, "undecided" where it is not, and what more data would be worth before deciding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.decisions.choice import Choice, Draws
from equiprob.decisions.compare import Comparison
from equiprob.decisions.costs import Costs, by_candidate
from equiprob.decisions.information import AbstractInformation, Rows, Run, Seeds, Transformations
from equiprob.decisions.prospects import Curve, Prospect
from equiprob.decisions.winner import Winner, cross_fitted_columns
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.posterior.diagnostics import worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractResult, credible_interval

if TYPE_CHECKING:
    import pandas as pd


_MOST_RUN = 10
"""Candidates that another run is thought of by default: a run of one that is hardly ever best tells
hardly anything."""


@dataclass(frozen=True, kw_only=True)
class DecisionFacts(Facts):
    """What travels with a `Decision`.

    Args:
        loss_words: The loss, in words.
        where: On what it was measured, in words.
        rope: Difference in loss that makes no practical difference.
        twins: As in `ComparisonFacts`.
        reference: The candidate that the others are compared with.
        horizon: The number of training rows to decide for; None where there is none.
        has_costs: Whether candidates have costs besides their risks.
        largest_loss: Which a row can have; None for infinity.
        rows_seed: Of the rows' weights; None where it does not rest on rows.
        places: Of the candidates among the columns of `rows`.
        risk: Mean risk of each candidate.
        of_risk: What a unit of risk is in units of the loss.
        costs: Of each candidate, besides its risk.
        information: Name, value and cost of what could be learned.
    """

    loss_words: str
    where: str
    rope: float
    twins: Mapping[str, Sequence[str]]
    reference: str
    horizon: float | None
    has_costs: bool
    largest_loss: float | None
    rows_seed: int | None
    places: Sequence[int]
    risk: Sequence[float]
    of_risk: float
    costs: Sequence[float]
    information: Sequence[Mapping[str, Any]]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Decision(AbstractResult):
    """Joint posterior of the candidates' losses, and what follows; made by `decide`."""

    facts: DecisionFacts = field(repr=False)

    @property
    def candidates(self) -> list[str]:
        """The candidates, least expected loss first."""
        return [str(name) for name in self.coords["candidate"]]

    @cached_property
    def choice(self) -> Choice:
        """The choice among the candidates."""
        return Choice(
            self.candidates,
            self.draws["likely_loss"],
            self.facts.rope,
            self.draws["expected_loss"],
            self.facts.twins,
        )

    @cached_property
    def winner(self) -> Winner | None:
        """The first candidate, judged by rows that did not choose it; None without such rows.

        That is where the decision rests on a comparison.
        """
        seed, places = self.facts.rows_seed, self.facts.places
        if seed is None:
            return None
        losses = self.facts.of_risk * np.column_stack([self.rows[f"loss_{k}"] for k in places])
        loss, costs = self.draws["loss"][:, 0], np.array(self.facts.costs)
        limits = 0.0, np.inf if (largest := self.facts.largest_loss) is None else largest
        return Winner(losses, self.rows["unit_id"], 0, loss, int(seed), limits, costs)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each candidate, least expected loss first.

        Columns: on a comparison ``cross_fitted``, what the first, which these rows chose, loses on
        rows that did not choose it, with ``cross_fitted_low`` and ``cross_fitted_high`` (of the
        others NaN); ``risk`` (on these rows); with costs also ``cost`` (besides the risk) and
        ``loss`` (both together, in the unit of the costs); ``ci_low`` and ``ci_high`` of the loss
        (ArviZ's default probability); ``p_best``; ``expected_regret``; ``p_worse``, ``p_equal`` and
        ``p_better`` than the reference, which add up to 1.
        """
        import pandas as pd

        limits = credible_interval(self.draws["loss"])
        columns: dict[str, Any] = {}
        if self.winner is not None:
            columns |= cross_fitted_columns(self.winner, len(self.candidates))
        risk = np.array(self.facts.risk)
        columns["risk"] = risk
        if self.facts.has_costs:
            costs = np.array(self.facts.costs)
            columns |= {"cost": costs, "loss": self.facts.of_risk * risk + costs}
        columns |= {
            "ci_low": limits[:, 0],
            "ci_high": limits[:, 1],
            "p_best": self.choice.p_best,
            "expected_regret": self.choice.expected_regret,
        }
        against = self.choice.against(self.candidates.index(self.facts.reference))
        columns |= dict(zip(("p_worse", "p_equal", "p_better"), against.T, strict=True))
        return pd.DataFrame(columns, index=pd.Index(self.candidates, name="candidate"))

    @property
    def value_of_perfect_information(self) -> float:
        """What knowing every loss would win, in expectation, in the unit of the loss."""
        return self.choice.value_of_perfect_information

    @cached_property
    def information(self) -> pd.DataFrame:
        """What could be learned first, the most valuable first.

        Columns: ``value``, by how much the expected loss falls when it is known before the choice;
        ``share`` of the value of perfect information; and, where it was given, ``cost``, with the
        ``value_per_cost``.
        """
        import pandas as pd

        found = self.facts.information
        table = pd.DataFrame(
            {
                "value": [f["value"] for f in found],
                "cost": np.array([f["cost"] for f in found], dtype=np.float64),
            },
            index=pd.Index([f["name"] for f in found], name="information", dtype=object),
        )
        perfect = self.value_of_perfect_information
        table.insert(1, "share", table["value"] / perfect if perfect > 0 else 0.0)
        table["value_per_cost"] = table["value"] / table["cost"]
        return table.sort_values("value", ascending=False, kind="stable")

    @property
    def verdict(self) -> str:
        """Which candidate to ship and how sure that is, in two sentences."""
        found = self.facts.information
        advice = ""
        if found:
            best = max(found, key=lambda f: f["value"])
            advice = (
                f"; of what could be learned first, {best['name']} would win {best['value']:.2g}"
            )
        stated = "" if self.winner is None else self.winner.words(self.candidates[0])
        return self.choice.verdict(self.facts.loss_words, self.facts.where, advice, stated)

    def __str__(self) -> str:
        """Say which candidate to ship."""
        return self.verdict + self.cautions


@checked
def decide(
    result: Comparison | SymmetryLevelResult | Curve,
    *,
    costs: Costs | Mapping[str, float] | None = None,
    rope: float | None = None,
    horizon: float | None = None,
    reference: str | None = None,
    information: Sequence[AbstractInformation] | None = None,
) -> Decision:
    """Decide which candidate to ship.

    Args:
        result: A comparison; a fitted symmetry level, to decide between the model ``"as trained"``
            and ``"averaged"`` as recommended; or fitted learning curves, to decide which candidate
            to train on `horizon` rows.
        costs: ``ep.Costs(...)``, which puts risk, training and inference into one unit; or a cost
            for each candidate in units of risk; or None to minimize the risk alone.
        rope: Difference in loss that makes no practical difference, in the unit of the loss (that
            of ``Costs``, else of risk). When left out, that of the comparison, or 0.
        horizon: For learning curves: the number of training rows to decide for. When left out, the
            largest observed, and a note says so.
        reference: The candidate that the others are worse than, practically equal to, or better
            than; when left out, the one of least expected loss.
        information: What could be learned first, from ``ep.information``. When left out: for a
            comparison and a level as many rows again and nine times as many, for seeds one and
            three more, for transformations as many again; for curves another run of each of the
            likeliest candidates (ten at most), at the largest number of rows, and at the horizon or
            at twice as many. ``()`` for none.

    Returns:
        The decision, candidates of least expected loss first: draws of ``loss`` for intervals of
        each, of ``likely_loss`` for probabilities (of a comparison: given how much its candidates
        differ), of ``expected_loss`` for expectations, and of the ``regret`` that these make.

    Raises:
        TypeError: If `result` is none of these.
        ValueError: If names of candidates in `costs` or `reference` are unknown, a cost is not
            finite, `rope` is negative, a horizon is given for rows that are there already, or
            information has no bearing on the decision.

    Assumptions:
        Those of `result`. The loss is linear in the risk: an expectation is all that counts.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = np.sum(x**2, axis=1)
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> models = {"all": lambda rows: (rows**2).sum(axis=1), "first": lambda rows: rows[:, 0]}
        >>> tables = {k: ep.evaluate_orbits(model, x, turns, y=y) for k, model in models.items()}
        >>> decision = ep.decide(ep.compare(tables), costs={"all": 0.1, "first": 0.0})
        >>> print(decision)
        Ship 'all': it has the least loss with probability 1.00. The loss minimized is the
        expected squared error and costs (200 held-out rows): 0.1 (0.1 to 2.11) for 'all', 0 more
        in expectation than if the best were known.
    """
    prospect = _prospect(result, horizon)
    stakes = _Stakes.of(prospect, costs)
    choice = stakes.choice(prospect, rope)
    names, order = list(prospect.candidates), choice.order
    against = names[order[0]] if reference is None else reference
    if against not in names:
        raise ValueError(f"reference must be one of the candidates {names}, got {reference!r}")
    wanted = _standard(prospect, choice) if information is None else list(information)
    if not all(isinstance(each, AbstractInformation) for each in wanted):
        raise TypeError(f"information must be a list of ep.information, got {information!r:.80}")
    test_risk = prospect.risk if prospect.test_risk is None else prospect.test_risk
    draws = {
        "loss": stakes.loss(test_risk),
        "likely_loss": choice.loss,
        "expected_loss": choice.at_stake,
        "regret": choice.regret,
    }
    return Decision(
        draws={name: values[:, order] for name, values in draws.items()},
        dims=dict.fromkeys(draws, ("candidate",)),
        coords={"candidate": np.array(names)[order]},
        units=dict.fromkeys(draws, stakes.unit),
        diagnostics=worst_first(prospect.found),
        facts=DecisionFacts(
            details=dict(prospect.details),
            loss_words=stakes.words,
            where=prospect.where,
            rope=choice.rope,
            twins=dict(choice.twins),
            reference=against,
            horizon=prospect.horizon,
            has_costs=costs is not None,
            rows_seed=prospect.weight_seed,
            n_chains=prospect.n_chains,
            largest_loss=_finite(stakes.scale * prospect.largest_loss),
            places=order.tolist(),
            risk=prospect.mean[order].tolist(),
            of_risk=stakes.scale,
            costs=stakes.besides[order].tolist(),
            information=[
                {
                    "name": str(each),
                    "value": choice.value_of(stakes.loss(each.expected(prospect))),
                    "cost": each.cost,
                }
                for each in wanted
            ],
        ),
        rows=prospect.rows,
    )


def _finite(value: float) -> float | None:
    """Return a number, or None for infinity, which files of facts do not hold."""
    return value if np.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class _Stakes:
    """How a risk becomes a loss.

    Args:
        scale: What a unit of risk adds to the loss.
        besides: What each candidate costs besides, ``(candidate,)``.
        words: What the loss is.
        unit: Its unit.
    """

    scale: float
    besides: NDArray[np.float64]
    words: str
    unit: str

    @classmethod
    def of(cls, prospect: Prospect, costs: Costs | Mapping[str, float] | None) -> _Stakes:
        names, words = prospect.candidates, prospect.words
        if costs is None:
            return cls(1.0, np.zeros(len(names)), words, "risk")
        if not isinstance(costs, Costs):
            return cls(1.0, by_candidate(costs, names, "costs"), f"{words} and costs", "risk")
        what = (
            f"cost of {costs.n_predictions:g} predictions, at {costs.price_of_risk:g} for each "
            f"unit of {words}, with training and inference"
        )
        return cls(costs.of_risk, costs.besides_risk(names), what, "cost")

    def loss(self, risk: Draws) -> Draws:
        return self.scale * risk + self.besides

    def choice(self, prospect: Prospect, rope: float | None) -> Choice:
        tolerance = prospect.rope * self.scale if rope is None else float(rope)
        if not np.isfinite(tolerance) or tolerance < 0:
            raise ValueError(f"rope must be a difference in loss of at least 0, got {rope}")
        risk, expected = self.loss(prospect.risk), self.loss(prospect.expected)
        if not (np.isfinite(risk).all() and np.isfinite(expected).all()):
            raise ValueError("costs are too large to add up: pass them in a larger unit")
        return Choice(prospect.candidates, risk, tolerance, expected, self._twins(prospect))

    def _twins(self, prospect: Prospect) -> dict[str, list[str]]:
        """Return which candidates are the same on every row and cost the same."""
        costs = dict(zip(prospect.candidates, self.besides.tolist(), strict=True))
        same = {
            name: [twin for twin in twins if costs[twin] == costs[name]]
            for name, twins in prospect.twins.items()
        }
        return {name: twins for name, twins in same.items() if twins}


def _prospect(result: Any, horizon: float | None) -> Prospect:
    if isinstance(result, Comparison | SymmetryLevelResult):
        if horizon is not None:
            raise ValueError(
                "a horizon is for learning curves: this result speaks of the model that was "
                "trained; leave it out"
            )
        if isinstance(result, Comparison):
            return Prospect.of_comparison(result)
        return Prospect.of_level(result)
    if isinstance(result, Curve):
        return Prospect.of_curve(result, horizon)
    raise TypeError(
        f"decide takes what compare, SymmetryLevel().fit or LearningCurve().fit return, got "
        f"{type(result).__name__}"
    )


def _standard(prospect: Prospect, choice: Choice) -> tuple[AbstractInformation, ...]:
    """Return what one would think of learning first."""
    wanted: list[AbstractInformation] = []
    parts = prospect.parts
    if "rows" in parts:
        n = int(parts["rows"].size)
        wanted += [Rows(n), Rows(9 * n)]
    if "seeds" in parts:
        wanted += [Seeds(1), Seeds(3)]
    if "transformations" in parts:
        wanted.append(Transformations(int(parts["transformations"].size)))
    if prospect.curve is not None:
        largest = float(np.max(prospect.curve.n_observed))
        further = max(2 * largest, float(prospect.horizon or 0.0))
        likely: list[int] = sorted(np.argsort(-choice.p_best, kind="stable")[:_MOST_RUN].tolist())
        names = [prospect.candidates[k] for k in likely]
        wanted += [Run(name, n) for name in names for n in (largest, further)]
    return tuple(wanted)
