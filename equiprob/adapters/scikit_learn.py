"""scikit-learn estimators and pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import numpy as np
from numpy.typing import NDArray

from equiprob.adapters.averaged_estimator import estimator_of
from equiprob.arguments.checked import checked

Method = Literal["predict", "predict_proba", "decision_function"]


@final
@dataclass(frozen=True, eq=False)
class SklearnPredictor:
    """A fitted estimator as a callable; made by `from_sklearn`."""

    estimator: Any
    method: Method

    def __call__(self, x: Any) -> NDArray[np.floating]:
        """Return predictions for a batch of rows, flattened to ``(row, feature)``."""
        if isinstance(x, dict):
            raise TypeError(
                f"scikit-learn takes one array of features, got a dict with the leaves {list(x)}; "
                f"pass a function that builds the features and calls estimator.{self.method}"
            )
        rows = np.asarray(x)
        values = np.asarray(getattr(self.estimator, self.method)(rows.reshape(len(rows), -1)))
        # Regressors fitted to integers return integers.
        return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)

    def estimator_of(
        self, predict: Callable[[Any], Any], row_shape: tuple[int, ...] = (-1,)
    ) -> Any:
        """Return a function of this model's rows as an estimator of scikit-learn.

        Args:
            predict: The function, such as ``level.predictor(model)``.
            row_shape: The shape of one row as it was evaluated, such as ``(8, 8)`` for images that
                the estimator takes flattened.
        """

        def rows_of(features: Any) -> NDArray[Any]:
            return np.asarray(features).reshape(len(features), *row_shape)

        return estimator_of(predict, rows_of, self.estimator)


@checked
def from_sklearn(estimator: Any, *, method: Method | None = None) -> SklearnPredictor:
    """Make a callable of a fitted scikit-learn estimator or pipeline.

    Args:
        estimator: The fitted estimator. Rows are flattened to ``(row, feature)``.
        method: ``"predict"``, ``"predict_proba"`` or ``"decision_function"``; when left out,
            probabilities of a classifier and predictions of a regressor.

    Returns:
        The callable.

    Raises:
        sklearn.exceptions.NotFittedError: If the estimator is not fitted.
        ValueError: If the estimator lacks the method, or labels of a classifier are asked for.
    """
    from sklearn.base import is_classifier
    from sklearn.utils.validation import check_is_fitted

    if not hasattr(estimator, "fit") or isinstance(estimator, type):
        raise TypeError(f"estimator must be a fitted scikit-learn estimator, got {estimator!r:.80}")
    check_is_fitted(estimator)
    chosen = method or ("predict_proba" if is_classifier(estimator) else "predict")
    if chosen not in get_args(Method):
        raise ValueError(f"method must be one of {list(get_args(Method))}, got {method!r}")
    if chosen == "predict" and is_classifier(estimator):
        raise ValueError(
            "labels have no distance between them: leave method out, for class probabilities"
        )
    if not hasattr(estimator, chosen):
        has = [name for name in get_args(Method) if hasattr(estimator, name)]
        raise ValueError(
            f"{type(estimator).__name__} has no {chosen}; pass one of {has} as method (SVC has "
            f"probabilities with probability=True, or in a CalibratedClassifierCV)"
        )
    return SklearnPredictor(estimator, chosen)
