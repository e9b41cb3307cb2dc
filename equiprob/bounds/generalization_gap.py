"""How much worse may a model be on new rows than on those it was trained on?

Two probabilities enter, and are never mixed. A bound holds with *confidence* 1 - delta over
samples, whatever the model that training picks out of its class. What is uncertain in its
ingredients (a Lipschitz constant, a dimension, an expectation over samples) makes draws of the
bound's value, with *credible* intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.array_types import Array
from equiprob.bounds.base import AbstractBound, GapEvidence, GapProblem, Given, at_sizes
from equiprob.bounds.transport import Transport
from equiprob.errors.table_findings import require_deterministic
from equiprob.geometry.geometry import GeometryResult
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.named import Named
from equiprob.posterior.results import AbstractEstimator, AbstractResult, credible_interval
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans
from equiprob.transforms.fingerprint import OF_OUTPUT, check_same_transform

_SATURATED = 0.8
"""Share of the largest loss from which a cost is capped too often to fall as it would."""

_UNITS = {
    "bound": "risk",
    "expected_bound": "risk",
    "gap": "risk",
    "expected_gap": "risk",
    "gain": "ratio",
    "equivalent_samples": "samples",
}

_CURVE = "curve_"
"""Before the names of what is known at other numbers of rows, too."""


@dataclass(frozen=True, kw_only=True)
class GapFacts(Facts):
    """What travels with a generalization gap, and with its forecast.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        kind: The name of the bound.
        n: Training rows.
        delta: The probability over samples with which the bound may fail.
        loss_range: The largest loss; None if not known.
        assumptions: What was promised and what was measured, in words.
        of_bound: What the bound says of itself, by name: see there.
        n_units: Independent units of the rows that it takes means of; None for none.
        n_effective_units: As in `RowFacts`, as are the others.
        invisible_rate: The rate of failures that may not be among them.
        n_effective: How many rows of equal share would know the mean as well.
        tail_index: Of the row values.
    """

    transform: str
    weight_seed: int
    kind: str
    n: int
    delta: float
    loss_range: float | None
    assumptions: Sequence[str]
    of_bound: Mapping[str, Any]
    n_units: int | None = None
    n_effective_units: float | None = None
    invisible_rate: float | None = None
    n_effective: float | None = None
    tail_index: float | None = None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GapForecast(AbstractResult):
    """Bounds or gaps at other numbers of rows; made by `GeneralizationGapResult.forecast`.

    A forecast of a bound's value is not a bound: that the cost goes on as a power of the number of
    rows is an assumption.
    """

    facts: GapFacts = field(repr=False)

    def __str__(self) -> str:
        """Say what is forecast at the largest number of rows."""
        n = self.coords["n"][-1]
        if "gap" in self.draws:
            return (
                f"At {n:.0f} independent training rows the generalization gap of one training run "
                f"is {_number(self.draws['gap'][:, -1])}, and the mean gap of such runs "
                f"{_number(self.draws['expected_gap'][:, -1])}." + self.cautions
            )
        values = self.draws["expected_bound"][:, -1]
        low, high = credible_interval(values, 0.9)
        return (
            f"Forecast, not a bound: at {n:.0f} independent rows the bound on the expected gap is "
            f"{np.median(values):.3g} (90% credible interval {low:.3g} to {high:.3g}), "
            f"{np.median(self.draws['without'][:, -1]):.3g} without the symmetry."
        )

    @property
    def observed(self) -> dict[str, Array] | None:
        """The gaps ``(run,)`` that a prediction was fitted to, and their rows; None for bounds."""
        return _observed(self.facts) if "gap" in self.draws else None


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GeneralizationGapResult(AbstractResult):
    """A bound on the generalization gap, or its posterior; made by `GeneralizationGap.fit`."""

    facts: GapFacts = field(repr=False)

    @property
    def is_vacuous(self) -> bool:
        """Whether the bound of high probability is no smaller than the largest loss."""
        return Diagnostic.VACUOUS in self.diagnostics

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What has to be true for the bound to hold."""
        return tuple(self.facts.assumptions)

    def summary(self, ci_prob: Any = None, ci_kind: Any = None) -> Any:
        """Return the table of `AbstractResult.summary`, without the curves of the forecast."""
        table = super().summary(ci_prob, ci_kind)
        return table[~table.index.str.startswith(_CURVE)]

    @property
    def observed(self) -> dict[str, Array] | None:
        """The gaps ``(run,)`` that a prediction was fitted to, and their rows; None for bounds."""
        return _observed(self.facts) if f"{_CURVE}gap" in self.draws else None

    @property
    def curves(self) -> dict[str, Array]:
        """Draws ``(draw, n)`` at the numbers of rows in `coords`, by the names of a forecast."""
        found = {
            name.removeprefix(_CURVE): values
            for name, values in self.draws.items()
            if name.startswith(_CURVE)
        }
        return Named.of(found, "curves", type(self).__name__)

    def forecast(self, n: ArrayLike, n_held_out: float | None = None) -> GapForecast:
        """Return bound or gap at other numbers of independent rows: a forecast, not a bound.

        Args:
            n: Numbers of (training) rows, ``(n,)`` or one.
            n_held_out: How many held-out rows there would be, where training rows are moved onto
                such; as many for each training row as there are when left out. The cost of moving n
                rows onto m is taken to go with ``1 / n + 1 / m``.

        Returns:
            Draws ``(draw, n)`` of ``expected_bound`` and ``bound``, or of ``expected_gap`` and
            ``gap`` where the gap itself is predicted; and of ``without`` (the expected one without
            the symmetry).

        Raises:
            ValueError: If the bound has no forecast or no held-out rows, a number is not positive,
                or a gap was not predicted so far away.
        """
        if not self.curves:
            raise ValueError(
                f"there is no forecast here: {self.facts.kind} bounds one number of rows, or "
                f"there were too few rows to see how it falls"
            )
        at = np.unique(np.atleast_1d(np.asarray(n, dtype=np.float64)))
        if not (np.isfinite(at).all() and at.min() >= 1):
            raise ValueError(f"n must be numbers of rows, at least 1, got {n!r}")
        known = self.coords["n"]
        if "gap" in self.draws and not known[0] <= at[0] <= at[-1] <= known[-1]:
            raise ValueError(
                f"gaps are predicted at {known[0]:g} to {known[-1]:g} rows, got {at.tolist()}; add "
                f"runs nearer to these"
            )
        draws = at_sizes(self.curves, known, at)
        if n_held_out is not None:
            draws = self._with_held_out(at, n_held_out)
        return GapForecast(
            draws=draws,
            dims=dict.fromkeys(draws, ("n",)),
            coords={"n": at},
            units=dict.fromkeys(draws, "risk"),
            diagnostics=self.diagnostics,
            facts=replace(self.facts, nonfinite_rows=[]),
        )

    def _with_held_out(self, n: Array, m: float) -> dict[str, Array]:
        """Return the forecast for n training rows and m held-out ones."""
        known, seen = self.coords["n"], self.facts.of_bound.get("n_held_out")
        if not seen:
            raise ValueError(
                "n_held_out is for bounds that move training rows onto held-out ones: pass "
                "train= to fit, with Transport"
            )
        if not (np.isfinite(m) and m >= 1):
            raise ValueError(f"n_held_out must be a number of rows, at least 1, got {m!r}")
        each = seen / self.facts.n
        alike = (1 + 1 / each) / (1 / n + 1 / m)  # of as many held-out rows for each as were seen
        draws = at_sizes(self.curves, known, alike)
        of_held_out = at_sizes(self.curves, known, np.array([m / each]))
        added = of_held_out["bound"] - of_held_out["expected_bound"]
        return {**draws, "bound": draws["expected_bound"] + added}

    def __str__(self) -> str:
        """Say what was found."""
        facts = self.facts
        if "gap" in self.draws:
            text = f"The generalization gap is {_number(self.draws['gap'])} for {facts.n} "
            text += f"training rows, by {facts.kind}"
            if "expected_gap" in self.draws:
                text += f", for one training run of {facts.of_bound['candidate']!r}; "
                text += f"the mean gap of such runs is {_number(self.draws['expected_gap'])}"
            return text + "." + self.cautions
        which = (
            "the generalization gap of this model is at most"
            if facts.of_bound.get("of_this_model")
            else "no predictor of the class has a generalization gap above"
        )
        text = f"With confidence {1 - facts.delta:.3g} over samples of "
        if held_out := facts.of_bound.get("n_held_out"):
            text += f"{held_out} independent held-out rows, for these {facts.n} "
            text += "training rows"
        else:
            text += f"{facts.n} independent rows"
        text += f", {which} {_number(self.draws['bound'])}"
        if "expected_bound" in self.draws:
            mean = _number(self.draws["expected_bound"])
            text += f"; on average over samples the largest one is at most {mean}"
        if facts.loss_range is not None:
            text += f" (losses reach {facts.loss_range:.3g})"
        text += f". By {facts.kind}, for {facts.transform}, where "
        text += f"{'; '.join(self.assumptions)}."
        if "gain" in self.draws:
            text += (
                f" The symmetry multiplies the bound on the expected gap by "
                f"{_number(self.draws['gain'])}"
            )
            if "equivalent_samples" in self.draws:
                worth = _number(self.draws["equivalent_samples"])
                text += f": a row with it is worth {worth} without"
            text += "."
        return text + self.cautions


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GeneralizationGap(AbstractEstimator):
    """Bound or estimate how much larger the risk is on new rows than on training rows.

    Args:
        bound: How: one of ``ep.bounds``, or your own.
        delta: The probability over samples with which a bound may fail. It is no part of credible
            intervals.

    References:
        docs/generalization.md; Petrache & Trivedi, NeurIPS 2023.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> generator = np.random.default_rng(0)
        >>> x = generator.normal(size=(240, 2))
        >>> y = x[:, 0] + generator.normal(size=240)
        >>> slopes = np.linalg.lstsq(x[:40], y[:40])[0]
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> train = ep.evaluate_orbits(lambda rows: rows @ slopes, x[:40], turns, y=y[:40])
        >>> fresh = ep.evaluate_orbits(lambda rows: rows @ slopes, x[40:], turns, y=y[40:])
        >>> result = ep.GeneralizationGap(bound=ep.bounds.Holdout()).fit(fresh, train=train)
        >>> print(result)
        The generalization gap is 0.374 (90% credible interval 0.196 to 0.599) for 40 training
        rows, by Holdout.
    """

    bound: AbstractBound = field(default_factory=Transport)
    delta: float = 0.05

    def __post_init__(self) -> None:
        """Check the configuration."""
        super().__post_init__()
        if not isinstance(self.bound, AbstractBound):
            raise TypeError(
                f"bound must be one of ep.bounds, such as ep.bounds.Transport(), got {self.bound!r}"
            )
        if not 0 < self.delta < 1:
            raise ValueError(f"delta must lie strictly between 0 and 1, got {self.delta}")

    def fit(
        self, orbits: OrbitTable, *, geometry: Any = None, train: OrbitTable | None = None
    ) -> GeneralizationGapResult:
        """Bound the gap.

        Args:
            orbits: The table of one output on rows that the model was not trained on, with targets.
            geometry: The result of ``ep.Geometry`` on the same inputs, where the bound needs it.
            train: The table of the rows that the model was trained on. The bound is then about
                these; otherwise about a sample like `orbits`.

        Returns:
            Draws of ``bound`` (holds with probability 1 - delta over samples), ``expected_bound``
            (on the expected largest gap), ``gain`` (the latter over that without the symmetry) and
            ``equivalent_samples`` (how many rows without the symmetry one row with it is worth); or
            of ``gap``, where the gap itself is estimated.

        Raises:
            ValueError: If the tables or the geometry do not hold what the bound needs.
        """
        tables = [
            Given(name, table.finite, table.positions)
            for name, table in (("orbits", orbits), ("train", train))
            if table is not None
        ]
        for given in tables:
            require_deterministic(given.table, "a bound on the generalization gap")
        if train is not None:
            check_same_transform(orbits.fingerprint, train.fingerprint, named=("orbits", "train"))
        if isinstance(geometry, GeometryResult):
            known, named = geometry.facts.fingerprint, ("orbits", "geometry")
            check_same_transform(orbits.fingerprint, known, named=named, besides=OF_OUTPUT)
        problem = GapProblem(
            orbits=tables[0].table,
            train=None if train is None else tables[1].table,
            geometry=geometry,
            n_draws=self.n_draws,
            weight_seed=self.weight_seed,
            delta=self.delta,
            tables=tables,
        )
        return self._result(problem, self.bound.evaluate(problem), [orbits, train])

    def _result(
        self, problem: GapProblem, evidence: GapEvidence, given: Sequence[OrbitTable | None]
    ) -> GeneralizationGapResult:
        draws, found = dict(evidence.draws), set(evidence.found)
        rows = self._of_rows(evidence, given[1] if evidence.of_train else given[0])
        if evidence.without is not None:
            draws |= _gain(draws["expected_bound"], evidence, found)
        left_out = [t for t in given if t is not None and len(t.nonfinite_rows)]
        if left_out:
            found.add(Diagnostic.NONFINITE_OUTPUTS)
        if any(t is not None and t.batch_dependent for t in given):
            found.add(Diagnostic.BATCH_DEPENDENT)
        if not all(assumption.is_promised for assumption in evidence.assumptions):
            found.add(Diagnostic.CONSTANT_SEEN)
        largest = evidence.loss_range
        if largest is not None and np.median(draws.get("bound", 0.0)) >= largest:
            found.add(Diagnostic.VACUOUS)
        curve = evidence.curve
        if curve is not None:
            draws |= {_CURVE + name: values for name, values in curve.draws.items()}
        return GeneralizationGapResult(
            draws=draws,
            dims={name: ("n",) for name in draws if name.startswith(_CURVE)},
            coords={} if curve is None else {"n": curve.n},
            units={name: _UNITS.get(name, "risk") for name in draws},
            diagnostics=worst_first(found | rows.found),
            facts=GapFacts(
                kind=type(self.bound).__name__,
                transform=str(problem.sample.transform),
                n=problem.n,
                delta=self.delta,
                loss_range=largest,
                **rows.facts,
                assumptions=[str(assumption) for assumption in evidence.assumptions],
                weight_seed=self.weight_seed,
                nonfinite_rows=[int(r) for t in left_out for r in t.nonfinite_rows],
                of_bound=evidence.facts,
            ),
            rows={"row_id": problem.sample.row_ids},
        )

    def _of_rows(self, evidence: GapEvidence, given: OrbitTable | None) -> RowFindings:
        """Return what the rows say whose means the draws are of; nothing where there are none."""
        if not evidence.columns:
            return RowFindings()
        assert given is not None, "columns are of one of the tables"
        means = RowMeans(given.finite.unit_ids, self.n_draws, self.weight_seed)
        return RowFindings.of(means, evidence.columns, given.positions, given.left_out)


