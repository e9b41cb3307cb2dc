"""Are certificates violated no more often than stated, however one stops? Writes the page.

    python -m benchmarks.certificates --runs 2000

The worst rule of stopping is one that stops as soon as the bound is below the truth: what is
counted is whether that happens at any row up to the last.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import stats

import equiprob as ep
from benchmarks.calibration.problems import LAWS
from benchmarks.pages import write
from equiprob.errors.betting import log_capital, upper_bound
from equiprob.testing import linear_task

Array = NDArray[np.float64]

PAGE = Path(__file__).parents[1] / "docs" / "calibration_certificates.md"
DELTAS = (0.1, 0.05)
ROWS = 2000
FIRST_LOOK = 30
WIDTH_ROWS = (200, 2000, 20000)
WIDTH_RUNS = 20
SECTORS = {"rare failures": 0.005, "frequent ones": 0.2}


@dataclass(frozen=True)
class RowLaw:
    """A law of a row's number in [0, 1], and its mean."""

    name: str
    draw: Callable[[np.random.Generator, int], Array]
    mean: float


def spikes(g: np.random.Generator, n: int) -> Array:
    return np.where(g.random(n) < 0.002, 1.0, 0.001)


ROW_LAWS = (
    RowLaw("exactly zero", lambda g, n: np.zeros(n), 0.0),
    RowLaw("0/1, one in 500", lambda g, n: (g.random(n) < 0.002) * 1.0, 0.002),
    RowLaw("0/1, one in 3", lambda g, n: (g.random(n) < 1 / 3) * 1.0, 1 / 3),
    RowLaw("rare failures over a small error", spikes, 0.002 + 0.998 * 0.001),
    RowLaw("heavy: Beta(0.02, 1.98)", lambda g, n: g.beta(0.02, 1.98, n), 0.01),
    RowLaw("uniform", lambda g, n: g.random(n), 0.5),
    RowLaw("a range 100 times too wide", lambda g, n: 0.01 * g.random(n), 0.005),
    RowLaw("mostly at the largest", lambda g, n: 1 - g.beta(0.2, 1.8, n), 0.9),
)


def normal_bounds(values: Array, delta: float) -> Array:
    """Return the bound of a single look, mean plus normal quantile, at every number of rows."""
    n = np.arange(1, len(values) + 1)
    middle = values.cumsum() / n
    variance = np.maximum((values**2).cumsum() / n - middle**2, 0.0)
    return middle + stats.norm.isf(delta) * np.sqrt(variance / n)


def empirical_bernstein(values: Array, delta: float) -> float:
    """Return the predictable plug-in empirical-Bernstein bound, the least up to the last row."""
    t = np.arange(1, len(values) + 1)
    middle = (0.5 + values.cumsum()) / (t + 1)
    variance = (0.25 + ((values - middle) ** 2).cumsum()) / (t + 1)
    known, centre = np.r_[0.25, variance[:-1]], np.r_[0.5, middle[:-1]]
    bets = np.minimum(0.75, np.sqrt(-2 * np.log(delta) / (known * t * np.log1p(t))))
    spread = ((-np.log1p(-bets) - bets) * (values - centre) ** 2).cumsum()
    bounds = ((bets * values).cumsum() + spread - np.log(delta)) / bets.cumsum()
    return min(1.0, float(bounds.min()))


def violations(law: RowLaw, runs: int) -> Array:
    """Return how often bounds are below the truth, ``(delta, 3)``.

    Ours at any row, the normal bound at any row, and the normal bound at the last.
    """
    counts = np.zeros((len(DELTAS), 3))
    for seed in range(runs):
        values = law.draw(np.random.default_rng(seed), ROWS)
        largest = log_capital(values, law.mean).max()
        for i, delta in enumerate(DELTAS):
            normal = normal_bounds(values, delta)[FIRST_LOOK - 1 :] < law.mean
            ours = law.mean > 0 and largest >= -np.log(delta)
            counts[i] += [ours, normal.any(), normal[-1]]
    return counts / runs


def violation_table(runs: int) -> tuple[str, float]:
    """Return the table, and the largest ratio of violations to delta."""
    lines = ["| law of a row | delta | certificate | normal bound | normal bound, last row only |"]
    lines.append("|---|---|---|---|---|")
    worst = 0.0
    for law in ROW_LAWS:
        for delta, (ours, ever, at_end) in zip(DELTAS, violations(law, runs), strict=True):
            worst = max(worst, ours / delta)
            lines.append(f"| {law.name} | {delta:g} | {ours:.4f} | {ever:.3f} | {at_end:.3f} |")
            print(lines[-1], flush=True)
    return "\n".join(lines), worst


def width_table() -> str:
    """Return mean bounds at delta = 0.05 by method and number of rows."""
    lines = [
        "| law of a row | rows | mean | certificate | empirical Bernstein | Hoeffding, last row "
        "only | normal, last row only |",
        "|---" * 7 + "|",
    ]
    for law in ROW_LAWS:
        for n in WIDTH_ROWS:
            found = []
            for seed in range(WIDTH_RUNS):
                values = law.draw(np.random.default_rng(seed), n)
                hoeffding = min(1.0, values.mean() + np.sqrt(np.log(20) / (2 * n)))
                ours, plug_in = upper_bound(values, 0.05), empirical_bernstein(values, 0.05)
                found.append([ours, plug_in, hoeffding, normal_bounds(values, 0.05)[-1]])
            cells = " | ".join(f"{v:.3g}" for v in np.mean(found, axis=0))
            lines.append(f"| {law.name} | {n} | {law.mean:.3g} | {cells} |")
    return "\n".join(lines)


