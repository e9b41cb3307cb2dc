"""What do the functions of other packages cost on the same PyTorch models?

python -m benchmarks.performance.peers [--quick]

Needs PyTorch, e3nn and tmeasures (`pip install torch e3nn tmeasures==1.2.11`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.pages import write
from benchmarks.performance.page import installed, processor, versions
from benchmarks.performance.torch_models import torch_models, turned
from equiprob.adapters import from_torch

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"
TRANSFORMS, ROWS = 16, 256
LAYERS = {"2": "ReLU", "3": "pooling", "5": "ReLU", "6": "pooling", "7": "flat", "8": "linear"}

Work = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One line of the page.

    Args:
        model: The model.
        function: What was called.
        ratio: Its processor time over that of the bare passes, least of all rounds.
        told: What it returns.
    """

    model: str
    function: str
    ratio: float
    told: str


def ratios(bare: Work, works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return least processor times over that of the bare passes, in turn."""
    works = {"bare": bare, **works}
    for work in works.values():
        work()
    least = dict.fromkeys(works, np.inf)
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            work()
            least[name] = min(least[name], time.process_time() - began)
    return {name: seconds / least["bare"] for name, seconds in least.items() if name != "bare"}


def images(rounds: int) -> tuple[list[Row], float]:
    """Time heatmaps of the units of a CNN; and how alike both rank the units."""
    import tmeasures
    import torch
    from tmeasures.pytorch import AutoActivationsModule, NormalizedVarianceInvariance
    from tmeasures.pytorch import PyTorchMeasureOptions as Options

    (model,) = torch_models(ROWS)
    predict: Any = model.predict
    network, rows = predict.module, torch.from_numpy(model.x)
    angles = np.linspace(-np.pi, np.pi, TRANSFORMS, endpoint=False)

    class Turn(tmeasures.Transformation):
        def __init__(self, angle: float) -> None:
            self.angle = angle

        def __call__(self, x: Any) -> Any:
            return turned(x[None], self.angle)[0]

    turns = tmeasures.TransformationSet([Turn(angle) for angle in angles])
    tracked = AutoActivationsModule(network, full_name=False)
    options = Options(batch_size=model.batch, verbose=False)
    layered = from_torch(network, layers=list(LAYERS))
    stays = dict.fromkeys([*LAYERS, "output"], "invariant")
    rotations = ep.transforms.rotations2d(acts_on="image", output_action=stays)

    def bare() -> None:
        with torch.no_grad():
            for chunk in rows.split(model.batch):
                for _ in range(TRANSFORMS + 1):
                    network(chunk)

    def theirs() -> Any:
        return NormalizedVarianceInvariance().eval(rows, turns, tracked, options)

    def ours() -> Any:
        table = ep.evaluate_orbits(
            layered,
            model.x,
            rotations,
            n_transforms=TRANSFORMS,
            batch_size=model.batch,
            keep="all",
            progress=False,
        )
        return ep.UnitErrors(layers=["8"]).fit(table)

    found = ratios(bare, {"tmeasures": theirs, "equiprob": ours}, rounds)
    their_result = theirs()
    scores = their_result.layers[-2].cpu().numpy()  # what comes before the softmax
    ranks = [np.argsort(np.argsort(v)) for v in (scores, np.median(ours().of_layer("8"), axis=0))]
    rank = float(np.corrcoef(*ranks)[0, 1])
    name = f"{model.name}, {len(LAYERS) + 1} layers"
    return [
        Row(
            name,
            f"tmeasures {installed('tmeasures')}, `NormalizedVarianceInvariance`",
            found["tmeasures"],
            "a number for each unit",
        ),
        Row(
            name,
            "`evaluate_orbits` and `UnitErrors`",
            found["equiprob"],
            "an interval for each unit",
        ),
    ], rank


def clouds(rounds: int) -> list[Row]:
    """Time the test of e3nn on a network of e3nn."""
    import torch
    from e3nn import o3
    from e3nn.util.test import equivariance_error

    torch.manual_seed(0)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = o3.FullyConnectedTensorProduct("4x1o", "4x1o", "32x0e + 8x1e + 8x2e")
            self.last = o3.FullyConnectedTensorProduct(
                "32x0e + 8x1e + 8x2e", "32x0e + 8x1e + 8x2e", "16x0e + 4x1e"
            )

        def forward(self, x: Any) -> Any:
            hidden = self.first(x, x)
            return self.last(hidden, hidden)

    network = Network().eval()
    x = np.random.default_rng(0).normal(size=(ROWS, 12)).astype(np.float32)
    batch, tensor = 128, torch.from_numpy(x)
    transform = ep.transforms.rotations3d(
        acts_on=o3.Irreps("4x1o"), output_action=o3.Irreps("16x0e + 4x1e")
    )
    predict = from_torch(network)

    def bare() -> None:
        with torch.no_grad():
            for chunk in tensor.split(batch):
                for _ in range(TRANSFORMS + 1):
                    network(chunk)

    def theirs() -> None:
        with torch.no_grad():
            for chunk in tensor.split(batch):
                equivariance_error(
                    network,
                    [chunk],
                    irreps_in=["4x1o"],
                    irreps_out=["16x0e + 4x1e"],
                    ntrials=TRANSFORMS,
                    do_parity=False,
                    do_translation=False,
                )

    def ours() -> Any:
        return ep.ModelEquivarianceError().fit(
            ep.evaluate_orbits(
                predict,
                x,
                transform,
                n_transforms=TRANSFORMS,
                batch_size=batch,
                keep="rows",
                progress=False,
            )
        )

    found = ratios(bare, {"e3nn": theirs, "equiprob": ours}, rounds)
    name = "two tensor products, e3nn"
    return [
        Row(
            name,
            f"e3nn {installed('e3nn')}, `equivariance_error`",
            found["e3nn"],
            "the largest change under one list of rotations",
        ),
        Row(
            name,
            "`evaluate_orbits` and `ModelEquivarianceError`",
            found["equiprob"],
            "an interval, rotations of each row's own, and whether it is rounding",
        ),
    ]


def page(rows: list[Row], rank: float) -> str:
    lines = "\n".join(f"| {r.model} | {r.function} | {r.ratio:.2f} | {r.told} |" for r in rows)
    return (
        "# Peers\n\n"
        f"Written by `python -m benchmarks.performance.peers` ({versions()}, torch "
        f"{installed('torch')}; {processor()}, one thread). The functions of other packages on the "
        f"same PyTorch models: {ROWS} rows, {TRANSFORMS} transformations. Ratios of least "
        "processor times to those of the bare passes, (M + 1) N of them, everything that a call "
        "does included. For other peers see [performance](performance.md).\n\n"
        f"| model | function | ratio | what it tells |\n|---|---|---|---|\n{lines}\n\n"
        "tmeasures evaluates transformations and rows in two orders, each input by itself, and so "
        "the model on all of them twice. Rank correlation of both packages' scores of the units of "
        f"the last linear layer: {rank:.2f} (of variances about the orbit's mean, and of squared "
        "changes from the input as it is).\n\n"
        "Not run: metatomic's `SymmetrizedModel` (its wheels load with PyTorch up to 2.14) and "
        "escnn (its dependencies lie_learn and py3nj do not build on this Python).\n"
    )


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round; print, not write")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rounds = 1 if quick else 2
    found, rank = images(rounds)
    text = page([*found, *clouds(rounds)], rank)
    print(text)
    if not quick:
        write(PAGE, text)


if __name__ == "__main__":
    main()