def _gain(expected: Array, evidence: GapEvidence, found: set[Diagnostic]) -> dict[str, Array]:
    """Return draws of what the symmetry gains."""
    assert evidence.without is not None, "a gain compares two bounds"
    if (evidence.without <= 0).any():
        return {}
    gain = expected / evidence.without
    if evidence.rate is None:
        return {"gain": gain}
    largest = evidence.loss_range
    if largest is not None and np.median(evidence.without) > _SATURATED * largest:
        found.add(Diagnostic.SATURATED)
        return {"gain": gain}
    return {"gain": gain, "equivalent_samples": gain ** (-1 / evidence.rate)}


def _observed(facts: GapFacts) -> dict[str, Array]:
    n, gap = (
        np.asarray(facts.of_bound["observed"][name], dtype=np.float64) for name in ("n", "gap")
    )
    if n.shape != gap.shape or n.ndim != 1:
        raise ValueError(f"gaps of shape {gap.shape} were seen at {n.shape} numbers of rows")
    return {"n": n, "gap": gap}


def _number(draws: Array) -> str:
    """Return the median of draws, with their credible interval where they differ."""
    middle = f"{np.median(draws):.3g}"
    low, high = credible_interval(draws, 0.9)
    if f"{low:.3g}" == f"{high:.3g}":
        return middle
    return f"{middle} (90% credible interval {low:.3g} to {high:.3g})"
