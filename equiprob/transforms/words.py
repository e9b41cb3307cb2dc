"""In which words is it declared how a leaf moves?

One table of words serves the parser, error messages, documentation and `check_action`. A phrase is
a word of a leaf, or a word for each of its last axes:

    phrase = leaf ["/" stride] [" of " axis]  |  axis {" " axis}
    axis   = word | word "[" order "]" | irreps | "_"

A tuple of words and objects (`by_element`, `reflected`, `pixels`, irreps) means the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from equiprob.transforms.actions import (
    AbstractLeafAction,
    Along,
    Indices,
    Invariant,
    Wrapped,
)
from equiprob.transforms.coordinates import Reordered
from equiprob.transforms.foreign import foreign_declaration
from equiprob.transforms.grid import Grid
from equiprob.transforms.irreps import irreps
from equiprob.transforms.item_axes import Antisymmetric, Items, Regular
from equiprob.transforms.representations import (
    AbstractRepresentation,
    Axial,
    Points,
    Pseudoscalar,
    Vectors,
    Voigt,
)
from equiprob.transforms.user_actions import Action


@dataclass(frozen=True)
class Word:
    """One word of the language.

    Args:
        means: What a leaf or an axis holds that is declared so.
        what: What it stands for: what one axis holds, the action on a whole leaf, or a phrase.
    """

    means: str
    what: AbstractRepresentation | AbstractLeafAction | str


WORDS: dict[str, Word] = {
    "invariant": Word("does not change", Invariant()),
    "vectors": Word("a direction: turns and reflects, and does not translate", Vectors()),
    "points": Word("a position: turns, reflects and translates", Points()),
    "axial": Word("an axial vector (a torque, a magnetic moment): no inversion moves it", Axial()),
    "pseudoscalar": Word("changes its sign where a transformation reflects", Pseudoscalar()),
    "columns": Word("the last axis but one is a direction, as in a cell of columns", "vectors _"),
    "tensors2": Word("the last two axes are a tensor of order 2", "vectors vectors"),
    "voigt": Word("a symmetric tensor of space: xx, yy, zz, yz, xz, xy", Voigt()),
    "items": Word("a list of items that changes its order", Items()),
    "antisymmetric": Word(
        "changes its sign where two items change places (a wave function of fermions)",
        Antisymmetric(),
    ),
    "permuted": Word("the first axis of a row is such a list", Items()),
    "wrapped": Word("points in a periodic cell (lattice vectors: rows of `cell`)", Wrapped()),
    "indices": Word("integers that name items, and follow them; others are padding", Indices()),
    "regular": Word("one number for each element of a finite group", Regular()),
    "image": Word("(height, width) or (height, width, channel)", Grid()),
    "image_channels_first": Word(
        "(channel, height, width), or a stack of these, such as a video", Grid(channels_first=True)
    ),
    "mask": Word("an image of classes: reads the nearest pixel", Grid(nearest=True)),
    "mask_channels_first": Word(
        "the same, with channels first", Grid(nearest=True, channels_first=True)
    ),
}
"""All words. Beside them stand irreps (``"2x0e + 1x1o"``), `by_element`, `reflected`, `pixels`."""

_STAYS = ("_", "invariant")

_IRREPS = re.compile(r"\d*x?\d+[a-z]+(\+\d*x?\d+[a-z]+)*")
_ORDERED = re.compile(r"(\w+)\[([-a-z]+)\]")
_VOIGT = re.compile(r"voigt\[([a-z,]+)\]")
_GRID = re.compile(r"(\w+)(?:/(\d+(?:\.\d+)?))?(?: of (.+))?")


def action_of(
    declared: Any, ndim: int, *, where: str, fill: float = 0.0, wrap: bool = False
) -> AbstractLeafAction:
    """Return the action that a declaration stands for.

    Args:
        declared: A word or a phrase, a tuple of words and objects, an action or a function.
        ndim: How many axes a row of the leaf has.
        where: The argument it was passed in, for messages.
        fill: What images read outside their frame.
        wrap: Whether they continue on the opposite side instead.

    Raises:
        ValueError: If it is not of the language.
    """
    found = foreign_declaration(declared)
    if isinstance(found, AbstractLeafAction):
        return found
    if isinstance(found, AbstractRepresentation):
        found = (found,)
    if isinstance(found, str) and found.strip():
        known = WORDS.get(found)
        if known is not None and isinstance(known.what, AbstractLeafAction):
            return _framed(known.what, fill, wrap)
        if found == "permuted":
            return Along(((-ndim, Items()),) if ndim else ((-1, Items()),), found)
        if (grid := _grid(found, where)) is not None:
            return _framed(grid, fill, wrap)
        phrase = known.what if known is not None and isinstance(known.what, str) else found
        words = tuple(re.sub(r"\s*\+\s*", "+", phrase).split())
        return _along(words, found, where, ndim)
    if isinstance(found, tuple) and found:
        return _along(found, " ".join(map(str, found)), where, ndim)
    if callable(found):
        return Action(found)
    raise ValueError(f"{where} is {declared!r}; {_expected(declared)}")


def _framed(action: AbstractLeafAction, fill: float, wrap: bool) -> AbstractLeafAction:
    """Return an image with the frame of the transform."""
    return replace(action, fill=fill, wrap=wrap) if isinstance(action, Grid) else action


def _grid(phrase: str, where: str) -> Grid | None:
    """Return an image with a stride or a fibre, or None where it is no such phrase."""
    found = _GRID.fullmatch(phrase.strip())
    known = None if found is None else WORDS.get(found[1])
    if found is None or known is None or not isinstance(known.what, Grid):
        return None
    fibre = None if found[3] is None else _representation(found[3].strip(), where, phrase)
    stride = float(found[2] or 1)
    if stride <= 0:
        raise ValueError(f"{where} is {phrase!r}; the stride must be positive")
    return replace(known.what, stride=stride, fibre=fibre)


def _along(words: tuple[Any, ...], phrase: str, where: str, ndim: int) -> AbstractLeafAction:
    """Return the action of a word for each of the last axes."""
    if words == ("items",) and ndim > 1:
        raise ValueError(
            f"{where} is 'items', and a row has {ndim} axes: say which one is the list, with a "
            f"word for each axis, such as {' '.join(['items'] + ['_'] * (ndim - 1))!r}"
        )
    axes = tuple(
        (place - len(words), _representation(word, where, phrase))
        for place, word in enumerate(words)
        if not (isinstance(word, str) and word in _STAYS)
    )
    return Along(axes, phrase) if axes else Invariant()


def _representation(word: Any, where: str, phrase: str) -> AbstractRepresentation:
    """Return what an axis holds that is declared by one word or object."""
    word = foreign_declaration(word)
    if isinstance(word, AbstractRepresentation):
        return word
    if isinstance(word, str):
        known = WORDS.get(word)
        if known is not None and isinstance(known.what, AbstractRepresentation):
            if word != "permuted":
                return known.what
        elif (ordered := _ORDERED.fullmatch(word)) is not None and ordered[1] in ORDERABLE:
            return Reordered(ORDERABLE[ordered[1]], ordered[2])
        elif (stress := _VOIGT.fullmatch(word)) is not None:
            return Voigt(stress[1])
        elif _IRREPS.fullmatch(word.replace(" ", "")):
            return irreps(word)
    of = "" if word == phrase else f", in which {word!r} is no word of an axis"
    if isinstance(word, str) and isinstance(WORDS.get(word, Word("", "")).what, Grid):
        raise ValueError(
            f"{where} is {phrase!r}{of}, but of a whole leaf: declare a stack of images, such as a "
            f"video, '{word.removesuffix('_channels_first')}_channels_first', with height and "
            f"width as its last axes"
        )
    raise ValueError(f"{where} is {phrase!r}{of}; {_expected(word)}")


ORDERABLE = {"vectors": Vectors(), "points": Points(), "axial": Axial()}


def _expected(declared: Any) -> str:
    """Say what can be declared, and what was meant."""
    near = difflib.get_close_matches(str(declared), WORDS, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"{meant}expected one of {sorted(WORDS)}, a word for each of the last axes ('items "
        f"points'), irreps ('2x0e + 1x1o'), a function (parameter, row) -> row, or "
        f"ep.transforms.Action"
    )


def known_words(element: Mapping[str, Any]) -> list[str]:
    """Return the words that transformations with such elements know."""
    return [word for word in WORDS if moves_with(action_of(word, 1, where=word), element)]


def moves_with(action: AbstractLeafAction, element: Mapping[str, Any]) -> bool:
    """Whether elements have all that an action reads."""
    return all(any(name in element for name in group) for group in action.requires)


def table_of_words() -> list[tuple[str, str, str, str]]:
    """Return the table of words: word, meaning, what of a transformation it reads, integers."""
    return [
        (
            word,
            known.means,
            ", ".join(" or ".join(group) for group in action.requires),
            "stay" if action.keeps_integers else "",
        )
        for word, known in WORDS.items()
        for action in [action_of(word, 1, where=word)]
    ]
