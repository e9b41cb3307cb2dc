"""What are generators called, and do they close under brackets?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from equiprob.arguments.array_types import Array


def named_shares(found: Array, moved: Array, translations: bool) -> dict[str, float]:
    """Return the share of well-known generators that lies in the space of those found.

    Args:
        found: Generators ``(generator, d, e)``, orthonormal in `moved`.
        moved: The matrix of mean squared motions, in which lengths are measured.
        translations: Whether the last column is a shift.
    """
    if not len(found):
        return {}
    d, e = found.shape[1:]
    vectors = found.reshape(len(found), -1)
    shares = {}
    for name, matrix in _well_known(d, translations):
        whole = np.zeros((d, e))
        whole[:, : matrix.shape[1]] = matrix
        vector = whole.ravel()
        inside = vectors @ moved @ vector
        shares[name] = float(inside @ inside / (vector @ moved @ vector))
    return shares


def closure(found: Array, moved: Array) -> float:
    """Return the least share of a bracket of two generators that lies in their space; 1 for none.

    Args:
        found: Generators ``(generator, d, e)``, orthonormal in `moved`.
        moved: The matrix of mean squared motions.
    """
    if not len(found):
        return 1.0
    d, e = found.shape[1:]
    square = np.zeros((len(found), e, e))
    square[:, :d] = found
    vectors, least = found.reshape(len(found), -1), 1.0
    for a, b in combinations(square, 2):
        bracket = (a @ b - b @ a)[:d].ravel()
        size = bracket @ moved @ bracket
        # A bracket that nearly vanishes is in every space.
        if size > 1e-3 * np.linalg.norm(a) ** 2 * np.linalg.norm(b) ** 2 * np.trace(moved) / d / e:
            inside = vectors @ moved @ bracket
            least = min(least, float(inside @ inside / size))
    return least


def _well_known(d: int, translations: bool) -> Iterator[tuple[str, Array]]:
    """Yield names and generators ``(d, d)``, or ``(d, d + 1)``."""
    axes = "xyz"[:d] if d <= 3 else [str(i) for i in range(d)]
    for i, j in combinations(range(d), 2):
        turn = np.zeros((d, d))
        turn[i, j], turn[j, i] = -1.0, 1.0
        name = f"in the plane of {axes[i]} and {axes[j]}"
        if d == 3:
            name = f"about {axes[3 - i - j]}"
        yield f"rotation {name}" if d > 2 else "rotation", turn
        yield f"boost along {axes[i]} and {axes[j]}", np.abs(turn)
    yield "scaling", np.eye(d)
    for i in range(d):
        yield f"scaling of {axes[i]}", np.diag(np.eye(d)[i])
        if translations:
            shift = np.zeros((d, d + 1))
            shift[i, d] = 1.0
            yield f"translation along {axes[i]}", shift
