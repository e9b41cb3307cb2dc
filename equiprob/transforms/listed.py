"""What the laws that draw from a list share: supercells, resolutions."""

from __future__ import annotations

import abc
from typing import override

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters


class AbstractListed(AbstractLaw):
    """Entries of a list, all alike probable.

    The parameter is the place of one; the first entry changes nothing.
    """

    @property
    @abc.abstractmethod
    def n_entries(self) -> int:
        """How many there are."""

    @property
    @override
    def n_uniforms(self) -> int:
        return 1

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return np.floor(uniforms * self.n_entries)

    @override
    def enumeration(self) -> Enumeration:
        n = self.n_entries
        return Enumeration(np.arange(n, dtype=np.float64)[:, None], np.full(n, 1 / n))

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(1)
