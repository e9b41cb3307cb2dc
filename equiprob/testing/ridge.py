"""Ridge regressions of several symmetry levels, whose best level is known at every sample size.

The target is linear, ``y = <w_sym, x_sym> + <w_perp, x_perp> + noise``, with x standard normal; the
group flips the sign of x_perp, outputs are invariant. A candidate of level t penalizes w_perp such
that it shrinks by t in the limit of many rows: t = 0 is the invariant regression, t = 1 least
squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.seeds import check_seed

if TYPE_CHECKING:
    import pandas as pd


_LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
_N_TRUTH = 4000
_FINE = 81


@dataclass(frozen=True)
class RidgeTask:
    """A linear target and candidates of several symmetry levels.

    Args:
        symmetric: Coefficients of the invariant part, ``(p_sym,)``.
        asymmetric: Coefficients of the part that flips, ``(p_perp,)``.
        noise: Standard deviation of the targets' noise.
        seed: Seed of all training sets.
    """

    symmetric: Array
    asymmetric: Array
    noise: float
    seed: int

    @property
    def data_error(self) -> float:
        """The data equivariance error e*."""
        return float(np.sqrt(2) * np.linalg.norm(self.asymmetric))

    def runs(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int] = (0, 1, 2),
        levels: Sequence[float] = _LEVELS,
    ) -> pd.DataFrame:
        """Train every candidate at every sample size with every seed.

        Args:
            sizes: Rows of a training set.
            seeds: A seed stands for one training set of each size, the same for all candidates.
            levels: The candidates' shares t of the asymmetric part.

        Returns:
            A row a run: ``candidate``, ``n``, ``seed``, ``risk`` (the expected squared error on
            fresh rows, exactly) and ``error`` (the trained model's equivariance error, exactly).
        """
        import pandas as pd

        rows = []
        for n in sizes:
            for seed in seeds:
                generator = np.random.default_rng([self.seed, n, seed])
                risk, error = self._trained(n, generator, np.asarray(levels), 1)
                rows += [
                    (f"t = {t:g}", n, seed, risk[0, i], error[0, i]) for i, t in enumerate(levels)
                ]
        return pd.DataFrame(rows, columns=["candidate", "n", "seed", "risk", "error"])

    def risk(self, n: int, levels: Sequence[float] = _LEVELS) -> Array:
        """Return the expected risk of each level at n, by many training sets, ``(level,)``."""
        generator = np.random.default_rng([self.seed, n, 2**31])
        return self._trained(n, generator, np.asarray(levels), _N_TRUTH)[0].mean(axis=0)

    def optimal_share(self, n: int) -> float:
        """Return the level t of least expected risk at n."""
        fine = np.linspace(0, 1, _FINE)
        risk = self.risk(n, fine.tolist())
        best = int(np.clip(risk.argmin(), 1, _FINE - 2))
        around = slice(best - 1, best + 2)
        bend, slope, _ = np.polyfit(fine[around] - fine[best], risk[around], 2)
        return float(np.clip(fine[best] - slope / (2 * bend), 0, 1))

    def optimal_level(self, n: int) -> float:
        """Return the optimal model equivariance error at n, that of the design: ``t e*``."""
        return self.optimal_share(n) * self.data_error

    @cached_property
    def _coefficients(self) -> Array:
        return np.concatenate([self.symmetric, self.asymmetric])

    def _trained(
        self, n: int, generator: np.random.Generator, levels: Array, repeats: int
    ) -> tuple[Array, Array]:
        """Return risks and errors ``(repeat, level)`` of ridge regressions on fresh data.

        A regression sees its rows through their second moments alone, which have a Wishart law.
        """
        truth, split = self._coefficients, len(self.symmetric)
        p = len(truth)
        if n <= p + 1:
            raise ValueError(f"the task has {p} coefficients: n must be at least {p + 2}, got {n}")
        root = np.tril(generator.normal(size=(repeats, p, p)), -1)
        root[:, range(p), range(p)] = np.sqrt(generator.chisquare(n - np.arange(p), (repeats, p)))
        noise = self.noise * np.einsum("rij,rj->ri", root, generator.normal(size=(repeats, p))) / n
        gram = root @ root.transpose(0, 2, 1) / n
        target = gram @ truth + noise
        across = np.linalg.solve(gram[:, :split, :split], gram[:, :split, split:])
        alone = np.linalg.solve(gram[:, :split, :split], target[:, :split, None])[..., 0]
        values, vectors = np.linalg.eigh(gram[:, split:, split:] - gram[:, split:, :split] @ across)
        along = np.einsum(
            "rji,rj->ri",
            vectors,
            target[:, split:] - np.einsum("rji,rj->ri", across, target[:, :split]),
        )
        with np.errstate(divide="ignore"):
            penalty = 1 / levels - 1
        shrunk = along[:, None] / (values[:, None] + penalty[:, None])
        asymmetric = np.einsum("rij,rlj->rli", vectors, shrunk)
        symmetric = alone[:, None] - np.einsum("rij,rlj->rli", across, asymmetric)
        excess = ((symmetric - truth[:split]) ** 2).sum(axis=2)
        excess += ((asymmetric - truth[split:]) ** 2).sum(axis=2)
        return self.noise**2 + excess, np.sqrt(2) * np.linalg.norm(asymmetric, axis=2)


def ridge_task(
    seed: int = 0,
    *,
    p_sym: int = 4,
    p_perp: int = 12,
    asymmetry: float | None = None,
    noise: float = 1.0,
) -> RidgeTask:
    """Return a ridge task.

    Args:
        seed: Seed of the coefficients and the training sets.
        p_sym: Coefficients of the invariant part.
        p_perp: Coefficients of the part that flips.
        asymmetry: Mean square of the asymmetric part of the target; between 0.08 and 0.6 by `seed`
            when left out.
        noise: Standard deviation of the targets' noise.
    """
    generator = np.random.default_rng([check_seed(seed), 15])
    size = float(np.exp(generator.uniform(np.log(0.08), np.log(0.6))))
    size = size if asymmetry is None else asymmetry
    symmetric, flipped = generator.normal(size=p_sym), generator.normal(size=p_perp)
    asymmetric = flipped / np.linalg.norm(flipped) * np.sqrt(size)
    return RidgeTask(symmetric, asymmetric, noise, seed)
