"""Valid calls of public functions, an argument of which a fuzz test replaces."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import equiprob as ep
from equiprob.testing import linear_task

task = linear_task(24, optimum=0.4, seed=0)
X = np.asarray(task.x, np.float32)
Y = np.asarray(task.y)
TURN = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
C4 = ep.transforms.cyclic(4, acts_on="vectors", output_action="vectors")
SHIFTS = ep.transforms.translations(1.0)
W = np.array([[1.0, 0.4], [-0.7, 0.5]], dtype=np.float32)


def linear(batch):
    return np.asarray(batch) @ W


def other(batch):
    return np.asarray(batch) @ W.T


def evaluated(predict=linear, transform=TURN, **named):
    return ep.evaluate_orbits(predict, X, transform, y=Y, n_transforms=3, backend="python", **named)


ORBITS = evaluated()
OTHER = evaluated(other)
MANY = ep.evaluate_orbits(
    linear, np.tile(X, (2, 1)), TURN, y=np.tile(Y, (2, 1)), n_transforms=3, backend="python"
)
ERROR = ep.ModelEquivarianceError(n_draws=50).fit(ORBITS)
TASK = ep.DataEquivarianceError(n_draws=50).fit(ORBITS, law=ep.InvariantLaw())
LEVEL = ep.SymmetryLevel(n_draws=50).fit(ORBITS)
COMPARISON = ep.compare({"a": ORBITS, "b": OTHER}, n_draws=50)
PASS = {"n_transforms": 2, "backend": "python", "seed": 0}


def fitted(estimator, *positional):
    """Return a function that takes configuration and data together."""

    def fit(**named):
        data = {k: named.pop(k) for k in positional}
        return estimator(**named).fit(**data)

    return fit


def asserted(**named):
    """Assert, where failing is an answer, too."""
    with contextlib.suppress(AssertionError):
        ep.assert_equivariant(**named)


def train(x, y, n=None, seed=0):
    return linear


DRAWS = {"n_draws": 50, "weight_seed": 0}
ROWS = {"predict": linear, "x": X, "transform": TURN}
CALLS = {
    "evaluate_orbits": (
        ep.evaluate_orbits,
        ROWS
        | PASS
        | {"y": Y, "design": "quasi", "batch_size": 8, "groups": np.arange(24), "keep": "auto"}
        | {"row_ids": np.arange(24), "noise_repeats": 1, "outputs": None, "progress": False}
        | {"on_error": "raise", "stop_when": None, "executor": None, "checkpoint": None},
    ),
    "ModelEquivarianceError": (
        fitted(ep.ModelEquivarianceError, "orbits"),
        DRAWS | {"posterior": None, "orbits": ORBITS},
    ),
    "result.interval": (ERROR.interval, {"ci_prob": 0.9, "ci_kind": "eti"}),
    "result.summary": (ERROR.summary, {"ci_prob": 0.9, "ci_kind": "eti"}),
    "DataEquivarianceError": (
        fitted(ep.DataEquivarianceError, "orbits", "law"),
        DRAWS | {"method": ep.methods.Symmetrization(), "orbits": ORBITS, "law": ep.InvariantLaw()},
    ),
    "ApproximationGap": (
        fitted(ep.ApproximationGap, "model_error", "data_error"),
        DRAWS | {"negligible_share": 0.01, "model_error": ERROR, "data_error": TASK},
    ),
    "align": (ep.align, {"model_error": ERROR, "data_error": TASK}),
    "Stabilizer": (
        fitted(ep.Stabilizer, "orbits"),
        DRAWS | {"tolerance": 0.1, "credibility": 0.9, "tolerances": [0.1, 0.2], "orbits": ORBITS},
    ),
    "Generators": (
        fitted(ep.Generators, "predict", "x"),
        DRAWS
        | {"tolerance": 0.1, "translations": False, "output": "invariant", "x": np.tile(X, (4, 1))}
        | {"predict": lambda batch: (batch**2).sum(axis=1)},
    ),
    "ChangedDecisions": (
        fitted(ep.ChangedDecisions, "orbits"),
        DRAWS | {"threshold": 0.1, "orbits": ORBITS},
    ),
    "UnitErrors": (
        fitted(ep.UnitErrors, "orbits"),
        DRAWS | {"units": "last", "orbits": ORBITS},
    ),
    "SymmetryMap": (
        fitted(ep.SymmetryMap, "orbits", "by"),
        DRAWS | {"tolerance": 0.1, "most_rows": 100, "orbits": MANY, "by": np.arange(48) % 3},
    ),
    "SymmetryLevel": (
        fitted(ep.SymmetryLevel, "orbits"),
        DRAWS | {"path": ep.paths.Blend(), "loss": "squared", "orbits": ORBITS},
    ),
    "InvarianceCheck": (
        fitted(ep.InvarianceCheck, "x", "transform", "groups"),
        DRAWS
        | {"classifier": None, "n_folds": 2, "margin": 0.05, "seed": 0, "x": X, "transform": TURN}
        | {"groups": np.arange(24)},
    ),
    "LocalEquivarianceError": (
        fitted(ep.LocalEquivarianceError, *ROWS, "groups", "row_ids", "batch_size"),
        DRAWS
        | ROWS
        | {"predict": lambda b: b @ W, "groups": None, "row_ids": None, "batch_size": 8},
    ),
    "compare": (
        ep.compare,
        DRAWS
        | {"tables": {"a": ORBITS, "b": OTHER}, "rope": 0.0, "metrics": ["accuracy"], "on": "rows"},
    ),
    "compare one": (lambda a: ep.compare({"a": a, "b": OTHER}, n_draws=50), {"a": ORBITS}),
    "Costs": (
        lambda **named: ep.decide(COMPARISON, costs=ep.Costs(**named), information=[]),
        {"price_of_risk": 1.0, "n_predictions": 100.0, "training": {"a": 1, "b": 2}}
        | {"per_prediction": {"a": 1.0, "b": 1.0}},
    ),
    "decide": (
        ep.decide,
        {"result": COMPARISON, "costs": {"a": 0.1, "b": 0.2}, "rope": 0.0, "horizon": None}
        | {"reference": "a", "information": []},
    ),
    "decide level": (ep.decide, {"result": LEVEL, "costs": None, "reference": None}),
    "certify": (
        ep.certify,
        {"orbits": ORBITS, "bound": 1e4, "tolerance": 0.5, "delta": 0.05},
    ),
    "GeneralizationGap": (
        fitted(ep.GeneralizationGap, "orbits", "geometry", "train"),
        DRAWS
        | {"bound": ep.bounds.Holdout(), "delta": 0.05, "orbits": ORBITS, "geometry": None}
        | {"train": evaluated(row_ids=np.arange(24))},
    ),
    "Geometry": (
        fitted(ep.Geometry, "x", "transform", "predict"),
        DRAWS | {"radii": [0.5, 1.0], "x": X, "transform": TURN, "predict": linear},
    ),
    "check_action": (
        ep.check_action,
        ROWS | {"transform": C4, "y": Y, "seed": 0, "n_transforms": 2},
    ),
    "worst_case": (
        ep.worst_case,
        ROWS | {"n_starts": 2, "n_steps": 2, "seed": 0, "batch_size": 8, "backend": "python"},
    ),
    "cross_fit": (
        ep.cross_fit,
        PASS
        | {"train": train, "x": X, "y": Y, "transform": TURN, "folds": 2, "groups": None}
        | {"row_ids": None, "design": "quasi", "batch_size": 8, "keep": "auto", "progress": False},
    ),
    "controls": (
        ep.controls,
        {"analysis": lambda x, y, transform: ERROR, "x": X, "y": Y, "transform": TURN}
        | {"wrong": None, "seed": 0},
    ),
    "run_learning_curve": (
        ep.run_learning_curve,
        PASS
        | {"train": train, "x": X, "y": Y, "transform": TURN, "sizes": [4, 8], "seeds": (0, 1)}
        | {"candidates": ["a"], "test_size": 0.25, "checkpoint": None, "executor": None}
        | {"on_error": "raise", "progress": False, "groups": None},
    ),
    "assert_equivariant": (
        asserted,
        ROWS | PASS | {"max_error": 1.0, "credibility": 0.9, "relative": False},
    ),
    "audit": (
        ep.audit,
        DRAWS
        | PASS
        | {"models": {"a": linear}, "x": X, "y": Y, "transform": TURN, "train": (X, Y)}
        | {"law": ep.InvariantLaw(), "method": None, "path": None, "tolerance": 0.1, "rope": 0.0}
        | {"output": None, "outputs": None, "design": "quasi", "groups": None, "row_ids": None}
        | {"batch_size": 8, "progress": False},
    ),
    "load": (ep.load, {"path": "nothing.nc"}),
    "save": (ERROR.save, {"path": str(Path(tempfile.gettempdir()) / "h9-saved.nc")}),
    "padded": (ep.padded, {"rows": [{"x": np.ones((2, 3))}, {"x": np.ones((3, 3))}], "fill": None}),
    "Output": (
        lambda **named: evaluated(outputs=ep.Output(**named)),
        {"unit": "eV", "scale": 1.0, "mask": None, "per": None},
    ),
    "path": (
        lambda path: ep.SymmetryLevel(path=path, n_draws=50).fit(ORBITS),
        {"path": ep.paths.Range()},
    ),
    "certificate_reached": (
        lambda **named: evaluated(stop_when=ep.stopping.certificate_reached(**named)),
        {"squared_error": 0.1, "bound": 1e4, "share": 0.5, "tolerance": 0.5, "delta": 0.05}
        | {"output": None},
    ),
    "interval_narrower": (
        lambda **named: evaluated(stop_when=ep.stopping.interval_narrower(**named)),
        {"width": 0.1, "quantity": "error", "relative": False, "ci_prob": 0.9, "at_least": 2}
        | {"estimator": None, "output": None},
    ),
    "from_onnx": (ep.adapters.from_onnx, {"model": "nothing.onnx", "outputs": None}),
    "from_sklearn": (ep.adapters.from_sklearn, {"estimator": None, "method": None}),
    "rotations2d": (
        ep.transforms.rotations2d,
        {"max_angle": 1.0, "acts_on": "image", "output_action": "invariant", "law": None}
        | {"fill": 0.0},
    ),
    "rotations3d": (
        ep.transforms.rotations3d,
        {"max_angle": 1.0, "parity": "proper", "acts_on": "points", "output_action": "invariant"},
    ),
    "scalings": (
        ep.transforms.scalings,
        {"max_factor": 2.0, "dimensions": 2, "acts_on": "image", "law": None, "fill": 0.0},
    ),
    "translations": (
        ep.transforms.translations,
        {"max_shift": 1.0, "dimensions": 2, "whole": False, "acts_on": "points", "wrap": False},
    ),
    "euclidean3d": (ep.transforms.euclidean3d, {"max_shift": 1.0, "max_angle": 1.0}),
    "finite": (ep.transforms.finite, {"elements": [np.eye(2), -np.eye(2)], "weights": None}),
    "cyclic": (ep.transforms.cyclic, {"order": 4, "acts_on": "image", "fill": 0.0}),
    "dihedral": (ep.transforms.dihedral, {"order": 4}),
    "lorentz": (ep.transforms.lorentz, {"max_rapidity": 1.0, "acts_on": "vectors"}),
    "permutations": (ep.transforms.permutations, {"items": 3, "acts_on": "permuted"}),
    "by_element": (ep.transforms.by_element, {"table": [[0, 1], [1, 0]]}),
    "lattice_shifts": (ep.transforms.lattice_shifts, {"items": 2, "max_cells": 1}),
    "mirror": (ep.transforms.mirror, {"axis": "y", "dimensions": 3}),
    "supercells": (ep.transforms.supercells, {"repeats": [[1, 1, 1], [2, 1, 1]]}),
    "pixels": (ep.transforms.pixels, {"height": 4, "width": 5}),
    "reflected": (ep.transforms.reflected, {"order": [1, 0], "signs": [1, 1]}),
    "sign_flips": (ep.transforms.sign_flips, {"dimensions": 2}),
    "mixture": (ep.transforms.mixture, {"transforms": [TURN, C4], "weights": [0.5, 0.5]}),
    "product": (
        lambda second, commute: ep.transforms.product(SHIFTS, second, commute=commute),
        {"second": TURN, "commute": False},
    ),
    "conjugated": (ep.transforms.conjugated, {"transform": TURN, "seed": 0, "scale": 1.0}),
    "from_functions": (
        lambda **named: evaluated(transform=ep.transforms.from_functions(**named)),
        {"law": lambda generator: generator.uniform(), "act": lambda p, row: row + p[0]}
        | {"identity": 0.0, "inverse": lambda p: -p, "output_action": "invariant"}
        | {"magnitude": lambda p: abs(p[0]), "magnitude_unit": "m", "haar": False},
    ),
}


RUNS = pd.DataFrame(
    [(c, n, s, 1 / n + 0.01 * s) for c in "ab" for n in (10, 20, 40) for s in (0, 1)],
    columns=["candidate", "n", "seed", "risk"],
)


def curve(**named):
    """Fit learning curves."""
    data = {k: named.pop(k) for k in ("runs", "data_error")}
    return ep.LearningCurve(**named).fit(**data)


def gap(bound, needs_geometry=False):
    """Return a function of a bound's settings that evaluates it."""

    def fit(**named):
        return ep.GeneralizationGap(bound=bound(**named), n_draws=50).fit(
            ORBITS, geometry=GEOMETRY if needs_geometry else None
        )

    return fit


