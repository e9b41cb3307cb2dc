"""A wrong group of the right size: the same transformations, acting where they mean nothing."""

from __future__ import annotations

import math
from dataclasses import replace

from equiprob.arguments.checked import checked
from equiprob.arguments.seeds import check_seed
from equiprob.transforms.declarations import Declared, Elsewhere
from equiprob.transforms.transform import Transform


@checked
def conjugated(transform: Transform, *, seed: int = 0, scale: float = 1.0) -> Transform:
    """Return a wrong group of the same size: `transform`, acting in other coordinates.

    Args:
        transform: The transform.
        seed: Seed of the coordinates.
        scale: How far from the origin the other centre is (each coordinate's standard deviation),
            in the inputs' unit.

    Returns:
        The transform of the same law and group. Image pixels are acted on in a random order, other
        leaves in a random order of their entries and about another centre.

    Raises:
        ValueError: If `seed` is none, or `scale` is negative or not finite.
    """
    if not 0 <= scale < math.inf:
        raise ValueError(f"scale must be a distance of at least 0, got {scale!r}")
    inner = Declared(transform.acts_on, transform.fill, transform.wrap)
    there = Elsewhere(inner, check_seed(seed), scale)
    return replace(transform, acts_on=there)
