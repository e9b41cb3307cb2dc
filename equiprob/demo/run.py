"""The demo's road: train, evaluate orbits once, then error, level, decision, figures and page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep
from equiprob.decisions.compare import Comparison
from equiprob.demo.networks import CANDIDATES, DigitsSplit, Predict, load_split, train
from equiprob.errors.model_error import ModelEquivarianceErrorResult
from equiprob.levels.level_result import SymmetryLevelResult
from equiprob.orbits.table import OrbitTable
from equiprob.posterior.results import credible_interval
from equiprob.posterior.words import change_of_risk, of_its_own_variation
from equiprob.report.page import FigureBlock, Page, Section

Say = Callable[[str], object]

N_SEEDS = 3
N_TRANSFORMS = 16
ROPE = 0.005

SHOWN = "augmented to 30 degrees"
"""The candidate whose figures are drawn: it was taught some symmetry, not all."""


@dataclass(frozen=True)
class Findings:
    """All that the demo computed.

    Args:
        errors: The equivariance error of each candidate's first network.
        levels: The best range of rotations for each candidate's first network.
        comparison: All candidates, and `SHOWN` averaged over its best range; several trainings of
            each.
        averaged: Brier score of the first network `SHOWN`, averaged over its best range, in a pass
            of its own over the same digits.
        confused: How many held-out 6s and 9s the network trained on all rotations takes for one
            another, of how many digits it misreads; and the same of the plain network.
    """

    errors: dict[str, ModelEquivarianceErrorResult]
    levels: dict[str, SymmetryLevelResult]
    comparison: Comparison
    averaged: float
    confused: tuple[tuple[int, int], tuple[int, int]]


def run_demo(output: Path, *, seed: int = 0, say: Say = print) -> Path:
    """Train networks on handwritten digits, audit them and write a page.

    Args:
        output: The folder to write to; it is made if need be.
        seed: Seed of the training, of the transformations and of the weights.
        say: Where progress and findings are said.

    Returns:
        The path of the page.
    """
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    split = load_split(seed)
    say(
        f"Training {len(CANDIDATES)} kinds of small network on {len(split.x_train)} handwritten "
        f"digits, {N_SEEDS} times each ..."
    )
    models = {
        c.name: train(c, split, tuple(range(seed * N_SEEDS, (seed + 1) * N_SEEDS)))
        for c in CANDIDATES
    }
    say(
        f"Evaluating each on {len(split.x_test)} held-out digits and on {N_TRANSFORMS} rotations "
        f"of each ..."
    )
    findings = _audit(models, split, seed)
    page = _write(findings, split, output, seed)
    for line in _verdict(findings):
        say("\n" + line)
    say(f"\nFigures and page: {page} ({time.monotonic() - began:.0f} s)")
    return page


def _orbits(
    predict: Predict, split: DigitsSplit, seed: int, n_transforms: int = N_TRANSFORMS
) -> OrbitTable:
    return ep.evaluate_orbits(
        predict,
        split.x_test,
        ep.transforms.rotations2d(acts_on="image"),
        y=split.y_test,
        n_transforms=n_transforms,
        seed=seed,
    )


def _audit(models: dict[str, list[Predict]], split: DigitsSplit, seed: int) -> Findings:
    tables = {name: [_orbits(p, split, seed) for p in group] for name, group in models.items()}
    errors = {
        name: ep.ModelEquivarianceError(weight_seed=seed).fit(group[0])
        for name, group in tables.items()
    }
    level = ep.SymmetryLevel(path=ep.paths.Range(), weight_seed=seed)
    levels = {name: level.fit(group[0]) for name, group in tables.items()}
    name = f"{SHOWN}, averaged"
    averaged = [
        # Risks need the model's own outputs only: one transformation will do.
        _orbits(level.fit(table).predictor(predict), split, seed, n_transforms=1)
        for table, predict in zip(tables[SHOWN], models[SHOWN], strict=True)
    ]
    comparison = ep.compare(
        tables | {name: averaged}, rope=ROPE, weight_seed=seed, metrics=["accuracy"]
    )
    confused = _confused(tables["augmented to 180 degrees"][0]), _confused(tables["plain"][0])
    return Findings(errors, levels, comparison, _brier_score(averaged[0]), confused)


def _brier_score(table: OrbitTable) -> float:
    assert table.only.y is not None, "the demo evaluates with labels"
    return float(((table.only.y - table.only.base) ** 2).sum(axis=1).mean())


def _confused(table: OrbitTable) -> tuple[int, int]:
    """Return how many 6s and 9s are taken for one another, and how many digits are misread."""
    assert table.only.y is not None, "the demo evaluates with labels"
    true, read = table.only.y.argmax(axis=1), table.only.base.argmax(axis=1)
    swapped = ((true == 6) & (read == 9)) | ((true == 9) & (read == 6))
    return int(swapped.sum()), int((true != read).sum())


def _range(values: Any) -> str:
    low, high = credible_interval(np.asarray(values), 0.9)
    return f"{np.median(values):.3g} ({low:.3g} to {high:.3g})"


def _verdict(findings: Findings) -> list[str]:
    """Return the findings in plain words; intervals are 90 % credible intervals."""
    lines = [findings.comparison.verdict]
    for name, error in findings.errors.items():
        lines.append(
            f"Turned by a random angle, the class probabilities of the network '{name}' change by "
            f"{_range(error.draws['error'])}, "
            f"{of_its_own_variation(error.draws['relative_error'])}."
        )
    lines += [_of_level(name, level) for name, level in findings.levels.items()]
    (all_swapped, all_misread), (swapped, misread) = findings.confused
    lines.append(
        f"A 6 turned round looks like a 9. The network trained on all rotations misreads "
        f"{all_misread} held-out digits, and takes a 6 for a 9 or a 9 for a 6 in {all_swapped} of "
        f"them. The plain network misreads {misread}, and confuses 6 and 9 in {swapped} of them."
    )
    trained = findings.levels[SHOWN].facts.risk
    lines.append(
        f"In a pass of its own, the first of the trainings of '{SHOWN}' has a Brier score of "
        f"{trained:.3g} as trained and of {findings.averaged:.3g} averaged over its best range. "
        f"The verdict is on {N_SEEDS} trainings of each network, and its numbers differ from these "
        f"by the luck of training."
    )
    return lines


def _of_level(name: str, level: SymmetryLevelResult) -> str:
    """Say whether, and how far, a network should be averaged."""
    to_all = level.draws["risk"][:, -1] - level.draws["risk"][:, 0]
    if level.recommended:
        advice = (
            f"Averaging '{name}' over rotations of up to {level.shipped_position:.3g} degrees "
            f"either way is recommended"
        )
    else:
        advice = f"No averaging of '{name}' over rotations is recommended"
    return (
        f"{advice}: {level.judged_elsewhere} (risk: the Brier score). Averaging it over all "
        f"rotations would {change_of_risk(-to_all / level.facts.risk)}."
    )


def _write(findings: Findings, split: DigitsSplit, output: Path, seed: int) -> Path:
    import matplotlib.pyplot as plt

    level, error = findings.levels[SHOWN], findings.errors[SHOWN]
    figures = {
        "error-by-angle": _profiles(findings.errors),
        "error-posterior": error.plot(kind="posterior"),
        "risk-by-range": level.plot(),
        "comparison": findings.comparison.plot(),
        "accuracy": findings.comparison.plot(quantity="accuracy"),
    }
    for name, figure in figures.items():
        figure.savefig(output / f"{name}.png", dpi=150)
    first, *rest = _verdict(findings)
    n = len(findings.errors)
    page = Page(
        title="How much rotation symmetry should a digit classifier have?",
        verdict=[first, rest[n + list(findings.levels).index(SHOWN)], rest[-2]],
        sections=[
            Section(
                "How equivariant is each network?",
                [
                    "How much the class probabilities change when a digit is turned by a random "
                    "angle, absolutely and relative to how much they vary between digits; with "
                    "90 % credible intervals. Last, the risk of the average over all rotations, as "
                    "a multiple of the network's own. Here and in the next section, each network "
                    "is the first of its trainings, in one pass."
                ],
                [
                    FigureBlock(
                        figures["error-by-angle"],
                        "Root mean square change of the class probabilities under a rotation, by "
                        "its angle; bands are 90 % credible intervals over held-out digits.",
                        "Curves of the equivariance error against the angle, one a network.",
                    ),
                    FigureBlock(
                        figures["error-posterior"],
                        f"Posteriors for '{SHOWN}': the error, its size relative to the "
                        f"variation of the output, and the share of the risk that averaging over "
                        f"all rotations would remove (negative: it adds risk; -9 is a tenfold "
                        f"risk).",
                        "Posterior densities of three quantities.",
                    ),
                ],
                _error_table(findings.errors),
            ),
            Section(
                "How far should predictions be averaged?",
                rest[n:],
                [
                    FigureBlock(
                        figures["risk-by-range"],
                        f"Risk of '{SHOWN}' averaged over rotations up to an angle. The "
                        f"optimum's posterior is the bar at the bottom.",
                        "The risk falls, then rises with the angle of averaging.",
                    )
                ],
            ),
            Section(
                "Which one to ship?",
                [
                    f"Expected squared error of the class probabilities (the Brier score) on "
                    f"{len(split.x_test)} held-out digits, {N_SEEDS} trainings of each; "
                    f"differences below {ROPE} count as none. Intervals carry the choice of test "
                    f"digits and the luck of training.",
                    f"p_best is the probability of the least risk of all, and p_equivalent that of "
                    f"a risk within {ROPE} of the first one's; the verdict says how sure the "
                    f"first is to be within {ROPE} of the best. The range of '{SHOWN}, averaged' "
                    f"was chosen on these digits, which flatters it a little: the section above "
                    f"has what it saves on others.",
                ],
                [
                    FigureBlock(
                        figures["comparison"],
                        "Risk of each candidate, best first.",
                        "A forest plot of the candidates' risks.",
                    ),
                    FigureBlock(
                        figures["accuracy"],
                        "Accuracy of the same candidates; it does not enter the decision.",
                        "A forest plot of the candidates' accuracies.",
                    ),
                ],
                findings.comparison.table,
            ),
        ],
        reproduction=[
            ("command", f"equiprob demo --seed {seed}"),
            ("equiprob", ep.__version__),
            ("data", "scikit-learn's load_digits, half held out"),
            ("transformations", f"{error.facts.transform}, {N_TRANSFORMS} for each digit"),
        ],
    ).write(output / "index.html")
    for figure in figures.values():
        plt.close(figure)
    return page


def _error_table(errors: dict[str, ModelEquivarianceErrorResult]) -> Any:
    import pandas as pd

    rows = {}
    for name, error in errors.items():
        summary = error.summary(0.9)
        numbers = {}
        for quantity in ("error", "relative_error"):
            estimate, low, high = summary.loc[quantity, ["estimate", "ci_low", "ci_high"]]
            numbers[quantity] = f"{estimate:.3g} ({low:.3g} to {high:.3g})"
        numbers["averaged risk / risk"] = _range(1 - error.draws["asymmetry_share"])
        rows[name] = numbers
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


def _profiles(errors: dict[str, ModelEquivarianceErrorResult]) -> Any:
    from equiprob.plots.style import band, degree_ticks, legend_below, new_figure

    figure, ax = new_figure()
    colors = ("#2a6fb0", "#c8541a", "#2f855a", "#7c3aed")
    for (name, error), color in zip(errors.items(), colors, strict=True):
        band(ax, error.coords["magnitude"], error.draws["profile"], color, name, ci_probs=(0.9,))
    degree_ticks(ax, 180)
    ax.set_xlim(0, 180)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("angle (deg)")
    ax.set_ylabel("equivariance error (probability, rms)")
    legend_below(figure, ax, columns=2)
    return figure
