"""Is the model more symmetric than the task, or less?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.errors.model_error import ModelEquivarianceErrorResult
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import AbstractResult, credible_interval, details_of
from equiprob.task.asymmetric_parts import alignment
from equiprob.task.data_error import DataEquivarianceErrorResult
from equiprob.task.joined import joined
from equiprob.task.methods.base import Case
from equiprob.transforms.fingerprint import check_same_transform

_SURE = 0.9

_ALIKE = 0.9
"""Alignment above which two asymmetric parts differ in little but their size."""

_NOTHING_SAID = 1.8
"""Width of an interval in [-1, 1] that says next to nothing."""


@dataclass(frozen=True, kw_only=True)
class AlignmentFacts(Facts):
    """What travels with an `Alignment`.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        p_too_symmetric: Probability that the model is more symmetric than its task.
        p_too_free: Probability that it is less.
        magnitude_label: What the size of a transformation is.
        magnitude_unit: Its unit.
    """

    transform: str
    weight_seed: int
    p_too_symmetric: float
    p_too_free: float
    magnitude_label: str
    magnitude_unit: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment(AbstractResult):
    """Model error against data error; made by `align`.

    Draws: ``model_error``, ``data_error`` (or ``data_lower`` and ``data_upper``), ``ratio`` (model
    over data, where it is identified), ``alignment`` (or ``alignment_lower`` and
    ``alignment_upper``), the cosine between the model's asymmetric part and the task's, in case H
    and with targets, and the profiles of both where there are any.
    """

    facts: AlignmentFacts = field(repr=False)

    @property
    def p_too_symmetric(self) -> float:
        """Probability that the model error is below the data error (below its lower bound)."""
        return self.facts.p_too_symmetric

    @property
    def p_too_free(self) -> float:
        """Probability that the model error is above the data error (above its upper bound)."""
        return self.facts.p_too_free

    @property
    def direction(self) -> str:
        """Which way to move: ``"less symmetry"``, ``"more symmetry"`` or ``"undecided"``."""
        if self.p_too_symmetric >= _SURE:
            return "less symmetry"
        return "more symmetry" if self.p_too_free >= _SURE else "undecided"

    def __str__(self) -> str:
        """Say what was found."""
        below, above = self.p_too_symmetric, self.p_too_free
        text = (
            f"The model is more symmetric than the task with probability {below:.2f}, less with "
            f"probability {above:.2f}: {self.direction}."
        )
        if "ratio" in self.draws:
            low, high = credible_interval(self.draws["ratio"], 0.9)
            text += f" Model error over data error: {low:.3g} to {high:.3g} (90%)."
        text += in_words(self.draws)
        return text + self.cautions


def in_words(draws: Mapping[str, NDArray[np.float64]]) -> str:
    """Say how the model's asymmetric part lies to the task's, as a sentence; "" where unknown."""
    if "alignment" in draws:
        low, high = credible_interval(draws["alignment"], 0.9)
        size = f"{np.median(draws['alignment']):.2f} (90% {low:.2f} to {high:.2f})"
    elif "alignment_lower" in draws:
        low = float(np.quantile(draws["alignment_lower"], 0.05))
        high = float(np.quantile(draws["alignment_upper"], 0.95))
        if high - low > _NOTHING_SAID:
            return ""
        size = f"between {low:.2f} and {high:.2f} (90%)"
    else:
        return ""
    meaning = "1 would be the same, 0 unrelated, -1 opposite"
    if high < 0:
        meaning = "it has the wrong sign"
    elif low > _ALIKE:
        meaning = "they are alike but for their size"
    return f" Alignment of the model's asymmetric part with the task's: {size}; {meaning}."


@checked
def align(
    model_error: ModelEquivarianceErrorResult, data_error: DataEquivarianceErrorResult
) -> Alignment:
    """Compare the equivariance errors of a model and of its task.

    Args:
        model_error: Of the model.
        data_error: Of the task, over the same transformations.

    Returns:
        The comparison, with joint draws where both were fitted to the same rows.

    Raises:
        ValueError: If the transformations or the numbers of draws differ, or the data error is
            withheld.
    """
    check_same_transform(
        model_error.facts.fingerprint,
        data_error.facts.fingerprint,
        named=("the model error", "the data error"),
    )
    bounds = data_error.bounds
    if bounds is None:
        raise ValueError(
            "the data error is withheld (case 'unknown'): there is nothing to compare the model "
            "error with; see the symmetry cost instead"
        )
    found: set[Diagnostic] = set(model_error.diagnostics) | set(data_error.diagnostics)
    order = joined(model_error, data_error, found)
    lower, upper = (bound[order] for bound in bounds)
    e_f = model_error.draws["error"]
    draws = {"model_error": e_f}
    if data_error.case is Case.HAAR:
        draws |= alignment(model_error, lower, upper)
    dims: dict[str, tuple[str, ...]] = {}
    coords: dict[str, Any] = {}
    if "error" in data_error.draws:
        draws["data_error"] = lower
        if (lower > 0).all():
            draws["ratio"] = e_f / lower
    else:
        draws["data_lower"] = lower
        if np.isfinite(upper).all():
            draws["data_upper"] = upper
    for name, result, axis in (
        ("model_profile", model_error, "model_magnitude"),
        ("data_profile", data_error, "data_magnitude"),
    ):
        if "profile" in result.draws:
            draws[name] = result.draws["profile"]
            dims[name] = (axis,)
            coords[axis] = result.coords[result.dims["profile"][0]]
    return Alignment(
        draws=draws,
        dims=dims,
        coords=coords,
        units=dict.fromkeys(draws, model_error.units["error"])
        | dict.fromkeys(("ratio", "alignment", "alignment_lower", "alignment_upper"), ""),
        diagnostics=worst_first(found),
        facts=AlignmentFacts(
            weight_seed=model_error.facts.weight_seed,
            transform=model_error.facts.transform,
            details=details_of(model_error, data_error),
            p_too_symmetric=float((e_f < lower).mean()),
            p_too_free=float((e_f > upper).mean()),
            magnitude_label=model_error.facts.magnitude_label,
            magnitude_unit=model_error.facts.magnitude_unit,
            n_chains=model_error.n_chains,
        ),
        rows={"row_id": model_error.rows["row_id"]},
    )
