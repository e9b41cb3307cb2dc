"""What is believed of learning curves before any run is seen?"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from equiprob.arguments.checked import check_fields
from equiprob.posterior.sampler_settings import check_prior

_DEFAULTS: dict[str, tuple[str, tuple[float, ...]]] = {
    "exponent": ("LogNormal", (-0.2, 0.4)),
    "exponent_from_theory": ("LogNormal", (0.0, 0.3)),
    "exponent_spread": ("LogNormal", (-1.6, 0.5)),
    "shared_bend": ("HalfNormal", (0.15,)),
    "shared_bend_from_theory": ("HalfNormal", (0.07,)),
    "own_bend": ("LogNormal", (-1.2, 0.5)),
    "bend_from_theory": ("StudentT", (4.0, 0.0, 0.03)),
    "shared_turn": ("LogNormal", (0.03, 0.2)),
    "own_turn": ("LogNormal", (-2.3, 0.3)),
    "floor": ("Normal", (-1.0, 1.0)),
    "floor_spread": ("LogNormal", (-0.35, 0.5)),
    "seed_noise": ("LogNormal", (-2.3, 1.0)),
    "seed_noise_spread": ("HalfNormal", (0.7,)),
    "shared_seed_noise": ("HalfNormal", (0.1,)),
    "least_noise": ("HalfNormal", (0.03,)),
    "tail": ("Gamma", (2.0, 0.1)),
    "noise_depth": ("HalfNormal", (1.5,)),
    "data_error": ("HalfNormal", (1.5,)),
    "slack": ("StudentT", (4.0, 0.0, 1.0)),
    "slack_spread": ("LogNormal", (-6.9, 0.5)),
    "sampling_cost": ("LogNormal", (0.0, 1.0)),
    "cost_deviation": ("StudentT", (4.0, 0.0, 0.05)),
    "estimation_share": ("LogNormal", (-2.3, 1.5)),
    "error_noise": ("HalfNormal", (0.1,)),
    "shared_error_noise": ("HalfNormal", (0.1,)),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvePriors:
    """Priors of `LearningCurve`, each a ``numpyro.distributions.Distribution`` of one number.

    What is left out has the default in brackets. Risks are relative to the smallest one observed,
    errors to the largest one, "at the end" is at the largest sample size observed, and bends are
    changes of the exponent that fade over a third of a decade of n.

    Args:
        exponent: The exponent alpha common to the candidates, where there are no errors
            [LogNormal(-0.2, 0.4)].
        exponent_from_theory: The same where there are errors: squared risks of a fixed number of
            parameters fall as 1/n [LogNormal(0, 0.3)].
        exponent_spread: Standard deviation of the logarithms of single candidates' exponents about
            it, where there are no errors [LogNormal(-1.6, 0.5)].
        shared_bend: Standard deviation of bends that all candidates share, where there are no
            errors [HalfNormal(0.15)].
        shared_bend_from_theory: The same where there are errors [HalfNormal(0.07)].
        own_bend: The same for each candidate's own, where there are no errors
            [LogNormal(-1.2, 0.5)].
        bend_from_theory: Each candidate's own bends where there are errors, between two sizes far
            apart [StudentT(4, 0, 0.03)].
        shared_turn: Standard deviation of shared bends beyond the data, where it is larger than
            within: what happens there cannot be learned from smooth curves [LogNormal(0.03, 0.2)].
        own_turn: Standard deviation of each candidate's own bends beyond the data
            [LogNormal(-2.3, 0.3)].
        floor: Logarithm of the typical floor [Normal(-1, 1)].
        floor_spread: Standard deviation of logarithms of floors about it [LogNormal(-0.35, 0.5)].
        seed_noise: Typical standard deviation, over seeds, of the logarithm of what more data would
            remove [LogNormal(-2.3, 1)].
        seed_noise_spread: Standard deviation of its logarithm over candidates [HalfNormal(0.7)].
        shared_seed_noise: Standard deviation of what candidates trained with the same n and seed,
            and so on the same rows, have in common [HalfNormal(0.1)].
        least_noise: Standard deviation over seeds of the logarithm of the whole risk
            [HalfNormal(0.03)].
        tail: Degrees of freedom of the seeds' Student t, less one [Gamma(2, 0.1)].
        noise_depth: How far the noise variance lies below the smallest risk, in logarithms, where
            there are errors [HalfNormal(1.5)].
        data_error: The data error e*, where no `data_error` is given [HalfNormal(1.5)].
        slack: By how much a floor differs from the theory's, over `slack_spread`
            [StudentT(4, 0, 1)].
        slack_spread: How well the theory's floors fit, which the runs tell where there are four
            candidates or more [LogNormal(-6.9, 0.5)].
        sampling_cost: What the symmetric and the asymmetric part each cost at the end, over what
            would be left of the mean observed fall of risks at an exponent of 0.8
            [LogNormal(0, 1)].
        cost_deviation: Logarithm of a candidate's cost over the theory's [StudentT(4, 0, 0.05)].
        estimation_share: Share of a measured squared error that is estimation noise, at the end,
            over the rest [LogNormal(-2.3, 1.5)].
        error_noise: Standard deviation over seeds of the logarithm of a measured error, at the end;
            it falls with n as the square root of costs [HalfNormal(0.1)].
        shared_error_noise: The same of what candidates trained on the same rows have in common
            [HalfNormal(0.1)].
    """

    exponent: Any = None
    exponent_from_theory: Any = None
    exponent_spread: Any = None
    shared_bend: Any = None
    shared_bend_from_theory: Any = None
    own_bend: Any = None
    bend_from_theory: Any = None
    shared_turn: Any = None
    own_turn: Any = None
    floor: Any = None
    floor_spread: Any = None
    seed_noise: Any = None
    seed_noise_spread: Any = None
    shared_seed_noise: Any = None
    least_noise: Any = None
    tail: Any = None
    noise_depth: Any = None
    data_error: Any = None
    slack: Any = None
    slack_spread: Any = None
    sampling_cost: Any = None
    cost_deviation: Any = None
    estimation_share: Any = None
    error_noise: Any = None
    shared_error_noise: Any = None

    def __post_init__(self) -> None:
        """Check that priors are distributions of one number."""
        check_fields(self)
        for name in (f.name for f in fields(self)):
            check_prior(name, getattr(self, name))

    def of(self, name: str) -> Any:
        """Return the prior of a parameter as a NumPyro distribution."""
        import numpyro.distributions as dist

        given = getattr(self, name)
        if given is not None:
            return given
        family, arguments = _DEFAULTS[name]
        return getattr(dist, family)(*arguments)


DEFAULT_PRIORS = CurvePriors()
"""One object, so that fits with the default priors share a compiled program."""
