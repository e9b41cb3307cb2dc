"""How much can a law of transformations change a function, for how asymmetric it is?

Where the law of the inputs is invariant, ``U_g h(x) = rho(g)^-1 h(g x)`` keeps lengths, and
``e_h^2 = 2 <h, (I - Re S) h>`` with S the average over the law. The eigenvalues of I - Re S are one
minus the real part of the law's Fourier coefficients. With L the largest of them

    e_h^2  <=  2 L |h|^2        for every h,

so that ``e*^2 <= 2 L (R(f_G) - sigma^2)`` and an excess risk of at least ``(e* - e_f)^2 / (2 L)``.
For the group's own law L is 1; for any law at all it is at most 2; for a range of rotations it is
1.22, what the sinc function leaves below zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.base import AbstractTransform
from equiprob.transforms.rotations2d import Rotations2D
from equiprob.transforms.rotations3d import Rotations3D
from equiprob.transforms.transform import Transform
from equiprob.transforms.translations import Translations

Array = NDArray[np.float64]

_ANY = 2.0
"""No coefficient is below -1."""

_SINC = 1.2172336283
"""One less the least value of sin(t)/t, rounded up."""

_FREQUENCIES = 400
_NODES = 4001


def largest_eigenvalue(transform: AbstractTransform) -> float:
    """Return L of a law, or what bounds it from above where it is not known: between 1 and 2."""
    if transform.is_haar:
        return 1.0
    law = transform.law if isinstance(transform, Transform) else None
    if isinstance(law, Rotations2D) and law.law is None:
        return _of_angles(law.max_angle)
    if isinstance(law, Rotations3D) and law.parity == "proper":
        return _of_rotations(law.max_angle)
    if isinstance(law, Translations):
        return _of_whole_shifts(int(law.max_shift)) if law.whole else _SINC
    return _ANY


def _of_angles(largest: float) -> float:
    """Of angles that are uniform up to the largest one: frequencies are whole numbers."""
    k = np.arange(1, _FREQUENCIES + 1) * largest
    if k[-1] < 10:  # frequencies so dense that one lies at the least value of the sinc function
        return _SINC
    # Beyond the last frequency the sinc function is within 1 / (k t) of zero.
    return float(max((1 - np.sin(k) / k).max(), 1 + 1 / k[-1]))


def _of_rotations(largest: float) -> float:
    """Of rotations of space: the characters, averaged over the law of the angle."""
    angle = np.linspace(0, largest, _NODES)[1:]
    density = 1 - np.cos(angle)
    order = np.arange(1, _FREQUENCIES + 1)[:, None]
    if order[-1, 0] * largest < 10:
        return _ANY
    characters = np.sin((order + 0.5) * angle) / ((2 * order + 1) * np.sin(angle / 2))
    coefficients = np.trapezoid(characters * density, angle) / np.trapezoid(density, angle)
    return float(max((1 - coefficients).max(), 1.0))


def _of_whole_shifts(largest: int) -> float:
    """Of whole shifts up to the largest one, along one axis: the least of the Dirichlet kernel."""
    frequency = np.linspace(1e-6, np.pi, 20001)
    shifts = np.arange(1, largest + 1)[:, None]
    kernel = (1 + 2 * np.cos(frequency * shifts).sum(axis=0)) / (2 * largest + 1)
    return float(1 - kernel.min()) + 1e-6
