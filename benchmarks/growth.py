"""How much time do estimators take as rows grow? Writes the page.

    python -m benchmarks.growth

Processor seconds of one fit on a table that is there already (of `ep.Generators` and `ep.screen`,
which call the model, all of it), after a first fit on few rows that compiles and imports.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.pages import write

PAGE = Path(__file__).parents[1] / "docs" / "growth.md"
ROWS = (1_000, 10_000, 100_000)
_FEW = 250
"""In chunks as long as those of 1,000 rows, so that the same programs are compiled."""
TURNS = ep.transforms.rotations2d(acts_on="vectors")


def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs in the plane and labels."""
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    return x, (np.linalg.norm(x, axis=1) > 1).astype(int)


def probabilities(batch: Any) -> Any:
    """A classifier that leans a little to one side."""
    one = 1 / (1 + jnp.exp(-4 * ((batch**2).sum(axis=-1) - 1) - batch[..., 0]))
    return jnp.stack([1 - one, one], axis=-1)


def table(n: int, *, labels: bool = True) -> ep.OrbitTable:
    """Return a table of the classifier, or of one of its probabilities."""
    x, y = rows(n)
    model = probabilities if labels else (lambda batch: probabilities(batch)[..., 1])
    return ep.evaluate_orbits(
        model, x, TURNS, y=y if labels else y.astype(float), n_transforms=8, keep="all"
    )


Fit = Callable[[int], Callable[[], object]]
"""From a number of rows to what is timed."""


def _of_table(fit: Callable[[ep.OrbitTable], object], *, labels: bool = True) -> Fit:
    def prepared(n: int) -> Callable[[], object]:
        orbits = table(n, labels=labels)
        return lambda: fit(orbits)

    return prepared


def _cost(orbits: ep.OrbitTable) -> object:
    return ep.DataEquivarianceError(method=ep.methods.Neighbours()).fit(orbits)


def _level(n: int) -> Callable[[], object]:
    level = ep.SymmetryLevel().fit(table(n, labels=False))
    return lambda: level.budget(tolerance=1e-3)


FITS: dict[str, Fit] = {
    "symmetry cost from neighbours (2,000 rows at most)": _of_table(_cost),
    "where it holds, a map (2,000 rows at most)": _of_table(lambda o: ep.SymmetryMap().fit(o)),
    "changed decisions": _of_table(lambda o: ep.ChangedDecisions().fit(o)),
    "budget of transformations": _level,
    "certificate": _of_table(lambda o: ep.certify(o, bound=2.0)),
    "certificate of a level": _of_table(lambda o: ep.certify_level(o, loss="zero_one")),
    "symmetries found": lambda n: lambda: ep.Generators().fit(probabilities, rows(n)[0]),
    "screen of the catalogue": lambda n: (
        lambda: ep.screen(lambda batch: np.asarray(probabilities(batch)), rows(n)[0])
    ),
}


def main() -> None:
    lines = [f"| | {' | '.join(f'{n:,} rows' for n in ROWS)} |", "|---" * (len(ROWS) + 1) + "|"]
    for name, fit in FITS.items():
        fit(_FEW)()
        seconds = []
        for n in ROWS:
            prepared = fit(n)
            start = time.process_time()
            prepared()
            seconds.append(time.process_time() - start)
        lines.append(f"| {name} | {' | '.join(f'{each:.2f}' for each in seconds)} |")
        print(lines[-1], flush=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("equiprob", "jax", "numpy"))
    newline = "\n"
    write(
        PAGE,
        "# Time by rows\n\n"
        f"Written by `python -m benchmarks.growth` ({versions}, Python "
        f"{platform.python_version()}).\n\n"
        "Processor seconds of one fit with its default settings, inputs in the plane, eight "
        "rotations a row, 4,000 draws, on one core or two. A table is there already; symmetries "
        "found and screens call the model, a small one.\n\n"
        f"{newline.join(lines)}\n",
    )


if __name__ == "__main__":
    main()
