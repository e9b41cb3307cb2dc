"""What is a probability distribution over transformations?

A law says which transformations there are, how likely each is and how large, and what it *is*: a
matrix, a shift, an order of items (see `element`). It knows nothing of inputs and outputs: how
these move is declared of a transform. Parameters are computed in float64 on the host.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.counts import MOST_QUASI, n_typical
from equiprob.transforms.expression import Call
from equiprob.transforms.lattices import hammersley, lattice

Parameters = NDArray[np.float64]
"""Transformation parameters, ``(..., n_parameters)``: leading axes are batch axes."""


class Enumeration(NamedTuple):
    """All elements of a finite law: parameters ``(element, n_parameters)`` and probabilities."""

    parameters: Parameters
    weights: NDArray[np.float64]


class AbstractLaw(abc.ABC):
    """A probability distribution over a set of transformations."""

    # ---- the law --------------------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def n_uniforms(self) -> int:
        """How many uniform numbers one parameter takes (0: the law can only be sampled)."""

    @abc.abstractmethod
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        """Map uniforms ``(..., n_uniforms)`` in [0, 1) to parameters ``(..., n_parameters)``."""

    def sample(self, generator: np.random.Generator) -> Parameters:
        """Draw one parameter ``(n_parameters,)`` from the law."""
        return self.sample_many(generator, 1)[0]

    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        """Draw `n` independent parameters ``(n, n_parameters)`` from the law."""
        return self.parameters(generator.random((n, self.n_uniforms)))

    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        """Return `n` parameters that represent the law together, moved by a random shift.

        Args:
            n: How many.
            shifts: Uniforms ``(..., n_uniforms)``, one random shift for each design.

        Returns:
            Parameters ``(..., n, n_parameters)``, each of which has the law.
        """
        return self.parameters((lattice(n, self.periodic) + shifts[..., None, :]) % 1.0)

    @property
    def has_own_spread(self) -> bool:
        """Whether parameters are spread otherwise than by a lattice of uniforms."""
        return type(self).spread is not AbstractLaw.spread

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Of each uniform, whether it goes around a circle: 0 and 1 are one transformation."""
        return (False,) * self.n_uniforms

    def enumeration(self) -> Enumeration | None:
        """Return all elements and their probabilities when there are finitely many, else None."""
        return None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of kinds of transformations whose errors are reported apart; () for one kind."""
        return ()

    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        """Return the place in `parts` of ``(...)`` transformations."""
        return np.zeros(parameters.shape[:-1], dtype=np.int64)

    @property
    def is_haar(self) -> bool:
        """Whether the law is the Haar (uniform) measure of a compact group, by construction."""
        return False

    @property
    def products(self) -> NDArray[np.int64] | None:
        """The multiplication table ``(first, second)`` of a finite group, or None."""
        return None

    # ---- the set --------------------------------------------------------------------------------

    factors: tuple[AbstractLaw, ...] = ()
    """The laws that this one is made of, of which the last one acts first."""

    def split(self, parameters: Parameters) -> list[Parameters]:
        """Return the parameters of each factor."""
        ends = np.cumsum([factor.identity.size for factor in self.factors])
        return np.split(parameters, ends, axis=-1)[:-1]

    @property
    @abc.abstractmethod
    def identity(self) -> Parameters:
        """The parameter ``(n_parameters,)`` of the transformation that changes nothing."""

    @abc.abstractmethod
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        """Return the float64 arrays that say what ``(...)`` transformations are (see `actions`)."""

    def inverse(self, parameters: Parameters) -> Parameters:
        """Return the parameters of the inverse transformations.

        Raises:
            ValueError: If the transformations have no inverse here.
        """
        raise ValueError(f"{self} has no inverse; {_INVERSE_HINT}")

    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        """Return the parameters of "`second`, then `first`", or None where it is not a group."""
        return None

    # ---- as it is written -----------------------------------------------------------------------

    argument: ClassVar[str] = "acts_on"
    """What the public function that makes such transforms calls the way in which inputs move."""

    def call(self) -> Call:
        """Return the call of the public function that makes a transform of this law.

        By default that has the name of its module, and the fields of the law as arguments.
        """
        given = {
            each.name: getattr(self, each.name)
            for each in fields(self)  # pyright: ignore[reportArgumentType]
            if each.default is MISSING or getattr(self, each.name) is not each.default
        }
        return Call(type(self).__module__.rpartition(".")[2], (), given)

    def written(self, factors: Sequence[Any]) -> Call:
        """Return the call that makes a transform of these factors, where there are any."""
        del factors
        return self.call()

    def __repr__(self) -> str:
        """Write the call."""
        return str(self.call())

    # ---- for people -----------------------------------------------------------------------------

    magnitude_label = "magnitude"
    magnitude_unit = ""

    @abc.abstractmethod
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        """Return how large ``(...)`` transformations are, in `magnitude_unit` (0 at identity)."""

    @property
    def generators(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of the parameters (the first ones) that move continuously."""
        return ()

    @property
    def grid_symmetry(self) -> int:
        """Order of the symmetry of the pixel grid that equispaced transformations alias with."""
        return 1

    def restricted(self, max_magnitude: float) -> Self:
        """Return this law, given a magnitude of up to `max_magnitude`.

        Raises:
            ValueError: If the law has no such restriction here.
        """
        raise ValueError(
            f"{self} cannot be restricted to a range of magnitudes; use rotations2d, translations "
            f"or a finite set, or a path that needs no restriction such as ep.paths.Blend()"
        )

    def probability_within(self, max_magnitude: float) -> float:
        """Return the probability of a magnitude of at most `max_magnitude`."""
        magnitudes, weights = self.magnitude_law()
        return float(weights[magnitudes <= max_magnitude * (1 + 1e-9)].sum())

    def typical(self) -> tuple[Parameters, NDArray[np.float64]]:
        """Return parameters ``(parameter, n_parameters)`` and weights that represent the law.

        Exact for finite sets; otherwise 4096 quasi-random (or, without a quantile function,
        random) parameters of equal weight; fewer where each is made of thousands of numbers.
        """
        finite = self.enumeration()
        if finite is not None:
            return finite.parameters, finite.weights
        n = n_typical(self.n_uniforms)
        if self.n_uniforms > MOST_QUASI:
            uniforms = np.random.default_rng(0).random((n, self.n_uniforms))
            parameters = self.parameters(uniforms)
        elif self.n_uniforms:
            parameters = self.parameters(hammersley(n, self.n_uniforms, centred=True))
        else:
            parameters = self.sample_many(np.random.default_rng(0), n)
        return parameters, np.full(n, 1 / n)

    def magnitude_law(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return magnitudes and weights that represent the law of the magnitude."""
        parameters, weights = self.typical()
        return self.magnitude(parameters), weights


_INVERSE_HINT = (
    "an output that is not 'invariant' needs one: pass inverse= (from_functions), or "
    "output_action=ep.transforms.Action(function, inverse)"
)
