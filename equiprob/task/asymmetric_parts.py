"""Is what the model learned of the asymmetry what the task has of it?

Where the law of the inputs is invariant and the transformations have the Haar law of a group (case
H), averaging is a projection. Let ``f_perp`` be the part of the model that it removes, ``f*_perp``
that of the truth: ``|f_perp|^2 = e_f^2 / 2`` and ``|f*_perp|^2 = e*^2 / 2``. What averaging saves,
``R(f) - R(S f) = |f_perp - f*_perp|^2 - |f*_perp|^2``, gives the third side of the triangle: the
exact waste of the model's asymmetric part, and by the law of cosines its alignment with the task's.
Two errors of equal size say nothing of either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.errors.model_error import ModelEquivarianceErrorResult

Draws = NDArray[np.float64]


def saved_by_averaging(model_error: ModelEquivarianceErrorResult) -> Draws | None:
    """Return draws of ``R(f) - R(S f)``; None where targets or orbit averages are missing."""
    if "asymmetry_share" not in model_error.draws:
        return None
    return model_error.draws["asymmetry_share"] * model_error.draws["risk"]


def waste(
    model_error: ModelEquivarianceErrorResult, lower: Draws, upper: Draws
) -> dict[str, Draws]:
    """Return draws of ``|(f - f*)_perp|^2 = R(f) - R(S f) + e*^2 / 2``.

    Args:
        model_error: Of the model.
        lower: Lower bound on e*, the draws in the order of the model error's.
        upper: Upper bound on it; the same where e* is identified.

    Returns:
        ``waste``, or where there are only bounds ``waste_lower`` and ``waste_upper``.
    """
    saved = saved_by_averaging(model_error)
    if saved is None:
        return {}
    risk = model_error.draws["risk"]  # the waste is a part of it
    least, most = (np.clip(saved + bound**2 / 2, 0.0, risk) for bound in (lower, upper))
    if np.array_equal(lower, upper):
        return {"waste": least}
    if np.isinf(upper).any():
        return {"waste_lower": least}
    return {"waste_lower": least, "waste_upper": most}


def alignment(
    model_error: ModelEquivarianceErrorResult, lower: Draws, upper: Draws
) -> dict[str, Draws]:
    """Return draws of ``<f_perp, f*_perp> / (|f_perp| |f*_perp|)``, from -1 to 1.

    Args:
        model_error: As in `waste`.
        lower: As in `waste`.
        upper: As in `waste`.

    Returns:
        ``alignment``, or where there are only bounds ``alignment_lower`` and ``alignment_upper``;
        nothing where one of the two parts may be zero, and has no direction.
    """
    saved, e_f = saved_by_averaging(model_error), model_error.draws["error"]
    if saved is None or model_error.is_exact or (e_f <= 0).any() or (upper <= 0).any():
        return {}
    shared = (e_f**2 / 2 - saved) / e_f
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = [np.nan_to_num(np.clip(shared / bound, -1, 1)) for bound in (lower, upper)]
    if np.array_equal(lower, upper):
        return {"alignment": ends[0]}
    return {"alignment_lower": np.minimum(*ends), "alignment_upper": np.maximum(*ends)}
