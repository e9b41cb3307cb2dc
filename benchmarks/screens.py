"""How often is a transformation falsely called a symmetry, of many looked at? Writes the page.

    python -m benchmarks.screens --samples 150

The hardest case: all ways to act have independent errors, and every one is a hair above the
tolerance, so that each that is named is named falsely.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.pages import write
from equiprob.errors.screen import MOST_HIDDEN, hidden_rate, simultaneous_upper
from equiprob.posterior.row_findings import few_carry
from equiprob.posterior.row_means import RowMeans

PAGE = Path(__file__).parents[1] / "docs" / "calibration_screens.md"
PROBABILITY = 0.95
WAYS = 12
ROWS = (128, 512)
DRAWS = 1000

Law = tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], float]
LAWS: dict[str, Law] = {
    "squares of normal changes": (lambda g, shape: g.normal(size=shape) ** 2, 1.0),
    "log-normal, sd 0.8": (lambda g, shape: np.exp(0.8 * g.normal(size=shape)), np.exp(0.32)),
    "3 % of rows 50 times larger": (
        lambda g, shape: np.where(g.random(shape) < 0.03, 50, 1.0),
        2.47,
    ),
}


def study(law: Law, n: int, samples: int) -> tuple[float, float, float, float]:
    """Return the share of samples with a false name: together, these without a caution, apart.

    The last is the share of ways that are named apart.
    """
    draw, mean = law
    together, silent, apart, each = 0, 0, 0, 0.0
    hidden = hidden_rate(n, WAYS, PROBABILITY) > MOST_HIDDEN
    for seed in range(samples):
        generator = np.random.default_rng([seed, 61])
        squares = draw(generator, (n, WAYS))
        spread = generator.normal(size=n) ** 2
        means = RowMeans(
            generator.integers(0, 2**63, n).astype(np.uint64), DRAWS, 0, from_above=True
        )
        errors = np.stack([means.ratio(column, spread) for column in squares.T], axis=1)
        false = np.flatnonzero(simultaneous_upper(errors, PROBABILITY) < mean)
        together += len(false) > 0
        cautions = hidden or any(few_carry(means, squares[:, k]) for k in false)
        silent += len(false) > 0 and not cautions
        named = np.quantile(errors, PROBABILITY, axis=0) < mean
        apart += bool(named.any())
        each += named.mean()
    return together / samples, silent / samples, apart / samples, each / samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=150)
    options = parser.parse_args()
    lines = [
        "| squared changes of a row | rows | some name false, bounds together | the same, and no "
        "caution | bounds of each alone | a name false, of each alone |",
        "|---" * 6 + "|",
    ]
    for name, law in LAWS.items():
        for n in ROWS:
            shares = study(law, n, options.samples)
            lines.append(f"| {name} | {n} | {' | '.join(f'{share:.3f}' for share in shares)} |")
            print(lines[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "numpy"))
    newline = "\n"
    write(
        PAGE,
        "# Calibration of screens\n\n"
        f"Written by `python -m benchmarks.screens` ({versions}, Python "
        f"{platform.python_version()}; {options.samples} samples a row).\n\n"
        f"[`ep.screen`](generators.md#all-of-the-catalogue) looks at {WAYS} ways to act, whose "
        "errors are independent and all a hair above the tolerance: whatever it names a symmetry "
        f"is named falsely, which may happen in {100 * (1 - PROBABILITY):g} % of samples. Beside "
        "it what bounds of each way alone do. Of the last law some way has no large row in "
        "a fifth of samples of 128 rows, and no bound can know: with so few rows for so many "
        "ways the result carries a caution.\n\n"
        f"{newline.join(lines)}\n",
    )
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
