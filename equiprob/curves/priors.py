"""What is believed of learning curves before any run is seen?"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from scipy.special import logsumexp

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.curves.from_curves import FROM_CURVES
from equiprob.curves.grid import BENDS, FADES, FLOORS, NOISES, SHARES, SLOPES, TURNS
from equiprob.posterior.sampler_settings import check_prior

_LEAST_LOG = -50.0

_FROM_THEORY: dict[str, tuple[str, float, float]] = {
    "exponent_from_theory": ("LogNormal", 0.0, 0.3),
    "noise_depth": ("HalfNormal", 0.0, 1.5),
    "data_error": ("HalfNormal", 0.0, 1.5),
    "sampling_cost": ("LogNormal", 0.0, 1.0),
    "slack_spread": ("LogNormal", -6.9, 0.7),
    "estimation_share": ("LogNormal", -2.3, 1.5),
    "shared_bend_from_theory": ("HalfNormal", 0.0, 0.07),
    "seed_noise": ("LogNormal", -2.3, 1.0),
    "shared_seed_noise": ("HalfNormal", 0.0, 0.1),
    "error_noise": ("HalfNormal", 0.0, 0.1),
    "shared_error_noise": ("HalfNormal", 0.0, 0.1),
}
"""Families and their two numbers; a half-normal law needs the second alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvePriors:
    """Priors of `LearningCurve`.

    The first group is of curves without errors, and is set on real curves (half of the data sets of
    LCDB and of a collection of published tables; ``python -m benchmarks.curves.priors``). Slopes
    are those of the logarithm of what lies between a floor and an upper plateau, in log n.

    Args:
        exponent: Law of the candidates' typical slope, a ``numpyro.distributions.Distribution`` of
            one number; log-normal when left out.
        exponent_spread: Standard deviation of the logarithms of single candidates' slopes about it.
        bends: Probabilities of bends of 0.4, 0.9 and 2 times the slope itself.
        noise: Standard deviation of the logarithm of a candidate's noise over what its runs show.
        noise_free: Probability that floors are those of a task without noise.
        floors_noise_free: Probabilities of floors of 0, .15, .35, .6, .8 and .95 of the least mean
            risk of the candidate, then.
        floors_noisy: The same for the others.
        plateau: Probability that the curve comes down from an upper plateau.
        turns: Probabilities of slopes of scale 0, 0.5, 1.5 and 4 that set in only beyond the data.
        fades: Probabilities that slopes fade beyond the data, by 0, 1/8, 1/4, 1/2 and 3 per unit of
            log n; at the last the curve meets a floor at once.
        rise: Probability that a rise beyond the data goes on; where it does not there is none.
        shared_bends: Probabilities that candidates have 0, 0.4 and 0.8 of the variance of slopes in
            common.
        exponent_from_theory: Exponent of the costs, where runs have errors [LogNormal(0, 0.3)].
        shared_bend_from_theory: Bends of the costs that candidates share, over the exponent
            [HalfNormal(0.07)].
        bend_from_theory: The same for each candidate's own, a standard deviation.
        turn_from_theory: Slopes of scale so large set in beyond the data, common to candidates.
        own_turn_from_theory: The same for each candidate's own.
        noise_depth: How far the noise variance lies below the smallest risk, in logarithms
            [HalfNormal(1.5)].
        data_error: The data error e* over the largest one of a candidate, where no `data_error` is
            given [HalfNormal(1.5)].
        slack_spread: By how much floors differ from the theory's, over the smallest risk
            [LogNormal(-6.9, 0.7)].
        sampling_cost: What the symmetric and the asymmetric part each cost at the end, over what
            would be left of the mean observed fall of risks at an exponent of 0.8
            [LogNormal(0, 1)].
        cost_deviation: Standard deviation of the logarithm of a candidate's cost over the theory's.
        estimation_share: Share of a measured squared error that is estimation noise, at the end,
            over the rest [LogNormal(-2.3, 1.5)].
        seed_noise: Standard deviation, over seeds, of the logarithm of what more data would remove
            [LogNormal(-2.3, 1)].
        shared_seed_noise: The same of what candidates trained on the same rows have in common
            [HalfNormal(0.1)].
        error_noise: The same as `seed_noise` of a measured error, at the end [HalfNormal(0.1)].
        shared_error_noise: The same of what candidates have in common [HalfNormal(0.1)].
    """

    exponent: Any = None
    exponent_spread: float = FROM_CURVES["exponent_spread"]
    bends: tuple[float, ...] = FROM_CURVES["bends"]
    noise: float = FROM_CURVES["noise"]
    noise_free: float = FROM_CURVES["noise_free"]
    floors_noise_free: tuple[float, ...] = FROM_CURVES["floors_noise_free"]
    floors_noisy: tuple[float, ...] = FROM_CURVES["floors_noisy"]
    plateau: float = FROM_CURVES["plateau"]
    turns: tuple[float, ...] = FROM_CURVES["turns"]
    fades: tuple[float, ...] = FROM_CURVES["fades"]
    rise: float = FROM_CURVES["rise"]
    shared_bends: tuple[float, ...] = FROM_CURVES["shared_bends"]
    exponent_from_theory: Any = None
    shared_bend_from_theory: Any = None
    bend_from_theory: float = 0.04
    turn_from_theory: float = 0.5
    own_turn_from_theory: float = 0.06
    noise_depth: Any = None
    data_error: Any = None
    slack_spread: Any = None
    sampling_cost: Any = None
    cost_deviation: float = 0.06
    estimation_share: Any = None
    seed_noise: Any = None
    shared_seed_noise: Any = None
    error_noise: Any = None
    shared_error_noise: Any = None

    def __post_init__(self) -> None:
        """Check that laws are laws of one number, and probabilities are probabilities."""
        check_fields(self)
        for name in ("exponent", *_FROM_THEORY):
            check_prior(name, getattr(self, name))
        wanted = {"bends": BENDS, "floors_noise_free": FLOORS, "floors_noisy": FLOORS}
        for name, values in (
            wanted | {"turns": TURNS, "fades": FADES, "shared_bends": SHARES}
        ).items():
            given = np.asarray(getattr(self, name), dtype=np.float64)
            if given.shape != values.shape or not (given >= 0).all() or not given.sum() > 0:
                raise ValueError(
                    f"{name} must be {len(values)} weights of at least 0, not all 0, for "
                    f"{values.tolist()}; got {getattr(self, name)!r}"
                )
        for name in ("noise_free", "plateau", "rise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)!r}")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, int | float) and not value >= 0:
                raise ValueError(f"{f.name} must be at least 0, got {value!r}")

    @classmethod
    def flat_theory(cls) -> CurvePriors:
        """Return priors for simulated tasks: power laws that hardly bend, with any floor."""
        return cls(
            bends=(1.0, 0.0, 0.0),
            floors_noise_free=(1.0,) * len(FLOORS),
            floors_noisy=(1.0,) * len(FLOORS),
            plateau=0.0,
            turns=(1.0, 0.0, 0.0, 0.0),
            fades=(1.0, 0.0, 0.0, 0.0, 0.0),
            rise=0.0,
        )

    def log_prob(self, name: str, values: Array) -> Array:
        """Return the log density of a law, at positive numbers ``(draw,)``."""
        given = getattr(self, name)
        if given is not None:
            return np.asarray(given.log_prob(values), dtype=np.float64)
        family, middle, scale = _FROM_THEORY[name]
        logs = np.log(values)
        at = (logs - middle) / scale if family == "LogNormal" else values / scale
        constant = -np.log(scale * np.sqrt(2 * np.pi))
        if family == "LogNormal":
            return constant - 0.5 * at**2 - logs
        return constant + np.log(2) - 0.5 * at**2

    def draw(self, name: str, n: int, generator: np.random.Generator) -> Array:
        """Return independent draws ``(draw,)`` of a law."""
        given = getattr(self, name)
        if given is not None:
            import jax

            key = jax.random.key(int(generator.integers(2**31)))
            return np.asarray(given.sample(key, (n,)), dtype=np.float64)
        family, middle, scale = _FROM_THEORY[name]
        white = generator.normal(size=n)
        return np.exp(middle + scale * white) if family == "LogNormal" else scale * np.abs(white)

    def on_grid(self) -> GridPriors:
        """Return the probabilities of the grid's points."""
        if self.exponent is None:
            middle, scale = FROM_CURVES["exponent"]
            typical = -0.5 * ((np.log(SLOPES) - middle) / scale) ** 2
        else:
            # Points are equally far apart in logarithms.
            typical = np.asarray(self.exponent.log_prob(SLOPES), dtype=np.float64) + np.log(SLOPES)
        return GridPriors(
            typical=typical - logsumexp(typical),
            spread=max(self.exponent_spread, 1e-3),
            bends=_logs(self.bends),
            noise=_logs(np.exp(-0.5 * (np.log(NOISES) / max(self.noise, 1e-3)) ** 2)),
            kinds=_logs((self.noise_free, 1 - self.noise_free)),
            floors=np.stack([_logs(self.floors_noise_free), _logs(self.floors_noisy)]),
            plateau=_logs((1 - self.plateau, self.plateau)),
            turns=np.exp(_logs(self.turns)),
            fades=np.exp(_logs(self.fades)),
            shared_bends=_logs(self.shared_bends),
        )


@dataclass(frozen=True, eq=False)
class GridPriors:
    """Log probabilities of what the grid enumerates.

    Args:
        typical: Of the typical slope.
        spread: Standard deviation of logarithms of slopes about it.
        bends: Of the bends.
        noise: Of factors of the noise.
        kinds: Of floors of noise-free and of noisy tasks.
        floors: Of floors given the kind, ``(kind, floor)``.
        plateau: Of none and one.
        shared_bends: Of shares of the bends.
        turns: Of turns; probabilities, not their logarithms.
        fades: The same of fades.
    """

    typical: Array
    spread: float
    bends: Array
    noise: Array
    kinds: Array
    floors: Array
    plateau: Array
    shared_bends: Array
    turns: Array = field(repr=False)
    fades: Array = field(repr=False)


def _logs(weights: Any) -> Array:
    with np.errstate(divide="ignore"):
        logs = np.log(np.asarray(weights, dtype=np.float64))
    return np.maximum(logs - logsumexp(logs), _LEAST_LOG)


DEFAULT_PRIORS = CurvePriors()
