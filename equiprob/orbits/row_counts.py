"""What does the trace of a model say of the batch it is called with?

Does it use the number of rows for more than the shapes of its arrays?

``x / x.shape[0]`` treats all rows of a batch alike, in any order: rows in other company show
nothing. Its trace does: traced for another number of rows, it holds another number. Shapes do so,
too, and may follow from the number of rows in many ways, so a trace alone condemns no model: it
tells for which models a batch of fewer rows has to be evaluated.

Does it choose among the rows? ``x / x.max()`` is the same in every batch that holds the largest
row, so that two batches without a common row have to be evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from equiprob.orbits.programs import Predict, fingerprint, trace

_FEW, _FEWER = 3, 2
"""Other numbers of rows: few, since a model may take another way for few rows."""

_WORDS = re.compile(r"\d+\.?\d*(?:e[+-]?\d+)?(?!\w)(?::\w+\[\])?|\w+|[^\w\s]")
"""Numbers, those with a type (literals) apart, names, and signs."""

_VARIABLE = re.compile(r"[a-z]{1,3}")

_CHOOSING = {
    *("reduce_max", "reduce_min", "argmax", "argmin", "sort", "top_k", "approx_top_k"),
    *("cummax", "cummin", "reduce_and", "reduce_or"),
}
"""Operations whose value in a batch is that of one of its rows."""

_EXPONENT = "y="
"""What comes before the exponent of a power, which is a number like those of shapes."""


def may_use_number_of_rows(predict: Predict, x: Any, jaxpr: Any) -> bool:
    """Return whether the trace of a model has numbers that follow from that of the rows.

    Args:
        predict: The model.
        x: Rows.
        jaxpr: Its trace on them.
    """
    n = len(jax.tree.leaves(x)[0])
    other = _FEWER if n == _FEW else _FEW
    shorter = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((other, *leaf.shape[1:]), leaf.dtype), x
    )
    try:
        elsewhere, _ = trace(predict, shorter)
    except Exception:  # a model that is made for one number of rows
        return True
    (one, held), (two, held_there) = fingerprint(jaxpr), fingerprint(elsewhere)
    words, words_there = _WORDS.findall(one), _WORDS.findall(two)
    if len(words) != len(words_there) or len(held) != len(held_there):
        return True
    if any(np.shape(a) != np.shape(b) for a, b in zip(held, held_there, strict=True)):
        return True
    before = ""
    for word, there in zip(words, words_there, strict=True):
        names = _VARIABLE.fullmatch(word) and _VARIABLE.fullmatch(there)
        shape = _is_shape(word, there, n, other) and before != _EXPONENT
        if word != there and not names and not shape:
            return True
        before = before[-1:] + word
    return False


def may_choose_rows(jaxpr: Any, n: int) -> bool:
    """Return whether the trace of a model on `n` rows has largest, least or sorted ones of so many.

    Args:
        jaxpr: The trace.
        n: The number of rows.
    """
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        if equation.primitive.name in _CHOOSING:
            shape = equation.invars[0].aval.shape
            along = _axes(equation.params, len(shape))
            if any(shape[axis] and shape[axis] % n == 0 for axis in along):
                return True
        if any(may_choose_rows(part, n) for part in _parts(equation.params)):
            return True
    return False


def _axes(params: Mapping[str, Any], n_axes: int) -> tuple[int, ...]:
    """Return the axes along which an operation chooses; the last one where it does not say."""
    found = [params[name] for name in ("axes", "dimension", "axis") if name in params]
    if not found:
        return (n_axes - 1,)
    return tuple(found[0]) if isinstance(found[0], Sequence) else (found[0],)


def _parts(params: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the functions that an operation calls: loops, branches, compiled functions."""
    for value in params.values():
        for each in value if isinstance(value, Sequence) else (value,):
            if hasattr(getattr(each, "jaxpr", each), "eqns"):
                yield each


def _is_shape(word: str, there: str, n: int, other: int) -> bool:
    """Whether two whole numbers are in proportion to the numbers of rows: those of shapes are."""
    if not (word.isdecimal() and there.isdecimal()):
        return False
    return int(word) * other == int(there) * n
