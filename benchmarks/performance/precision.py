"""What is an evaluation worth, under which design?

Against independent draws for each row: the variance of a row's mean squared displacement between
designs with other shifts, at the same number of evaluations. Against one list shared by all rows:
what both say of new inputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from benchmarks.performance.models import classifier, cloud_network, matrix, perceptron

Predict = Callable[[Any], Any]

SHARED_SHAPES = ((32, 16), (64, 8), (128, 4))
"""Rows and transformations of the loops that share one list, of about as many passes."""

OUR_ROWS = 272


@dataclass(frozen=True)
class Problem:
    """A model whose error curves are integrated, and at how many transformations a row."""

    name: str
    predict: Predict
    x: np.ndarray
    transform: Any
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Gain:
    """Variance of independent draws over the variance of the quasi design.

    Args:
        name: The problem.
        size: Transformations a row.
        ratio: The estimate.
        low: The lower end of its 95 % interval, by resampling rows.
    """

    name: str
    size: int
    ratio: float
    low: float


def digits() -> tuple[np.ndarray, Predict]:
    """Return small images of digits that were not trained on, and a network trained on others."""
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    data = load_digits()
    images = (data.images / 16).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 60 epochs are enough here
        model = MLPClassifier((64,), max_iter=60, random_state=0)
        model.fit(images[:1200].reshape(1200, -1), data.target[:1200])
    first, last = (jnp.asarray(w, jnp.float32) for w in model.coefs_)
    inner, outer = (jnp.asarray(b, jnp.float32) for b in model.intercepts_)

    def predict(rows: Any) -> Any:
        hidden = jax.nn.relu(rows.reshape(len(rows), -1) @ first + inner)
        return jax.nn.softmax(hidden @ last + outer)

    return images[1200:], predict


def problems(rows: int) -> list[Problem]:
    generator = np.random.default_rng(1)
    images, network = digits()
    large = np.asarray(jax.image.resize(images[:rows], (rows, 28, 28), "cubic"))
    noise = generator.random((rows, 28, 28), dtype=np.float32)
    plane = generator.normal(size=(rows, 16, 2)).astype(np.float32)
    clouds = generator.normal(size=(rows, 16, 3)).astype(np.float32)
    t = ep.transforms
    vectors = t.rotations2d(acts_on="points", output_action="vectors")
    moves = t.product(t.translations(2.0, acts_on="image"), t.rotations2d())

    def hard(rows: Any) -> Any:
        return jax.nn.one_hot(network(rows).argmax(axis=-1), 10) / np.sqrt(2)

    circle = (15, 16, 17)
    return [
        Problem("SO(2), digits, MLP, smooth loss", network, images[:rows], t.rotations2d(), circle),
        Problem("SO(2), digits, MLP, 0/1 loss", hard, images[:rows], t.rotations2d(), circle),
        Problem("SO(2), 28 x 28 digits, CNN", classifier(), large, t.rotations2d(), circle),
        Problem("SO(2), 28 x 28 white noise, CNN", classifier(), noise, t.rotations2d(), circle),
        Problem("SO(2), 16 points, MLP", perceptron(jnp), plane, vectors, circle),
        Problem("SO(3), 16 points, e3nn-jax", cloud_network(), clouds, t.rotations3d(), (16, 24)),
        Problem(
            "shifts of digits",
            network,
            images[:rows],
            t.translations(2.0, acts_on="image"),
            (16, 32),
        ),
        Problem("SO(2) and shifts of digits", network, images[:rows], moves, (16, 32)),
        Problem("SO(2) and shifts, 0/1 loss", hard, images[:rows], moves, (16, 32)),
        Problem("SO(2) and shifts, 28 x 28, CNN", classifier(), large, moves, (16, 32)),
    ]


def rows_again(problem: Problem, size: int, design: str, again: int) -> np.ndarray:
    """Return each row's mean squared displacement under `again` designs, ``(row, design)``."""
    n = len(problem.x)
    table = ep.evaluate_orbits(
        problem.predict,
        np.repeat(problem.x, again, axis=0),
        problem.transform,
        n_transforms=size,
        design=design,
        row_ids=np.arange(n * again),
        keep="rows",
        progress=False,
    )
    return table.only.pair_sq.reshape(n, again)


