"""The generalization gap of the model at hand, as it is seen: test risk less training risk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final, override

import numpy as np

from equiprob.bounds.base import AbstractBound, GapEvidence, GapProblem, Units
from equiprob.bounds.losses import AbstractLoss, SquaredError
from equiprob.posterior.row_means import RowMeans


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Holdout(AbstractBound):
    """Estimate the gap of one trained model from rows it was and rows it was not trained on.

    The training risk is what it is on those rows; the risk on new rows has a posterior. So the
    posterior is that of the gap of this model, trained on this sample.

    Args:
        loss: The loss.
        train_is_complete: Whether `train` holds all rows that the model was trained on. Of a part
            of them, the training risk has a posterior, too.

    Assumptions:
        The rows of `orbits` are independent of training, from the law of the training rows.
    """

    loss: AbstractLoss = field(default_factory=SquaredError)
    train_is_complete: bool = True

    @override
    def evaluate(self, problem: GapProblem) -> GapEvidence:
        if problem.train is None:
            raise ValueError(
                "the gap of a model is its risk on new rows less that on its training rows: pass "
                "train=, the orbit table of the training rows"
            )
        held_out, train = problem.orbits, problem.train
        if np.isin(held_out.unit_ids, train.unit_ids).any():
            raise ValueError(
                "some rows (or groups) of orbits are among those of train: pass rows that the "
                "model was not trained on"
            )
        losses = self.loss.of_rows(held_out)
        means = RowMeans(Units.of(held_out).ids, problem.n_draws, problem.weight_seed)
        train_losses = self.loss.of_rows(train)
        training_risk = problem.units.means(train_losses).mean()
        trained = training_risk if self.train_is_complete else problem.mean(train, train_losses)
        return GapEvidence(
            draws={"gap": means.mean(Units.of(held_out).means(losses)) - trained},
            facts={"training_risk": float(training_risk), "n_held_out": means.n_units},
            columns={"the risk": losses},
        )
