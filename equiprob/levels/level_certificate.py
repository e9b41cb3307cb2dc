"""What risk can be promised of a model that is averaged, whatever the law of the rows?

A level's credible interval is as good as its model of the rows. The certificate holds for every law
of independent rows and every loss in a range known beforehand, for all ways to weigh the positions
of a path at once, the one that was chosen on these rows among them: the bound of Maurer and Seeger
(`equiprob.levels.pac_bayes`). It costs width: confidence, and never mixed with a posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final, override

import numpy as np
from numpy.typing import ArrayLike

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import checked
from equiprob.bounds.losses import holds_labels
from equiprob.errors.claims import check_delta, check_independent_rows
from equiprob.geometry.alike_rows import are_alike
from equiprob.levels.averaged import averaged_predictor
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.levels.pac_bayes import DrawnBound, bound_of, least_bound
from equiprob.levels.path_risk import EvaluatedPathRisk
from equiprob.levels.paths import AbstractPath, Blend
from equiprob.levels.paths.base import targets
from equiprob.levels.row_losses import Loss, named_loss
from equiprob.orbits.designs import Design
from equiprob.orbits.table import OrbitTable, describe_rows
from equiprob.posterior.certificates import AbstractCertificate
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.transforms.transform import Transform

_SLACK = 1e-6
"""How far rounding may take a loss out of its range, as a share of it."""

_EVEN = 0.5
"""Share of a prior from other rows that is spread evenly: no position is without probability."""

_BRIER = 2.0
"""No two probability vectors are further apart, squared."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LevelCertificate(AbstractCertificate):
    """An upper confidence bound on the risk of a drawn predictor; made by `certify_level`.

    Args:
        drawn: The bound for the predictor that draws its position, as shares of `largest`.
        as_it_is: The same for the model as it is; both hold together.
        positions: Positions of the path, ``(position,)``.
        names: What they are called where they are not numbers.
        probability: With which each is drawn, ``(position,)``.
        prior: Probabilities that were fixed beforehand, ``(position,)``.
        risk: Mean losses of the rows, in units of the loss, ``(position,)``.
        largest: The largest loss.
        loss: Its name.
        delta: Probability that a bound is too small.
        n_rows: Rows.
        n_units: Independent units: groups, else rows.
        path: The path.
        design: How many transformations a prediction takes, and how they are drawn.
        transform: The transform.
        diagnostics: Messages, the worst first.
    """

    drawn: DrawnBound
    as_it_is: DrawnBound
    positions: Array = field(repr=False)
    names: tuple[str, ...] | None = field(repr=False)
    probability: Array = field(repr=False)
    prior: Array = field(repr=False)
    risk: Array = field(repr=False)
    largest: float
    loss: str
    delta: float
    n_rows: int
    n_units: int
    path: AbstractPath = field(repr=False)
    design: Design = field(repr=False)
    transform: Transform
    diagnostics: tuple[Diagnostic, ...] = ()
    of_what = "predictor"

    @property
    @override
    def upper(self) -> dict[str, float]:
        """The bounds on the risk: of the ``"drawn"`` predictor and of the model ``"as_it_is"``."""
        return {name: bound.upper * self.largest for name, bound in self._bounds.items()}

    @property
    def _bounds(self) -> dict[str, DrawnBound]:
        return {"drawn": self.drawn, "as_it_is": self.as_it_is}

    @property
    @override
    def estimates(self) -> dict[str, float]:
        """The mean losses of these rows, by predictor."""
        return {name: bound.estimate * self.largest for name, bound in self._bounds.items()}

    @override
    def _told(self) -> Mapping[str, list[Any]]:
        return {"divergence": [bound.divergence for bound in self._bounds.values()]}

    def __str__(self) -> str:
        """Say what is certified."""
        risks, upper = self.estimates, self.upper
        return (
            f"With confidence {100 * (1 - self.delta):.3g} %, the predictor that draws its "
            f"position along the path '{self.path.label}' over {self.transform} has an expected "
            f"loss ({self.loss}, at most {self.largest:g}) of at most {upper['drawn']:.3g} "
            f"({risks['drawn']:.3g} in the sample), the model as it is of at most "
            f"{upper['as_it_is']:.3g} ({risks['as_it_is']:.3g}). {self._units} It draws "
            f"{self._likely}.{self._cautions}"
        )

    @property
    def _likely(self) -> str:
        """Where the drawn positions lie, in words."""
        if self.names is not None:
            likely = np.argsort(-self.probability, kind="stable")[:3]
            return ", ".join(f"'{self.names[k]}' with {self.probability[k]:.2f}" for k in likely)
        below = np.cumsum(self.probability)
        low, middle, high = (self.positions[np.searchsorted(below, p)] for p in (0.05, 0.5, 0.95))
        unit = self.path.unit(self.transform)
        return f"{middle:.3g}{unit and ' ' + unit} (90% of draws from {low:.3g} to {high:.3g})"

    def predictor(
        self, predict: Callable[[Any], Any], generator: np.random.Generator
    ) -> Callable[[Any], Any]:
        """Draw a position and transformations, and return the model averaged with them.

        The certificate is of the mean over such draws: draw one for each prediction, or for each
        batch.

        Args:
            predict: The model of the orbit table.
            generator: Random numbers.

        Returns:
            A callable like `predict`, which evaluates it once for each transformation; of a model
            of `adapters.from_torch`, a ``torch.nn.Module``.
        """
        position = float(generator.choice(self.positions, p=self.probability))
        row = generator.integers(2**64, size=1, dtype=np.uint64)
        shipment = self.path.shipment_of(self.transform, self.design, position, row)
        return averaged_predictor(
            predict, self.transform, shipment.parameters, shipment.weights, shipment.keep
        )


