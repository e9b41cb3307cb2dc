"""A law, and how its transformations act on inputs and on outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any, Self, final

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.acting import Acting
from equiprob.transforms.by_leaf import ByLeaf
from equiprob.transforms.declarations import (
    INVARIANT,
    Declared,
    Elsewhere,
    OneEach,
    actions_on,
    keeps_all,
    leaf_names,
    of_output,
)
from equiprob.transforms.expression import Call
from equiprob.transforms.fingerprint import fingerprint_of
from equiprob.transforms.law import AbstractLaw, Enumeration, Parameters


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Transform:
    """A probability distribution over transformations, and how each acts.

    What is asked of a transform as of a law is what its law answers.

    Args:
        law: Which transformations there are, and how likely each is.
        acts_on: How the input transforms, in the words of `equiprob.transforms.words`:
            ``"points"``, ``"image"``, ``"items vectors"``, a function ``(parameter, row) -> row``,
            or a dict of these with the keys of a dict input. Every leaf must be declared.
        output_action: The same for the output of the model; ``"invariant"`` alone speaks of all
            outputs, and a function needs its inverse: ``Action(function, inverse)``.
        fill: What images read outside their frame.
        wrap: Images continue on the opposite side instead.
    """

    law: AbstractLaw
    acts_on: Any = "vectors"
    output_action: Any = "invariant"
    fill: float = 0.0
    wrap: bool = False

    def __str__(self) -> str:
        """Name the transform for people: by its law."""
        return f"{'wrong ' * isinstance(self.acts_on, Elsewhere)}{self.law}"

    def __repr__(self) -> str:
        """Write the call."""
        return str(self.call())

    def _repr_html_(self) -> str:
        """Show its name, and the call that makes it, in a notebook."""
        return f"<p>{escape(str(self))}</p><pre>{escape(repr(self))}</pre>"

    def call(self) -> Call:
        """Return the call of the public function that makes this transform."""
        frame = Declared(None, self.fill, self.wrap)
        declared = {"acts_on": self.acts_on, "output_action": self.output_action}
        return _call(self.law, {name: frame.of(what) for name, what in declared.items()}, frame)

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """What makes the transform, in words by its arguments: equal for equal transforms.

        Law, drawn numbers, elements and actions, the same in every process (see `fingerprint`).
        """
        return fingerprint_of(self)

    # ---- acting ---------------------------------------------------------------------------------

    def on(self, x: Any = None, output: Any = None) -> Acting:
        """Bind the transform to the leaves of rows, of outputs, or of both.

        Args:
            x: A pytree of arrays (or of their shapes and dtypes), rows first; None to leave it out.
            output: The same of a model's output.

        Returns:
            What turns parameters into moves of such rows and outputs.

        Raises:
            ValueError: If what is declared does not fit (see `actions_on`).
        """
        acting, frame = Acting(self.law), Declared(None, self.fill, self.wrap)
        if x is not None:
            inward = actions_on(self.law, frame.of(self.acts_on), x, "acts_on")
            acting = replace(acting, inward=inward, x_dtypes=_dtypes(x))
        if output is not None:
            outward = actions_on(self.law, frame.of(self.output_action), output, "output_action")
            acting = replace(acting, outward=outward, y_dtypes=_dtypes(output))
        if x is not None:
            _check_given(self.acts_on, acting.inward, x)
            _check_given(self.output_action, acting.outward, x)
        return acting

    def of_output(self, name: str) -> Self:
        """Return the transform with the output action of one of several outputs alone."""
        return replace(self, output_action=of_output(self.output_action, name))

    @property
    def keeps_output(self) -> bool:
        """Whether the output is declared invariant."""
        return keeps_all(self.output_action)

    def apply(self, parameter: Parameters, x: Any) -> Any:
        """Transform every row of `x` by the same transformation.

        Args:
            parameter: One parameter vector, ``(n_parameters,)``.
            x: An array or pytree of arrays, rows first.

        Returns:
            The transformed `x`, NumPy or JAX arrays as given, in the dtypes of its leaves.
        """
        return self.on(x).at(self._for_rows(parameter, x)).move(x)

    def apply_to_output(self, parameter: Parameters, output: Any, x: Any = None) -> Any:
        """Transform every row of an output (rows first) by the output action of one parameter.

        `x` is the rows that it belongs to, where the action reads some of their leaves.
        """
        acting = self.on(output=output)
        return acting.at(self._for_rows(parameter, output), outputs="forth").forth(output, x)

    def undo_on_output(self, parameter: Parameters, output: Any, x: Any = None) -> Any:
        """Transform every row of an output by the inverse of the output action."""
        return self.on(output=output).at(self._for_rows(parameter, output)).back(output, x)

    def _for_rows(self, parameter: Parameters, tree: Any) -> Parameters:
        """Return one parameter repeated for each row, ``(row, n_parameters)``."""
        shapes = [np.shape(leaf) for leaf in jax.tree.leaves(tree)]
        rows = {shape[:1] for shape in shapes}
        if len(rows) != 1 or () in rows:
            raise ValueError(
                f"every leaf must hold the same rows on its first axis, got shapes {shapes}"
            )
        if np.shape(parameter) != self.identity.shape:
            raise ValueError(
                f"{self} takes one parameter vector of shape {self.identity.shape}, got shape "
                f"{np.shape(parameter)}"
            )
        return np.broadcast_to(parameter, (*rows.pop(), *np.shape(parameter)))

    # ---- what the law answers -------------------------------------------------------------------

    @property
    def n_uniforms(self) -> int:
        """See `AbstractLaw.n_uniforms`, as all that follows."""
        return self.law.n_uniforms

    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        """Map uniforms to parameters."""
        return self.law.parameters(uniforms)

    def sample(self, generator: np.random.Generator) -> Parameters:
        """Draw one parameter."""
        return self.law.sample(generator)

    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        """Draw independent parameters."""
        return self.law.sample_many(generator, n)

    def spread(self, n: int, shifts: NDArray[np.float64]) -> Parameters:
        """Return parameters that represent the law together."""
        return self.law.spread(n, shifts)

    @property
    def has_own_spread(self) -> bool:
        """Whether that is no lattice of uniforms."""
        return self.law.has_own_spread

    @property
    def periodic(self) -> tuple[bool, ...]:
        """Of each uniform, whether it goes around a circle."""
        return self.law.periodic

    def enumeration(self) -> Enumeration | None:
        """Return all elements and their probabilities, if there are finitely many."""
        return self.law.enumeration()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of kinds of transformations."""
        return self.law.parts

    def part(self, parameters: Parameters) -> NDArray[np.int64]:
        """Return the place of transformations in `parts`."""
        return self.law.part(parameters)

    @property
    def is_haar(self) -> bool:
        """Whether the law is the Haar measure of a compact group."""
        return self.law.is_haar

    @property
    def products(self) -> NDArray[np.int64] | None:
        """The multiplication table of a finite group, or None."""
        return self.law.products

    @property
    def identity(self) -> Parameters:
        """The parameter of the transformation that changes nothing."""
        return self.law.identity

    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        """Return what transformations are."""
        return self.law.element(parameters)

    def inverse(self, parameters: Parameters) -> Parameters:
        """Return the parameters of the inverse transformations."""
        return self.law.inverse(parameters)

    def compose(self, first: Parameters, second: Parameters) -> Parameters | None:
        """Return the parameters of "`second`, then `first`", or None."""
        return self.law.compose(first, second)

    @property
    def magnitude_label(self) -> str:
        """What the magnitude is."""
        return self.law.magnitude_label

    @property
    def magnitude_unit(self) -> str:
        """Its unit."""
        return self.law.magnitude_unit

    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        """Return how large transformations are."""
        return self.law.magnitude(parameters)

    @property
    def generators(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of the parameters that move continuously."""
        return self.law.generators

    @property
    def grid_symmetry(self) -> int:
        """Order of the symmetry of the pixel grid."""
        return self.law.grid_symmetry

    def restricted(self, max_magnitude: float) -> Self:
        """Return this transform, given a magnitude of up to `max_magnitude`."""
        return replace(self, law=self.law.restricted(max_magnitude))

    def probability_within(self, max_magnitude: float) -> float:
        """Return the probability of a magnitude of at most `max_magnitude`."""
        return self.law.probability_within(max_magnitude)

    def typical(self) -> tuple[Parameters, NDArray[np.float64]]:
        """Return parameters and weights that represent the law."""
        return self.law.typical()

    def magnitude_law(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return magnitudes and weights that represent the law of the magnitude."""
        return self.law.magnitude_law()


AbstractTransform = Transform
"""What transforms were called while there were several classes of them."""


def _call(law: AbstractLaw, declared: Mapping[str, Declared], frame: Declared) -> Call:
    """Return the call that makes a transform of a law and what is declared by argument."""
    named = {name: one.what for name, one in declared.items()}
    there = named.get("acts_on")
    if isinstance(there, Elsewhere):
        inner = _call(law, {**declared, "acts_on": there.inner}, there.inner)
        return Call("conjugated", (inner,), {"seed": there.seed, "scale": there.scale})
    if law.factors:
        each = [_of_factor(named, place, frame) for place in range(len(law.factors))]
        calls = [_call(law, *own) for law, own in zip(law.factors, each, strict=True)]
        whole = law.written(calls)
        named = {name: what for name, what in named.items() if not isinstance(what, OneEach)}
        return Call(whole.function, whole.positional, {**whole.named, **named})
    own = law.call()
    if isinstance(what := named.get("output_action"), str) and what == INVARIANT:
        del named["output_action"]
    if "acts_on" in named:
        named = {law.argument: named.pop("acts_on"), **named}
    fill = {"fill": frame.fill} if frame.fill else {}
    wrap = {"wrap": True} if frame.wrap else {}
    return Call(own.function, own.positional, {**own.named, **named, **fill, **wrap})


def _of_factor(
    named: Mapping[str, Any], place: int, frame: Declared
) -> tuple[dict[str, Declared], Declared]:
    """Return what one factor declares itself, and its frame."""
    own = {name: what.by_factor[place] for name, what in named.items() if isinstance(what, OneEach)}
    return own, next(iter(own.values()), frame)


def _dtypes(tree: Any) -> tuple[Any, ...]:
    return tuple(leaf.dtype for leaf in jax.tree.leaves(tree))


def _check_given(declared: Any, actions: ByLeaf, x: Any) -> None:
    """Raise where an action reads a leaf that rows do not have."""
    names = leaf_names(x)
    for one in (one for action in actions.actions for one in action.given if not one.own):
        if one.leaf not in names:
            raise ValueError(
                f"{declared!r} reads the leaf {one.leaf} of the input, which has only "
                f"{list(names)}; pass an input with that leaf"
            )
