"""Problems with known truth: laws of rows, designs and models, and what each interval should hold.

Rows differ from the light-tailed ones that a method is easily designed on: heavy tails, rare
failures, clusters, 0/1 errors, tiny samples, exact symmetry and none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

import equiprob as ep
from equiprob.posterior.weights import exponential_weights
from equiprob.testing import commuting_part

Array = NDArray[np.float64]
N_DRAWS = 1000
NOISE = 0.5
CALL_NOISE = 0.3
N_TRANSFORMS = 7
N_SHARED = 32


@dataclass(frozen=True)
class Law:
    """A law of the rows' squared size, with mean 1.

    Args:
        name: What the page calls it.
        draw: Squared sizes of n rows.
        n_groups: Rows come in this many groups of equal size, or are independent.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Array]
    n_groups: int | None = None


@dataclass(frozen=True)
class Outcome:
    """One interval's draws and what they should hold.

    Args:
        quantity: The name of the draws.
        draws: ``(draw,)``.
        truth: The population's value.
        plain: Draws of the plain bootstrap, where there is one to compare widths with.
        side: ``"lower"`` and ``"upper"`` for bounds, which hold on one side.
    """

    quantity: str
    draws: Array
    truth: float
    plain: Array | None = None
    side: str = "both"


@dataclass(frozen=True)
class Score:
    """One number and what it should be.

    Args:
        quantity: Its name.
        value: The number, such as a probability.
        truth: 1 or 0: whether what it is the probability of is the case.
    """

    quantity: str
    value: float
    truth: float


def log_normal(sd: float) -> Callable[[np.random.Generator, int], Array]:
    return lambda g, n: np.exp(sd * g.normal(size=n) - sd**2 / 2)


def rare(g: np.random.Generator, n: int) -> Array:
    return np.where(g.random(n) < 0.03, 50.0, 1.0) / (0.97 + 0.03 * 50)


