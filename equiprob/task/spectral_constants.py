"""How much can a law of transformations change a function, for how asymmetric it is?

Where the law of the inputs is invariant, ``U_g h(x) = rho(g)^-1 h(g x)`` keeps lengths, and
``e_h^2 = 2 <h, (I - Re S) h>`` with S the average over the law. The eigenvalues of I - Re S are one
minus the real part of the law's Fourier coefficients. With l and L the least and the largest of
them, on all functions h whose average over the group that the law generates is zero

    2 l |h|^2  <=  e_h^2  <=  2 L |h|^2.

So ``e*^2 <= 2 L (R(f_G) - sigma^2)``, the excess risk is at least ``(e* - e_f)^2 / (2 L)``, and the
cost A of exact symmetry under the group lies between ``e*^2 / (2 L)`` and ``e*^2 / (2 l)``. For the
group's own law both are 1; for any law at all L is at most 2; for a range of rotations it is 1.22,
what the sinc function leaves below zero, and l is small, as a small range changes little that the
whole group changes much.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.transforms.finite import Finite
from equiprob.transforms.relative_density import angle_density, circle, relative_density
from equiprob.transforms.rotations2d import Rotations2D
from equiprob.transforms.rotations3d import Rotations3D
from equiprob.transforms.transform import Transform
from equiprob.transforms.translations import Translations

_SINC = 1.2172336283
"""One less the least value of sin(t)/t, rounded up."""

_FREQUENCIES = 400
_MIDDLES = (np.arange(4000) + 0.5) / 4000
"""Where a range of angles is looked at, as shares of it."""

_MOST_ELEMENTS = 256
"""Of a finite group, whose eigenvalues take time that grows with the cube of their number."""

_SMOOTH = 1e-4
"""Fourier coefficients of a density from the middle frequency on, where none is missed."""


class Eigenvalues(NamedTuple):
    """Of I - Re S, on functions that the group averages to zero.

    Args:
        least: The least, or 0 where it is not known.
        largest: The largest, or 2 where it is not known.
    """

    least: float
    largest: float

    def errors(self, cost: Array) -> dict[str, Array]:
        """Return bounds on the error of a task, from draws of the cost of symmetry."""
        return {
            "lower": np.sqrt(2 * self.least * cost),
            "upper": np.sqrt(2 * self.largest * cost),
        }

    def costs(self, error: Array) -> dict[str, Array]:
        """Return bounds on the cost of symmetry, from draws of the error of a task."""
        found = {"symmetry_cost_lower": error**2 / (2 * self.largest)}
        if self.least > 0:
            found["symmetry_cost_upper"] = error**2 / (2 * self.least)
        return found


_ANY = Eigenvalues(0.0, 2.0)
_WHOLE_GROUP = Eigenvalues(1.0, 1.0)


def eigenvalues(transform: Transform) -> Eigenvalues:
    """Return the least and the largest eigenvalue of what a law changes."""
    if transform.is_haar:
        return _WHOLE_GROUP
    law = transform.law
    if isinstance(law, Finite):
        return _of_elements(law)
    if isinstance(law, Rotations2D):
        return _of_angles(law.max_angle) if law.law is None else _of_density(transform)
    if isinstance(law, Rotations3D):
        return _of_rotations(law)
    if isinstance(law, Translations):
        largest = _of_whole_shifts(int(law.max_shift)) if law.whole else _SINC
        return Eigenvalues(0.0, largest)  # what varies slowly enough hardly changes
    return _ANY


def _of_angles(largest: float) -> Eigenvalues:
    """Of angles that are uniform up to the largest one: frequencies are whole numbers."""
    k = np.arange(1, _FREQUENCIES + 1) * largest
    found = 1 - np.sin(k) / k
    if k[-1] < 10:  # frequencies so dense that one lies at the least value of the sinc function
        return Eigenvalues(float(found[0]), _SINC)
    # Beyond the last frequency the sinc function is within 1 / (k t) of zero.
    beyond = 1 / k[-1]
    return Eigenvalues(float(min(found.min(), 1 - beyond)), float(max(found.max(), 1 + beyond)))


def _of_density(transform: Transform) -> Eigenvalues:
    """Of angles of any smooth density all around the circle."""
    density = relative_density(transform)
    if density is None:
        return _ANY
    values = density(circle()[:, None])
    found = (
        np.fft.rfft(values)[1:]
        / len(values)
        * np.exp(-1j * np.arange(1, len(values) // 2 + 1) * circle()[0])
    )
    if np.abs(found[len(found) // 2 :]).max() > _SMOOTH:
        return _ANY
    return Eigenvalues(float(1 - found.real.max() - _SMOOTH), float(1 - found.real.min() + _SMOOTH))


def _of_rotations(law: Rotations3D) -> Eigenvalues:
    """Of rotations of space: the characters, averaged over the law of the angle."""
    angles = _angles_of(law)
    if angles is None:
        return _ANY
    angle, weights = angles
    order = np.arange(1, _FREQUENCIES + 1)[:, None]
    half = np.sin(angle / 2)
    characters = np.sin((order + 0.5) * angle) / ((2 * order + 1) * half)
    found = characters @ weights
    # No character of a higher degree is larger than this.
    beyond = float(np.minimum(1 / ((2 * _FREQUENCIES + 3) * half), 1.0) @ weights)
    least, largest = min(float(found.min()), -beyond), max(float(found.max()), beyond)
    if law.parity == "proper":
        return Eigenvalues(max(1 - largest, 0.0), 1 - least)
    if law.parity == "both":  # what the inversion turns over is averaged to zero
        return Eigenvalues(max(min(1 - largest, 1.0), 0.0), max(1 - least, 1.0))
    # The inversion turns over what is odd: of a number that does, all of it.
    return Eigenvalues(max(1 - max(largest, -least), 0.0), 2.0)


def _angles_of(law: Rotations3D) -> tuple[Array, Array] | None:
    """Return angles of rotations of space and their probabilities, ``(angle,)`` each.

    None where their density is not known.
    """
    angle = (np.pi if law.law is not None else law.max_angle) * _MIDDLES
    density = (lambda angle: 1 - np.cos(angle)) if law.law is None else angle_density(law)
    if density is None:
        return None
    values = density(angle)
    return angle, values / values.sum()


def _of_whole_shifts(largest: int) -> float:
    """Of whole shifts up to the largest one, along one axis: the least of the Dirichlet kernel."""
    frequency = np.linspace(1e-6, np.pi, 20001)
    shifts = np.arange(1, largest + 1)[:, None]
    kernel = (1 + 2 * np.cos(frequency * shifts).sum(axis=0)) / (2 * largest + 1)
    return float(1 - kernel.min()) + 1e-6


def _of_elements(law: Finite) -> Eigenvalues:
    """Of a finite set: the spectrum of its law, acting on functions on the group it generates."""
    group = _generated(law)
    if group is None:
        return _ANY
    keys = {_key(g): i for i, g in enumerate(group)}
    acting = np.zeros((len(group), len(group)))
    for element, weight in zip(law.elements, law.weights, strict=True):
        places = [keys[_key(_product(law, element, g))] for g in group]
        acting[places, np.arange(len(group))] += weight
    found = 1 - np.linalg.eigvalsh((acting + acting.T) / 2)
    if len(found) == 1:
        return _WHOLE_GROUP
    return Eigenvalues(float(found[-2]), float(found[0]))  # the last is of constants: 0


def _generated(law: Finite) -> list[NDArray[Any]] | None:
    """Return the elements of the group that a finite set generates; None where it is large."""
    found = {_key(g): g for g in law.elements}
    newest = list(found.values())
    while newest:
        products = [_product(law, g, h) for g in law.elements for h in newest]
        added = {_key(product): product for product in products}
        newest = [product for key, product in added.items() if key not in found]
        found |= added
        if len(found) > _MOST_ELEMENTS:
            return None
    return list(found.values())


def _product(law: Finite, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    return first[second] if law.is_permutations else first @ second


def _key(element: NDArray[Any]) -> bytes:
    """Return what equal elements share, rounding aside."""
    return (np.round(element, 6) + 0.0).tobytes()
