"""Measure, and write the pages on performance and scale.

python -m benchmarks.performance [--quick]

A PyTorch model, and equivariance-regularizer's own function on it, are timed where both are
installed: `make .venv/.torch`, then the package itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import processes
from benchmarks.pages import write
from benchmarks.performance import scale, scaling
from benchmarks.performance.models import timed_models
from benchmarks.performance.page import Findings, page, versions
from benchmarks.performance.passes import measured, temporary_memory
from benchmarks.performance.precision import fit_seconds, gain, new_inputs, problems
from benchmarks.performance.torch_models import torch_models

DOCS = Path(__file__).parents[2] / "docs"
TRANSFORMS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; print, not write")
    quick = parser.parse_args().quick
    found = Findings(TRANSFORMS)
    rows = 256 if quick else 768
    for model in timed_models(rows) + torch_models(rows):
        found.ratios.append(measured(model, TRANSFORMS, 2 if quick else 4))
        if model.backend == "jax":
            each = [(m, *temporary_memory(model, m)) for m in (4, TRANSFORMS, 32)]
            found.memory[model.name] = each
        print(model.name, found.ratios[-1].words("ours"), flush=True)
    for problem in problems(16 if quick else 64):
        found.gains += [gain(problem, m, 12 if quick else 48) for m in problem.sizes]
        print(found.gains[-1], flush=True)
    found.new_inputs = new_inputs(20 if quick else 300)
    found.processes = list(processes.pairs(2 if quick else 7))
    largest = 10_000 if quick else 1_000_000
    sizes = [n for n in (1_000, 10_000, 100_000, 1_000_000) if n <= largest]
    cases = [*((n, 4, "rows") for n in sizes), *((10_000, m, "rows") for m in (1, 16, 64))]
    found.growth = [(*case, scaling.measured(*case)) for case in cases]
    found.fits = {n: fit_seconds(n, 5) for n in sizes}
    parts = scale.Parts(transforms=4, **scaling.parts(4))
    pages = {"performance.md": page(found), "scale.md": scale.page(parts, versions())}
    for name, text in pages.items():
        print(text)
        if not quick:
            write(DOCS / name, text)


if __name__ == "__main__":
    main()
