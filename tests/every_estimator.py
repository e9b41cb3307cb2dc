"""Every estimator, as a function of one set of data: for what must hold of all of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

import equiprob as ep
from equiprob.auditing.findings import AuditFacts

LAW = ep.InvariantLaw()
TURNS = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")


@dataclass(frozen=True)
class Data:
    """Rows, a model and what is known of them, that all estimators can be fitted to.

    Args:
        predict: A model ``(row, 2) -> (row, 2)``.
        x: Inputs, ``(row, 2)``.
        y: Targets, ``(row, 2)``.
        groups: Labels of groups, or None.
        size: Of a typical output, in which tolerances are stated.
    """

    predict: Any
    x: Any
    y: Any
    groups: Any = None
    size: float = 1.0
    n_draws: int = 100

    def evaluated(self, predict=None, **options):
        options = {"n_transforms": 6, "backend": "python", "keep": "all"} | options
        options = {"row_ids": np.arange(len(self.x))} | options
        predict = predict or self.predict
        return ep.evaluate_orbits(predict, self.x, TURNS, y=self.y, groups=self.groups, **options)

    def other(self, batch):
        """Return the outputs of a second model, which differs from the first on every row."""
        return 0.5 * self.predict(batch)

    @cached_property
    def orbits(self):
        return self.evaluated()

    @cached_property
    def pair(self):
        return {"one": self.orbits, "other": self.evaluated(self.other)}

    @cached_property
    def crossed(self):
        return self.evaluated(design="crossed")

    @cached_property
    def geometry(self):
        return ep.Geometry(n_draws=self.n_draws).fit(self.x, TURNS, predict=self.predict)

    def data_error(self, method):
        return ep.DataEquivarianceError(method=method, n_draws=self.n_draws).fit(
            self.orbits, law=LAW
        )

    def model_error(self):
        return ep.ModelEquivarianceError(n_draws=self.n_draws).fit(self.orbits)

    def level(self, path):
        return ep.SymmetryLevel(path=path, n_draws=self.n_draws).fit(self.orbits)

    def gap(self, bound):
        fitted = ep.GeneralizationGap(bound=bound, n_draws=self.n_draws)
        train = replace(self, x=-self.x, y=-self.y).evaluated(row_ids=np.arange(len(self.x)) + 1000)
        holdout = isinstance(bound, ep.bounds.Holdout)
        return fitted.fit(
            self.orbits,
            geometry=None if holdout else self.geometry,
            train=train if holdout else None,
        )


def _class(data):
    largest = 1e3 * data.size
    return ep.bounds.PredictorClass(lipschitz=largest, defect=largest, output_range=largest)


def _loss(data):
    return ep.bounds.SquaredError(largest_residual=1e3 * data.size)


EVERY = {
    "model error": Data.model_error,
    "model error, one list": lambda d: ep.ModelEquivarianceError(n_draws=d.n_draws).fit(d.crossed),
    "task's error": lambda d: d.data_error(ep.methods.Symmetrization()),
    "task's error, a process": lambda d: d.data_error(ep.methods.GaussianProcess()),
    "task's error, a pair": lambda d: d.data_error(
        ep.methods.TrainedPair(symmetric=d.pair["other"])
    ),
    "task's error, an oracle": lambda d: d.data_error(ep.methods.Oracle(f_star=d.other)),
    "task's error, neighbours": lambda d: d.data_error(ep.methods.Neighbours()),
    "mismatch": lambda d: ep.ApproximationGap(n_draws=d.n_draws).fit(
        d.model_error(), d.data_error(ep.methods.Symmetrization())
    ),
    "changed decisions": lambda d: ep.ChangedDecisions(threshold=d.size, n_draws=d.n_draws).fit(
        d.orbits
    ),
    "units": lambda d: ep.UnitErrors(n_draws=d.n_draws).fit(d.orbits),
    "where it holds": lambda d: ep.SymmetryMap(n_draws=d.n_draws).fit(d.orbits),
    "screen": lambda d: ep.screen(
        d.predict,
        d.x,
        d.y,
        groups=d.groups,
        row_ids=np.arange(len(d.x)),
        n_transforms=2,
        n_draws=d.n_draws,
    ),
    "certificate": lambda d: ep.certify(d.orbits, tolerance=d.size),
    "certificate of a level": lambda d: ep.certify_level(
        d.orbits, largest_loss=1e6 * d.size * d.size
    ),
    "stabilizer": lambda d: ep.Stabilizer(tolerance=0.1 * d.size, n_draws=d.n_draws).fit(d.crossed),
    "inputs' law": lambda d: ep.InvarianceCheck(n_draws=d.n_draws, n_folds=2).fit(
        d.x, TURNS, groups=d.groups
    ),
    "geometry": lambda d: d.geometry,
    "gap, transport": lambda d: d.gap(
        ep.bounds.Transport(predictors=_class(d), loss=_loss(d), n_splits=2)
    ),
    "gap, covering": lambda d: d.gap(ep.bounds.Covering(predictors=_class(d), loss=_loss(d))),
    "gap, held out": lambda d: d.gap(ep.bounds.Holdout()),
    "level, share": lambda d: d.level(ep.paths.Blend()),
    "level, range": lambda d: d.level(ep.paths.Range()),
    "comparison": lambda d: ep.compare(d.pair, n_draws=d.n_draws),
    "decision": lambda d: ep.decide(ep.compare(d.pair, n_draws=d.n_draws)),
    "decision on a level": lambda d: ep.decide(d.level(ep.paths.Blend())),
}
"""Results by name. Those of chains (`LearningCurve`, `Calibrated`, `Hierarchical`) take seconds and
have tests of their own, as have those that need derivatives of a model."""


def numbers_of(result):
    """Return draws and their units of a result by name; bounds of a certificate, which has none."""
    if isinstance(result, ep.Certificate | ep.LevelCertificate):
        told = result.summary()
        units = told["unit"] if "unit" in told else dict.fromkeys(told.index, "risk")
        return {name: np.array([bound]) for name, bound in result.upper.items()}, units
    return result.draws, result.units


def audit_facts(models):
    """Return the facts of an audit of some models."""
    words = {"transform": "turns", "rows": "", "design": "full", "output": "output"}
    numbers = dict.fromkeys(("weight_seed", "n_rows", "n_transforms", "seed", "n_draws"), 1)
    others = {"rope": 0.0, "with_targets": False, "given": {}, "versions": {}}
    return AuditFacts(models=models, missing=[], **words, **numbers, **others)
