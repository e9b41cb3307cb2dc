"""The page of an audit: a section for each question, whichever results there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from equiprob.posterior.kinds import name_of
from equiprob.posterior.results import AbstractResult
from equiprob.posterior.versions import installed_versions
from equiprob.posterior.words import listed
from equiprob.report.page import FigureBlock, Page, Section, in_words


@dataclass(frozen=True)
class _Question:
    """What a step of an audit is to a reader.

    Args:
        kind: The kind of result that it is the question of; None where another step's is it, too.
        heading: The question.
        caption: What its figure shows.
        assumptions: What the answer rests on.
    """

    kind: str | None
    heading: str
    caption: str
    assumptions: str


_ROWS = "Rows (or groups) are independent draws, and the model was not trained on them."

_QUESTIONS = {
    "comparison": _Question(
        "comparison",
        "Which one to ship?",
        "Expected squared error of each candidate (for labels, the Brier score), best first.",
        f"{_ROWS} Candidates are judged on the same rows with the same weights, so that every "
        f"difference is paired.",
    ),
    "model_error": _Question(
        "model_error",
        "How equivariant is it?",
        "How much the output changes under a transformation, by its size, root mean square over "
        "rows.",
        _ROWS,
    ),
    "level": _Question(
        "symmetry_level",
        "How far should its predictions be averaged?",
        "Change of the risk along the path from the model as trained to its average; the bar below "
        "is the posterior of the best place.",
        f"{_ROWS} Valid for any distribution of the inputs. The saving on the rows that also chose "
        "the position is slightly optimistic; the first one stated is not.",
    ),
    "data_error": _Question(
        "data_error",
        "How symmetric is the task?",
        "What is known of how much the truth itself changes under a transformation, and of what "
        "exact symmetry costs.",
        f"{_ROWS} The case in the text says what is known of the inputs' distribution. 'Uniform "
        "and invariant': moved inputs are as likely as the inputs, and transformations are drawn "
        "uniformly from a group; 'invariant': the first of these; 'unknown': neither, and what is "
        "true of moved inputs cannot be known from data.",
    ),
    "symmetry_cost": _Question(
        None,
        "What does exact symmetry cost, whatever the model?",
        "How much more risk the best exactly symmetric predictor has than the best predictor, from "
        "targets of neighbours in the data.",
        "Rows (or groups) are independent, and the truth is smooth on the scale of the distance "
        "between neighbours. Nothing is assumed of how the inputs are distributed, and no model "
        "enters.",
    ),
    "symmetry_map": _Question(
        "symmetry_map",
        "Where does the symmetry hold?",
        "Which moved rows land among data with the same targets, among data with others, or where "
        "there are no data: by the size of the transformation, and by label.",
        "Rows (or groups) are independent, and none is a transformed copy of another. The distance "
        "between inputs as vectors says which are alike. No model enters.",
    ),
    "approximation_gap": _Question(
        "approximation_gap",
        "What does the mismatch of model and task cost?",
        "Excess risk that the mismatch forces: exactly, or at least, as the labels say.",
        "Those of the two errors that it is made of.",
    ),
    "stabilizer": _Question(
        "stabilizer",
        "Which transformations does it respect?",
        "Probability that the output changes by no more than the tolerance, by the size of the "
        "transformation.",
        f"{_ROWS} Nothing is said of transformations that were not evaluated.",
    ),
    "generalization_gap": _Question(
        "generalization_gap",
        "How much worse is it on new rows than on its training rows?",
        "Risk on held-out rows less the risk on the training rows.",
        "The held-out rows are independent of training, from the distribution of the training "
        "rows, which were given completely.",
    ),
    "law": _Question(
        "invariance_check",
        "Are moved inputs as likely as the inputs?",
        "How well a classifier tells inputs from transformed inputs (one half is chance), by the "
        "size of the transformation.",
        "Rows (or groups) are independent. A classifier that finds nothing does not establish "
        "invariance.",
    ),
    "learning_curve": _Question(
        "learning_curve",
        "How does the risk fall with the number of training rows?",
        "Risk of each candidate against the number of training rows, within and beyond the data.",
        "A run's risk is that on fresh rows. Expected risks do not rise with n beyond the data.",
    ),
}
"""In the order in which a reader needs them."""

_WITHOUT_A_MODEL = ("InvarianceCheckResult", "SymmetryMapResult", "Neighbours")
"""Results, and methods, that see the data alone."""

_SOURCES = {
    "ApproximationGapResult": "From the pass over the model, as the two errors that it is made of.",
    "GeneralizationGapResult": "From the pass over the held-out rows, and one over training rows.",
    "LearningCurveResult": "From the table of runs.",
}
"""Where numbers come from that are not of one pass."""

_ENDS = ("estimate", "ci_low", "ci_high")


def audit_page(
    parts: Mapping[str, AbstractResult],
    facts: Any,
    verdict: Sequence[str],
    in_full: Sequence[str],
) -> Page:
    """Return the page of an audit.

    Args:
        parts: Its results, by step and place of the model.
        facts: Its facts.
        verdict: Its verdict.
        in_full: Models that have sections of their own.
    """
    models = facts.models
    shown = [k for k, name in enumerate(models) if name in in_full]
    sections = []
    for step, question in _QUESTIONS.items():
        if step == "model_error" and len(shown) < len(models):
            sections.append(_all_models(parts, models, [models[k] for k in shown]))
        for key in (step, *(f"{step}/{k}" for k in shown)):
            if key in parts:
                model = models[int(key.partition("/")[2])] if "/" in key else ""
                name = model if len(models) > 1 else ""
                # The verdict begins with the words of the comparison.
                words = step != "comparison"
                sections.append(_section(question, parts[key], name, words=words))
    if facts.missing:
        sections.append(_missing(facts.missing))
    return Page(
        title=f"Symmetry audit of {listed(models, ' and ')}",
        verdict=verdict,
        sections=sections,
        reproduction=_reproduction(facts),
        code=_code(facts),
    )


def _all_models(
    parts: Mapping[str, AbstractResult], models: Sequence[str], shown: Sequence[str]
) -> Section:
    """Return a line for each model: the first number of each step, and its worst caution."""
    import pandas as pd

    lines = []
    for k, model in enumerate(models):
        found = {step: parts[f"{step}/{k}"] for step in _QUESTIONS if f"{step}/{k}" in parts}
        cautions = dict.fromkeys(r.status for r in found.values() if r.cautions)
        lines.append(
            {"model": model}
            | {step.replace("_", " "): _first_number(result) for step, result in found.items()}
            | {"worst cautions": "; ".join(cautions)}
        )
    several = len(shown) > 1
    return Section(
        heading="All models",
        paragraphs=[
            f"{len(models)} models, of which {listed(shown, ' and ')} "
            f"{'have' if several else 'has'} sections with figures below."
        ],
        table=pd.DataFrame(lines).set_index("model").fillna(""),
        table_caption="The first number of each step, with the ends of its credible interval",
    )


def _first_number(result: AbstractResult) -> str:
    """Return a result's first single number in words, if it has one."""
    table = _table(result)
    if table is None:
        return ""
    middle, low, high = (in_words(table[column].iloc[0]) for column in _ENDS)
    return f"{table.index[0].replace('_', ' ')} {middle} ({low} to {high})"