@checked
def certify_level(
    orbits: OrbitTable,
    *,
    path: AbstractPath | None = None,
    loss: str | Loss = "squared",
    largest_loss: float | None = None,
    prior: SymmetryLevelResult | ArrayLike | None = None,
    posterior: SymmetryLevelResult | ArrayLike | None = None,
    delta: float = 0.05,
) -> LevelCertificate:
    """Bound the risk of an averaged model from above, for any law of its rows.

    Args:
        orbits: The table of one output with targets, on rows that the model was not trained on.
        path: As in `ep.SymmetryLevel`; ``ep.paths.Blend()`` when left out. Averages are over as
            many transformations as the table has.
        loss: As in `ep.SymmetryLevel`.
        largest_loss: The largest possible loss of a row at any position, known beforehand. It is 1
            for ``"zero_one"``, and 2 for the squared error of class probabilities.
        prior: Probabilities of the positions that were fixed before these rows were seen: a level
            fitted to *other* rows, or numbers ``(position,)``; equal ones when left out.
        posterior: With which probabilities the predictor draws its position: those of a level
            fitted to these rows, or numbers ``(position,)``, which may be chosen on these rows;
            those of least bound when left out.
        delta: Probability that a bound is too small.

    Returns:
        The certificate. Every group counts once, with the mean of its rows; rows whose outputs are
        not finite count as the largest loss.

    Raises:
        ValueError: If the largest loss is not known or exceeded, a prior is from these rows or of
            another path, the rows are not independent or were stopped by a rule, or the table does
            not hold what the path needs.

    Assumptions:
        Rows (or groups) are independent draws of one law, as many as one meant to take. The model,
        the path, the loss with its largest value, the prior and `delta` were fixed before these
        rows were seen. Nothing else.

    References:
        Maurer, "A note on the PAC-Bayesian theorem", 2004; Seeger, JMLR 2002; Behboodi, Cesa &
        Cohen, NeurIPS 2022 (PAC-Bayes bounds for equivariant networks); Beck & Ochs, 2025
        (symmetries in PAC-Bayes bounds).

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> labels = (np.linalg.norm(x, axis=1) > 1.2).astype(int)
        >>> def predict(rows):  # wrong where the first coordinate misleads it
        ...     one = 1 / (1 + np.exp(8 - 5 * (rows**2).sum(axis=1) - 4 * rows[:, 0]))
        ...     return np.stack([1 - one, one], axis=1)
        >>> quarter = ep.transforms.cyclic(4, acts_on="vectors")
        >>> orbits = ep.evaluate_orbits(predict, x, quarter, y=labels, backend="python")
        >>> upper = ep.certify_level(orbits, loss="zero_one").upper
        >>> bool(upper["drawn"] < upper["as_it_is"])
        True
    """
    check_delta(delta)
    check_independent_rows(orbits)
    if orbits.stopped is not None:
        raise ValueError(
            f"the pass was stopped by a rule ({orbits.stopped}): the bound holds for a number of "
            f"rows that did not depend on what they showed; evaluate without stop_when"
        )
    path = Blend() if path is None else path
    name, function = named_loss(loss)
    table = orbits.finite
    along = path.evaluated(table, function)
    largest = _largest(table, name, largest_loss)
    masses, n_units, even = _masses(orbits)
    worst = float(masses[~orbits.valid].sum())
    assert isinstance(along, EvaluatedPathRisk), "losses are evaluated at every position"
    indices, masses = np.arange(len(along.positions)), masses[orbits.positions]
    losses = (_shares(values, largest, orbits) for values in along.losses(indices))
    shares = np.array([masses @ each + worst for each in losses])
    before = _probabilities("prior", prior, along.positions, path, orbits)
    after = (
        least_bound(shares, before, n=n_units, delta=delta)
        if posterior is None
        else _probabilities("posterior", posterior, along.positions, path, orbits)
    )
    still = np.eye(len(shares))[along.unchanged]
    drawn, as_it_is = (bound_of(q, shares, before, n=n_units, delta=delta) for q in (after, still))
    found = set[Diagnostic]()
    if worst:
        found.add(Diagnostic.NONFINITE_AS_WORST)
    if not even:
        found.add(Diagnostic.GROUPS_COUNT_ONCE)
    if are_alike(orbits):
        found.add(Diagnostic.ROWS_ALIKE)
    if drawn.upper >= 1 - _SLACK:
        found.add(Diagnostic.VACUOUS)
    return LevelCertificate(
        drawn=drawn,
        as_it_is=as_it_is,
        positions=along.positions,
        names=along.names,
        probability=after,
        prior=before,
        risk=shares * largest,
        largest=largest,
        loss=name,
        delta=float(delta),
        n_rows=len(orbits),
        n_units=n_units,
        path=path,
        design=table.design,
        transform=table.transform,
        diagnostics=worst_first(found),
    )


