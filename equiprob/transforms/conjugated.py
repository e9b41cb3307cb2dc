"""A wrong group of the right size: the same transformations, acting where they mean nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final, override

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.actions import AbstractLeafAction, Given, Invariant
from equiprob.transforms.base import AbstractTransform
from equiprob.transforms.expression import Call
from equiprob.transforms.law import Enumeration, Parameters
from equiprob.transforms.leaf_actions import LeafActions
from equiprob.transforms.namespaces import dtype_name, namespace
from equiprob.transforms.representations import Element


@dataclass(frozen=True)
class _Coordinates:
    """Other coordinates for the entries of a row: another order, about another centre.

    Args:
        seed: Of the order and of the centre.
        scale: Standard deviation of the centre's coordinates.
    """

    seed: int
    scale: float

    def act(self, move: Callable[[Any], Any], leaf: Any, axes: int) -> Any:
        """Go there, move, and come back; the first `axes` of the leaf are those of rows."""
        xp, shape, dtype = namespace(leaf), leaf.shape[axes:], dtype_name(leaf)
        generator = np.random.default_rng(self.seed)
        order = generator.permutation(math.prod(shape))
        centre = xp.asarray((self.scale * generator.normal(size=shape)).astype(dtype))

        def ordered(values: Any, places: Any) -> Any:
            flat = values.reshape((*values.shape[:axes], -1))
            return xp.take(flat, xp.asarray(places), axis=-1).reshape(values.shape)

        return ordered(move(ordered(leaf, order) + centre) - centre, np.argsort(order))


@final
@dataclass(frozen=True)
class _Elsewhere(AbstractLeafAction):
    """A built-in action in other coordinates."""

    action: AbstractLeafAction
    coordinates: _Coordinates

    @property
    @override
    def interpolates(self) -> bool:
        return self.action.interpolates

    @property
    @override
    def given(self) -> tuple[Given, ...]:
        return self.action.given

    @property
    @override
    def keeps_integers(self) -> bool:
        return self.action.keeps_integers

    @property
    @override
    def is_users(self) -> bool:
        return self.action.is_users

    @override
    def apply(self, element: Element, leaf: Any, axes: int) -> Any:
        return self.coordinates.act(lambda at: self.action.apply(element, at, axes), leaf, axes)

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.action} in other coordinates"


@cache
def _elsewhere(action: AbstractLeafAction, seed: int, scale: float) -> AbstractLeafAction:
    """Return the action in other coordinates, the same object for the same arguments."""
    if isinstance(action, Invariant):
        return action
    # A permuted image meets only pixels. Points need another centre, too: two coordinates in
    # another order turn about the same one.
    # Integers keep their own centre: numbers of items mean nothing elsewhere.
    stays = action.interpolates or action.keeps_integers
    coordinates = _Coordinates(seed, 0.0 if stays else scale)
    return _Elsewhere(action, coordinates)


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Conjugated(AbstractTransform):
    """The law of another transform, acting on inputs in other coordinates.

    The entries of each input leaf that moves are put in a random order, fixed by the seed, and
    (but for images) shifted by a random vector; then the transformation acts, and all is undone.
    That is a group of the same size and law, which the task has no reason to respect. Outputs
    transform as before.

    Args:
        inner: The transform.
        seed: Seed of the coordinates.
        scale: How far apart, in the inputs' unit.
    """

    inner: AbstractTransform
    seed: int = 0
    scale: float = 1.0

    def __str__(self) -> str:
        """Name the transform for people."""
        return f"wrong {self.inner}"

    @override
    def call(self) -> Call:
        return Call("conjugated", (self.inner,), {"seed": self.seed, "scale": self.scale})

    @property
    @override
    def n_uniforms(self) -> int:
        return self.inner.n_uniforms

    @property
    @override
    def periodic(self) -> tuple[bool, ...]:
        return self.inner.periodic

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        return self.inner.parameters(uniforms)

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        return self.inner.sample_many(generator, n)

    @override
    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        return self.inner.spread(n, shifts)

    @property
    @override
    def parts(self) -> tuple[str, ...]:
        return self.inner.parts

    @override
    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        return self.inner.part(parameters)

    @override
    def enumeration(self) -> Enumeration | None:
        return self.inner.enumeration()

    @property
    @override
    def is_haar(self) -> bool:
        return self.inner.is_haar

    @property
    @override
    def identity(self) -> Parameters:
        return self.inner.identity

    @property
    @override
    def products(self) -> NDArray[np.int64] | None:
        return self.inner.products

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return self.inner.element(parameters)

    @override
    def inverse(self, parameters: Parameters) -> Parameters:
        return self.inner.inverse(parameters)

    @override
    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        return self.inner.compose(first, second)

    @property
    @override
    def magnitude_label(self) -> str:
        return self.inner.magnitude_label

    @property
    @override
    def magnitude_unit(self) -> str:
        return self.inner.magnitude_unit

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        return self.inner.magnitude(parameters)

    @override
    def input_actions(self, x: Any) -> LeafActions:
        found = self.inner.input_actions(x)
        actions = (_elsewhere(action, self.seed, self.scale) for action in found.actions)
        return LeafActions(found.names, tuple(actions))

    @override
    def output_actions(self, output: Any) -> LeafActions:
        return self.inner.output_actions(output)

    @override
    def of_output(self, name: str) -> AbstractTransform:
        return replace(self, inner=self.inner.of_output(name))

    @property
    @override
    def keeps_output(self) -> bool:
        return self.inner.keeps_output

    @override
    def inverse_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Any
    ) -> tuple[LeafActions, tuple[dict[str, NDArray[Any]], ...]]:
        undo, elements = self.inner.inverse_elements(_within(actions), parameters, dtypes)
        pairs = zip(actions.actions, undo.actions, strict=True)
        outside = (replace(a, action=u) if isinstance(a, _Elsewhere) else u for a, u in pairs)
        return LeafActions(undo.names, tuple(outside)), elements

    @override
    def leaf_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Any
    ) -> tuple[dict[str, NDArray[Any]], ...]:
        return self.inner.leaf_elements(_within(actions), parameters, dtypes)


def _within(actions: LeafActions) -> LeafActions:
    """Return the actions in their own coordinates."""
    own = (a.action if isinstance(a, _Elsewhere) else a for a in actions.actions)
    return LeafActions(actions.names, tuple(own))


@checked
def conjugated(transform: AbstractTransform, *, seed: int = 0, scale: float = 1.0) -> Conjugated:
    """Return a wrong group of the same size: `transform`, acting in other coordinates.

    Args:
        transform: The transform.
        seed: Seed of the coordinates.
        scale: How far from the origin the other centre is (each coordinate's standard deviation),
            in the inputs' unit.

    Returns:
        The transform of the same law and group. Image pixels are acted on in a random order, other
        leaves in a random order of their entries and about another centre.
    """
    return Conjugated(
        acts_on=transform.acts_on,
        output_action=transform.output_action,
        fill=transform.fill,
        wrap=transform.wrap,
        inner=transform,
        seed=seed,
        scale=scale,
    )