def clusters(g: np.random.Generator, n: int) -> Array:
    return np.repeat(g.chisquare(2, 10) / 2, -(-n // 10))[:n]


GAUSSIAN = Law("Gaussian inputs", lambda g, n: g.chisquare(2, n) / 2)
LAWS = (
    GAUSSIAN,
    Law("log-normal, log-sd 0.8", log_normal(0.8)),
    Law("log-normal, log-sd 1.5", log_normal(1.5)),
    Law("bounded", lambda g, n: 2 * g.random(n)),
    Law("3 % failures, 50 times larger", rare),
    Law("10 clusters", clusters, n_groups=10),
)


@dataclass(frozen=True)
class Data:
    """One simulated sample: inputs, targets and the matrices of the model and of the truth."""

    x: Array
    y: Array
    groups: NDArray[np.int64] | None
    matrix: Array
    common: Array
    optimum: float

    @property
    def asymmetry(self) -> float:
        return float(((self.matrix - self.common) ** 2).sum())

    def risk(self, position: float) -> float:
        """Return the risk of the blend of the model with its average at a position."""
        return (position - self.optimum) ** 2 * self.asymmetry + 2 * NOISE**2

    def loss(self, matrix: Array) -> float:
        """Return the risk of another linear model."""
        target = self.common + self.optimum * (self.matrix - self.common)
        return float(((matrix - target) ** 2).sum()) + 2 * NOISE**2


def simulate(law: Law, n: int, seed: int) -> Data:
    generator = np.random.default_rng([seed, n])
    matrix = generator.normal(size=(2, 2))
    common, optimum = commuting_part(matrix), (0.0, 0.4, 1.0)[seed % 3]
    direction = generator.normal(size=(n, 2))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    x = direction * np.sqrt(2 * law.draw(generator, n))[:, None]
    y = x @ (common + optimum * (matrix - common)) + NOISE * generator.normal(size=(n, 2))
    groups = None if law.n_groups is None else np.arange(n) // -(-n // law.n_groups)
    return Data(x, y, groups, matrix, common, optimum)


def evaluate(data: Data, matrix: Array, design: str, seed: int) -> ep.OrbitTable:
    return ep.evaluate_orbits(
        lambda batch: batch @ matrix,
        data.x,
        ep.transforms.rotations2d(acts_on="vectors", output_action="vectors"),
        y=data.y,
        n_transforms=N_SHARED if design == "crossed" else N_TRANSFORMS,
        design=design,
        seed=seed,
        groups=data.groups,
        backend="python",
    )


def plain_bootstrap(table: ep.OrbitTable) -> Array:
    """Return draws of the mean squared error by the Bayesian bootstrap alone."""
    units, place = np.unique(table.unit_ids, return_inverse=True)
    columns = np.column_stack([np.bincount(place, table.only.pair_sq), np.bincount(place)])
    sums = exponential_weights(units, N_DRAWS, seed=0).T.astype(np.float64) @ columns
    return np.sqrt(np.maximum(sums[:, 0] / sums[:, 1], 0.0))


def linear(law: Law, design: str, n: int, seed: int) -> Iterator[Outcome]:
    """A linear model of the plane under all rotations: one fit of everything that takes a table."""
    data = simulate(law, n, seed)
    table = evaluate(data, data.matrix, design, seed)
    result = ep.ModelEquivarianceError(n_draws=N_DRAWS).fit(table)
    draws, error = result.draws, np.sqrt(2 * data.asymmetry)
    plain = None if design == "crossed" else plain_bootstrap(table)
    yield Outcome("error", draws["error"], error, plain)
    size = float((data.matrix**2).sum())
    yield Outcome("relative_error", draws["relative_error"], error / np.sqrt(size))
    if design == "crossed":
        angles = table.parameters()[0, :, 0]
        profile = 2 * np.abs(np.sin(np.sort(np.abs(angles)))) * np.sqrt(data.asymmetry)
        yield Outcome("worst_error", draws["worst_error"], profile.max())
        yield Outcome("profile", draws["profile"][:, N_SHARED // 2], profile[N_SHARED // 2])
        return
    # Displacements of 2 |sin(angle)|, averaged over the sixth of the twelve bins of angles.
    low, high = np.pi * 5 / 12, np.pi * 6 / 12
    mean_sq = 2 - (np.sin(2 * high) - np.sin(2 * low)) / (high - low)
    yield Outcome("profile", draws["profile"][:, 5], np.sqrt(mean_sq * data.asymmetry))
    share = (data.risk(1) - data.risk(0)) / data.risk(1)
    yield Outcome("asymmetry_share", draws["asymmetry_share"], share)
    level = ep.SymmetryLevel(n_draws=N_DRAWS).fit(table)
    truth = f"truth {data.optimum:g}"
    yield Outcome(f"position, {truth}", level.draws["position"], data.optimum)
    saved = data.risk(1) - data.risk(level.shipped_position)
    yield Outcome(f"risk_saved, {truth}", level.draws["risk_saved"], saved)


def differences(law: Law, n: int, seed: int) -> Iterator[Outcome]:
    """Two linear models on the same rows: the difference of their risks."""
    data = simulate(law, n, seed)
    other = data.matrix + 0.5 * np.random.default_rng([seed, n, 1]).normal(size=(2, 2))
    tables = {
        name: evaluate(data, matrix, "quasi", seed)
        for name, matrix in (("one", data.matrix), ("other", other))
    }
    comparison = ep.compare(tables, n_draws=N_DRAWS)
    risk = dict(zip(comparison.candidates, comparison.draws["risk"].T, strict=True))
    truth = {"one": data.loss(data.matrix), "other": data.loss(other)}
    yield Outcome("difference", risk["other"] - risk["one"], truth["other"] - truth["one"])
    for name in risk:
        yield Outcome("risk", risk[name], truth[name])


def zero_one(share: float, n: int, seed: int) -> Iterator[Outcome]:
    """A classifier that changes its mind on some rows when they are mirrored; the full orbit."""
    generator = np.random.default_rng([seed, n])
    fragile = generator.random(n) < share
    x = np.column_stack([generator.random(n) + 0.1, fragile])
    mirrored = ep.transforms.finite([np.eye(2), np.diag([-1.0, 1.0])], acts_on="vectors")
    table = ep.evaluate_orbits(
        lambda b: ((b[:, 0] < 0) & (b[:, 1] > 0)).astype(float), x, mirrored, backend="python"
    )
    error = ep.ModelEquivarianceError(n_draws=N_DRAWS).fit(table).draws["error"]
    yield Outcome("error", error, np.sqrt(share / 2), plain_bootstrap(table))


def exact(n: int, seed: int) -> Iterator[Outcome]:
    """An exactly equivariant model: the finding is "up to rounding"; its truth counts as covered
    when it is made."""
    data = simulate(GAUSSIAN, n, seed)
    result = ep.ModelEquivarianceError(n_draws=N_DRAWS).fit(
        evaluate(data, data.common, "quasi", seed)
    )
    yield Outcome("found exact", np.array([float(result.is_exact)] * 2), 1.0)


def stochastic(n: int, seed: int) -> Iterator[Outcome]:
    """A linear model whose calls differ, each called three times."""
    data = simulate(GAUSSIAN, n, seed)
    noise = np.random.default_rng([seed, n, 2])
    table = ep.evaluate_orbits(
        lambda batch: batch @ data.matrix + CALL_NOISE * noise.normal(size=batch.shape),
        data.x,
        ep.transforms.rotations2d(acts_on="vectors", output_action="vectors"),
        n_transforms=N_TRANSFORMS,
        seed=seed,
        noise_repeats=3,
    )
    draws = ep.ModelEquivarianceError(n_draws=N_DRAWS).fit(table).draws
    error = np.sqrt(2 * data.asymmetry)
    yield Outcome("error", draws["error"], error)
    size = float((data.matrix**2).sum())
    yield Outcome("relative_error", draws["relative_error"], error / np.sqrt(size))


def local(law: Law, n: int, seed: int) -> Iterator[Outcome]:
    """The Lie derivative of a linear model along the generator of rotations."""
    data = simulate(law, n, seed)
    result = ep.LocalEquivarianceError(n_draws=N_DRAWS).fit(
        lambda batch: batch @ data.matrix,
        data.x,
        ep.transforms.rotations2d(acts_on="vectors", output_action="vectors"),
        groups=data.groups,
    )
    truth = 2 * np.sqrt(data.asymmetry)  # |W A - A W| for the generator A of the plane
    yield Outcome("local_error", result.draws["local_error"][:, 0, 0], truth)


def hierarchical(smooth: bool, n: int, seed: int) -> Iterator[Outcome]:
    """The NumPyro posterior of a crossed design."""
    data = simulate(GAUSSIAN, n, seed)
    table = evaluate(data, data.matrix, "crossed", seed)
    posterior = ep.posteriors.Hierarchical(smooth=smooth, num_chains=2)
    draws = ep.ModelEquivarianceError(posterior=posterior, n_draws=N_DRAWS).fit(table).draws
    yield Outcome("error", draws["error"], np.sqrt(2 * data.asymmetry))
    angles = table.parameters()[0, :, 0]
    profile = 2 * np.abs(np.sin(np.sort(np.abs(angles)))) * np.sqrt(data.asymmetry)
    yield Outcome("worst_error", draws["worst_error"], profile.max())
    yield Outcome("profile", draws["profile"][:, N_SHARED // 2], profile[N_SHARED // 2])


def prior_ranks(smooth: bool, n: int, seed: int) -> Iterator[Outcome]:
    """Simulation-based calibration: parameters from the prior, data from the parameters.

    `n` sets the standard error that rows leave, 1 / sqrt(n).
    """
    posterior = ep.posteriors.Hierarchical(smooth=smooth, num_chains=2)
    curves = posterior.curves((np.arange(N_SHARED) + 0.5) / N_SHARED)
    generator = np.random.default_rng([seed, n])
    mu, tau = 1 + generator.normal(), abs(generator.normal())
    slopes = generator.normal(size=curves.shape[1])
    each = mu + curves @ slopes + tau * generator.normal(size=N_SHARED)
    noise = 1 / np.sqrt(n)
    relative = each + noise * generator.normal(size=N_SHARED)
    draws = posterior.sample(relative, noise, curves, n_draws=N_DRAWS, seed=seed).draws
    yield Outcome("SBC: mu", draws["mu"], mu)
    yield Outcome("SBC: tau", draws["tau"], tau)
    yield Outcome("SBC: largest effect", draws["each"].max(axis=1), each.max())
    if smooth:
        yield Outcome("SBC: first slope", draws["slopes"][:, 0], slopes[0])


Problem = Callable[[int, int], Iterator[Outcome | Score]]

PROBLEMS: dict[str, Problem] = {
    **{law.name: partial(linear, law, "quasi") for law in LAWS},
    "0/1 errors in 10 % of rows": partial(zero_one, 0.1),
    "exactly equivariant": exact,
    "independent draws": partial(linear, GAUSSIAN, "random"),
    "crossed with 32": partial(linear, GAUSSIAN, "crossed"),
    "crossed with 32, log-normal 0.8": partial(linear, LAWS[1], "crossed"),
    "stochastic model, 3 calls": stochastic,
    **{f"local error, {law.name}": partial(local, law) for law in LAWS},
    "hierarchical, crossed with 32": partial(hierarchical, False),
    "hierarchical, smooth": partial(hierarchical, True),
    "hierarchical, from its prior": partial(prior_ranks, False),
    "hierarchical, smooth, from its prior": partial(prior_ranks, True),
    **{f"two models, {law.name}": partial(differences, law) for law in LAWS},
}
"""Problems by name: each takes a number of rows and a seed."""