def result_page(result: AbstractResult) -> Page:
    """Return a page of one result."""
    words = str(result)
    name = type(result).__name__.removesuffix("Result")
    known = {each.kind: each for each in _QUESTIONS.values() if each.kind is not None}
    question = known.get(name_of(result) or "", _Question(None, name, "The result, drawn.", ""))
    return Page(
        title=question.heading,
        verdict=[words],
        sections=[_section(replace(question, heading="The result"), result, "", words=False)],
        reproduction=[
            (key.replace("_", " "), in_words(value))
            for key, value in _single(result.facts.as_dict())
            if _is_short(value)
        ]
        + [("versions (of this page)", _versions(installed_versions()))],
    )


def _single(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield facts by name, and what a method or a bound says of itself as the others."""
    for name, value in facts.items():
        yield from value.items() if name in ("of_method", "of_bound") else [(name, value)]


def _section(
    question: _Question, result: AbstractResult, model: str, *, words: bool = True
) -> Section:
    text = str(result).removesuffix(result.cautions)
    heading = (
        f"{model}: {question.heading[0].lower()}{question.heading[1:]}"
        if model
        else (question.heading)
    )
    messages = result.diagnostics
    return Section(
        heading=heading,
        paragraphs=[text] if words else [],
        figures=_figures(result, question.caption, text),
        table=_table(result),
        table_caption=f"Estimates, with the ends of their credible intervals. {_source(result)}",
        assumptions=question.assumptions,
        notes=[_sentence(result.in_words(d)) for d in messages if not d.is_caution],
        cautions=[_sentence(result.in_words(d)) for d in messages if d.is_caution],
    )


def _source(result: AbstractResult) -> str:
    """Say which pass the numbers of a result come from, and of how many rows."""
    facts = result.facts.as_dict()
    kind = type(result).__name__
    if kind in _SOURCES or "n_rows" not in facts:
        return _SOURCES.get(kind, "")
    rows = f"{facts['n_rows']} rows"
    if kind in _WITHOUT_A_MODEL or facts.get("method") in _WITHOUT_A_MODEL:
        return f"From {rows} of the data; no model was evaluated."
    if (transforms := facts.get("n_transforms")) is not None:
        return f"From the pass over {rows}, each as it is and under {transforms} transformations."
    return f"From the pass over {rows}."


def _figures(result: AbstractResult, caption: str, text: str) -> list[FigureBlock]:
    """Return the figure of a result, made once and closed; none where it cannot be drawn."""
    import matplotlib.pyplot as plt

    try:
        figure = result.plot()
    except ValueError:  # nothing to draw: everything is withheld
        return []
    block = FigureBlock(figure, caption, f"{caption} {text}")
    _ = block.data_uri, block.narrow_data_uri
    plt.close(figure)
    return [block]


def _table(result: AbstractResult) -> Any:
    """Return a result's own table, or its single numbers; curves and profiles are in the figure."""
    table = getattr(result, "table", None)
    if table is not None:
        return table
    summary = result.summary()
    scalar = [not str(label).endswith("]") for label in summary.index]
    return summary[scalar].drop(columns="diagnostics") if any(scalar) else None


def _missing(missing: Sequence[Mapping[str, str]]) -> Section:
    import pandas as pd

    table = pd.DataFrame(missing, columns=["model", "step", "status", "reason"])
    table["model"] = table["model"].replace("", "all")
    return Section(
        heading="What is not here, and why",
        paragraphs=[
            "Withheld: the data do not identify an answer, or an argument is missing. Failed: "
            "something went wrong; the rest stands."
        ],
        table=table.set_index("step"),
        table_caption="By step and model",
    )


def _reproduction(facts: Any) -> list[tuple[str, str]]:
    names = ("transform", "output", "n_rows", "rows", "n_transforms", "design", "seed")
    names = (*names, "weight_seed", "n_draws", "rope")
    words = {"rows": "rows (hash of their ids)"}
    return [(words.get(n, n.replace("_", " ")), in_words(getattr(facts, n))) for n in names] + [
        ("versions", _versions(facts.versions))
    ]


def _versions(numbers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _code(facts: Any) -> str:
    models = ", ".join(f"{name!r}: ..." for name in facts.models)
    y = "y" if facts.with_targets else "None"
    given = "".join(f"    {name}={value},\n" for name, value in facts.given.items())
    return (
        f"transform = ...  # {facts.transform}\n"
        f"audit = ep.audit(\n"
        f"    {{{models}}}, x, {y}, transform,\n"
        f"{given}"
        f"    n_transforms={facts.n_transforms}, seed={facts.seed}, "
        f"n_draws={facts.n_draws}, weight_seed={facts.weight_seed}, rope={facts.rope:g},\n"
        f")\n"
        f'audit.report("audit.html")'
    )


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) and len(str(value)) < 200


def _sentence(message: str) -> str:
    message = re.sub(r" \(see facts\.\w+\)", "", message)  # there is no such thing on a page
    first = message.split()[0]
    return f"{message}." if "_" in first else f"{message[0].upper()}{message[1:]}."
