"""Handwritten digits, upright or turned at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.seeds import check_seed
from equiprob.transforms import Transform, cyclic


@dataclass(frozen=True)
class DigitsTask:
    """Scikit-learn's 1797 digits of 8 x 8 pixels; quarter turns are exact on them.

    Turned at random, the law of the images is invariant under quarter turns and the best prediction
    is, too: the error is zero by construction. Of upright ones only the symmetry cost is
    identified, and its value is not known.

    Args:
        turned: Whether each image was turned by a random multiple of a quarter turn.
        x: Images ``(row, 8, 8)`` with values from 0 to 1.
        y: Labels ``(row,)``.
    """

    turned: bool
    x: NDArray[np.float32]
    y: NDArray[Any]

    @property
    def transform(self) -> Transform:
        """Quarter turns of the image."""
        return cyclic(4, acts_on="image")

    @property
    def error(self) -> float | None:
        """The data equivariance error e*, where it is known."""
        return 0.0 if self.turned else None


def digits_task(*, turned: bool = False, seed: int = 0) -> DigitsTask:
    """Return the digits in a random order.

    Args:
        turned: Turn each image by a random multiple of a quarter turn.
        seed: Seed of the order and of the turns.
    """
    from sklearn.datasets import load_digits

    generator = np.random.default_rng(check_seed(seed))
    digits: Any = load_digits()
    order = generator.permutation(len(digits.target))
    x = digits.images[order].astype(np.float32) / 16
    turns = generator.integers(4, size=len(x))
    if turned:
        x = np.stack([np.rot90(image, k) for image, k in zip(x, turns, strict=True)])
    return DigitsTask(turned, x, digits.target[order])
