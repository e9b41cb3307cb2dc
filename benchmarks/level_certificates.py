"""Are certificates of levels violated no more often than stated? Writes the page.

    python -m benchmarks.level_certificates --samples 1000

Rows are drawn from a population of a few hundred, so that every expected loss is a sum. A
certificate is violated where the risk of the predictor that it draws, or of the model as it is, is
above its bound.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.pages import write

PAGE = Path(__file__).parents[1] / "docs" / "calibration_level_certificates.md"
DELTA = 0.05
QUARTERS = ep.transforms.cyclic(4, acts_on="vectors")
STEPS = ep.transforms.cyclic(36, acts_on="vectors")


@dataclass(frozen=True)
class Population:
    """Rows with targets, equally likely; a model, and what is asked of it.

    Args:
        name: For the page.
        x: ``(row, 2)``.
        y: Targets, or labels.
        predict: The model.
        transform: A finite group: averages are exact.
        path: The path.
        loss: The loss.
        largest: Its largest value; None where it is known.
        n: Rows of a sample.
        group_size: Rows of a group, which come together.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    predict: Callable[[Any], Any]
    transform: ep.transforms.Transform
    path: ep.AbstractPath
    loss: Any
    largest: float | None
    n: int
    group_size: int = 1

    def certificate(self, rows: np.ndarray, **options: Any) -> Any:
        """Certify on these rows of the population."""
        orbits = ep.evaluate_orbits(
            self.predict,
            self.x[rows],
            self.transform,
            y=self.y[rows],
            row_ids=np.arange(len(rows)),  # equal rows of a sample are different draws
            groups=np.arange(len(rows)) // self.group_size,
            design="full",
            keep="all",
            backend="python",
        )
        return ep.certify_level(
            orbits,
            path=self.path,
            loss=self.loss,
            largest_loss=self.largest,
            delta=DELTA,
            **options,
        )

    def sample(self, seed: int) -> np.ndarray:
        """Draw rows, whole groups at a time."""
        n_groups = len(self.x) // self.group_size
        groups = np.random.default_rng(seed).integers(0, n_groups, self.n // self.group_size)
        return (groups[:, None] * self.group_size + np.arange(self.group_size)).ravel()


def points(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2))


def skewed(x: np.ndarray) -> np.ndarray:
    """A classifier that a direction misleads."""
    one = 1 / (1 + np.exp(6 - 4 * (x**2).sum(axis=1) - 4 * x[:, 0]))
    return np.stack([1 - one, one], axis=1)


def guesses(x: np.ndarray) -> np.ndarray:
    """A classifier that knows nothing, and changes its mind with every step of a turn."""
    one = 0.5 + 0.5 * np.sin(40 * np.arctan2(x[:, 1], x[:, 0]) + 7 * x[:, 0])
    return np.stack([1 - one, one], axis=1)


def ring(x: np.ndarray) -> np.ndarray:
    return (np.linalg.norm(x, axis=1) > 1.2).astype(int)


def populations() -> list[Population]:
    x, generator = points(500, 1), np.random.default_rng(2)
    coins = generator.integers(0, 2, len(x))
    noisy = np.where(generator.random(len(x)) < 0.1, 1 - ring(x), ring(x))
    groups = np.repeat(points(100, 3), 5, axis=0) + 0.05 * points(500, 4)
    target = np.clip((x**2).sum(axis=1) / 4, 0, 1)
    blend, subgroups = ep.paths.Blend(n_positions=41), ep.paths.Subgroups()
    ranges = ep.paths.Range(positions=tuple(range(10, 190, 10)))

    def regression(rows: np.ndarray) -> np.ndarray:
        return np.clip((rows**2).sum(axis=1) / 4 + 0.3 * rows[:, 0], 0, 1)

    return [
        Population(
            "subgroups, wrong labels", x, noisy, skewed, QUARTERS, subgroups, "zero_one", None, 100
        ),
        Population("blend, Brier score", x, noisy, skewed, QUARTERS, blend, "squared", None, 100),
        Population(
            "ranges, labels that are coins", x, coins, guesses, STEPS, ranges, "zero_one", None, 50
        ),
        Population(
            "blend, labels that are coins", x, coins, guesses, QUARTERS, blend, "zero_one", None, 30
        ),
        Population(
            "ranges, groups of five rows",
            groups,
            ring(groups),
            skewed,
            STEPS,
            ranges,
            "zero_one",
            None,
            150,
            5,
        ),
        Population(
            "blend, absolute error in [0, 1]",
            x,
            target,
            regression,
            QUARTERS,
            blend,
            "absolute",
            1.0,
            100,
        ),
        Population(
            "blend, a range 20 times too wide",
            x,
            target,
            regression,
            QUARTERS,
            blend,
            "absolute",
            20.0,
            100,
        ),
    ]


def study(law: Population, samples: int) -> dict[str, float]:
    """Count violations over samples, and average the bounds."""
    everyone = np.arange(len(law.x))
    truth = law.certificate(everyone).risk
    still = int(np.argmax(law.path.grid(law.transform) == _unchanged(law)))
    found = []
    for seed in range(samples):
        certificate = law.certificate(law.sample(seed))
        upper, best = certificate.upper, certificate.risk.argmin()
        risk = {"drawn": float(certificate.probability @ truth), "as_it_is": float(truth[still])}
        n = certificate.n_units
        hoeffding = certificate.risk[best] + certificate.largest * np.sqrt(
            np.log(1 / DELTA) / (2 * n)
        )
        found.append(
            {
                "violated": float(any(risk[name] > upper[name] for name in upper)),
                "naive": float(truth[best] > hoeffding),
                "risk": risk["drawn"],
                "upper": upper["drawn"],
                "still": risk["as_it_is"],
                "still_upper": upper["as_it_is"],
            }
        )
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def _unchanged(law: Population) -> float:
    """Return the position of the model as it is."""
    return 1.0 if isinstance(law.path, ep.paths.Blend) else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    lines = [
        "| path and loss | units | violated | Hoeffding at the least position | risk, drawn | "
        "bound, drawn | risk, as it is | bound, as it is |",
        "|---" * 8 + "|",
    ]
    for law in populations():
        s = study(law, options.samples)
        lines.append(
            f"| {law.name} | {law.n // law.group_size} | {s['violated']:.3f} | {s['naive']:.3f} | "
            f"{s['risk']:.3f} | {s['upper']:.3f} | {s['still']:.3f} | {s['still_upper']:.3f} |"
        )
        print(lines[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "numpy"))
    newline = "\n"
    write(
        PAGE,
        "# Calibration of certified levels\n\n"
        f"Written by `python -m benchmarks.level_certificates` ({versions}, Python "
        f"{platform.python_version()}; {options.samples} samples a row, delta = {DELTA:g}).\n\n"
        "Rows are drawn from populations of 500, so that every expected loss is a sum. The column "
        "*violated* is the share of samples in which the risk of the predictor that "
        "[`certify_level`](certificates.md#what-risk-can-be-promised-of-an-averaged-model) draws, "
        "or of the model as it is, is above its bound: it may be delta. The next one is that of "
        "Hoeffding's bound at the position of least risk, as if it had been fixed beforehand. Then "
        "means over samples.\n\n"
        f"{newline.join(lines)}\n",
    )
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
