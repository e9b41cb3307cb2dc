"""A function of rows as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def estimator_of(predict: Callable[[Any], Any], rows_of: Callable[[Any], Any], like: Any) -> Any:
    """Return a fitted estimator whose answers are those of a function of rows.

    Args:
        predict: ``predict(rows) -> outputs``: class probabilities where `like` is a classifier.
        rows_of: Returns what an estimator is given as rows for `predict`.
        like: The estimator that the function was made of.
    """
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier

    class Predicted(BaseEstimator):
        """What all kinds have in common."""

        def fit(self, X: Any, y: Any = None) -> Any:
            """Refuse: what was averaged is fitted."""
            raise TypeError(
                "this estimator is an average of a fitted one: fit that, and average it"
            )

        def __sklearn_is_fitted__(self) -> bool:
            return True

    class PredictedClassifier(ClassifierMixin, Predicted):
        """Probabilities of a function of rows, and the classes that have most of them."""

        classes_ = getattr(like, "classes_", None)

        def predict_proba(self, X: Any) -> Any:
            """Return class probabilities."""
            return np.asarray(predict(rows_of(X)))

        def predict(self, X: Any) -> Any:
            """Return the most probable class."""
            return np.asarray(self.classes_)[self.predict_proba(X).argmax(axis=1)]

    class PredictedRegressor(RegressorMixin, Predicted):
        """Outputs of a function of rows."""

        def predict(self, X: Any) -> Any:
            """Return the outputs."""
            return np.asarray(predict(rows_of(X)))

    return PredictedClassifier() if is_classifier(like) else PredictedRegressor()
