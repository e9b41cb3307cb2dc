"""A particle in a harmonic well and a field along z: the errors of its generators are a formula.

The energy is ``|x|^2 / 2 + c z`` with x normal. Rotations about z are a symmetry. A generator that
moves z by p x and x by q z changes the energy by ``(p + q)^2 + c^2 p^2`` per ``p^2 + q^2`` of
motion, mean squares both, and a random one by ``(15 + 3 c^2) / 9``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.calibration.problems import N_DRAWS, Outcome, Problem


def well(field: float, grouped: bool, n: int, seed: int) -> Iterator[Outcome]:
    g = np.random.default_rng([seed, n, int(100 * field)])
    x = g.normal(size=(n, 3)).astype(np.float32)
    units = np.repeat(np.arange(-(-n // 4)), 4)[:n] if grouped else None

    def energy(rows: jnp.ndarray) -> jnp.ndarray:
        return 0.5 * (rows**2).sum(axis=1) + field * rows[:, 2]

    found = ep.Generators(n_draws=N_DRAWS).fit(energy, x, groups=units, batch_size=n)
    least = (2 + field**2 - np.sqrt(field**4 + 4)) / 2
    truth = np.sqrt(least / ((15 + 3 * field**2) / 9))
    # The second and the third are equally good: the mean of their squares has no order.
    squares = found.draws["relative_error"][:, 1:3] ** 2
    yield Outcome("relative error", np.sqrt(squares.mean(axis=1)), float(truth))


SIZES = (128, 512, 2048)

GENERATOR_PROBLEMS: dict[str, tuple[Problem, tuple[int, ...]]] = {
    "Generators, field 0.3": (partial(well, 0.3, False), SIZES),
    "Generators, field 1": (partial(well, 1.0, False), SIZES),
    "Generators, field 0.3, groups of 4": (partial(well, 0.3, True), SIZES),
}
"""Problems by name, and the numbers of rows each is simulated at."""
