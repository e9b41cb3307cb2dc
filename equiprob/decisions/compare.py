"""Which model should be shipped, and how sure is that?

Candidates are judged on the same rows with the same weights, so that their risks are joint draws
and every difference is paired. The loss minimized is the squared error (the Brier score for
labels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.decisions.choice import Choice
from equiprob.decisions.scores import Metric, limits_of_losses, losses_of, named_metrics, scores_of
from equiprob.decisions.seeds import SeedSpread
from equiprob.decisions.shared_rows import (
    left_out_of,
    numbers_of_rows,
    other_transforms,
    shared_rows,
)
from equiprob.decisions.shrinkage import Shrinkage
from equiprob.decisions.winner import Winner, cross_fitted_columns
from equiprob.orbits.table import OrbitTable, Rows
from equiprob.posterior.contrast import Limits
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import RowFacts
from equiprob.posterior.paired_means import (
    ANY,
    paired_expectations,
    paired_means,
)
from equiprob.posterior.results import (
    AbstractResult,
    check_draws,
    credible_interval,
)
from equiprob.posterior.row_findings import RowFindings
from equiprob.posterior.row_means import RowMeans

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class ComparisonFacts(RowFacts):
    """What travels with a `Comparison`.

    Args:
        rope: Difference in loss that makes no practical difference.
        loss: The loss, in words.
        largest_loss: Which a row can have; None if not known.
        twins: Candidates that have a candidate's loss on every row, by its name.
        seed_spread: Standard deviation between training seeds over the mean, for each candidate;
            None where there is one seed.
        candidate_notes: What is to be said of each candidate's table.
        n_seeds: Training seeds of each candidate.
    """

    rope: float
    loss: str
    largest_loss: float | None
    twins: Mapping[str, Sequence[str]]
    seed_spread: Sequence[float] | None
    candidate_notes: Mapping[str, str]
    n_seeds: Mapping[str, int]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison(AbstractResult):
    """Joint posterior of the candidates' risks; made by `compare`."""

    facts: ComparisonFacts = field(repr=False)

    @property
    def candidates(self) -> list[str]:
        """The candidates, best expected risk first."""
        return [str(name) for name in self.coords["candidate"]]

    @cached_property
    def choice(self) -> Choice:
        """The choice among the candidates by their risk alone; `equiprob.decide` takes costs."""
        risk, expected = self.likely_risk
        twins = self.facts.twins
        return Choice(self.candidates, risk, self.facts.rope, expected, twins)

    @cached_property
    def shrinkage(self) -> Shrinkage:
        """How much the candidates differ, as far as the noise of their risks lets that be seen."""
        return Shrinkage.of(self.expected_risk, self.facts.weight_seed)

    @cached_property
    def likely_risk(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draws ``(draw, candidate)`` of the risks, given how much the candidates differ.

        For probabilities and for expectations. What is chosen, and how sure that is, rests on
        these; intervals of single risks rest on ``draws["risk"]``.
        """
        expected, risk = self.shrinkage.posterior(self.expected_risk, self.draws["risk"])
        return risk, expected

    @cached_property
    def winner(self) -> Winner:
        """The first candidate, judged by rows that did not choose it."""
        seed, ids = self.facts.weight_seed, self.rows["unit_id"]
        return Winner(self.losses, ids, 0, self.draws["risk"][:, 0], seed, self.limits)

    @property
    def limits(self) -> Limits:
        """Between which losses, and so risks, lie."""
        largest = self.facts.largest_loss
        return 0.0, np.inf if largest is None else float(largest)

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss of each row and candidate ``(row, candidate)``, a mean over seeds."""
        return np.column_stack([self.rows[f"loss_{k}"] for k in range(len(self.candidates))])

    @cached_property
    def expected_risk(self) -> NDArray[np.float64]:
        """Draws ``(draw, candidate)`` of the risk for expectations: without tails.

        The draws of ``risk`` have the tails that intervals and probabilities need.
        """
        seed, losses = self.facts.weight_seed, self.losses
        means = RowMeans(self.rows["unit_id"], self.n_draws, seed)
        draws = paired_expectations(means, losses, self.limits)
        if self.seed_factors is not None:
            draws = draws * self.seed_factors
        return draws - draws.mean(axis=0) + losses.mean(axis=0)

    @cached_property
    def seed_factors(self) -> NDArray[np.float64] | None:
        """Draws ``(draw, candidate)`` of an architecture's risk over that of its seeds' mean.

        None where candidates are single trained models.
        """
        relative, counts = self.facts.seed_spread, self.facts.n_seeds
        if relative is None:
            return None
        names = list(counts)
        order = [names.index(name) for name in self.candidates]
        spread = SeedSpread(tuple(relative), tuple(counts.values()))
        return spread.factors(self.n_draws, self.facts.weight_seed)[:, order]

    @property
    def regret(self) -> NDArray[np.float64]:
        """Draws ``(draw, candidate)`` of the risk above the best candidate's, for expectations."""
        return self.choice.regret

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each candidate, best first, with ArviZ's default interval probability.

        Columns: ``cross_fitted``, the risk of the first, which these rows chose, on rows that did
        not choose it, with ``cross_fitted_low`` and ``cross_fitted_high`` (of the others NaN);
        ``risk`` on these rows with ``ci_low`` and ``ci_high``; ``p_best``; ``expected_regret``;
        ``p_equivalent`` (probability that the risk is within ``rope`` of the first candidate's);
        each metric with its interval; ``diagnostics`` in words.
        """
        import pandas as pd

        risk = self.draws["risk"]
        limits = credible_interval(risk)
        columns: dict[str, Any] = cross_fitted_columns(self.winner, len(self.candidates)) | {
            "risk": np.clip(self.expected_risk.mean(axis=0), *self.limits),
            "ci_low": limits[:, 0],
            "ci_high": limits[:, 1],
            "p_best": self.choice.p_best,
            "expected_regret": self.choice.expected_regret,
            "p_equivalent": self.choice.against(0)[:, 1],
        }
        for name, values in self.draws.items():
            if name != "risk":
                limits = credible_interval(values)
                columns[name] = values.mean(axis=0)
                columns[f"{name}_low"], columns[f"{name}_high"] = limits[:, 0], limits[:, 1]
        columns["diagnostics"] = [
            self.facts.candidate_notes.get(name, "no problem found") for name in self.candidates
        ]
        return pd.DataFrame(columns, index=pd.Index(self.candidates, name="candidate"))

    @property
    def verdict(self) -> str:
        """Which candidate to ship, and how sure that is, in two sentences."""
        where, stated = (
            f"{self.facts.n_rows} held-out rows",
            self.winner.words(self.candidates[0]),
        )
        return self.choice.verdict(self.facts.loss, where, stated=stated)

    def __str__(self) -> str:
        """Say which model to ship."""
        return self.verdict + self.cautions


@checked
def compare(
    tables: Mapping[str, OrbitTable | Sequence[OrbitTable]],
    *,
    rope: float = 0.0,
    metrics: str | Sequence[str] | Mapping[str, Metric] = (),
    on: Literal["rows", "intersection"] = "rows",
    n_draws: int = 4000,
    weight_seed: int = 0,
) -> Comparison:
    """Compare candidates by their risk on the same rows.

    Args:
        tables: Orbit tables with targets by candidate name. A list of tables, one for each training
            seed, makes the candidate an architecture: its risk then carries the spread between
            trainings, its own, drawn towards that of all candidates, in relative terms.
        rope: Difference in risk that makes no practical difference.
        metrics: Further row losses or scores to report: ``["accuracy"]``, or a dict of functions
            ``metric(y, prediction) -> (row,)``. They do not enter the decision.
        on: ``"rows"`` refuses tables over different rows; ``"intersection"`` compares on those
            that all share.
        n_draws: Posterior draws.
        weight_seed: Seed of the rows' weights.

    Returns:
        The comparison, candidates in order of expected risk.

    Raises:
        ValueError: If there are fewer than two candidates, a table has no targets or several
            outputs, rows differ, or `rope` is negative.

    Assumptions:
        Rows (or groups) are independent and were not trained on.

    References:
        Rubin, Annals of Statistics 1981 (weights); Benavoli et al., JMLR 2017 (regions of practical
        equivalence).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = np.sum(x**2, axis=1)
        >>> turns = ep.transforms.rotations2d(acts_on="vectors")
        >>> models = {"all": lambda rows: (rows**2).sum(axis=1), "first": lambda rows: rows[:, 0]}
        >>> tables = {k: ep.evaluate_orbits(model, x, turns, y=y) for k, model in models.items()}
        >>> ep.compare(tables).table["p_best"].to_dict()
        {'all': 1.0, 'first': 0.0}
    """
    check_draws(n_draws, weight_seed)
    if not np.isfinite(rope) or rope < 0:
        raise ValueError(f"rope must be a difference in risk of at least 0, got {rope}")
    if len(tables) < 2:
        raise ValueError(f"compare needs at least 2 candidates, got {list(tables)}")
    seeds = {
        name: [value] if isinstance(value, OrbitTable) else list(value)
        for name, value in tables.items()
    }
    for name, group in seeds.items():
        if not group or not all(isinstance(table, OrbitTable) for table in group):
            raise TypeError(
                f"tables[{name!r}] must be an orbit table, which ep.evaluate_orbits returns, or a "
                f"list of them, got {tables[name]!r:.80}"
            )
    scores = named_metrics(metrics)
    found: set[Diagnostic] = set()
    aligned = shared_rows(seeds, on, found)
    names = list(seeds)
    first = aligned[names[0]][0]
    means = RowMeans(first.unit_ids, n_draws, weight_seed)
    losses = losses_of(aligned)
    limits = limits_of_losses(aligned)
    least = int(losses.mean(axis=0).argmin())
    # Where noise has been taken off, losses of single rows leave the limits of their mean.
    noisy = any(t.noise_repeats > 1 for tables in aligned.values() for t in tables)
    drawn = paired_means(means, losses, ANY if noisy else limits, least)
    draws = {"risk": np.clip(drawn, *limits)}
    for name, metric in scores.items():
        values, between = scores_of(name, metric, aligned)
        draws[name] = paired_means(means, values, between, least)
    spread = SeedSpread.of([[t.squared_residual.mean() for t in aligned[name]] for name in names])
    if spread is None:
        found.add(Diagnostic.MODELS_NOT_ARCHITECTURES)
    else:
        draws["risk"] = np.clip(draws["risk"] * spread.factors(n_draws, weight_seed), *limits)
    if noisy:
        found.add(Diagnostic.NOISE_REMOVED)
    numbers = numbers_of_rows(seeds[names[0]][0], first)
    rows = RowFindings.of(means, _columns(names, losses), numbers, left_out_of(seeds))
    notes = _notes_on_seeds(spread, names)
    found |= {message for each in notes.values() for message in each}
    words = {name: [m.value for m in each] for name, each in notes.items()}
    for name, apart in other_transforms(seeds).items():
        found.add(Diagnostic.OTHER_TRANSFORMS)
        words.setdefault(name, []).append(f"evaluated over another transform: {apart}")
    order = np.argsort(losses.mean(axis=0), kind="stable")
    comparison = Comparison(
        draws={name: array[:, order] for name, array in draws.items()},
        dims={name: ("candidate",) for name in draws},
        coords={"candidate": np.array(names)[order]},
        units={"risk": "risk"},
        diagnostics=worst_first(found | rows.found),
        facts=ComparisonFacts(
            rope=float(rope),
            loss="expected squared error",
            largest_loss=limits[1] if np.isfinite(limits[1]) else None,
            twins=_twins(names, losses),
            n_rows=len(first),
            **rows.facts,
            weight_seed=weight_seed,
            seed_spread=None if spread is None else list(spread.relative),
            candidate_notes={name: "; ".join(each) for name, each in words.items()},
            n_seeds={name: len(s) for name, s in seeds.items()},
            nonfinite_rows=[],
        ),
        rows={"row_id": first.row_ids, "unit_id": first.unit_ids}
        | {f"loss_{k}": losses[:, i] for k, i in enumerate(order)},
    )
    return _in_order(comparison, comparison.choice.order)


def _in_order(comparison: Comparison, order: NDArray[np.int64]) -> Comparison:
    """Return the comparison with its candidates in another order."""
    if (np.diff(order) > 0).all():
        return comparison
    return replace(
        comparison,
        draws={name: draws[:, order] for name, draws in comparison.draws.items()},
        coords={"candidate": comparison.coords["candidate"][order]},
        rows=dict(comparison.rows)
        | {f"loss_{k}": comparison.rows[f"loss_{i}"] for k, i in enumerate(order)},
    )


def _notes_on_seeds(spread: SeedSpread | None, names: Sequence[str]) -> dict[str, list[Diagnostic]]:
    """Return what is to be known of candidates whose trainings are few, or differ a lot."""
    notes: dict[str, list[Diagnostic]] = {}
    if spread is None:
        return notes
    for k, name in enumerate(names):
        if spread.counts[k] < 3:  # fewer give no idea of the spread
            notes.setdefault(name, []).append(Diagnostic.FEW_SEEDS)
        if k in spread.uneven:
            notes.setdefault(name, []).append(Diagnostic.UNEVEN_SEEDS)
    return notes


def _twins(names: Sequence[str], losses: NDArray[np.float64]) -> dict[str, list[str]]:
    """Return for each candidate which others have its loss on every row, where there are any."""
    same = {
        name: [
            other
            for other, theirs in zip(names, losses.T, strict=True)
            if other != name and np.array_equal(mine, theirs)
        ]
        for name, mine in zip(names, losses.T, strict=True)
    }
    return {name: twins for name, twins in same.items() if twins}


def _columns(names: Sequence[str], losses: NDArray[np.float64]) -> dict[str, Rows]:
    """Return what risks and their differences to the least are means of, in words."""
    best = int(losses.mean(axis=0).argmin())
    order = [best, *(k for k in range(len(names)) if k != best)]
    risks = {f"the risk of {names[k]!r}": losses[:, k] for k in order}
    apart = {
        f"the difference between {names[k]!r} and {names[best]!r}": losses[:, k] - losses[:, best]
        for k in order[1:]
    }
    return risks | apart
