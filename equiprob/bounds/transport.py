"""The gap is at most what it costs to move the rows onto held-out ones, or one half onto the other.

Moving along a symmetry is free, up to the defect of the class. With W the mean cost over random
halves and n independent rows,

    E sup_h (E h - mean_n h)  <=  E W
    E h - mean_n h  <=  W + M sqrt((9 + 8 / splits) log(1 / delta) / (2 n))

the second with probability 1 - delta, for all losses h of the class at once: by a ghost sample,
Kantorovich duality, and McDiarmid's inequality over rows and splits. Where there are m held-out
units beside the n training rows, what it costs to move the latter onto them is smaller, and needs
no ghost sample (`equiprob.bounds.held_out`): ``W + M sqrt(log(1 / delta) / (2 m))``. The set of
transformations may be any; no law of theirs or of the inputs enters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, final, get_args, override

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.bounds.assumptions import Assumption, seen
from equiprob.bounds.base import AbstractBound, GapEvidence, GapProblem
from equiprob.bounds.cost_surface import CostSurface, Ground, nodes
from equiprob.bounds.halves import Blocks
from equiprob.bounds.held_out import TwoSamples
from equiprob.bounds.losses import AbstractLoss, LossConstants, SquaredError, check_whole
from equiprob.bounds.predictor_class import PredictorClass, defect_of, lipschitz_of
from equiprob.bounds.promises import constants_of
from equiprob.bounds.transport_forms import (
    Form,
    FormValue,
    TargetForm,
    deviation,
    evaluate_form,
    forms_of,
    smallest,
)
from equiprob.geometry.all_pairs import PairDistance, in_float64
from equiprob.posterior.diagnostics import Diagnostic

Between = Literal["held_out", "halves"]


_WHOLE = (
    ("n_splits", 1, 10_000),
    ("block_rows", 4, 1_000_000),
    ("n_elements", 1, 100_000),
    ("n_neighbours", 1, 100_000),
)
"""Settings that count something, with the least and the most of it."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Transport(AbstractBound):
    """Bound the gap by the optimal transport of rows onto others.

    Args:
        predictors: The class: its Lipschitz constant (else slopes of the geometry) and its defect.
            When the defect is left out and the transformations are a compact group of isometries,
            the bound is that of exact symmetry plus the model's own average defect; otherwise the
            largest displacement seen stands for the defect.
        loss: The loss whose gap is bounded.
        metric: ``metric(x) -> (row, feature)``: inputs are as far apart as their features, in
            Euclidean distance; the inputs themselves, flattened, when left out. Features must not
            be learned from these rows.
        targets: How targets enter: ``"joint"``, rows are as far apart as inputs and targets
            together, and different class labels as far as losses can be; ``"contraction"``, the
            bound is that of the scalar outputs, times the slope of the loss; ``"smaller"``, the
            smaller of the two where there are both, each at half of delta.
        between: ``"held_out"``, the training rows are moved onto those held out, and the class may
            depend on the training rows; ``"halves"``, one half of the training rows onto the other.
            When left out, the first where both tables are given. Contraction is of halves in any
            case.
        n_splits: Random splits into halves.
        block_rows: Rows in a block; larger samples are taken in disjoint blocks of about equal
            size. Memory is about seven matrices of ``block_rows**2`` numbers: 0.9 GB at 4000.
        n_elements: Transformations that stand for a law that is not finite.
        n_neighbours: Nearest rows of each row for which the best such transformation is refined.

    Assumptions:
        Rows (or groups) are independent draws from one law. The class, the metric and the loss are
        fixed before the sample is seen. The loss does not change when prediction and target turn
        together. What is uncertain of L and of the defect makes draws of the bound's value:
        credible intervals are of that value, delta is the bound's own confidence.

    References:
        docs/generalization.md; Petrache & Trivedi, NeurIPS 2023 (partial and approximate symmetry);
        Kantorovich & Rubinstein 1958; McDiarmid 1989; Maurer, ALT 2016.
    """

    predictors: PredictorClass = field(default_factory=PredictorClass)
    loss: AbstractLoss = field(default_factory=SquaredError)
    metric: Callable[[Any], Any] | None = field(default=None, repr=False)
    targets: TargetForm = "smaller"
    between: Between | None = None
    n_splits: int = 20
    block_rows: int = 4000
    n_elements: int = 128
    n_neighbours: int = 8

    def __post_init__(self) -> None:
        """Check the settings."""
        check_fields(self)
        if self.targets not in get_args(TargetForm):
            raise ValueError(
                f"targets must be one of {list(get_args(TargetForm))}, got {self.targets!r}"
            )
        if self.between is not None and self.between not in get_args(Between):
            raise ValueError(
                f"between must be one of {list(get_args(Between))} or None, got {self.between!r}"
            )
        for name, least, most in _WHOLE:
            check_whole(name, getattr(self, name), least, most)

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        if problem.n < 4:
            raise ValueError(f"halves need at least 4 independent rows, got {problem.n}")
        table, found = problem.sample, set[Diagnostic]()
        constants = constants_of(problem, self.loss)
        distance = PairDistance(
            transform=table.transform,
            embed=self.metric,
            n_elements=self.n_elements,
            n_neighbours=self.n_neighbours,
        )
        lipschitz, steepness = lipschitz_of(
            self.predictors,
            problem,
            self.metric is not None,
            lambda x: distance.rows(in_float64(x)),
        )
        defect, symmetry = self._defect(problem, distance, found)
        samples = self._samples(problem)
        tables = (table,) if samples is None else samples.tables
        forms = forms_of(problem, self.loss, constants, self.predictors, self.targets, tables)
        columns = {}
        if defect is None:
            columns["what averaging changes of the loss"] = forms[0].defect_of(problem.orbits)
        if sum(map(len, tables)) > self.block_rows:
            found.add(Diagnostic.DISJOINT_BLOCKS)
        value = smallest(
            [
                self._value(
                    form,
                    problem,
                    distance,
                    lipschitz,
                    defect,
                    constants,
                    len(forms),
                    # Random signs need a sample of their own.
                    samples if form.name == "joint" else None,
                )
                for form in forms
            ]
        )
        if value.curve is None:
            found.add(Diagnostic.NO_FORECAST)
        return GapEvidence(
            draws={"bound": value.bound, "expected_bound": value.expected},
            without=value.without,
            rate=value.rate,
            curve=value.curve,
            loss_range=constants.range,
            assumptions=(
                constants.assumption,
                steepness,
                symmetry,
                *(a for form in forms for a in form.assumptions),
            ),
            facts={
                "n_splits": self.n_splits,
                "n_blocks": -(-sum(map(len, tables)) // self.block_rows),
                "n_held_out": samples.sizes[1] if samples and value.name == "joint" else None,
                "targets": value.name,
                "of_this_model": defect is None,
            },
            found=found,
            columns=columns,
        )

    def _samples(self, problem: GapProblem) -> TwoSamples | None:
        """Return training rows and held-out rows; None where halves are moved."""
        if self.between == "halves":
            return None
        if problem.train is None:
            if self.between == "held_out":
                raise ValueError("between='held_out' needs the training rows, too: pass train=")
            return None
        targets = [table.only.y is not None for table in (problem.train, problem.orbits)]
        if not all(targets) and any(targets):
            raise ValueError("one of train and orbits has targets, and the other none: pass both y")
        samples = TwoSamples.of(problem)
        if self.targets == "contraction":
            return None
        return samples

    def _defect(
        self, problem: GapProblem, distance: PairDistance, found: set[Diagnostic]
    ) -> tuple[Array | None, Assumption]:
        """Return draws of the class's defect, or None where the model's average stands for it."""
        stated, table = self.predictors.defect, problem.sample
        if stated is not None:
            draws = defect_of(self.predictors, problem)
            size = f"{np.median(draws):.3g}" if draws.any() else "nothing"
            return draws, Assumption(f"outputs move by at most {size} under the transformations")
        averaged = table.only.y is not None and table.design.kind != "crossed"
        if averaged and table.transform.is_haar and distance.keeps_distances(table.x):
            if problem.train is None:
                found.add(Diagnostic.DEFECT_OF_THESE_ROWS)
            return None, Assumption("the average defect of this model is added", "measured")
        if table.only.raw is None:
            raise ValueError(
                f"the defect of the class under {table.transform} is not known: pass predictors="
                f"ep.bounds.PredictorClass(defect=...), or keep='all' to evaluate_orbits to take "
                f"the largest that is seen"
            )
        largest = float(np.linalg.norm(table.only.raw, axis=2).max())
        statement = f"outputs move by at most {largest:.3g} under the transformations"
        return np.full(problem.n_draws, largest), seen(statement)

    def _value(
        self,
        form: Form,
        problem: GapProblem,
        distance: PairDistance,
        lipschitz: Array,
        defect: Array | None,
        constants: LossConstants,
        n_forms: int,
        samples: TwoSamples | None,
    ) -> FormValue:
        """Return the bound in one form, with an equal share of delta."""
        table = problem.sample
        moves = np.zeros(problem.n_draws) if defect is None else defect
        share = problem.delta / n_forms
        if samples is None:
            deal, n_units = partial(Blocks.of, problem.units.rows), problem.n
            penalty = partial(
                deviation,
                n_splits=self.n_splits,
                loss_range=constants.range,
                cap=form.cap,
                delta=share,
            )
        else:
            deal, n_units = samples.deal, min(samples.sizes)
            penalty = partial(
                samples.deviation, self.block_rows, loss_range=constants.range, delta=share
            )
        surface = CostSurface.solve(
            Ground(
                x=table.x if samples is None else samples.x,
                targets=form.targets,
                distance=distance,
                slope=form.slope,
                cap=form.cap,
                most_rows=self.block_rows,
            ),
            deal,
            nodes(lipschitz),
            np.setdiff1d(nodes(moves), [0.0]),
            n_units=n_units,
            n_splits=self.n_splits if samples is None else 1,
            seed=problem.weight_seed,
        )
        added = np.zeros(problem.n_draws)
        if defect is None:
            of_sample = problem.units.means(form.defect_of(table)).mean()
            added = of_sample + problem.mean(problem.orbits, form.defect_of(problem.orbits))
        return evaluate_form(
            form,
            surface,
            problem,
            lipschitz,
            moves,
            added,
            penalty,
            problem.units.ids if samples is None else samples.ids,
        )