def gain(problem: Problem, size: int, again: int) -> Gain:
    """Compare the two designs at one number of transformations."""
    found = [rows_again(problem, size, kind, again) for kind in ("random", "quasi")]
    independent, quasi = (values.var(axis=1, ddof=1) for values in found)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(quasi), (2000, len(quasi)))
    ratios = independent[rows].mean(axis=1) / quasi[rows].mean(axis=1)
    ratio = float(independent.mean() / quasi.mean())
    return Gain(problem.name, size, ratio, float(np.quantile(ratios, 0.05)))


@dataclass(frozen=True)
class NewInputs:
    """What one design says of the error on new inputs, over many samples.

    Args:
        rows: Rows of a sample.
        transforms: Transformations of each row.
        coverage: How often nominal 95 % intervals of the mean squared error held it.
        rmse: Root mean squared error of the estimate.
        width: Mean width of the intervals.
        samples: How many samples.
    """

    rows: int
    transforms: int
    coverage: float
    rmse: float
    width: float
    samples: int

    @property
    def passes(self) -> int:
        """Model evaluations, f(x) once for each row."""
        return self.rows * (self.transforms + 1)

    def passes_over(self, other: NewInputs) -> float:
        """Return how many times the passes of another it takes for the same squared error."""
        return self.rmse**2 * self.passes / (other.rmse**2 * other.passes)


def new_inputs(samples: int) -> tuple[list[NewInputs], NewInputs]:
    """Repeat all on fresh rows and transformations: 16 points of the plane, a NumPy model.

    Returns:
        What is found of loops with a shared list, and of rows with one transformation each.
    """
    from scipy import stats

    network = perceptron(np)
    generator = np.random.default_rng(2)
    turn = ep.transforms.rotations2d(acts_on="points", output_action="vectors")

    def points(n: int) -> np.ndarray:
        # Clouds with an orientation in common, as in real data.
        stretched = (
            generator.normal(size=(n, 16, 2)) * [1.0, 0.3] * generator.gamma(4, 0.25, (n, 1, 1))
        )
        return stretched.astype(np.float32)

    def squares(x: np.ndarray, angle: float) -> np.ndarray:
        return ((network(x @ matrix(angle).T) @ matrix(angle) - network(x)) ** 2).sum(axis=1)

    many = points(20_000)
    truth = float(np.mean([squares(many, a).mean() for a in 2 * np.pi * np.arange(31) / 31]))

    def shared(n: int, size: int) -> tuple[float, float, float]:
        x = points(n)
        angles = generator.uniform(-np.pi, np.pi, size)
        rows = np.mean([squares(x, angle) for angle in angles], axis=0)
        half = stats.t.ppf(0.975, n - 1) * rows.std(ddof=1) / np.sqrt(n)
        return rows.mean(), rows.mean() - half, rows.mean() + half

    def own(seed: int) -> tuple[float, float, float]:
        table = ep.evaluate_orbits(
            network, points(OUR_ROWS), turn, n_transforms=1, seed=seed, keep="rows", progress=False
        )
        draws = ep.ModelEquivarianceError().fit(table).draws["error"] ** 2
        low, high = np.quantile(draws, [0.025, 0.975])
        return table.only.pair_sq.mean(), float(low), float(high)

    def summed(n: int, size: int, each: list[tuple[float, float, float]]) -> NewInputs:
        middle, low, high = np.array(each).T
        inside = (low <= truth) & (truth <= high)
        rmse = float(np.sqrt(((middle - truth) ** 2).mean()))
        return NewInputs(n, size, float(inside.mean()), rmse, float((high - low).mean()), samples)

    loops = [summed(*k, [shared(*k) for _ in range(samples)]) for k in SHARED_SHAPES]
    return loops, summed(OUR_ROWS, 1, [own(seed) for seed in range(samples)])


def fit_seconds(rows: int, repeats: int) -> tuple[float, float]:
    """Return the processor seconds of the first fit of a table and of a later one."""
    x = np.random.default_rng(3).normal(size=(rows, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d(acts_on="vectors", output_action="vectors")
    table = ep.evaluate_orbits(
        lambda batch: jnp.tanh(batch), x, turn, n_transforms=4, keep="rows", batch_size=4096
    )
    spent = []
    for _ in range(repeats + 1):
        began = time.process_time()
        ep.ModelEquivarianceError().fit(table).draws["error"]
        spent.append(time.process_time() - began)
    return spent[0], float(np.median(spent[1:]))
