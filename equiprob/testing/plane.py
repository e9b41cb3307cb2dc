"""Problems of the plane under rotations, whose truth is a formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.array_types import Array
from equiprob.arguments.seeds import check_seed
from equiprob.transforms import Transform, rotations2d


def commuting_part(matrix: Array) -> Array:
    """Return the part of a 2 x 2 matrix that commutes with all rotations of the plane."""
    along = (matrix[0, 0] + matrix[1, 1]) / 2
    across = (matrix[0, 1] - matrix[1, 0]) / 2
    return np.array([[along, across], [-across, along]])


@dataclass(frozen=True)
class LinearTask:
    """A linear model of the plane under rotations acting on both sides.

    The model is ``f(x) = x (C + P)`` and the target ``x (C + optimum * P) + noise``, with C the
    part that commutes with rotations; ``S f(x) = x C``. With isotropic x of unit variance, ``e_f^2
    = 2 |P|^2`` in the Frobenius norm and the best blend of the model with its average keeps the
    share `optimum`.

    Args:
        matrix: The model's matrix, ``(2, 2)``.
        optimum: The share of the asymmetric part that the target has.
        x: Inputs ``(row, 2)``.
        y: Targets ``(row, 2)``.
    """

    matrix: Array
    optimum: float
    x: Array
    y: Array

    @property
    def predict(self) -> Callable[[Any], Any]:
        """The model."""
        return lambda batch: batch @ self.matrix

    @property
    def transform(self) -> Transform:
        """All rotations, on inputs and outputs."""
        return rotations2d(acts_on="vectors", output_action="vectors")

    @property
    def asymmetry(self) -> float:
        """``|f_perp|^2``, the squared size of the part that averaging removes."""
        return float(((self.matrix - commuting_part(self.matrix)) ** 2).sum())

    @property
    def error(self) -> float:
        """The equivariance error over the population of inputs."""
        return float(np.sqrt(2 * self.asymmetry))

    def risk_saved(self, position: float) -> float:
        """Return the risk that the blend at a position saves against the model as it is."""
        before, after = 1 - self.optimum, position - self.optimum
        return self.asymmetry * (before**2 - after**2)


def linear_task(n: int, *, optimum: float = 0.0, noise: float = 0.5, seed: int = 0) -> LinearTask:
    """Return a linear task with `n` rows of Gaussian inputs.

    Args:
        n: Rows.
        optimum: The share of the model's asymmetric part that the target has.
        noise: Standard deviation of the targets' noise.
        seed: Seed of the model and the data.
    """
    generator = np.random.default_rng(check_seed(seed))
    matrix = generator.normal(size=(2, 2))
    common = commuting_part(matrix)
    x = generator.normal(size=(n, 2))
    y = x @ (common + optimum * (matrix - common)) + noise * generator.normal(size=(n, 2))
    return LinearTask(matrix, optimum, x, y)


@dataclass(frozen=True)
class DiscTask:
    """A function on the unit disc with a chosen amount of asymmetry, observed with noise.

    ``f*(r, phi) = 2 r^2 - 1 + amplitude * r * cos(phi)``, the inputs uniform on the disc (their law
    is invariant), all rotations on the inputs, outputs invariant. Averaging removes the second
    term, of mean square ``amplitude^2 / 4``.

    Args:
        amplitude: Of the asymmetric term.
        x: Inputs ``(row, 2)``.
        y: Targets ``(row,)``.
        noise: Standard deviation of the targets' noise.
    """

    amplitude: float
    x: Array
    y: Array
    noise: float

    @property
    def transform(self) -> Transform:
        """All rotations of the inputs."""
        return rotations2d(acts_on="vectors")

    @property
    def error(self) -> float:
        """The data equivariance error e*."""
        return abs(self.amplitude) / np.sqrt(2)

    @property
    def symmetry_cost(self) -> float:
        """Excess risk of the best invariant function."""
        return self.amplitude**2 / 4

    @property
    def noise_variance(self) -> float:
        """Variance of the noise."""
        return self.noise**2

    def f_star(self, x: Any) -> Any:
        """The truth."""
        return 2 * (x[:, 0] ** 2 + x[:, 1] ** 2) - 1 + self.amplitude * x[:, 0]


def disc_task(n: int, *, amplitude: float = 0.8, noise: float = 0.2, seed: int = 0) -> DiscTask:
    """Return a disc task with `n` rows.

    Args:
        n: Rows.
        amplitude: Of the asymmetric term; 0 makes the task exactly symmetric.
        noise: Standard deviation of the targets' noise.
        seed: Seed of the data.
    """
    generator = np.random.default_rng(check_seed(seed))
    x = _disc(n, generator)
    task = DiscTask(amplitude, x, np.zeros(n), noise)
    return DiscTask(amplitude, x, task.f_star(x) + noise * generator.normal(size=n), noise)


def _disc(n: int, generator: np.random.Generator) -> Array:
    """Return points uniform on the unit disc, whose law is invariant."""
    radius, angle = np.sqrt(generator.random(n)), generator.uniform(-np.pi, np.pi, n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class FieldTask:
    """A vector field on the unit disc, a vortex with a chosen amount of strain.

    ``f*(x) = (1 - |x|^2) x + J x + amplitude * (x_1, -x_2)``, J the quarter turn. Rotations turn
    inputs and outputs; the strain is the part that averaging removes, of mean square ``amplitude^2
    / 2``.

    Args:
        amplitude: Of the strain.
        x: Inputs ``(row, 2)``, uniform on the disc.
        y: Targets ``(row, 2)``.
        noise: Standard deviation of the noise in each component.
    """

    amplitude: float
    x: Array
    y: Array
    noise: float

    @property
    def transform(self) -> Transform:
        """All rotations of inputs and outputs."""
        return rotations2d(acts_on="vectors", output_action="vectors")

    @property
    def error(self) -> float:
        """The data equivariance error e*."""
        return abs(self.amplitude)

    @property
    def symmetry_cost(self) -> float:
        """Excess risk of the best equivariant field."""
        return self.amplitude**2 / 2

    @property
    def noise_variance(self) -> float:
        """Variance of the noise, summed over components."""
        return 2 * self.noise**2

    def f_star(self, x: Any) -> Any:
        """The truth."""
        squared = (x**2).sum(axis=1)[:, None]
        vortex = x @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        return (1 - squared) * x + vortex + self.amplitude * x * np.array([1.0, -1.0])


def field_task(n: int, *, amplitude: float = 0.5, noise: float = 0.2, seed: int = 0) -> FieldTask:
    """Return a vector-field task with `n` rows.

    Args:
        n: Rows.
        amplitude: Of the asymmetric term; 0 makes the task exactly symmetric.
        noise: Standard deviation of the noise in each component.
        seed: Seed of the data.
    """
    generator = np.random.default_rng(check_seed(seed))
    x = _disc(n, generator)
    task = FieldTask(amplitude, x, x, noise)
    return FieldTask(amplitude, x, task.f_star(x) + noise * generator.normal(size=x.shape), noise)


@dataclass(frozen=True)
class LabelTask:
    """Two classes on the unit disc, whose probabilities depend on radius and direction.

    ``P(1 | x) = 1/2 + (2 |x|^2 - 1) / 5 + amplitude * x_1``. With the probabilities of both classes
    as the truth, averaging over rotations removes a part of mean square ``amplitude^2 / 2``.

    Args:
        amplitude: Of the asymmetric term, at most 0.3.
        x: Inputs ``(row, 2)``, uniform on the disc.
        y: Labels ``(row,)``, 0 or 1.
    """

    amplitude: float
    x: Array
    y: NDArray[np.int64]

    @property
    def transform(self) -> Transform:
        """All rotations of the inputs."""
        return rotations2d(acts_on="vectors")

    @property
    def error(self) -> float:
        """The data equivariance error e* of the class probabilities."""
        return abs(self.amplitude)

    @property
    def symmetry_cost(self) -> float:
        """Excess Brier score of the best invariant classifier."""
        return self.amplitude**2 / 2

    @property
    def noise_variance(self) -> float:
        """Brier score of the truth: the variance of the label's one-hot code."""
        return float(0.5 - 2 * (1 / 75 + self.amplitude**2 / 4))

    def f_star(self, x: Any) -> Any:
        """The truth: the probabilities of both classes, ``(row, 2)``."""
        one = 0.5 + (2 * (x**2).sum(axis=1) - 1) / 5 + self.amplitude * x[:, 0]
        return np.stack([1 - one, one], axis=1)


def label_task(n: int, *, amplitude: float = 0.2, seed: int = 0) -> LabelTask:
    """Return a classification task with `n` rows.

    Args:
        n: Rows.
        amplitude: Of the asymmetric term; 0 makes the task exactly symmetric.
        seed: Seed of the data.

    Raises:
        ValueError: If the amplitude would take probabilities outside [0, 1].
    """
    if abs(amplitude) > 0.3:
        raise ValueError(f"amplitude must lie between -0.3 and 0.3, got {amplitude}")
    generator = np.random.default_rng(check_seed(seed))
    x = _disc(n, generator)
    one = LabelTask(amplitude, x, np.zeros(n, dtype=np.int64)).f_star(x)[:, 1]
    return LabelTask(amplitude, x, (generator.random(n) < one).astype(np.int64))
