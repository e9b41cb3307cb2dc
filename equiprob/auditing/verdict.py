"""The findings of an audit in a few plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from equiprob.decisions.compare import Comparison
from equiprob.errors.model_error import ModelEquivarianceErrorResult
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.orbits.output import OUTPUT_UNITS
from equiprob.posterior.diagnostics import Diagnostic
from equiprob.posterior.results import AbstractResult, credible_interval
from equiprob.posterior.words import listed, no_step_seen, of_its_own_variation
from equiprob.task.approximation_gap import ApproximationGapResult

Results = Mapping[str, AbstractResult]

_SAID = ("model_error", "level", "approximation_gap")
"""The steps whose results the lines tell of."""


def verdict_lines(
    results: Mapping[str, Results],
    comparison: Comparison | None,
    missing: Sequence[Mapping[str, str]],
    foremost: Sequence[str],
) -> list[str]:
    """Return the verdict, a sentence or two a line.

    Args:
        results: Results by model and step.
        comparison: Of the models, where there are several.
        missing: What failed or is withheld.
        foremost: The models of which it tells one by one.
    """
    lines = [] if comparison is None else [comparison.verdict]
    for name in foremost:
        lines += _of_model(f"'{name}'" if len(results) > 1 else "the model", results[name])
    if n_others := len(results) - len(foremost):
        which = "of the highest expected loss" if comparison else "that were named last"
        lines.append(f"The numbers of {n_others} more models, those {which}, are in the summary.")
    failed: dict[str, list[str]] = {}
    for each in missing:
        if each["status"] == "failed":
            failed.setdefault(each["step"], []).append(each["model"])
    if failed:
        each = [f"{step} of {listed(models)}" for step, models in failed.items()]
        lines.append(f"Failed, see below: {', '.join(each)}.")
    return lines + _cautions(results, comparison, foremost)


def _of_model(subject: str, results: Results) -> list[str]:
    lines = []
    error, level = results.get("model_error"), results.get("level")
    gap = results.get("approximation_gap")
    if isinstance(error, ModelEquivarianceErrorResult):
        lines.append(_of_error(subject, error))
    if isinstance(level, SymmetryLevelResult) and "risk_saved" in level.draws:
        lines.append(_of_level(subject, level))
    if isinstance(gap, ApproximationGapResult):
        lines.append(f"Mismatch of {subject} with its task: {gap.verdict}.")
    return lines


def _cautions(
    results: Mapping[str, Results], comparison: Comparison | None, foremost: Sequence[str]
) -> list[str]:
    """Return the cautions of what the lines rest on, each once, with the models it is of.

    Their numbers, which every model has its own of, are told of the foremost alone.
    """
    models: dict[str, list[str]] = {}
    for name, of_model in results.items():
        for step in _SAID:
            for caution in _words(of_model.get(step), in_detail=name in foremost):
                models.setdefault(caution, [])
                if name not in models[caution]:
                    models[caution].append(name)
    for caution in _words(comparison):
        models.setdefault(caution, [])
    several = len(results) > 1
    return [
        f"Caution: {caution}{f' ({listed(of)})' if several and of else ''}."
        for caution, of in models.items()
    ]


def _words(result: AbstractResult | None, *, in_detail: bool = True) -> list[str]:
    if result is None:
        return []
    found = [d for d in result.diagnostics if d.is_caution]
    return [result.in_words(d) if in_detail else d.value for d in found]


def _of_error(subject: str, error: ModelEquivarianceErrorResult) -> str:
    if error.is_exact:
        text = f"{subject} is equivariant up to rounding over {error.facts.transform}."
        return text[0].upper() + text[1:]
    if Diagnostic.NO_STEP_SEEN in error.diagnostics:
        unseen = no_step_seen(error.facts, error.facts.n_transforms)
        text = f"{subject} over {error.facts.transform}: {unseen}"
        return text[0].upper() + text[1:]
    unit = "" if error.units["error"] == OUTPUT_UNITS else f" {error.units['error']}"
    low, high = credible_interval(error.draws["error"], 0.9)
    text = (
        f"The output of {subject} changes by {np.median(error.draws['error']):.3g}{unit} "
        f"({low:.3g} to {high:.3g}) under {error.facts.transform}"
    )
    if "relative_error" in error.draws:
        text += f", {of_its_own_variation(error.draws['relative_error'])}"
    return text + "."


def _of_level(subject: str, level: SymmetryLevelResult) -> str:
    if not level.recommended:
        return (
            f"Averaging {subject} over transformations is not recommended: "
            f"{level.judged_elsewhere}."
        )
    uncertain = credible_interval(level.draws["risk_saved_cross_fitted"], 0.9)[0] <= 0
    return (
        f"Averaging {subject} is recommended ({level.facts.path_label}: {level.shipped_name}): "
        f"{level.judged_elsewhere}{', so that it may save nothing' if uncertain else ''}."
    )
