"""Which action on each leaf does a declaration stand for, under a law?

What users pass as ``acts_on`` and ``output_action`` is matched here with the leaves of inputs and
outputs: a word for all, a dict of words by leaf, a function of the whole row, or, of a law that is
made of several, what each of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, final

import jax
import numpy as np

from equiprob.transforms.actions import AbstractLeafAction, Invariant
from equiprob.transforms.by_leaf import ByLeaf
from equiprob.transforms.foreign import foreign_declaration
from equiprob.transforms.in_turn import InTurn
from equiprob.transforms.law import AbstractLaw
from equiprob.transforms.other_coordinates import in_other_coordinates
from equiprob.transforms.representations import AbstractRepresentation
from equiprob.transforms.shares import entries_of, left_by, share_of
from equiprob.transforms.user_actions import Action, PartOfRow
from equiprob.transforms.words import WORDS, action_of, known_words, moves_with

_KEEPS_SIZE_DRAWS = 8
"""Elements at which it is seen whether outputs keep their size."""

_NAMES = {"acts_on": "x", "output_action": "the output"}
"""What the leaves of an argument are called."""

INVARIANT = "invariant"


@final
@dataclass(frozen=True)
class Declared:
    """How leaves are declared to move.

    Args:
        what: As users pass it, or `OneEach` or `Elsewhere`.
        fill: What images read outside their frame.
        wrap: Whether they continue on the opposite side instead.
    """

    what: Any
    fill: float = 0.0
    wrap: bool = False

    def of(self, what: Any) -> Self:
        """Return another declaration in the same frame."""
        return replace(self, what=what)

    def parts_of(self, argument: str) -> dict[str, Any]:
        """Return what makes it, by the names of arguments."""
        return {argument: self.what, "fill": self.fill, "wrap": self.wrap}


@final
@dataclass(frozen=True)
class OneEach:
    """A declaration for each factor of a law.

    Args:
        by_factor: One each.
    """

    by_factor: tuple[Declared, ...]

    @classmethod
    def of(cls, argument: str, transforms: Sequence[Any]) -> Self:
        """Return what transforms declare as one of their arguments."""
        return cls(tuple(Declared(getattr(t, argument), t.fill, t.wrap) for t in transforms))

    def parts_of(self, argument: str) -> dict[str, Any]:
        """Return what makes it, by the names of arguments."""
        return {
            f"factors[{place}].{name}": own
            for place, one in enumerate(self.by_factor)
            for name, own in one.parts_of(argument).items()
        }


@final
@dataclass(frozen=True)
class Elsewhere:
    """A declaration of leaves that move in other coordinates.

    The entries of each leaf that moves are put in a random order, fixed by the seed, and (but for
    images) shifted by a random vector; then the transformation acts, and all is undone.

    Args:
        inner: How they move there.
        seed: Of the coordinates.
        scale: How far apart the centres are, in the inputs' unit.
    """

    inner: Declared
    seed: int
    scale: float

    def parts_of(self, argument: str) -> dict[str, Any]:
        """Return what makes it, by the names of arguments."""
        return self.inner.parts_of(argument) | {"seed": self.seed, "scale": self.scale}


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


def actions_on(law: AbstractLaw, declared: Declared, tree: Any, argument: str) -> ByLeaf:
    """Return what transformations do to each leaf.

    Args:
        law: Of the transformations.
        declared: How the leaves move.
        tree: Arrays, or their shapes and dtypes, rows first.
        argument: ``"acts_on"`` or ``"output_action"``.

    Raises:
        ValueError: If a leaf is undeclared or does not exist, or cannot move as it is declared: the
            law knows no such action, or its shape or its dtype does not fit. Of outputs, if an
            action has no inverse or changes the size of an error.
    """
    what, names = declared.what, leaf_names(tree)
    if isinstance(what, Elsewhere):
        actions = actions_on(law, what.inner, tree, argument).actions
        moved = (in_other_coordinates(action, what.seed, what.scale) for action in actions)
        return ByLeaf(names, tuple(moved))
    if argument == "output_action" and _is_invariant(what):  # one word for all outputs
        return ByLeaf(names, (Invariant(),) * len(names))
    if not law.factors:
        return ByLeaf(names, tuple(_of_one_law(law, declared, tree, argument)))
    if isinstance(what, OneEach):
        whole, each = (None,) * len(names), what.by_factor
    else:
        whole, each = _shares(law, declared, tree, argument)
    pairs = zip(law.factors, each, strict=True)
    by_factor = [actions_on(factor, own, tree, argument).actions for factor, own in pairs]
    in_turn = (InTurn.of(own) for own in zip(*by_factor, strict=True))
    combined = (one or own for one, own in zip(whole, in_turn, strict=True))
    return ByLeaf(names, tuple(combined))


def _is_invariant(what: Any) -> bool:
    return isinstance(what, str) and what == INVARIANT


def keeps_all(what: Any) -> bool:
    """Whether outputs are declared invariant, all of them."""
    if isinstance(what, OneEach):
        return all(keeps_all(one.what) for one in what.by_factor)
    return _is_invariant(what)


def of_output(what: Any, name: str) -> Any:
    """Return the declaration of one of several outputs.

    Args:
        what: The declaration of all.
        name: Of the output.
    """
    if isinstance(what, OneEach):
        each = (one.of(of_output(one.what, name)) for one in what.by_factor)
        return OneEach(tuple(each))
    if isinstance(what, Action) and name != ONLY_OUTPUT:  # of all outputs at once
        one = jax.tree.structure({name: 0})
        return PartOfRow(what, 0, one, leaf_names({name: 0}))
    return what[name] if isinstance(what, dict) else what


def with_leaves(what: Any, more: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    """Return a declaration with more leaves, wherever leaves are declared by name.

    Args:
        what: The declaration.
        more: Returns a dict of declarations with more of them.
    """
    if isinstance(what, OneEach):
        return OneEach(tuple(one.of(with_leaves(one.what, more)) for one in what.by_factor))
    if isinstance(what, Elsewhere):
        return replace(what, inner=what.inner.of(with_leaves(what.inner.what, more)))
    return more(what) if isinstance(what, Mapping) else what


ONLY_OUTPUT = "output"
"""What the output of a model is called that returns one array."""


# ---- of one law ----------------------------------------------------------------------------------


def _of_one_law(
    law: AbstractLaw, declared: Declared, tree: Any, argument: str
) -> list[AbstractLeafAction]:
    """Return the action on each leaf under a law that is not made of others."""
    if isinstance(declared.what, OneEach):
        raise ValueError(
            f"{argument} is declared of {len(declared.what.by_factor)} transforms, and {law} is one"
        )
    actions, what = _as_declared(declared, tree, argument), _NAMES[argument]
    probe = law.element(law.identity)
    for name, action, leaf in zip(leaf_names(tree), actions, jax.tree.leaves(tree), strict=True):
        shape, where = tuple(leaf.shape[1:]), argument + name
        if not moves_with(action, probe):
            raise ValueError(
                f"{law} has no action of kind {str(action)!r} ({where}); it knows "
                f"{known_words(probe)}, or pass a function (parameter, row) -> row"
            )
        _require_dtype(action, leaf.dtype, what + name)
        if action.requires and (reason := action.misfit(shape, probe, law)):
            raise ValueError(
                f"{what}{name} has rows of shape {shape}, declared {str(action)!r} in "
                f"{argument}: {reason}"
            )
    if argument == "output_action":
        _require_comparable(law, actions, leaf_names(tree))
    return actions


def _require_dtype(action: AbstractLeafAction, dtype: Any, leaf: str) -> None:
    """Raise for a leaf of a dtype that cannot move so."""
    if reason := action.refuses(dtype):
        raise ValueError(f"{leaf} has dtype {dtype} and cannot be {str(action)!r}: {reason}")


def _require_comparable(
    law: AbstractLaw, actions: Sequence[AbstractLeafAction], names: Sequence[str]
) -> None:
    """Raise where outputs cannot be taken back and compared."""
    for name, action in zip(names, actions, strict=True):
        if action.undo is None:
            raise ValueError(
                f"output_action{name} has no inverse, which comparing outputs needs; pass "
                f"ep.transforms.Action(function, inverse)"
            )
    built_in = [a for a in actions if not (isinstance(a, Invariant) or a.is_users)]
    if not built_in:
        return
    law.inverse(law.identity)  # raises where there is none
    some = law.element(law.sample_many(np.random.default_rng(0), _KEEPS_SIZE_DRAWS))
    if not all(action.keeps_size(some, law) for action in built_in):
        raise ValueError(
            f"{law} holds matrices that are not orthogonal, which change the size of an "
            f"output error; declare output_action 'invariant' or pass orthogonal matrices"
        )


def _as_declared(declared: Declared, tree: Any, argument: str) -> list[AbstractLeafAction]:
    """Return the declared action on each leaf of a tree, whatever the law."""
    names, leaves, what = leaf_names(tree), jax.tree.leaves(tree), _NAMES[argument]
    by_leaf = _by_leaf(declared.what, tree)
    for name in names:
        if name not in by_leaf:
            if isinstance(tree, list) and isinstance(tree[0], Mapping):
                raise ValueError(
                    f"{what} is a list of {len(tree)} dicts, one for each row: stack them with "
                    f"{what}, masks = ep.padded({what}), or pass a model that takes such lists to "
                    f"ep.adapters.from_rows(predict, {what})"
                )
            example = jax.tree.map(lambda _: "...", tree)
            raise ValueError(
                f"{argument} does not say how {what}{name} transforms; pass "
                f"{argument}={example!r}, with one of {sorted(WORDS)} or a function "
                f"(parameter, row) -> row for each '...'"
            )
    extra = [name for name in by_leaf if name not in names]
    if extra:
        raise ValueError(
            f"{argument} declares {extra}, but {what} has only {list(names)}; "
            f"declare exactly the leaves that are there"
        )
    return [
        action_of(
            by_leaf[name],
            len(leaf.shape) - 1,
            where=argument + name,
            fill=declared.fill,
            wrap=declared.wrap,
        )
        for name, leaf in zip(names, leaves, strict=True)
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


def _is_object(declared: Any) -> bool:
    """Whether a callable is a declaration in itself, and no function."""
    return isinstance(foreign_declaration(declared), AbstractLeafAction | AbstractRepresentation)


def _is_declaration(node: Any) -> bool:
    """Whether this is the declaration of one leaf, and not of several."""
    return not isinstance(node, Mapping | list | tuple | None) or hasattr(node, "D_from_matrix")


# ---- of several laws, declared as one ------------------------------------------------------------


def _shares(
    law: AbstractLaw, declared: Declared, tree: Any, argument: str
) -> tuple[list[AbstractLeafAction | None], list[Declared]]:
    """Return what acts on leaves as a whole, and what each factor does to the others.

    A user's function acts as a whole, with the parameters of all factors. Of other leaves each
    factor moves the axes that it knows.

    Raises:
        ValueError: If an axis is known to no factor, or a factor moves no leaf of the inputs.
    """
    actions, names = _as_declared(declared, tree, argument), leaf_names(tree)
    whole = [action if action.is_users else None for action in actions]
    if argument == "output_action":
        _require_comparable(law, [own or Invariant() for own in whole], names)
    for name, leaf, own in zip(names, jax.tree.leaves(tree), whole, strict=True):
        if own is not None:
            _require_dtype(own, leaf.dtype, _NAMES[argument] + name)
        if own is not None and own.requires:
            reads = ", ".join(" or ".join(group) for group in own.requires)
            raise ValueError(
                f"{argument}{name} reads {reads}, and {law} is made of several transforms: "
                f"declare it of the one that it belongs to, and leave {argument} out here"
            )
    known = [entries_of(factor) for factor in law.factors]
    each = [
        [Invariant() if a.is_users else share_of(entries, a) for a in actions] for entries in known
    ]
    factors = " and ".join(map(str, law.factors))
    for place, (name, action) in enumerate(zip(names, actions, strict=True)):
        left = [] if action.is_users else left_by(action, [own[place] for own in each])
        if left:
            raise ValueError(
                f"{argument}{name} is {str(action)!r}, and neither of {factors} moves "
                f"{str(left[0])!r}"
            )
    for factor, own in zip(law.factors, each, strict=True):
        idle = all(isinstance(action, Invariant) for action in own)
        if argument == "acts_on" and idle and not any(whole):
            raise ValueError(
                f"acts_on declares nothing that {factor} moves: say which leaves it moves, or "
                f"leave it out"
            )
    treedef = jax.tree.structure(tree)
    return whole, [declared.of(treedef.unflatten(own)) for own in each]
