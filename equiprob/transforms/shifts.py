"""Shifts, which add up and have their opposite."""

from __future__ import annotations

from typing import override

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.law import AbstractLaw, Parameters


class AbstractShifts(AbstractLaw):
    """A law of shifts: the parameter lists how far along each direction."""

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(self.n_uniforms)

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return -parameters

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters:
        return first + second

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return np.abs(parameters).max(axis=-1)
