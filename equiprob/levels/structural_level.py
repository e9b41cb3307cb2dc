"""How much symmetry is best at n rows, before any model is trained?

Too much symmetry costs what the task does not have of it; too little costs rows (Petrache &
Trivedi). With the posterior of the task itself, from a Gaussian process, the trade-off can be
computed for an estimator whose symmetry has a dial: kernel ridge regression with ``k_sym + tau
k_perp``, exactly symmetric at ``tau = 0``. Its expected excess risk at n rows is a formula
(`equiprob.levels.ridge_curve`), minimized in every draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.checked import checked
from equiprob.bounds.base import GapProblem, at_sizes
from equiprob.bounds.transport import Transport
from equiprob.levels.joint_ridge_curve import TAUS, RowsAtHand, best_joint_ridge
from equiprob.levels.ridge_curve import RIDGES, Spectrum, best_ridge
from equiprob.posterior.diagnostics import Diagnostic, worst_first
from equiprob.posterior.facts import Facts
from equiprob.posterior.results import (
    AbstractEstimator,
    AbstractResult,
    credible_interval,
    details_of,
)
from equiprob.task.data_error import DataEquivarianceErrorResult
from equiprob.task.methods.base import Case

_MULTIPLES = 2.0 ** np.arange(-3, 4)
"""Numbers of rows looked at, over those of the data."""

_FEWEST_ROWS = 10
"""With fewer rows the formula of the excess risk is off by a fifth and more."""

_MOST_ROWS = 1e12
"""Up to here sufficient numbers of rows are looked for."""

_UNITS = {
    "level": "output units",
    "tau": "ratio of amplitudes",
    "excess_risk": "risk",
    "harm": "risk",
    "risk": "risk",
    "level_at_ridge": "output units",
    "data_error": "output units",
}


_DIMS: dict[str, tuple[str, ...]] = {
    "level": ("n",),
    "tau": ("n",),
    "excess_risk": ("n",),
    "harm": ("n",),
    "risk": ("asymmetric_ridge", "n"),
    "level_at_ridge": ("asymmetric_ridge", "n"),
}

_ENTANGLED = _DIMS | {"risk": ("amplitude", "n")}
"""The same where the law of the inputs is not invariant."""


@dataclass(frozen=True, kw_only=True)
class StructuralLevelFacts(Facts):
    """What travels with a structural level.

    Args:
        transform: The transform.
        weight_seed: Of the rows' weights.
        n_rows: Rows used.
        noise_sd: Standard deviation of the noise of targets.
    """

    transform: str
    weight_seed: int
    n_rows: int
    noise_sd: float


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class StructuralLevelResult(AbstractResult):
    """Posterior of the optimal symmetry level at each n; made by `StructuralLevel.fit`.

    Args:
        certificate: What `sufficient_n` computes with (not saved with the result).
    """

    facts: StructuralLevelFacts = field(repr=False)

    certificate: Any = field(default=None, repr=False)

    @checked
    def p_exact(self, n: float) -> float:
        """Return the probability that exact symmetry is best at a number of rows.

        Raises:
            ValueError: If the result was not fitted at this number.
        """
        return float((self.draws["tau"][:, self._place(n)] == 0).mean())

    @checked
    def sufficient_n(self, level: float, other: float) -> Array:
        """Return draws ``(draw,)`` of a number of rows from which a level beats another for sure.

        The empirical risk minimizer over predictors whose outputs move by at most `level` under the
        transformations then has less expected risk than any predictor of equivariance error
        `other` can have: its excess risk is at most the approximation error plus the cost of
        transport, the other's at least ``(e* - other)^2 / 2``. The number is far from necessary,
        and infinite where this never happens. Beyond the rows of the data the cost is forecast.

        Args:
            level: Largest change of outputs under the transformations, in output units; at least 0.
            other: A smaller equivariance error, below that of the task.

        Assumptions:
            Transformations are isometries, and the truth itself belongs to the class: it is no
            steeper than the Lipschitz constant and no residual is larger than the largest.

        Raises:
            ValueError: If the levels are not in order, the law of the inputs is not invariant, the
                result was loaded from a file, or the bound lacks a Lipschitz constant.
        """
        if self.is_entangled:
            raise ValueError(
                "what a level costs any predictor is not identified where moved inputs are not as "
                "likely as the inputs; p_exact and harm speak of kernel ridge regression"
            )
        if not 0 <= other < level:
            raise ValueError(
                f"other must be at least 0 and below level, got level={level}, other={other}: only "
                f"what is less symmetric can be shown to win, by what symmetry costs the other"
            )
        if self.certificate is None:
            raise ValueError(
                "a result loaded from a file does not hold the rows; fit it again to find "
                "sufficient numbers of rows"
            )
        return self.certificate.sufficient_n(level, other)

    @property
    def is_entangled(self) -> bool:
        """Whether the law of the inputs is not known to be invariant."""
        return "level" not in self.draws

    def _place(self, n: float) -> int:
        places = np.flatnonzero(self.coords["n"] == n)
        if not len(places):
            known = ", ".join(f"{v:.0f}" for v in self.coords["n"])
            raise ValueError(f"n must be one of {known}, got {n}; pass n= to StructuralLevel")
        return int(places[0])

    def summary(self, ci_prob: Any = None, ci_kind: Any = None) -> Any:
        """Return the table of `AbstractResult.summary`, without the curves over ridges."""
        table = super().summary(ci_prob, ci_kind)
        return table[~table.index.str.startswith(("risk[", "level_at_ridge["))]

    def __str__(self) -> str:
        """Say what was found."""
        if self.is_entangled:
            return self._entangled + self.cautions
        low, high = credible_interval(self.draws["data_error"], 0.9)
        text = (
            f"The task's own equivariance error under {self.facts.transform} is "
            f"{np.median(self.draws['data_error']):.3g} (90% credible interval {low:.3g} to "
            f"{high:.3g}). Kernel ridge regression does best"
        )
        n = self.coords["n"]
        parts = []
        for place in self._shown:
            draws = self.draws["level"][:, place]
            low, high = credible_interval(draws, 0.9)
            parts.append(
                f" at {n[place]:.0f} rows with a model error of {np.median(draws):.3g} ({low:.3g} "
                f"to {high:.3g}; exactly symmetric with probability {self.p_exact(n[place]):.2f})"
            )
        return text + ",".join(parts) + "." + self.cautions

    @property
    def _shown(self) -> list[int]:
        """Places of the numbers of rows that are spoken of: the least, the data's, the most."""
        n = self.coords["n"]
        nearest = int(np.argmin(np.abs(n - self.facts.n_rows)))
        return sorted({0, nearest, len(n) - 1})

    @property
    def _entangled(self) -> str:
        """Say what was found where the law of the inputs is not invariant."""
        text = (
            f"Inputs moved by {self.facts.transform} are not known to be as likely as the "
            "inputs, so that symmetric and asymmetric parts are correlated. Kernel ridge "
            "regression does best"
        )
        parts = []
        for place in self._shown:
            low, high = credible_interval(self.draws["harm"][:, place], 0.9)
            n = self.coords["n"][place]
            parts.append(
                f" at {n:.0f} rows exactly symmetric with probability {self.p_exact(n):.2f} (exact "
                f"symmetry harms by {np.median(self.draws['harm'][:, place]):.3g} in risk, "
                f"{low:.3g} to {high:.3g})"
            )
        return text + ",".join(parts) + "."


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class StructuralLevel(AbstractEstimator):
    """Find the symmetry level of least expected risk at n rows, from data alone.

    Args:
        n: Numbers of training rows, at least 10; an eighth to eight times those of the data when
            left out.
        bound: The transport bound of the certificate, `StructuralLevelResult.sufficient_n`: state
            what you promise of the class, ``predictors=ep.bounds.PredictorClass(lipschitz=...)``
            and ``loss=ep.bounds.SquaredError(largest_residual=...)``.

    Assumptions:
        Those of `methods.GaussianProcess`: a group's own law, normal noise. Where the law of the
        inputs is not invariant the level is withheld, and amplitudes are compared on the rows
        themselves. The estimator is kernel ridge
        regression whose kernels are those of the process at their most probable length scales, the
        ridge at its best; a network's optimum may lie elsewhere, and goes the same way with n.
        Beyond the rows of the data finer detail of the task than they show is not there.

    References:
        Petrache & Trivedi, NeurIPS 2023 (the trade-off); Canatar et al., Nature Communications 2021
        (the risk of kernel ridge regression).
    """

    n: Sequence[float] | None = None
    bound: Transport = field(default_factory=Transport)

    def __post_init__(self) -> None:
        """Check the numbers of rows and the bound."""
        super().__post_init__()
        if not isinstance(self.bound, Transport):
            raise TypeError(f"bound must be ep.bounds.Transport(...), got {self.bound!r}")
        if self.n is not None:
            n = np.atleast_1d(as_numbers("n", self.n))
            if n.ndim != 1 or not n.size or not (np.isfinite(n) & (n >= _FEWEST_ROWS)).all():
                raise ValueError(
                    f"n must be numbers of rows, at least {_FEWEST_ROWS}, got {self.n!r}"
                )

    def fit(
        self, data_error: DataEquivarianceErrorResult, geometry: Any = None
    ) -> StructuralLevelResult:
        """Minimize the expected risk in every draw of the task.

        Args:
            data_error: The task's error by ``methods.GaussianProcess()``.
            geometry: The result of ``ep.Geometry``, whose slopes stand for the Lipschitz constant
                of the certificate where none is stated.

        Returns:
            Draws of ``level``, the equivariance error of the model of least expected risk, ``tau``,
            its amplitude, ``excess_risk``, and ``harm``, what exact symmetry adds to it,
            ``(draw, n)``; of ``risk`` and ``level_at_ridge``
            ``(draw, asymmetric_ridge, n)``, the excess risk and the equivariance error where the
            asymmetric part has another effective ridge; and of ``data_error`` over the rows. Where
            the law of the inputs is not invariant ``level``, ``level_at_ridge`` and ``data_error``
            are withheld, and ``risk`` is at each ``amplitude``, ``(draw, amplitude, n)``; ``harm``
            is then what rows lose that are held out (docs/structural_level.md).

        Raises:
            ValueError: If the data error is not from a Gaussian process, or was loaded from a file.
        """
        process = data_error.process
        if process is None:
            raise ValueError(
                f"the level is found from the posterior of the task itself, which "
                f"{data_error.facts.method} does not have (nor has a result loaded from a "
                f"file): fit DataEquivarianceError(method=ep.methods.GaussianProcess())"
            )
        truth = process.draws(self.n_draws, np.random.default_rng([self.weight_seed, 29]))
        n_rows, k = truth.symmetric.shape[1:]
        n = np.round(_MULTIPLES * n_rows) if self.n is None else np.asarray(self.n, np.float64)
        n = np.unique(np.atleast_1d(n)[np.atleast_1d(n) >= _FEWEST_ROWS])
        kernels = process.likely_kernels
        weights = process.row_weights(self.n_draws, self.weight_seed)
        facts = StructuralLevelFacts(
            transform=data_error.facts.transform,
            details=details_of(data_error),
            n_rows=n_rows,
            noise_sd=float(np.sqrt(np.median(truth.noise_variance))),
            weight_seed=self.weight_seed,
        )
        rows = {"row_id": data_error.rows["row_id"]}
        diagnostics = worst_first(set(data_error.diagnostics) | {Diagnostic.ONE_ESTIMATOR})
        if data_error.case is not Case.HAAR:
            rows_at_hand = RowsAtHand(
                kernels,
                truth.symmetric + truth.asymmetric,
                weights,
                k * truth.noise_variance,
                process.parts.y,
                process.table.unit_ids,
                process.table.positions,
            )
            joint = best_joint_ridge(rows_at_hand, n, weight_seed=self.weight_seed)
            return StructuralLevelResult(
                draws={
                    "tau": joint.tau,
                    "excess_risk": joint.excess,
                    "harm": joint.harm,
                    "risk": joint.excess_at,
                },
                dims=_ENTANGLED,
                coords={"n": n, "amplitude": TAUS},
                units=_UNITS,
                diagnostics=worst_first(
                    {*diagnostics, Diagnostic.PARTS_ENTANGLED, *joint.findings.found}
                ),
                facts=replace(facts, details=facts.details | joint.findings.facts["details"]),
                rows=rows,
            )
        symmetric = Spectrum.of(kernels[0], truth.symmetric, weights)
        asymmetric = Spectrum.of(kernels[1], truth.asymmetric, weights)
        noise = k * truth.noise_variance
        best = [best_ridge(symmetric, asymmetric, noise, float(m), k) for m in n]
        squares = 2 * (truth.asymmetric**2).sum(axis=2)
        squared_error = (weights * squares).sum(axis=1)
        return StructuralLevelResult(
            draws={
                "level": np.stack([b.level for b in best], axis=1),
                "tau": np.stack([b.tau for b in best], axis=1),
                "excess_risk": np.stack([b.excess for b in best], axis=1),
                "harm": np.stack([b.excess_at[:, -1] - b.excess for b in best], axis=1),
                "data_error": np.sqrt(squared_error),
                "risk": np.stack([b.excess_at for b in best], axis=2),
                "level_at_ridge": np.stack([b.level_at for b in best], axis=2),
            },
            dims=_DIMS,
            coords={"n": n, "asymmetric_ridge": RIDGES},
            units=_UNITS,
            diagnostics=diagnostics,
            facts=facts,
            rows=rows,
            certificate=_Certificate(
                self.bound,
                process.table,
                geometry,
                squared_error,
                np.sqrt(2 * squares.max(axis=1)),
                self.weight_seed,
            ),
        )


