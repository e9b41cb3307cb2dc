"""What do the words of a report mean? The glossary of the documentation prints the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS: dict[str, str] = {
    "action": (
        "how a transformation moves an input or an output: a rotation turns points, moves "
        "pixels, and leaves a mass as it is"
    ),
    "approximation gap": "the risk that a model's distance from the task's symmetry costs at least",
    "candidate": "one of several models, or ways to build one, that are compared",
    "case": (
        "what is known of the inputs' distribution, and so what can be said: \"uniform and "
        'invariant", "invariant" or "unknown"'
    ),
    "certificate": (
        "an upper confidence bound that holds for any distribution of bounded rows, at any time "
        "one stops"
    ),
    "credible interval": (
        "a range that holds the quantity with the stated probability, given the rows and the "
        "model of them"
    ),
    "data equivariance error": "how asymmetric the task itself is",
    "defect, displacement": (
        "what an output lacks to be equivariant: the output at the moved input, taken back, "
        "less the output at the input"
    ),
    "design": (
        'which transformations each row gets: a spread-out set of its own ("quasi"), random '
        'ones, one set for all ("crossed"), or all there are ("full")'
    ),
    "distribution over transformations": (
        "which transformations are drawn, and how often; called its law in code and in "
        "background pages"
    ),
    "equivariance error": (
        "the root mean square of the displacement, over rows and transformations, in units of "
        "the output"
    ),
    "extensive": "what grows with the size of a system, as an energy does",
    "floor": "the error that rounding alone makes; what is not above it counts as none",
    "group (of rows)": (
        "rows that belong together, such as frames of one trajectory; the independent units are "
        "then the groups"
    ),
    "group (of transformations)": (
        "transformations that can be done one after another and undone, without leaving the set"
    ),
    "Haar measure": "the uniform distribution over a group: all rotations alike",
    "invariant": "not changed by the transformations; an output whose action is to do nothing",
    "irreps": "the smallest parts that mix when things turn: a number (0e), a vector (1o), ...",
    "kappa": (
        "by how much the transformed inputs are rarer among the inputs than among themselves; "
        "infinite where some of them look like no input at all"
    ),
    "leaf": "one array of an input that is a dict of arrays",
    "level": (
        "how symmetric a model is made: the equivariance error that is left, between that of "
        "the model and none"
    ),
    "magnitude": "how large a transformation is: an angle, a distance, a count",
    "orbit": "all that the transformations make of one input",
    "orbit table": (
        "what the one pass over the model leaves: numbers for each row, from which everything "
        "else is computed"
    ),
    "output action": "how outputs should change when inputs move",
    "path, position": (
        "a way from the model to its average (a share of each, a range of angles, larger and "
        "larger groups), and a place on it"
    ),
    "quasi-random": "drawn so as to fill the range evenly, which takes fewer transformations",
    "relative error": "the error as a share of the output's own variation over rows",
    "risk": "the mean loss on new rows: the mean squared error, if nothing else is said",
    "rope": (
        'a difference so small that it makes none in practice ("region of practical equivalence")'
    ),
    "row": "one sample: one image, one molecule, one structure",
    "stabilizer": "the transformations that do change nothing",
    "symmetry cost": "the risk that an exactly symmetric model would add, as the task is not",
    "tail": "the few rows of largest error, which may carry most of a mean",
    "unit": "what is independent: a row, or a group of rows",
    "weights (of rows)": (
        "random weights that make the draws of a posterior; the same row has the same ones "
        "everywhere, so that comparisons are paired"
    ),
}
"""Words of the field, and of this package."""

NUMBERS: dict[str, str] = {
    "ci_low": "lower end of the credible interval (90 %, if nothing else is said)",
    "ci_high": "upper end of the credible interval",
    "mc_error": "how much the estimate would change with other random numbers",
    "cross_fitted": "the risk of the best candidate, judged on rows that did not choose it",
    "cross_fitted_low": "lower end of its interval",
    "cross_fitted_high": "upper end of its interval",
    "p_best": "probability of the least loss of all candidates",
    "p_equivalent": (
        "probability of a loss that differs from the first one's by no more than the rope"
    ),
    "expected_regret": "what is lost on average by shipping this candidate rather than the best",
    "relative_error": "see relative error",
    "asymmetry_share": (
        "share of the risk that averaging over all transformations would remove; negative where "
        "it adds risk"
    ),
    "worst_error": "the largest error of a single transformation",
    "risk_saved": "risk saved by averaging, at the recommended position, over all transformations",
    "risk_saved_shipped": (
        "the same with as many transformations for each prediction as were evaluated"
    ),
    "risk_saved_cross_fitted": "the same where the position was chosen on other rows",
    "unclipped_position": "where along the path the risk would be least, if the path had no ends",
    "symmetry_cost": "see symmetry cost",
    "symmetry_cost_lower": "what exact symmetry costs in risk at least",
    "symmetry_cost_upper": "what exact symmetry costs in risk at most",
    "gap_share": "the least cost of the mismatch as a share of the model's risk",
    "waste": "risk that the model's asymmetric part adds",
    "waste_share": "the same as a share of the model's risk",
    "waste_lower": "risk that the model's asymmetric part adds at least",
    "waste_upper": "risk that the model's asymmetric part adds at most",
    "alignment": "1 where the asymmetric parts of model and task differ in size alone, 0 where "
    "they are unrelated, -1 where the model's has the wrong sign",
    "alignment_lower": "the least that the alignment may be",
    "alignment_upper": "the most that the alignment may be",
    "auc": (
        "how well a classifier tells inputs from moved inputs: one half is chance, one is always"
    ),
}
"""Names of numbers in tables."""


def explained(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Return the words that occur in texts, each with what it means, in alphabetical order.

    Words that occur in these meanings are explained, too.
    """
    known, found = WORDS | NUMBERS, dict[str, str]()
    text = " ".join(texts)
    while text:
        new = {
            word: meaning
            for word, meaning in known.items()
            if word not in found and re.search(_pattern(word), text, re.IGNORECASE)
        }
        found |= new
        text = " ".join(new.values())
    return sorted(found.items(), key=lambda pair: pair[0].lower())


def _pattern(word: str) -> str:
    """Return what finds a word, or one of several, in the singular or the plural."""
    alternatives = re.sub(r" \(.*\)", "", word).split(", ")
    return "|".join(rf"(?<![\w-]){re.escape(each)}s?(?![\w-])" for each in alternatives)
