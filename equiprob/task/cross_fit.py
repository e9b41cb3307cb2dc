"""One orbit table in which no row was predicted by a model that was trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.calls import calling
from equiprob.arguments.checked import checked
from equiprob.arguments.seeds import check_seed
from equiprob.arguments.tensors import all_on_host
from equiprob.orbits.designs import make_design
from equiprob.orbits.inputs import (
    check_batch_size,
    check_inputs,
    ids_of_rows,
    take_rows,
    units_of_rows,
)
from equiprob.orbits.keep import Keep
from equiprob.orbits.loop import Course, run_pass
from equiprob.orbits.noise import Noise
from equiprob.orbits.orbit_pass import OrbitPass
from equiprob.orbits.output_arrays import are_labels, checked_targets
from equiprob.orbits.sources import ArrayRows
from equiprob.orbits.statistics import RowStatistics
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.weights import folds as folds_of
from equiprob.transforms.transform import Transform

Predict = Callable[[Any], Any]


@checked
def cross_fit(
    train: Any,
    x: Any,
    y: Any,
    transform: Transform,
    *,
    folds: int = 5,
    groups: ArrayLike | None = None,
    row_ids: ArrayLike | None = None,
    n_transforms: int = 16,
    design: str = "quasi",
    seed: int = 0,
    batch_size: int | None = None,
    batch_dependent: bool = False,
    keep: str | Sequence[float] = "auto",
    noise_repeats: int = 1,
    backend: str = "auto",
    progress: bool | None = None,
) -> OrbitTable:
    """Train on all folds but one, evaluate the orbits of that one, and so on round.

    Args:
        train: A scikit-learn estimator (cloned for each fold; inputs are flattened to ``(row,
            feature)``; class probabilities where `y` holds integer labels), or a function
            ``train(x, y) -> predict``.
        x: The inputs: an array or a dict of arrays, rows first.
        y: The targets, rows first, or integer class labels.
        transform: The transform.
        folds: How many folds.
        groups: A label for each row; rows of a group share a fold.
        row_ids: As in `evaluate_orbits`.
        n_transforms: As in `evaluate_orbits`.
        design: As in `evaluate_orbits`.
        seed: As in `evaluate_orbits`.
        batch_size: As in `evaluate_orbits`.
        batch_dependent: As in `evaluate_orbits`.
        keep: As in `evaluate_orbits`.
        noise_repeats: As in `evaluate_orbits`, of each trained model.
        backend: As in `evaluate_orbits`; ``"python"`` for scikit-learn.
        progress: As in `evaluate_orbits`.

    Returns:
        The orbit table of all rows, in their order. It speaks of models trained on a share of
        ``1 - 1 / folds`` of the rows.

    Raises:
        ValueError: If there are fewer rows (or groups) than folds, or as in `evaluate_orbits`.
        TypeError: If `train` is neither an estimator nor a function.
    """
    x = all_on_host(x)
    n = check_inputs(x)
    if not isinstance(folds, int | np.integer) or folds < 2:
        raise ValueError(f"folds must be an integer of at least 2, got {folds!r}")
    host = jax.tree.map(np.asarray, x)
    targets = checked_targets(y, n)
    if targets is None:
        raise ValueError("cross_fit trains on targets: pass y")
    ids = ids_of_rows(row_ids, host, targets, n)
    units = ids if groups is None else units_of_rows(groups, n)
    if len(np.unique(units)) < folds:
        raise ValueError(f"{len(np.unique(units))} independent rows are too few for {folds} folds")
    plan = make_design(transform, design, n_transforms, check_seed(seed))
    fold = folds_of(units, folds)
    fit = trainer(train, targets)
    tables, order = [], []
    for held_out in range(folds):
        rest, judged = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        with calling("train"):
            predict = fit(take_rows(host, rest), take_rows(targets, rest))
        if not callable(predict):
            raise TypeError(f"train must return a function predict(batch), got {predict!r:.80}")
        orbit_pass = OrbitPass(
            predict,
            transform,
            plan,
            check_batch_size(batch_size, len(judged)),
            Noise.of(predict, noise_repeats, seed),
            "python" if _is_estimator(train) else backend,
            Keep.of(keep, len(judged) * plan.n_transforms),
            batch_dependent=batch_dependent,
        )
        rows = ArrayRows(
            take_rows(host, judged),
            take_rows(targets, judged),
            ids[judged],
            None if groups is None else units[judged],
        )
        tables.append(run_pass(orbit_pass, rows, Course(progress)))
        order.append(judged)
    back = np.argsort(np.concatenate(order))
    statistics = {
        name: replace(
            RowStatistics.concatenate([t.statistics[name] for t in tables]).take(back),
            float_floor=max(t.statistics[name].float_floor for t in tables),
            rounding=max(t.statistics[name].rounding for t in tables),
            apart=max(t.statistics[name].apart for t in tables),
        )
        for name in tables[0].outputs
    }
    return replace(
        tables[0],
        statistics=statistics,
        row_ids=ids,
        unit_ids=units,
        grouped=groups is not None,
        x=x,
        count=np.full(n, plan.n_transforms, dtype=np.int64),
        cross_fitted=True,
        floor_method="perturbation"
        if any(t.floor_method == "perturbation" for t in tables)
        else "float64 pass",
    )


def _is_estimator(train: Any) -> bool:
    return hasattr(train, "fit") and hasattr(train, "get_params")


def trainer(train: Any, targets: Any) -> Callable[[Any, Any], Predict]:
    """Return how to train: ``(x, y) -> predict``, from a scikit-learn estimator or a function."""
    if not _is_estimator(train):
        if not callable(train):
            raise TypeError(
                f"train must be a scikit-learn estimator or a function (x, y) -> predict, got "
                f"{type(train).__name__}"
            )
        return cast("Callable[[Any, Any], Predict]", train)

    from sklearn.base import clone

    n_labels = int(targets.max()) + 1 if are_labels(targets) else 0

    def fit(x: Any, y: Any) -> Predict:
        if not isinstance(x, np.ndarray):
            raise TypeError(
                "scikit-learn estimators take one array; for a dict of arrays pass a function "
                "train(x, y) -> predict"
            )
        model: Any = clone(train)
        model.fit(_flat(x), y)
        if not n_labels:
            return lambda batch: np.asarray(model.predict(_flat(batch)), dtype=np.float64)
        return lambda batch: _probabilities(model, _flat(batch), n_labels)

    return fit


def _probabilities(model: Any, features: NDArray[Any], n_labels: int) -> NDArray[np.float64]:
    """Return class probabilities by label, zero for labels the fold did not hold."""
    found = model.predict_proba(features)
    values = np.zeros((len(found), n_labels))
    values[:, model.classes_.astype(int)] = found
    return values


def _flat(x: Any) -> NDArray[Any]:
    array = np.asarray(x)
    return array.reshape(len(array), -1)
