"""Which loss should the level minimize?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.orbits.table import Rows, describe_rows
from equiprob.posterior.contrast import Limits
from equiprob.posterior.paired_means import ANY, squared_error_limits

Loss = Callable[[Rows, Rows], NDArray[np.float64]]
"""``loss(y, prediction) -> (row,)``, with y and prediction ``(row, k)`` and labels one-hot."""


def squared_loss(y: Rows, prediction: Rows) -> Rows:
    """Return the squared error, summed over components: the Brier score for labels."""
    return ((y - prediction) ** 2).sum(axis=1)


def absolute_loss(y: Rows, prediction: Rows) -> Rows:
    """Return the absolute error, summed over components."""
    return np.abs(y - prediction).sum(axis=1)


def log_loss(y: Rows, prediction: Rows) -> Rows:
    """Return minus the logarithm of the probability of the right class.

    Raises:
        ValueError: If targets are not labels, or a right class has no probability.
    """
    _check_labels(y, "log")
    probability = (y * prediction).sum(axis=1)
    if (probability <= 0).any():
        raise ValueError(
            f"the log loss is infinite in rows {describe_rows(np.flatnonzero(probability <= 0))}: "
            f"predict gives the right class no probability there; keep probabilities above 0, or "
            f"pass a loss of your own, loss=lambda y, p: -np.log((y * p).sum(axis=1) + 1e-6)"
        )
    return -np.log(probability)


def zero_one_loss(y: Rows, prediction: Rows) -> Rows:
    """Return 1 where the most probable class is wrong and 0 elsewhere.

    Raises:
        ValueError: If targets are not labels.
    """
    _check_labels(y, "zero_one")
    return (y.argmax(axis=1) != prediction.argmax(axis=1)).astype(np.float64)


LOSSES: dict[str, Loss] = {
    "squared": squared_loss,
    "log": log_loss,
    "zero_one": zero_one_loss,
    "absolute": absolute_loss,
}
"""The losses that have a name."""


def limits_of_loss(name: str, y: Rows, prediction: Rows, values: Rows) -> Limits:
    """Return between which values a loss lies, as far as its name and its values ``(row,)`` say."""
    if name == "squared":
        return squared_error_limits(y, prediction)
    if name == "zero_one":
        return 0.0, 1.0
    return (0.0, np.inf) if (values >= 0).all() else ANY


def named_loss(loss: str | Loss) -> tuple[str, Loss]:
    """Return the name of a loss, for messages, and the loss as a function that checks itself.

    Raises:
        ValueError: If there is no such loss.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(
                f"loss must be one of {list(LOSSES)}, or a function loss(y, prediction) -> (row,), "
                f"got {loss!r}"
            )
        return loss, LOSSES[loss]
    if not callable(loss):
        raise ValueError(
            f"loss must be a name or a function loss(y, prediction) -> (row,), got {loss!r}"
        )
    name = getattr(loss, "__name__", type(loss).__name__)
    return ("your own" if name == "<lambda>" else name), _checked(loss)


def _checked(loss: Loss) -> Loss:
    def checked(y: Rows, prediction: Rows) -> Rows:
        with np.errstate(all="ignore"):  # what is not finite is named below
            with calling("loss"):
                found = loss(y, prediction)
            values = as_numbers("what loss returns", found)
        if values.shape != (len(y),):
            raise ValueError(
                f"loss returned shape {values.shape}; expected one value for each of the {len(y)} "
                f"rows"
            )
        if not np.isfinite(values).all():
            bad = describe_rows(np.flatnonzero(~np.isfinite(values)))
            raise ValueError(f"loss is not finite in rows {bad}")
        return values

    return checked


def _check_labels(y: Rows, name: str) -> None:
    one_hot = y.shape[1] > 1 and np.isin(y, (0.0, 1.0)).all() and (y.sum(axis=1) == 1).all()
    if not one_hot:
        raise ValueError(
            f"loss={name!r} is for class labels: pass them as integers, y= of evaluate_orbits, or "
            f"choose 'squared', 'absolute' or a loss of your own"
        )