def decided(kind):
    """Return a function of an information's settings that values it."""
    return lambda **named: ep.decide(COMPARISON, information=[kind(**named)])


GEOMETRY = ep.Geometry(n_draws=50).fit(X, TURN, predict=linear)
PROCESS = ep.DataEquivarianceError(method=ep.methods.GaussianProcess(), n_draws=50).fit(
    ORBITS, law=ep.InvariantLaw()
)
CLASS = ep.bounds.PredictorClass(lipschitz=4.0, output_range=4.0)
STATED = ep.bounds.Transport(
    predictors=CLASS, loss=ep.bounds.SquaredError(largest_residual=4.0), n_splits=2
)
STRUCTURAL = ep.StructuralLevel(bound=STATED, n_draws=50).fit(PROCESS)
GAPS = RUNS.rename(columns={"risk": "gap"}).assign(gap_se=0.01)
CURVE = {"candidate": RUNS["candidate"], "n": RUNS["n"], "seed": RUNS["seed"], "risk": RUNS["risk"]}
CALLS |= {
    "LearningCurve": (
        curve,
        DRAWS
        | {"case": "invariant", "seed": 0, "risk_max": 1.0, "test_rows": "same"}
        | {"runs": RUNS, "data_error": None},
    ),
    "runs": (lambda **columns: curve(runs=columns, data_error=None), CURVE),
    "Rows": (decided(ep.information.Rows), {"n": 10, "cost": 1.0}),
    "Seeds": (decided(ep.information.Seeds), {"n": 10, "cost": 1.0}),
    "Run": (ep.information.Run, {"candidate": "a", "n": 10, "n_seeds": 1, "cost": None}),
    "Range": (
        lambda **named: ep.SymmetryLevel(path=ep.paths.Range(**named), n_draws=50).fit(ORBITS),
        {"positions": [0.1, 0.5]},
    ),
    "Blend": (ep.paths.Blend, {"n_positions": 11}),
    "Hierarchical": (
        ep.posteriors.Hierarchical,
        {"smooth": False, "spread": None, "num_warmup": 10, "num_samples": 10, "num_chains": 1},
    ),
    "Symmetrization": (
        lambda **named: ep.DataEquivarianceError(
            method=ep.methods.Symmetrization(**named), n_draws=50
        ).fit(ORBITS, law=ep.InvariantLaw()),
        {"noise_variance": 0.1, "repeats": None, "others": ()},
    ),
    "TrainedPair": (
        lambda **named: ep.DataEquivarianceError(
            method=ep.methods.TrainedPair(**named), n_draws=50
        ).fit(ORBITS, law=ep.InvariantLaw()),
        {"symmetric": OTHER, "split": True, "noise_variance": None, "repeats": None},
    ),
    "Neighbours": (ep.methods.Neighbours, {"group": None, "most_rows": 100}),
    "Oracle": (
        lambda **named: ep.DataEquivarianceError(method=ep.methods.Oracle(**named), n_draws=50).fit(
            ORBITS, law=ep.InvariantLaw()
        ),
        {"f_star": linear, "backend": "python"},
    ),
    "MeasuredPairs": (
        lambda **named: ep.DataEquivarianceError(
            method=ep.methods.MeasuredPairs(**named), n_draws=50
        ).fit(ORBITS),
        {"parameters": np.zeros((24, 1)), "y_moved": Y, "noise_variance": 0.1},
    ),
    "StructuralLevel": (
        fitted(ep.StructuralLevel, "data_error", "geometry"),
        DRAWS
        | {"n": [20, 40], "bound": ep.bounds.Transport(), "data_error": PROCESS}
        | {"geometry": GEOMETRY},
    ),
    "sufficient_n": (STRUCTURAL.sufficient_n, {"level": 0.5, "other": 0.1}),
    "p_exact": (STRUCTURAL.p_exact, {"n": 24.0}),
    "Calibrated": (
        gap(ep.bounds.Calibrated),
        {"runs": GAPS, "shape": 0.5, "candidate": "a", "level": None, "departure": None},
    ),
    "gap runs": (
        lambda **columns: gap(ep.bounds.Calibrated)(runs=columns, candidate="a"),
        dict(GAPS) | {"level": GAPS["candidate"].map({"a": 0.0, "b": 0.5})},
    ),
    "GaussianProcess": (ep.methods.GaussianProcess, {"p_symmetric": 0.5, "slab": 0.5}),
    "BoundedLoss": (ep.bounds.BoundedLoss, {"range": 1.0, "slope": 1.0, "function": None}),
    "SquaredError": (ep.bounds.SquaredError, {"largest_residual": 10.0}),
    "PredictorClass": (
        ep.bounds.PredictorClass,
        {"lipschitz": 1.0, "defect": 0.1, "output_range": 1.0},
    ),
    "Transport": (
        gap(ep.bounds.Transport, needs_geometry=True),
        {"predictors": ep.bounds.PredictorClass(lipschitz=1.0, defect=0.1)}
        | {"loss": ep.bounds.SquaredError(largest_residual=30.0), "metric": None}
        | {"targets": "smaller", "n_splits": 2, "block_rows": 100, "n_elements": 2}
        | {"n_neighbours": 2},
    ),
    "Covering": (
        gap(ep.bounds.Covering, needs_geometry=True),
        {"predictors": ep.bounds.PredictorClass(lipschitz=1.0, defect=0.0)}
        | {"loss": ep.bounds.SquaredError(largest_residual=30.0), "connected": False},
    ),
    "RKHS": (
        gap(ep.bounds.RKHS),
        {
            "kernel": lambda a, b: a @ b.T,
            "features": None,
            "radii": (1.0, 1.0),
            "coefficients": None,
        }
        | {"loss": ep.bounds.SquaredError(largest_residual=30.0), "smallest_radius": 1e-3}
        | {"largest_diagonal": None, "n_elements": 4},
    ),
}


def not_finite(result):
    """Return a quantity of a result whose draws hold NaN."""
    for name, values in getattr(result, "draws", {}).items():
        if np.isnan(np.asarray(values, float)).any():
            return name
    return None