def _largest(table: OrbitTable, name: str, stated: float | None) -> float:
    """Return the largest loss that there can be."""
    if stated is not None:
        if isinstance(stated, bool) or not (np.isfinite(stated) and stated > 0):
            raise ValueError(f"largest_loss must be a positive number, got {stated!r}")
        return float(stated)
    targets(table)
    if name == "zero_one":
        return 1.0
    if name == "squared" and holds_labels(table):
        return _BRIER
    raise ValueError(
        f"a certificate needs the largest possible loss of a row, which is not known for "
        f"loss={name!r} and these targets: pass largest_loss=, (b - a)**2 for the squared error of "
        f"one output and target in [a, b]; the largest one seen is not the largest possible"
    )


def _masses(orbits: OrbitTable) -> tuple[Array, int, bool]:
    """Return each row's mass, the number of units, and whether all have as many rows."""
    _, place, sizes = np.unique(orbits.unit_ids, return_inverse=True, return_counts=True)
    masses = 1 / (len(sizes) * sizes[place])
    return masses, len(sizes), len(np.unique(sizes)) == 1


def _shares(losses: Array, largest: float, orbits: OrbitTable) -> Array:
    """Return losses ``(row,)`` as shares of the largest."""
    shares = losses / largest
    outside = np.flatnonzero(~((shares >= -_SLACK) & (shares <= 1 + _SLACK)))
    if len(outside):
        rows = describe_rows(orbits.positions[outside])
        raise ValueError(
            f"losses are to lie between 0 and largest_loss={largest:g}, but that of rows {rows} is "
            f"up to {losses[outside].max():.6g} (least {losses[outside].min():.6g}); pass a range "
            f"that holds for all rows, not only for those seen"
        )
    return np.clip(shares, 0.0, 1.0)


def _probabilities(
    name: str,
    given: SymmetryLevelResult | ArrayLike | None,
    positions: Array,
    path: AbstractPath,
    orbits: OrbitTable,
) -> Array:
    """Return probabilities of the positions from what was given for them."""
    if given is None:
        return np.full(len(positions), 1 / len(positions))
    if isinstance(given, SymmetryLevelResult):
        shared = np.isin(orbits.unit_ids, given.rows["unit_id"])
        if name == "prior" and shared.any():
            raise ValueError(
                f"prior= is a level that was fitted to {int(shared.sum())} of these {len(orbits)} "
                f"rows: a prior is fixed before they are seen; fit the level to other rows, and "
                f"pass a level of these rows as posterior="
            )
        if given.facts.transform != str(orbits.transform):
            raise ValueError(
                f"{name}= is a level over {given.facts.transform}, and this table is over "
                f"{orbits.transform}: fit it over the same transformations"
            )
        found = _of_level(name, given, positions, path)
        even = _EVEN if name == "prior" else 0.0
        return (1 - even) * found + even / len(positions)
    weights = as_numbers(name, given)
    fits = weights.shape == positions.shape and np.isfinite(weights).all()
    if not fits or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(
            f"{name} must be {len(positions)} weights of at least 0, one for each position of the "
            f"path, got shape {weights.shape}"
        )
    return weights / weights.sum()


def _of_level(name: str, level: SymmetryLevelResult, positions: Array, path: AbstractPath) -> Array:
    """Return the share of a level's draws at each position."""
    grid = level.coords["position_grid"]
    of_names = "is_best" in level.draws
    same = len(grid) == len(positions) and (of_names or np.allclose(grid, positions))
    if level.facts.path != type(path).__name__ or not same:
        raise ValueError(
            f"{name}= is a level along the path {level.facts.path} of {len(grid)} positions, "
            f"and this is {type(path).__name__} of {len(positions)}: fit it along the same path"
        )
    if of_names:
        return level.draws["is_best"].mean(axis=0)
    if "position" not in level.draws:
        raise ValueError(
            f"{name}= is a level without draws of a position: {level.status}; leave it out"
        )
    nearest = np.abs(level.draws["position"][:, None] - positions).argmin(axis=1)
    return np.bincount(nearest, minlength=len(positions)) / len(nearest)
