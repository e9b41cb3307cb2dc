"""Set the priors of learning curves on real ones.

    python -m benchmarks.curves.priors --data DATA

Goes through the numbers of `CurvePriors` one after another, and takes each change that lowers the
interval score of what was cut off (log risks; 50, 80 and 90 %), on the half of LCDB's data sets and
of the tables that is not scored (see `benchmarks.curves.cases`): the mean over tables, and of its
logarithm over kinds of data. Writes ``equiprob/curves/from_curves.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpyro.distributions as dist

from benchmarks.curves.cases import emlp_cases, lcdb_cases, table_cases
from benchmarks.curves.forecasts import Prepared, prepared, scores
from equiprob.curves.from_curves import FROM_CURVES
from equiprob.curves.priors import CurvePriors

MODULE = Path("equiprob/curves/from_curves.py")
_FACTOR = 1.6
_LEAST_GAIN = 1e-3
_VECTORS = ("bends", "floors_noise_free", "floors_noisy", "turns", "fades")
_PROBABILITIES = ("noise_free", "plateau", "rise")
_BEYOND = ("turns", "fades", "rise")
"""First, as trials of what is beyond the data alone are quick."""

_MEASURED = ("shared_bends",)
"""Forecasts of single candidates hardly tell: the mean share of the variance of slopes that
learners of one LCDB data set and n have in common is .44, and differs from set to set."""

_HELD = ("noise_free", "floors_noise_free")
"""The score alone would have floors near 0 more often (.87), which makes forecasts of steep curves
at a hundred times the data half as wide again."""

_WEIGHTS = {"lcdb": 1.0, "tables": 1.0, "emlp": 0.5}


def changes(numbers: dict[str, Any], name: str, factor: float) -> list[dict[str, Any]]:
    """Return the numbers with one of them changed by a factor, up and down."""
    value, found = numbers[name], []
    for f in (factor, 1 / factor):
        if name in _VECTORS:
            for i in range(len(value)):
                moved = np.array(value, dtype=float)
                moved[i] = max(moved[i], 0.005) * f
                found.append(tuple((moved / moved.sum()).round(4).tolist()))
        elif name in _PROBABILITIES:
            odds = f**2 * value / (1 - value)
            found.append(round(float(odds / (1 + odds)), 3))
        elif name == "exponent":
            found += [
                (round(float(value[0] + np.log(f)), 3), value[1]),
                (value[0], round(value[1] * f, 3)),
            ]
        else:
            found.append(round(value * f, 3))
    return [numbers | {name: each} for each in found]


def priors_of(numbers: dict[str, Any]) -> CurvePriors:
    """Return the priors that numbers stand for."""
    rest = {name: value for name, value in numbers.items() if name != "exponent"}
    return CurvePriors(exponent=dist.LogNormal(*numbers["exponent"]), **rest)


def score(cases: list[Prepared], numbers: dict[str, Any]) -> float:
    """Return the mean log interval score over kinds of data, each table counting once."""
    priors = priors_of(numbers)
    table = scores(cases, lambda each: each.runs(priors)[1])
    # Weighted so that all together come near to the continuous ranked probability score.
    table["whole"] = sum((1 - p / 100) * table[f"interval_{p}"] for p in (50, 80, 90))
    each = table.groupby(["kind", "name"]).whole.mean().groupby("kind").mean()
    weights = np.array([_WEIGHTS[str(kind)] for kind in each.index])
    return float((np.log(each) * weights).sum() / weights.sum())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves.priors", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--data-sets", type=int, default=30)
    parser.add_argument("--sweeps", type=int, default=2)
    options = parser.parse_args()
    cases = [
        *lcdb_cases(options.data, "tune", limit=options.data_sets),
        *table_cases(options.data, "tune"),
        *emlp_cases(options.data),
    ]
    ready = prepared(cases)
    numbers = dict(FROM_CURVES)
    best = score(ready, numbers)
    print(f"{len(ready)} cut-off tables, at first {best:.4f}", flush=True)
    for sweep in range(options.sweeps):
        factor = _FACTOR ** (1 / (1 + sweep))
        before = best
        for name in (*_BEYOND, *(n for n in numbers if n not in (*_BEYOND, *_MEASURED, *_HELD))):
            for trial in changes(numbers, name, factor):
                found = score(ready, trial)
                if found < best - _LEAST_GAIN:
                    best, numbers = found, trial
                    print(f"{best:.4f} {name} {numbers[name]}", flush=True)
                    write(numbers)
        if before - best < 5 * _LEAST_GAIN:
            break
    write(numbers)


def write(numbers: dict[str, Any]) -> None:
    """Write the module."""
    lines = [
        '"""Priors as real learning curves have them; written by ``python -m '
        'benchmarks.curves.priors``."""',
        "",
        "FROM_CURVES = {",
        *(f'    "{name}": {value!r},' for name, value in numbers.items()),
        "}",
        "",
    ]
    MODULE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