@dataclass(frozen=True, eq=False)
class _Certificate:
    """From how many rows on does a level beat another, whatever the training?

    Args:
        bound: The transport bound.
        table: The rows.
        geometry: Their geometry, if any.
        squared_error: Draws of the task's squared equivariance error, ``(draw,)``.
        largest: Draws of twice the largest asymmetric part: no larger change of the truth under a
            transformation was seen.
        weight_seed: The weight seed.
    """

    bound: Transport
    table: Any
    geometry: Any
    squared_error: Array
    largest: Array
    weight_seed: int

    def sufficient_n(self, level: float, other: float) -> Array:
        """Return draws of the number of rows (see `StructuralLevelResult.sufficient_n`)."""
        predictors = replace(self.bound.predictors, defect=level)
        # The class is that of all predictors of this level: the table's own need not be one.
        problem = GapProblem(
            orbits=self.table.finite,
            train=None,
            geometry=self.geometry,
            n_draws=len(self.squared_error),
            weight_seed=self.weight_seed,
            delta=0.05,
        )
        curve = replace(self.bound, predictors=predictors).evaluate(problem).curve
        if curve is None:
            raise ValueError(
                "there are too few rows, or rows coincide: how the cost falls with the number of "
                "rows cannot be seen"
            )
        reach = np.divide(
            level, self.largest, out=np.ones_like(self.largest), where=self.largest > 0
        )
        approximation = np.maximum(1 - reach, 0.0) ** 2 * self.squared_error / 2
        forced = np.maximum(np.sqrt(self.squared_error) - other, 0.0) ** 2 / 2
        n = np.geomspace(_FEWEST_ROWS, _MOST_ROWS, 400)
        cost = at_sizes(curve.draws, curve.n, n)["expected_bound"]
        enough = approximation[:, None] + cost < forced[:, None]
        return np.where(enough.any(axis=1), n[enough.argmax(axis=1)], np.inf)
