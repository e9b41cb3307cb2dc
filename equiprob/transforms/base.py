"""How do transformations act on the inputs and the outputs that are declared of them?

A transform is a law (see `law`) and two declarations, which are matched with the leaves of inputs
and outputs. What a transformation is comes from the law in float64, and is cast to the dtype of the
leaf that it acts on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.transforms.acting import Acting
from equiprob.transforms.actions import AbstractLeafAction, Invariant
from equiprob.transforms.fingerprint import fingerprint_of
from equiprob.transforms.foreign import foreign_declaration
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.leaf_actions import LeafActions
from equiprob.transforms.representations import AbstractRepresentation
from equiprob.transforms.user_actions import Action, PartOfRow
from equiprob.transforms.words import WORDS, action_of, known_words, moves_with

_ONLY_OUTPUT = "output"
"""What the output of a model is called that returns one array."""

_KEEPS_SIZE_DRAWS = 8
"""Elements at which it is seen whether outputs keep their size."""


def leaf_names(tree: Any) -> tuple[str, ...]:
    """Return the path of every leaf as users write it: ``x['cell']``.

    Raises:
        ValueError: If the keys of a dict have no order, as strings and numbers have none.
    """
    try:
        paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    except ValueError as error:
        raise ValueError(f"a dict of arrays must have strings as keys: {error}") from None
    return tuple(jax.tree_util.keystr(path) for path, _ in paths)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AbstractTransform(AbstractLaw):
    """A probability distribution over transformations, and how each acts.

    Args:
        acts_on: How the input transforms, in the words of `equiprob.transforms.words`:
            ``"points"``, ``"image"``, ``"items vectors"``, a function ``(parameter, row) -> row``,
            or a dict of these with the keys of a dict input. Every leaf must be declared.
        output_action: The same for the output of the model; ``"invariant"`` alone speaks of all
            outputs, and a function needs its inverse: ``Action(function, inverse)``.
        fill: What images read outside their frame.
        wrap: Images continue on the opposite side instead.
    """

    acts_on: Any = "vectors"
    output_action: Any = "invariant"
    fill: float = 0.0
    wrap: bool = False

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """What makes the transform, in words by its arguments: equal for equal transforms.

        Law, drawn numbers, elements and actions, the same in every process (see `fingerprint`).
        """
        return fingerprint_of(self)

    def declared(self) -> dict[str, Any]:
        """Return the arguments that say how leaves move."""
        given = {"acts_on": self.acts_on}
        if not (isinstance(self.output_action, str) and self.output_action == "invariant"):
            given["output_action"] = self.output_action
        frame = {"fill": self.fill} if self.fill else {}
        return given | frame | ({"wrap": True} if self.wrap else {})

    # ---- acting ---------------------------------------------------------------------------------

    def input_actions(self, x: Any) -> LeafActions:
        """Match the declared input action with the leaves of `x` (rows first).

        Raises:
            ValueError: If a leaf is undeclared, does not exist, is an integer that would have to
                move, or has a shape that the action cannot take.
        """
        return self._match(self.acts_on, x, argument="acts_on", what="x")

    def of_output(self, name: str) -> AbstractTransform:
        """Return the transform with the output action of one of several outputs alone."""
        action = self.output_action
        if isinstance(action, Action) and name != _ONLY_OUTPUT:  # of all outputs at once
            one = jax.tree.structure({name: 0})
            return replace(self, output_action=PartOfRow(action, 0, one, leaf_names({name: 0})))
        return replace(self, output_action=action[name]) if isinstance(action, dict) else self

    @property
    def keeps_output(self) -> bool:
        """Whether the output is declared invariant."""
        return isinstance(self.output_action, str) and self.output_action == "invariant"

    def output_actions(self, output: Any) -> LeafActions:
        """Match the declared output action with a model's output (rows first).

        Raises:
            ValueError: As `input_actions`, and if an action has no inverse or does not keep
                distances.
        """
        declared = self.output_action
        if isinstance(declared, str) and declared == "invariant":
            declared = jax.tree.map(lambda _: "invariant", output)  # one word for all outputs
        matched = self._match(declared, output, argument="output_action", what="the output")
        for name, action in zip(matched.names, matched.actions, strict=True):
            if action.is_users and action.undo is None:
                raise ValueError(
                    f"output_action{name} has no inverse, which comparing outputs needs; pass "
                    f"ep.transforms.Action(function, inverse)"
                )
        built_in = [a for a in matched.actions if not (isinstance(a, Invariant) or a.is_users)]
        if built_in:
            self.inverse(self.identity)  # raises where there is none
            draws = self.sample_many(np.random.default_rng(0), _KEEPS_SIZE_DRAWS)
            some = self.element(draws)
            if not all(action.keeps_size(some, self) for action in built_in):
                raise ValueError(
                    f"{self} holds matrices that are not orthogonal, which change the size of an "
                    f"output error; declare output_action 'invariant' or pass orthogonal matrices"
                )
        return matched

    def _match(self, declared: Any, tree: Any, *, argument: str, what: str) -> LeafActions:
        names, leaves = leaf_names(tree), jax.tree.leaves(tree)
        declarations = _by_leaf(declared, tree)
        for name in names:
            if name not in declarations:
                if isinstance(tree, list) and isinstance(tree[0], Mapping):
                    raise ValueError(
                        f"{what} is a list of {len(tree)} dicts, one for each row: stack them with "
                        f"{what}, masks = ep.padded({what})"
                    )
                example = jax.tree.map(lambda _: "...", tree)
                raise ValueError(
                    f"{argument} does not say how {what}{name} transforms; pass "
                    f"{argument}={example!r}, with one of {sorted(WORDS)} or a function "
                    f"(parameter, row) -> row for each '...'"
                )
        extra = [name for name in declarations if name not in names]
        if extra:
            raise ValueError(
                f"{argument} declares {extra}, but {what} has only {list(names)}; "
                f"declare exactly the leaves that are there"
            )
        probe = self.element(self.identity)
        actions: list[AbstractLeafAction] = []
        for name, leaf in zip(names, leaves, strict=True):
            shape, where = tuple(leaf.shape[1:]), argument + name
            action = action_of(
                declarations[name], len(shape), where=where, fill=self.fill, wrap=self.wrap
            )
            if not moves_with(action, probe):
                raise ValueError(
                    f"{self} has no action of kind {str(action)!r} ({where}); it knows "
                    f"{known_words(probe)}, or pass a function (parameter, row) -> row"
                )
            if reason := action.refuses(leaf.dtype):
                raise ValueError(
                    f"{what}{name} has dtype {leaf.dtype} and cannot be {str(action)!r}: {reason}"
                )
            if action.requires and (reason := action.misfit(shape, probe, self)):
                raise ValueError(
                    f"{what}{name} has rows of shape {shape}, declared {str(action)!r} in "
                    f"{argument}: {reason}"
                )
            actions.append(action)
        return LeafActions(names, tuple(actions))

    def leaf_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Sequence[Any]
    ) -> tuple[dict[str, NDArray[Any]], ...]:
        """Return the elements ``(..., *)`` each leaf needs, cast from float64 to its dtype."""
        element: dict[str, NDArray[Any]] = {"parameter": parameters}
        if not all(isinstance(a, Invariant) or a.of_parameter for a in actions.actions):
            element |= self.element(parameters)

        def cast(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
            if not np.issubdtype(values.dtype, np.inexact):
                return values
            return values.astype(dtype if jnp.issubdtype(dtype, jnp.inexact) else np.float32)

        elements: list[dict[str, NDArray[Any]]] = []
        for action, dtype in zip(actions.actions, dtypes, strict=True):
            if isinstance(action, Invariant):
                elements.append({})
            else:
                prepared = action.prepare(element, self)
                elements.append({k: cast(v, dtype) for k, v in prepared.items()})
        return tuple(elements)

    def inverse_elements(
        self, actions: LeafActions, parameters: Parameters, dtypes: Sequence[Any]
    ) -> tuple[LeafActions, tuple[dict[str, NDArray[Any]], ...]]:
        """Return the actions and elements that undo the output action."""
        inverse = LeafActions(actions.names, tuple(a.undo or a for a in actions.actions))
        built_in = [not (isinstance(a, Invariant) or a.is_users) for a in actions.actions]
        if not any(built_in):
            return inverse, self.leaf_elements(inverse, parameters, dtypes)
        backwards = self.leaf_elements(inverse, self.inverse(parameters), dtypes)
        if not any(action.is_users for action in actions.actions):
            return inverse, backwards
        forwards = self.leaf_elements(inverse, parameters, dtypes)
        chosen = zip(built_in, backwards, forwards, strict=True)
        return inverse, tuple(b if uses_inverse else f for uses_inverse, b, f in chosen)

    def on(self, x: Any = None, output: Any = None) -> Acting:
        """Bind the transform to the leaves of rows, of outputs, or of both.

        Args:
            x: A pytree of arrays (or of their shapes and dtypes), rows first; None to leave it out.
            output: The same of a model's output.

        Returns:
            What turns parameters into moves of such rows and outputs.

        Raises:
            ValueError: If what is declared does not fit (see `input_actions`, `output_actions`).
        """
        acting = Acting(self)
        if x is not None:
            acting = replace(acting, inward=self.input_actions(x), x_dtypes=_dtypes(x))
        if output is not None:
            acting = replace(acting, outward=self.output_actions(output), y_dtypes=_dtypes(output))
        if x is not None:
            _check_given(self.acts_on, acting.inward, x)
            _check_given(self.output_action, acting.outward, x)
        return acting

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


def actions_by_leaf(declared: Any, tree: Any, argument: str) -> list[AbstractLeafAction]:
    """Return the declared action on each leaf of a tree, whatever the law.

    Raises:
        ValueError: If a declaration is missing, or not of the language.
    """
    by_leaf, leaves = _by_leaf(declared, tree), jax.tree.leaves(tree)
    missing = [name for name in leaf_names(tree) if name not in by_leaf]
    if missing:
        raise ValueError(f"{argument} does not say how {missing} transform")
    return [
        action_of(by_leaf[name], len(leaf.shape) - 1, where=argument + name)
        for name, leaf in zip(leaf_names(tree), leaves, strict=True)
    ]


def _by_leaf(declared: Any, tree: Any) -> dict[str, Any]:
    """Return the declaration of each leaf by its path, and what else is declared."""
    names, treedef = leaf_names(tree), jax.tree.structure(tree)
    if names != ("",) and callable(declared) and not _is_object(declared):
        declared = Action(declared)
    if names != ("",) and isinstance(declared, Action):  # of the whole row
        return {name: PartOfRow(declared, i, treedef, names) for i, name in enumerate(names)}
    try:  # a tuple is a phrase where a leaf is, and declarations of leaves where a tuple is
        each = treedef.flatten_up_to(declared)
    except (ValueError, TypeError):
        each = [None]
    if all(isinstance(one, tuple) or _is_declaration(one) for one in each):
        return dict(zip(names, each, strict=True))
    paths, _ = jax.tree_util.tree_flatten_with_path(declared, is_leaf=_is_declaration)
    return {jax.tree_util.keystr(path): node for path, node in paths}


def _check_given(declared: Any, actions: LeafActions, x: Any) -> None:
    """Raise where an action reads a leaf that rows do not have."""
    names = leaf_names(x)
    for one in (one for action in actions.actions for one in action.given if not one.own):
        if one.leaf not in names:
            raise ValueError(
                f"{declared!r} reads the leaf {one.leaf} of the input, which has only "
                f"{list(names)}; pass an input with that leaf"
            )


def _is_object(declared: Any) -> bool:
    """Whether a callable is a declaration in itself, and no function."""
    return isinstance(foreign_declaration(declared), AbstractLeafAction | AbstractRepresentation)


def _is_declaration(node: Any) -> bool:
    """Whether this is the declaration of one leaf, and not of several."""
    return not isinstance(node, Mapping | list | tuple | None) or hasattr(node, "D_from_matrix")


def _dtypes(tree: Any) -> tuple[Any, ...]:
    return tuple(leaf.dtype for leaf in jax.tree.leaves(tree))
