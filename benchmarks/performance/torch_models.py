"""A PyTorch model that is timed, and its peers' own functions, where they are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

import equiprob as ep
from benchmarks.performance.models import Timed
from equiprob.adapters import from_torch

NAME = "28 x 28 CNN, PyTorch"


def torch_models(rows: int) -> list[Timed]:
    """Return the model on images, or nothing without PyTorch."""
    if find_spec("torch") is None:
        return []
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 28)),
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 49, 10),
        torch.nn.Softmax(dim=1),
    ).eval()
    images = np.random.default_rng(0).random((rows, 28, 28), dtype=np.float32)
    moved = (lambda x, angle: turned(torch.from_numpy(x), angle).numpy(), lambda y, _: y)
    turn = ep.transforms.rotations2d()
    return [Timed(NAME, from_torch(network), images, turn, "python", moved=moved)]


def turned(images: Any, angle: Any) -> Any:
    """Turn a batch of images by one angle, as PyTorch's users do."""
    import torch

    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    matrix = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0]]).expand(len(images), 2, 3)
    shape = [len(images), 1, *images.shape[1:]]
    grid = torch.nn.functional.affine_grid(matrix, shape, align_corners=False)
    found = torch.nn.functional.grid_sample(images[:, None], grid, align_corners=False)
    return found[:, 0]


def regularizer(model: Timed, m: int) -> Any:
    """equivariance-regularizer's own function: f(x) anew for each of `m` transformations."""
    import torch
    from equivariance_regularizer import EquivarianceRegularizer

    predict: Any = model.predict
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, m)
    functions = [[lambda y: y, lambda images, a=a: turned(images, a), 0.0, 1.0] for a in angles]
    measure = EquivarianceRegularizer(predict.module, (28, 28), functions, num_funcs=m)
    batches = [
        torch.from_numpy(model.x[i : i + model.batch]) for i in range(0, len(model.x), model.batch)
    ]

    def work() -> list[float]:
        with torch.no_grad():
            return [float(measure(batch)) for batch in batches]

    return work
