"""A model averaged over transformations, in the form that the model has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.levels.predictor import AveragedPredictor
from equiprob.orbits.torch_memory import TorchModel
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform


def averaged_predictor(
    predict: Callable[[Any], Any],
    transform: Transform,
    parameters: Parameters,
    weights: NDArray[np.float64],
    keep: float,
) -> Callable[[Any], Any]:
    """Return a model averaged over transformations, a module of PyTorch where it is one.

    The arguments are those of `AveragedPredictor`.
    """
    averaged = AveragedPredictor(predict, transform, parameters, weights, keep)
    if not isinstance(predict, TorchModel):
        return averaged
    from equiprob.levels.torch_predictor import averaged_module

    return averaged_module(averaged, predict)
