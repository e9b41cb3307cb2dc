"""A flow on a periodic grid whose asymmetry, a wind, can be dialled.

A density spreads, grows and is blown: ``u_t = diffusion * laplace(u) - wind * u_x + growth * u (1 -
u)`` on a periodic square of pixels. All terms but the wind commute with quarter turns. In the
spirit of the smoke plumes of Wang, Walters & Yu, "Approximately equivariant networks for
imperfectly symmetric dynamics", ICML 2022; the equation and the code are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.seeds import check_seed
from equiprob.transforms import Transform, cyclic

_STEPS = 8
_DIFFUSION = 0.5
_GROWTH = 0.5
_SMOOTH = 1.5
_N_TRUTH = 2000


@dataclass(frozen=True)
class FlowTask:
    """Predict the density one unit of time later, from noisy observations.

    Args:
        wind: Speed to the right, in pixels per unit of time; 0 makes the task exactly symmetric.
        x: Densities now, ``(row, size, size)``, between 0 and 1; their law is invariant.
        y: Densities one unit of time later, with noise.
        noise: Standard deviation of the noise in a pixel.
    """

    wind: float
    x: Array
    y: Array
    noise: float

    @property
    def transform(self) -> Transform:
        """Quarter turns of the grid, on inputs and outputs."""
        return cyclic(4, acts_on="image", output_action="image")

    @property
    def noise_variance(self) -> float:
        """Variance of the noise, summed over pixels."""
        return self.noise**2 * self.x[0].size

    @cached_property
    def error(self) -> float:
        """The data equivariance error e*, by averages over 2000 fresh densities."""
        x = densities(_N_TRUTH, self.x.shape[1], np.random.default_rng(2**31))
        still = self.f_star(x)
        turned = [
            np.rot90(self.f_star(np.rot90(x, k, axes=(1, 2))), -k, axes=(1, 2)) for k in range(4)
        ]
        return float(np.sqrt(np.mean([((t - still) ** 2).sum(axis=(1, 2)) for t in turned])))

    @property
    def symmetry_cost(self) -> float:
        """Excess risk of the best equivariant predictor."""
        return self.error**2 / 2

    def f_star(self, x: Any) -> Array:
        """The truth: the density one unit of time later."""
        density = np.asarray(x, dtype=np.float64)
        size, step = density.shape[1], 1 / _STEPS
        waves = 2 * np.pi * np.fft.fftfreq(size)
        down, right = waves[:, None], waves[None, : size // 2 + 1]
        decay = -_DIFFUSION * (down**2 + right**2) - 1j * self.wind * right
        growth = np.exp(_GROWTH * step)
        for _ in range(_STEPS):  # Strang's splitting: half a step of growth on either side
            density = _grown(density, np.sqrt(growth))
            density = np.fft.irfft2(np.fft.rfft2(density) * np.exp(decay * step), s=(size, size))
            density = _grown(density, np.sqrt(growth))
        return density


def _grown(density: Array, factor: float) -> Array:
    """Return the solution of logistic growth."""
    return factor * density / (1 + density * (factor - 1))


def densities(n: int, size: int, generator: np.random.Generator) -> Array:
    """Return `n` smooth random densities ``(n, size, size)``; their law is invariant."""
    waves = 2 * np.pi * np.fft.fftfreq(size)
    filtered = np.exp(-(_SMOOTH**2) * (waves[:, None] ** 2 + waves[None, :] ** 2) / 2)
    white = np.fft.fft2(generator.normal(size=(n, size, size)))
    smooth = np.fft.ifft2(white * filtered).real
    return 1 / (1 + np.exp(-2 * smooth / np.sqrt((filtered**2).mean())))


def flow_task(
    n: int, *, wind: float = 0.5, noise: float = 0.05, size: int = 16, seed: int = 0
) -> FlowTask:
    """Return a flow task with `n` rows.

    Args:
        n: Rows.
        wind: Speed to the right, in pixels per unit of time.
        noise: Standard deviation of the noise in a pixel.
        size: Pixels along each side.
        seed: Seed of the data.
    """
    generator = np.random.default_rng(check_seed(seed))
    x = densities(n, size, generator)
    task = FlowTask(wind, x, x, noise)
    return FlowTask(wind, x, task.f_star(x) + noise * generator.normal(size=x.shape), noise)
