"""Any sampler and any action: an augmentation pipeline, a semigroup of blurs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, final, override

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equiprob.arguments.arrays import as_numbers
from equiprob.arguments.calls import calling
from equiprob.arguments.checked import checked
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.laws import Quantile, Sampler, quantile_function, sampler
from equiprob.transforms.transform import Transform

_Draw = Callable[[np.random.Generator], Any]


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FromFunctions(AbstractLaw):
    """Transformations given by functions; made by `from_functions`."""

    draw: Sampler
    quantile: Quantile | None
    unit: Parameters
    invert: Callable[[Any], Any] | None
    size: Callable[[Any], Any]
    name: str
    unit_of_size: str
    haar: bool

    argument = "act"

    def __str__(self) -> str:
        """Name the transform for people."""
        return self.name

    @override
    def call(self) -> Call:
        return Call("from_functions", (), {"law": self.draw, "name": self.name})

    @property
    @override
    def n_uniforms(self) -> int:
        return 0 if self.quantile is None else 1

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        if self.quantile is None:
            raise ValueError(
                f"{self} can only be sampled: its distribution has no quantile function"
            )
        return self.quantile(uniforms)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        if self.quantile is not None:
            return super().sample_many(generator, n)
        parameters = self.draw(generator, n)
        if parameters.shape != (n, *self.unit.shape):
            raise ValueError(
                f"the distribution of {self} drew parameters of shape {parameters.shape[1:]}; "
                f"expected {self.unit.shape}, the shape of identity"
            )
        return parameters

    @property
    @override
    def is_haar(self) -> bool:
        return self.haar

    @property
    @override
    def identity(self) -> Parameters:
        return self.unit

    @property
    @override
    def generators(self) -> tuple[tuple[str, str], ...]:
        n = self.unit.size
        return tuple((f"parameter {i}" if n > 1 else "parameter", "") for i in range(n))

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"parameter": parameters}

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        if self.invert is None:
            return super().inverse(parameters)
        return np.apply_along_axis(self.invert, -1, parameters)

    @property
    @override
    def magnitude_unit(self) -> str:
        return self.unit_of_size

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        def size(parameter: Parameters) -> float:
            with calling("magnitude"):
                found = self.size(parameter)
            found = as_numbers("what magnitude returns", found)
            if found.size != 1 or not np.isfinite(found).all():
                raise ValueError(
                    f"magnitude must return one finite number, returned {found!r:.80} for the "
                    f"parameter {parameter!r:.80}"
                )
            return found.item()

        return np.apply_along_axis(size, -1, parameters)


def _sampler_of(law: _Draw) -> Sampler:
    """Return a function that draws `n` parameters ``(n, n_parameters)`` one by one."""

    def draw(generator: np.random.Generator, n: int) -> Parameters:
        with calling("law"):
            drawn = [law(generator) for _ in range(n)]
        return np.stack([np.atleast_1d(as_numbers("what law draws", one)) for one in drawn])

    return draw


@checked
def from_functions(
    law: Any,
    act: Any,
    *,
    identity: ArrayLike = 0.0,
    inverse: Callable[[Any], Any] | None = None,
    output_action: Any = "invariant",
    magnitude: Callable[[Any], Any] | None = None,
    magnitude_unit: str = "",
    haar: bool = False,
    name: str = "from_functions",
) -> Transform:
    """Build a transform from a law over parameters and the action of one parameter.

    Args:
        law: A function of a ``numpy.random.Generator`` that draws one parameter (a number or a
            vector), or a scalar ``numpyro.distributions.Distribution``.
        act: ``act(parameter, row) -> row`` of the same shape, or a dict of these by leaf (an
            invariant leaf may be declared ``"invariant"``). Functions that JAX can trace run inside
            the compiled pass; others run row by row.
        identity: The parameter of the transformation that changes nothing.
        inverse: ``inverse(parameter) -> parameter``, where there is one.
        output_action: How the output transforms: ``"invariant"``, or
            ``Action(function, inverse)`` with ``function(parameter, row) -> row``.
        magnitude: ``magnitude(parameter) -> float``, for plots; the distance to `identity` when
            left out.
        magnitude_unit: The unit of the magnitude.
        haar: Your promise that the law is the Haar measure of a compact group.
        name: What plots and messages call the transform.

    Returns:
        The transform.

    Raises:
        ValueError: If `law` is neither a function nor a scalar distribution, or a distribution is
            given with an `identity` that is a vector.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> louder = ep.transforms.from_functions(
        ...     lambda generator: generator.uniform(0.5, 2.0),
        ...     lambda factor, row: factor[0] * row,
        ...     identity=1.0,
        ...     inverse=lambda factor: 1 / factor,
        ...     name="louder",
        ... )
        >>> x = np.random.default_rng(0).normal(size=(100, 8))
        >>> shares = lambda rows: abs(rows[:, 0]) / abs(rows).sum(axis=1)
        >>> result = ep.assert_equivariant(shares, x, louder, max_error=0.01)
    """
    unit = np.atleast_1d(as_numbers("identity", identity))
    if hasattr(law, "sample") and hasattr(law, "log_prob"):
        quantile, draw = quantile_function(law), sampler(law)
        if unit.shape != (1,):
            raise ValueError(
                f"law has scalar draws and identity has shape {unit.shape}; pass a scalar "
                "identity, or a function of a numpy Generator and draws vectors"
            )
    elif callable(law):
        quantile, draw = None, _sampler_of(cast(_Draw, law))
    else:
        raise ValueError(
            f"law must be a function of a numpy Generator or a numpyro Distribution, got "
            f"{type(law).__name__}"
        )
    law = FromFunctions(
        draw=draw,
        quantile=quantile,
        unit=unit,
        invert=inverse,
        size=magnitude or (lambda p: np.linalg.norm(p - unit)),
        name=name,
        unit_of_size=magnitude_unit,
        haar=haar,
    )
    return Transform(law=law, acts_on=act, output_action=output_action)
