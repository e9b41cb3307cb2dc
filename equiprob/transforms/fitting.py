"""Which declaration of a leaf fits a model that is meant to be equivariant?

A leaf declared wrongly makes an equivariant model look broken. So the declaration of one leaf after
the other, of the inputs and of the outputs, is replaced by every other that its shape allows; the
one that takes most off the model's change is kept, and the search goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.arrays import masked_as_nan
from equiprob.arguments.calls import calling
from equiprob.arguments.lending import Lent
from equiprob.transforms.acting import Acting, Moves
from equiprob.transforms.by_leaf import ByLeaf
from equiprob.transforms.candidates import Choice, alternatives, still_moves
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_MOST_ROWS = 64
_GAIN = 1.0
"""Decades by which a declaration must lower the change of the model to be suggested."""

_EVEN = 0.3
"""Decades within which two declarations fit alike."""

_FOLLOWED = 2
"""Leaves whose changes are followed at each step."""


@dataclass(frozen=True)
class Suggestion:
    """A declaration that fits better.

    Args:
        labels: Declarations of the leaf that fit alike, in words.
        before: The largest relative change of an output under the declaration given.
        after: The same under these.
    """

    labels: tuple[str, ...]
    before: float
    after: float

    @classmethod
    def of(cls, fit: ModelFit, better: ModelFit, labels: tuple[str, ...]) -> Suggestion:
        """Return what a better fit says of the output that gains most."""
        gain = int(np.argmax(fit.errors / np.maximum(better.errors, better.rounding)))
        return cls(labels, float(fit.errors[gain]), float(better.errors[gain]))

    def __str__(self) -> str:
        """Say what would fit."""
        return (
            f"the model changes by {self.before:.2g} of its spread, and by {self.after:.2g} if "
            f"this is declared {' or '.join(self.labels)}"
        )


@dataclass(frozen=True, eq=False)
class ModelFit:
    """A model, some rows, some transformations, and the declarations of all leaves.

    Args:
        transform: The transform.
        predict: The model.
        x: The rows.
        parameters: ``(transformation, n_parameters)``.
        inputs: How each input leaf is declared.
        outputs: How each output leaf is declared.
        rounding: Relative change that counts as none.
    """

    transform: Transform
    predict: Callable[[Any], Any]
    x: Any
    parameters: Parameters
    inputs: tuple[Choice, ...]
    outputs: tuple[Choice, ...]
    base: Any
    rounding: float

    @classmethod
    def of(
        cls,
        transform: Transform,
        predict: Callable[[Any], Any],
        x: Any,
        parameters: Parameters,
    ) -> ModelFit:
        """Return the fit under the declarations of the transform."""
        lent = Lent.of(jax.tree.map(lambda leaf: leaf[:_MOST_ROWS], x))
        with calling("predict"):
            base = _arrays(predict(lent.x))
        lent.require_unchanged()
        rows = lent.x
        given = lambda actions: tuple(Choice("", a) for a in actions.actions)  # noqa: E731
        kinds = [leaf.dtype for leaf in jax.tree.leaves(base)]
        return cls(
            transform,
            predict,
            rows,
            parameters,
            given(transform.on(rows).inward),
            given(transform.on(output=base).outward),
            base,
            1e3 * max(float(jnp.finfo(kind).eps) for kind in kinds),
        )

    @cached_property
    def moved_outputs(self) -> list[Any]:
        """The outputs at the transformed rows, for each transformation."""
        return [_arrays(self.predict(self._moves(g).move(self.x))) for g in self.parameters]

    def _moves(self, g: Parameters) -> Moves:
        """Return one transformation of the rows, its inverse on leaves for which that is asked."""
        names = tuple(str(i) for i in range(len(self.inputs)))
        actions = ByLeaf(names, tuple(c.action for c in self.inputs))
        dtypes = tuple(leaf.dtype for leaf in jax.tree.leaves(self.x))
        acting = Acting(self.transform.law, inward=actions, x_dtypes=dtypes)
        forwards = acting.at(g)
        if not any(c.inverted for c in self.inputs):
            return forwards
        pairs = zip(
            self.inputs, forwards.there, acting.at(self.transform.inverse(g)).there, strict=True
        )
        return replace(forwards, there=tuple(b if c.inverted else f for c, f, b in pairs))

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """The root mean square change of each output, relative to its spread, ``(output,)``."""
        names = tuple(str(i) for i in range(len(self.outputs)))
        actions = ByLeaf(names, tuple(c.action for c in self.outputs))
        base = jax.tree.leaves(self.base)
        dtypes = tuple(leaf.dtype for leaf in base)
        acting = Acting(self.transform.law, outward=actions, y_dtypes=dtypes)
        squares = np.zeros((len(self.parameters), len(base)))
        for j, (g, output) in enumerate(zip(self.parameters, self.moved_outputs, strict=True)):
            returned = jax.tree.leaves(acting.at(g).back(output, self.x))
            for k, (one, other) in enumerate(zip(returned, base, strict=True)):
                difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
                finite = np.isfinite(difference)  # padding need not be
                squares[j, k] = np.mean(difference[finite] ** 2) if finite.any() else 0.0
        return np.sqrt(squares.mean(axis=0)) / [_spread(leaf) for leaf in base]

    @property
    def score(self) -> float:
        """The sum of the logarithms (base 10) of the errors, each no less than rounding."""
        return float(np.log10(np.maximum(self.errors, self.rounding)).sum())

    @property
    def is_exact(self) -> bool:
        """Whether no output changes by more than rounding."""
        return bool((self.errors <= self.rounding).all())

    def _others(self, choice: Choice, leaf: Any, side: str) -> Iterator[Choice]:
        """Yield the other declarations that a leaf can take."""
        return alternatives(self.transform.law, choice, leaf, side, self.transform.fill)

    def variations(self) -> Iterator[tuple[str, int, list[ModelFit]]]:
        """Yield a side, the place of a leaf on it, and the fits under its other declarations."""
        for side, tree in (("inputs", self.x), ("outputs", self.base)):
            choices = getattr(self, side)
            for place, leaf in enumerate(jax.tree.leaves(tree)):
                found = []
                for choice in self._others(choices[place], leaf, side):
                    changed = (*choices[:place], choice, *choices[place + 1 :])
                    if side == "inputs" and not still_moves(self.transform.law, changed):
                        continue
                    other = replace(self, **{side: changed})
                    if side == "outputs":  # the model is not called again
                        other.__dict__["moved_outputs"] = self.moved_outputs
                    found.append(other)
                yield side, place, found


Suggestions = dict[tuple[str, int], Suggestion]
"""What to change, by side (inputs or outputs) and place of the leaf."""


def suggestions(fit: ModelFit) -> tuple[ModelFit, Suggestions]:
    """Change one declaration after the other while each lowers the model's change a lot.

    The changes of the two leaves that help most are followed, and the one kept after which the
    model changes least: leaving the atoms in place explains much of a cell that was forgotten.

    Returns:
        The best fit found, and what was changed, by side and place of the leaf.
    """
    return _search(fit, {})


def _search(fit: ModelFit, found: Suggestions) -> tuple[ModelFit, Suggestions]:
    if fit.is_exact:
        return fit, found
    leaves: list[tuple[float, tuple[str, int], list[ModelFit]]] = []
    for side, place, others in fit.variations():
        score = min((other.score for other in others), default=np.inf)
        if (side, place) not in found and fit.score - score >= _GAIN:
            leaves.append((score, (side, place), others))
    leaves.sort(key=lambda each: each[0])
    ends = [(fit, found)]
    for score, where, others in leaves[:_FOLLOWED]:
        best = min(others, key=lambda other: other.score)
        alike = [other for other in others if other.score - score < _EVEN]
        step = Suggestion.of(fit, best, tuple(_label(other, where) for other in alike))
        ends.append(_search(best, {**found, where: step}))
    return min(ends, key=lambda end: (round(end[0].score, 1), len(end[1])))


def _label(fit: ModelFit, where: tuple[str, int]) -> str:
    """Return the words for a leaf's declaration."""
    side, place = where
    return getattr(fit, side)[place].label


def _arrays(output: Any) -> Any:
    """Return the output of a model as NumPy arrays, one or a dict."""
    if isinstance(output, Mapping):
        return {name: masked_as_nan(values) for name, values in output.items()}
    return masked_as_nan(output)


def _spread(values: NDArray[Any]) -> float:
    """Return the standard deviation of an output, or its size where it does not vary."""
    finite = values[np.isfinite(values)].astype(np.float64)
    return float(finite.std() or np.abs(finite).max(initial=0.0)) or 1.0
