"""Over which class of predictors does a bound hold?

A supremum over a class cannot be found from a sample. So it is stated, by the user or by the
architecture; what is not stated is taken from what a sample shows, and the bound is indicative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from equiprob.arguments.array_types import Array
from equiprob.arguments.checked import check_fields
from equiprob.bounds.assumptions import Assumption, seen
from equiprob.bounds.base import GapProblem
from equiprob.bounds.losses import check_positive, holds_labels
from equiprob.bounds.promises import displacements, held, ranges, slopes
from equiprob.transforms.laws import sampler


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class PredictorClass:
    """Your promise about every predictor that training could have chosen.

    Numbers are promises; a scalar ``numpyro.distributions.Distribution`` states a belief, and the
    draws of a bound are then draws of its value.

    Args:
        lipschitz: The largest change of the output for a unit of distance of the inputs. When left
            out, the slopes of ``ep.Geometry``, which makes a bound indicative.
        defect: The largest ``|f(g.x) - rho(g) f(x)|`` over all inputs and transformations, in
            output units; 0 for exactly equivariant architectures. When left out, a bound measures
            what it needs of the model at hand, as it says.
        output_range: The length of the interval that scalar outputs lie in, where a bound needs it;
            that of the outputs seen when left out.
    """

    lipschitz: Any = field(default=None)
    defect: Any = field(default=None)
    output_range: float | None = None

    def __post_init__(self) -> None:
        """Check the constants."""
        check_fields(self)
        for name, value in (("lipschitz", self.lipschitz), ("defect", self.defect)):
            if value is None or hasattr(value, "sample"):
                continue
            if name == "lipschitz" or not (isinstance(value, int | float) and value == 0):
                check_positive(name, value)
        if self.output_range is not None:
            check_positive("output_range", self.output_range)


def drawn(value: Any, problem: GapProblem, name: str) -> Array:
    """Return draws ``(draw,)`` of a stated constant: a number, or a distribution of it.

    Raises:
        ValueError: If a distribution is not scalar or has mass below zero.
    """
    if not hasattr(value, "sample"):
        return np.full(problem.n_draws, float(value))
    if getattr(value, "event_shape", ()) or getattr(value, "batch_shape", ()):
        raise ValueError(
            f"{name} is one number: pass a scalar distribution, not one of batch_shape "
            f"{value.batch_shape} and event_shape {value.event_shape}"
        )
    generator = np.random.default_rng([problem.weight_seed, *name.encode()])
    draws = sampler(value)(generator, problem.n_draws)[:, 0]
    if draws.min() < 0:
        raise ValueError(
            f"{name} cannot be negative, but {type(value).__name__} drew {draws.min():.3g}; pass a "
            "distribution of positive numbers, such as LogNormal or HalfNormal"
        )
    return draws


def lipschitz_of(
    predictors: PredictorClass,
    problem: GapProblem,
    own_metric: bool,
    points: Callable[[Any], Array],
) -> tuple[Array, Assumption]:
    """Return draws of the class's Lipschitz constant, and where they come from.

    Args:
        predictors: The class.
        problem: The tables.
        own_metric: Whether distances are not those of the inputs themselves.
        points: From inputs to ``(row, feature)``, whose Euclidean distances count.

    Raises:
        ValueError: If it is neither stated nor in the geometry, the geometry's distances are not
            those of the bound, or two rows contradict it.
    """
    stated = predictors.lipschitz
    inputs = [given.table.x for given in problem.tables]
    seen_here = slopes(problem, [None if x is None else points(x) for x in inputs])
    if stated is not None:
        draws = held(drawn(stated, problem, "lipschitz"), seen_here, f"lipschitz={stated}")
        return draws, Assumption(f"predictors are {np.median(draws):.3g}-Lipschitz")
    if own_metric:
        raise ValueError(
            "slopes of the geometry are per distance of the inputs, not of your metric: pass "
            "predictors=ep.bounds.PredictorClass(lipschitz=...)"
        )
    draws = problem.geometry_draws("lipschitz", "a bound whose lipschitz constant is not stated")
    draws = np.maximum(draws, max((one.value for one in seen_here), default=0.0))
    return draws, seen(f"predictors are {np.median(draws):.3g}-Lipschitz")


def defect_of(predictors: PredictorClass, problem: GapProblem) -> Array:
    """Return draws of the class's defect, which is stated.

    Raises:
        ValueError: If an output of a table moves by more.
    """
    stated = predictors.defect
    return held(drawn(stated, problem, "defect"), displacements(problem), f"defect={stated}")


def range_of(predictors: PredictorClass, problem: GapProblem) -> tuple[float, Assumption]:
    """Return the length of the interval that the class's outputs lie in, and where it comes from.

    Raises:
        ValueError: If it is not stated and outputs do not vary, or outputs span more.
    """
    table = problem.sample
    if predictors.output_range is not None:
        stated = predictors.output_range
        held(np.array([float(stated)]), ranges(problem), f"output_range={stated}")
        return stated, Assumption(f"outputs span at most {stated:.3g}")
    if holds_labels(table):
        return 1.0, Assumption("outputs lie in [0, 1]", "probabilities")
    outputs = [each.only.base for each in {id(t): t for t in (table, problem.orbits)}.values()]
    largest = float(np.ptp(np.concatenate(outputs), axis=0).max())
    if largest <= 0:
        raise ValueError(
            "outputs do not vary, so that their range cannot be seen: pass predictors="
            "ep.bounds.PredictorClass(output_range=...)"
        )
    return largest, seen(f"outputs span at most {largest:.3g}")