def sector(share: float) -> Callable[[Any], Any]:
    """Return a classifier of the plane that says yes in a sector of that share of all angles."""

    def predict(x: Any) -> Any:
        inside = jnp.abs(jnp.arctan2(x[:, 1], x[:, 0])) < share * jnp.pi
        return jnp.stack([inside, ~inside], axis=1).astype(jnp.float32)

    return predict


def stopped_passes(runs: int) -> Iterator[tuple[str, float]]:
    """Yield the share of passes that stop, certified below the truth, for each problem."""
    turn = ep.transforms.rotations2d(acts_on="vectors")
    settings: Any = {"n_transforms": 3, "batch_size": 80, "progress": False}
    for name, share in SECTORS.items():
        predict, changed, wrong = sector(share), 2 * share * (1 - share), 0
        for seed in range(runs):
            rule = ep.stopping.certificate_reached(
                share=changed * (1 - 1e-9), tolerance=1.0, delta=DELTAS[0]
            )
            x = np.random.default_rng(seed).normal(size=(480, 2)).astype(np.float32)
            table = ep.evaluate_orbits(predict, x, turn, seed=seed, stop_when=rule, **settings)
            wrong += table.stopped is not None
        yield name, wrong / runs


def interval_rule(runs: int) -> Iterator[tuple[str, float, float, float]]:
    """Yield coverage when one stops as soon as the interval is narrow, and at a fixed number."""
    estimator = ep.ModelEquivarianceError(n_draws=500)
    for law in LAWS[:5]:
        stops, tables, held = [], [], []
        for seed in range(runs):
            task = linear_task(1500, seed=10_000 + seed)
            size = law.draw(np.random.default_rng(seed), 1500)
            direction = task.x / np.linalg.norm(task.x, axis=1, keepdims=True)
            x = direction * np.sqrt(2 * size)[:, None]
            rule = ep.stopping.interval_narrower(0.2, relative=True, estimator=estimator)
            settings: Any = {"n_transforms": 3, "seed": seed, "backend": "python"}
            table = ep.evaluate_orbits(
                task.predict, x, task.transform, stop_when=rule, progress=False, **settings
            )
            stops.append(len(table))
            held.append(_holds(estimator, table, task.error))
            tables.append((x, task, settings))
        fixed = int(np.mean(stops))
        at_fixed = [
            _holds(
                estimator,
                ep.evaluate_orbits(t.predict, x[:fixed], t.transform, progress=False, **settings),
                t.error,
            )
            for x, t, settings in tables
        ]
        yield law.name, float(np.mean(held)), float(np.mean(at_fixed)), fixed


def _holds(estimator: ep.ModelEquivarianceError, table: ep.OrbitTable, truth: float) -> bool:
    low, high = np.quantile(estimator.fit(table).draws["error"], [0.05, 0.95])
    return bool(low <= truth <= high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--interval-runs", type=int, default=100)
    options = parser.parse_args()
    runs = options.runs
    violated, worst = violation_table(runs)
    passes = ["| problem | delta | stopped, certified below the truth |", "|---|---|---|"]
    for name, share in stopped_passes(runs):
        worst = max(worst, share / DELTAS[0])
        passes.append(f"| {name} | {DELTAS[0]:g} | {share:.4f} |")
        print(passes[-1], flush=True)
    rules = ["| law of the rows | stopped when narrow | fixed number of rows | that number |"]
    rules.append("|---|---|---|---|")
    for name, stopped, fixed, n in interval_rule(options.interval_runs):
        rules.append(f"| {name} | {stopped:.3f} | {fixed:.3f} | {n} |")
        print(rules[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    newline = "\n"
    write(
        PAGE,
        "# Calibration of certificates\n\n"
        f"Written by `python -m benchmarks.certificates` ({versions}, Python "
        f"{platform.python_version()}; {runs} runs a cell, seeds 0 to {runs - 1}).\n\n"
        "A certificate may be below the truth with probability delta, whatever rule one stops by. "
        "The worst rule stops at the first row at which it is: the column *certificate* counts the "
        f"runs in which the bound of [`certify`](certificates.md) is below the truth at any of "
        f"{ROWS} rows. The normal bound (mean plus quantile times standard error) is meant for a "
        f"single look; it is looked at from row {FIRST_LOOK} on, and once, at the last row.\n\n"
        f"{violated}\n\n"
        f"The largest share of violations is {worst:.2f} of delta (passes below included).\n\n"
        "## Whole passes\n\n"
        "A classifier of the plane that says yes in a sector of the angles, under all rotations; "
        "the pass is asked to stop when the share of changed answers is certified to be below what "
        "it truly is, after each of six chunks of 80 rows, 3 transformations each.\n\n"
        f"{newline.join(passes)}\n\n"
        "## How wide\n\n"
        f"Mean bounds at delta = 0.05 over {WIDTH_RUNS} runs. Certificate and empirical Bernstein "
        "(predictable plug-in) hold at all times at once, the other two at one look; the normal "
        "bound only where the number of rows is large against the tail.\n\n"
        f"{width_table()}\n\n"
        "## Stopping when the credible interval is narrow\n\n"
        "Coverage of the nominal 90 % interval of `error` when the pass stops as soon as the "
        "interval is narrower than a fifth of its median "
        f"(`interval_narrower(0.2, relative=True)`, at most 1500 rows, {options.interval_runs} "
        "runs), and at the mean number of rows of those passes, fixed beforehand.\n\n"
        f"{newline.join(rules)}\n",
    )
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
